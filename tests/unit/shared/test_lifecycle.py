from __future__ import annotations

import asyncio

import pytest

from shared.lifecycle import Stopped, ended_by


async def test_waiting_that_knows_nothing_of_stopping_is_ended_by_it() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    with pytest.raises(Stopped):
        async with ended_by(stop):
            await asyncio.Event().wait()


async def test_what_ends_by_itself_is_left_alone_and_nothing_stays_behind() -> None:
    stop = asyncio.Event()
    async with ended_by(stop):
        await asyncio.sleep(0)
    stop.set()
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_time_out_of_what_is_inside_stays_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        async with ended_by(asyncio.Event()):
            raise TimeoutError
