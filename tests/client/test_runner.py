from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from nuncio.client.runner import Runner
from nuncio.engine.sent import TAKEN
from nuncio.errors import ArgumentError, LimitExceeded, OptionError
from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler
from tests.support.aio import eventually, run_async, within
from tests.support.lines import World, turns


def bound(function: Any, *, thread: bool = False, lifecycle: bool = True) -> Handler:
    return bind(function, "e", takes_socket=False, lifecycle=lifecycle, thread=thread)


class Bench:
    """A runner, and what is told of failures."""

    def __init__(self) -> None:
        self.reading: list[str] = []
        self.runner = Runner(
            lambda: self.reading.append("pause"), lambda: self.reading.append("resume")
        )
        self.told: list[tuple[Any, Any, Any]] = []

        def listener(error: Any, socket: Any, event: Any) -> None:
            self.told.append((error, socket, event))

        assert self.runner.on_error(listener) is listener


# Reading.


@run_async
async def test_reading_pauses_with_the_first_and_goes_on_with_the_last() -> None:
    bench = Bench()
    runner = bench.runner
    assert not runner.paused
    runner.pause_reading()
    runner.pause_reading()
    assert (bench.reading, runner.paused) == (["pause"], True)
    runner.resume_reading()
    assert (bench.reading, runner.paused) == (["pause"], True)
    runner.resume_reading()
    assert (bench.reading, runner.paused) == (["pause", "resume"], False)


@run_async
async def test_a_connection_that_comes_while_reading_is_paused_is_not_read() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    runner = manager._runner
    runner.pause_reading()
    manager.open()
    line = await world.opened()
    assert not line.reading
    runner.resume_reading()
    assert line.reading
    manager.disconnect()
    runner.pause_reading()
    runner.resume_reading()
    await within(manager.wait_closed())


# Calling.


@run_async
async def test_lifecycle_listeners_are_called_with_what_they_declare() -> None:
    bench = Bench()
    seen: list[Any] = []
    bench.runner.call_lifecycle(bound(lambda *args: seen.append(args)), "s", "e", ["a", "b"])
    bench.runner.call_lifecycle(bound(lambda first: seen.append(first)), "s", "e", ["a", "b"])

    async def later(first: str) -> None:
        await asyncio.sleep(0)
        seen.append(f"later {first}")

    bench.runner.call_lifecycle(bound(later), "s", "e", ["a"])
    assert seen == [("a", "b"), "a"]
    await eventually(lambda: seen[2:] == ["later a"])
    await turns()
    assert bench.runner.running == set()


@run_async
async def test_what_emit_returns_is_not_awaited() -> None:
    bench = Bench()
    bench.runner.call_lifecycle(bound(lambda: TAKEN), "s", "e", [])
    assert bench.runner.running == set()


@run_async
async def test_blocking_listeners_run_in_threads_of_its_own() -> None:
    bench = Bench()
    names: list[str] = []
    bench.runner.call_lifecycle(
        bound(lambda: names.append(threading.current_thread().name), thread=True), "s", "e", []
    )
    await eventually(lambda: names)
    assert names[0].startswith("nuncio-handler")
    assert bench.runner.threads.used
    bench.runner.close()
    bench.runner.close()
    # It begins anew when it is needed again.
    bench.runner.call_lifecycle(
        bound(lambda: names.append(threading.current_thread().name), thread=True), "s", "e", []
    )
    await eventually(lambda: len(names) == 2)
    bench.runner.close()


@run_async
async def test_threads_end_with_their_manager() -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    line = await world.joined()
    ran: list[int] = []
    socket.on("t", lambda: ran.append(1), thread=True)
    line.event("t")
    await eventually(lambda: ran)
    assert _handler_threads()
    await manager.close()
    await eventually(lambda: not _handler_threads())


def _handler_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("nuncio-handler")]


# Failures.


