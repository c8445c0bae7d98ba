"""An index of an older format is carried over whole, or stays as it was."""

from __future__ import annotations

import pytest

from shared.index.elastic import Access, migrate, migration
from shared.index.port import IndexMismatch, IndexUnavailable
from tests.support.index import ElasticPlace, all_of, batch, content, hash_of
from tests.unit.shared.index.elastic.test_opening import age, call


def aliased(place: ElasticPlace) -> set[str]:
    return {name for name, held in call(f"{place.url}/{place.name}-*/_alias").items() if held["aliases"]}


async def filled(place: ElasticPlace, count: int = 1_200) -> None:
    async with place.opened() as index:
        await index.put(*batch(range(count), version=7))
    age(place)


async def test_everything_is_carried_over_and_the_old_index_stays(place: ElasticPlace) -> None:
    await filled(place)
    said = await migrate(Access.of(place.url, name=place.name), mode="canonical")
    assert len(said) == 2
    assert all("1200 documents" in line for line in said)
    assert aliased(place) == {f"{place.name}-contents-000002", f"{place.name}-files-000002"}
    assert f"{place.name}-contents-000001" in call(f"{place.url}/{place.name}-*/_settings")
    async with place.opened() as index:
        assert len(await all_of(index)) == 1_200
        assert await index.contents([hash_of(n) for n in range(1_200)]) == {
            hash_of(n): content(n) for n in range(1_200)
        }
        [answer] = await index.neighbours([content(77).signature], 0.1)
        assert answer.hits == ((hash_of(77), 0.0),)
        assert (await index.put(*batch([5], version=7))).written == 0, "versions are carried over too"
        assert (await index.put(*batch([5], version=8))).written == 1


async def test_there_is_nothing_to_do_twice(place: ElasticPlace) -> None:
    await filled(place, 3)
    access = Access.of(place.url, name=place.name)
    assert len(await migrate(access, mode="canonical")) == 2
    assert await migrate(access, mode="canonical") == []


async def test_an_interrupted_migration_leaves_the_old_index_in_force_and_the_next_try_succeeds(
    place: ElasticPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(place)
    access = Access.of(place.url, name=place.name)

    async def break_off(*_: object) -> None:
        raise IndexUnavailable("interrupted")

    with monkeypatch.context() as patched:
        patched.setattr(migration, "_swap", break_off)
        with pytest.raises(IndexUnavailable, match="interrupted"):
            await migrate(access, mode="canonical")
    assert aliased(place) == {f"{place.name}-contents-000001", f"{place.name}-files-000001"}
    blocked = call(f"{place.url}/{place.name}-contents-000001/_settings?filter_path=**.blocks")
    assert blocked == {}
    assert len(await migrate(access, mode="canonical")) == 2
    async with place.opened() as index:
        assert len(await all_of(index)) == 1_200


async def test_another_mode_is_no_other_format(place: ElasticPlace) -> None:
    await filled(place, 1)
    with pytest.raises(IndexMismatch, match="mode"):
        await migrate(Access.of(place.url, name=place.name), mode="exact")


async def test_nothing_there_is_nothing_to_migrate(place: ElasticPlace) -> None:
    with pytest.raises(IndexMismatch, match="nothing to migrate"):
        await migrate(Access.of(place.url, name=place.name), mode="canonical")
