"""Services run and stop together; a signal is a request, and nothing that fails in the background goes unsaid."""

from __future__ import annotations

import asyncio
import gc
import os
import signal

import pytest
import structlog.testing

from shared.lifecycle import Stopped, given_up_on, run, stop_on_signals, unless_stopped


class Patient:
    """Works until it is told to stop."""

    ended = False

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.ended = True


class Failing:
    async def run(self, stop: asyncio.Event) -> None:
        raise ValueError("broken")


async def test_when_one_service_fails_the_others_are_stopped_and_the_error_is_raised() -> None:
    patient = Patient()
    with pytest.raises(ExceptionGroup) as caught:
        await run([patient, Failing()], asyncio.Event())
    assert caught.group_contains(ValueError, match="broken")
    assert patient.ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_asks_to_stop_and_the_handler_is_gone_afterwards(number: signal.Signals) -> None:
    async with stop_on_signals() as stop:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()
    assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)


async def test_a_task_that_fails_while_nobody_waits_for_it_is_said_in_the_log() -> None:
    async def fails() -> None:
        raise ConnectionResetError("Connection lost")

    with structlog.testing.capture_logs() as logs:
        async with stop_on_signals():
            task = asyncio.create_task(fails())
            await asyncio.wait({task})
            del task
            gc.collect()
    assert [(e["event"], e["error"]) for e in logs] == [
        ("process.task_failed", "ConnectionResetError('Connection lost')")
    ]


async def test_waiting_says_whether_it_was_stopped() -> None:
    stop = asyncio.Event()
    assert await unless_stopped(stop, 0.0)
    stop.set()
    assert not await unless_stopped(stop, 60.0)


async def test_what_only_waits_is_given_up_when_a_person_stops_it() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    async with asyncio.timeout(10):
        with pytest.raises(Stopped):
            async with given_up_on(stop):
                await asyncio.Event().wait()


async def test_an_error_inside_is_its_own_and_so_is_a_time_out() -> None:
    for error in (ValueError("inside"), TimeoutError("its own")):
        with pytest.raises(type(error), match=str(error)):
            async with given_up_on(asyncio.Event()):
                raise error