@run_async
async def test_failures_are_logged_and_told_wherever_they_happen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    mistake = ValueError("mine")

    def fails(*_: Any) -> None:
        raise mistake

    async def fails_later(*_: Any) -> None:
        await asyncio.sleep(0)
        raise mistake

    bench.runner.call_lifecycle(bound(fails), "s1", "e1", [])
    bench.runner.guard(fails, [], "s2", "e2")
    bench.runner.notify(bound(fails, lifecycle=False), ["e3"], "s3", "e3")
    bench.runner.call_lifecycle(bound(fails_later), "s4", "e4", [])
    bench.runner.call_lifecycle(bound(fails, thread=True), "s5", "e5", [])
    bench.runner.spawn(fails_later())
    await eventually(lambda: len(bench.told) == 6)
    told = {event: (error, socket) for error, socket, event in bench.told}
    assert told == {
        "e1": (mistake, "s1"),
        "e2": (mistake, "s2"),
        "e3": (mistake, "s3"),
        "e4": (mistake, "s4"),
        "e5": (mistake, "s5"),
        "": (mistake, None),
    }
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 6
    bench.runner.close()


@run_async
async def test_how_loud_a_failure_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "nuncio.client")
    bench = Bench()
    bench.runner.report(ArgumentError("e", "a", "wrong"), None, "e")
    bench.runner.report(LimitExceeded("raise ClientLimits(…)"), None, "e")
    bench.runner.report(ValueError("mine"), None, "e")
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("DEBUG", "ArgumentError(\"event 'e', argument 'a': wrong\")"),
        ("WARNING", "'e': raise ClientLimits(…)"),
        ("ERROR", "a handler of 'e' failed"),
    ]
    assert len(bench.told) == 3


@run_async
async def test_catch_alls_that_want_more_than_there_is() -> None:
    bench = Bench()
    called: list[Any] = []

    def wants_two(event: str, first: int) -> None:
        called.append((event, first))

    handler = bound(wants_two, lifecycle=False)
    bench.runner.notify(handler, ["e", 1, 2], "s", "e")
    bench.runner.notify(handler, ["e"], "s", "e")
    assert called == [("e", 1)]
    ((error, socket, event),) = bench.told
    assert isinstance(error, ArgumentError)
    assert (socket, event) == ("s", "e")


@run_async
async def test_listeners_of_failures_may_fail_themselves(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    async def fails_later(error: Any) -> None:
        await asyncio.sleep(0)
        raise KeyError("later")

    def fails(error: Any) -> None:
        raise KeyError("now")

    bench.runner.on_error(fails)
    bench.runner.on_error(fails_later)
    bench.runner.on_error(lambda: None)
    bench.runner.report(ValueError("mine"), None, "e")
    await eventually(lambda: len(caplog.records) == 3)
    assert [one.getMessage() for one in caplog.records][1:] == ["an on_error listener failed"] * 2
    assert len(bench.told) == 1
    wrong: Any = 5
    with pytest.raises(OptionError, match="must be callable"):
        bench.runner.on_error(wrong)


@run_async
async def test_tasks_that_are_cancelled_are_no_failure() -> None:
    bench = Bench()
    task = bench.runner.spawn(asyncio.sleep(3600))
    await turns()
    assert bench.runner.running == {task}
    task.cancel()
    await turns()
    assert (bench.runner.running, bench.told) == (set(), [])


@run_async
async def test_what_another_thread_cannot_send_is_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    line = await world.joined()
    told: list[Any] = []
    manager.on_error(lambda error, of, event: told.append((type(error), of, event)))

    def blocking() -> None:
        socket.emit("first", object())
        socket.emit("second", object(), lambda: None)

    socket.on("go", blocking, thread=True)
    line.event("go")
    await eventually(lambda: len(told) == 2)
    assert told == [(TypeError, socket, "first"), (TypeError, socket, "second")]
    assert socket.connected
    await manager.close()
