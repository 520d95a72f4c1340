from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import nuncio
from nuncio import ClientLimits, ClientSocket, Manager
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns


@dataclass
class Joined:
    """A socket that the test's server has let in."""

    world: World
    manager: Manager
    socket: ClientSocket
    line: Line

    def answers(self) -> list[str]:
        """The acknowledgements sent since the last time."""
        return [str(one)[1:] for one in self.line.take() if str(one).startswith("43")]


@asynccontextmanager
async def joined(
    socket_options: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Joined]:
    world = World()
    manager = world.manager(**options)
    socket = manager.socket("/", **(socket_options or {}))
    line = await world.joined()
    await within(socket.wait_connected())
    yield Joined(world, manager, socket, line)
    await manager.close()


# Handlers.


@run_async
async def test_events_come_to_handlers_in_order_with_as_many_arguments_as_they_declare() -> None:
    async with joined() as there:
        seen: list[Any] = []
        there.socket.on("a", lambda *args: seen.append(args))
        there.socket.on("b", lambda first: seen.append(first))
        there.socket.on("c", lambda: seen.append("c"))
        there.socket.on("d", lambda first, second=None: seen.append((first, second)))
        there.line.event("a", 1, {"x": [True, None]})
        there.line.event("b", 2, 3)
        there.line.event("c", 4)
        there.line.event("d", 5)
        there.line.event("nobody", 6)
        there.line.event("a")
        assert seen == [(1, {"x": [True, None]}), 2, "c", (5, None), ()]


@run_async
async def test_numbers_are_names_too() -> None:
    async with joined() as there:
        seen: list[Any] = []
        there.socket.on("1", lambda value: seen.append(value))
        there.line.event(1, "whole")
        there.line.event(1.0, "float")
        there.line.event("1", "text")
        assert seen == ["whole", "float", "text"]


@run_async
async def test_binary_values_are_where_they_were() -> None:
    async with joined() as there:
        seen: list[Any] = []
        there.socket.on("b", lambda *args: seen.append(args))
        there.line.tell(
            '52-["b",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}],5]',
            b"\x01",
            b"\x02\x03",
        )
        assert seen == [(b"\x02\x03", [b"\x01"], 5)]


@run_async
async def test_what_a_handler_returns_is_the_answer() -> None:
    async with joined() as there:
        socket = there.socket
        released = asyncio.Event()

        async def later(value: int) -> int:
            await released.wait()
            return value + 1

        async def at_once(value: int) -> int:
            return value * 2

        def asks_for_it(value: int, ack: nuncio.AckCallback) -> str:
            ack(value, "first")
            ack(value, "second")
            return "not this"

        socket.on("none", lambda: None)
        socket.on("value", lambda value: value)
        socket.on("several", lambda: nuncio.Ack(1, [2]))
        socket.on("later", later)
        socket.on("at once", at_once)
        socket.on("asks", asks_for_it)
        socket.on("awaitable", lambda: at_once(21))
        socket.on("binary", lambda: b"\x05")
        socket.on("sent", lambda: socket.emit("other"))
        there.line.event("none", id=0)
        there.line.event("value", 5, id=1)
        there.line.event("several", id=2)
        there.line.event("later", 1, id=3)
        there.line.event("at once", 4, id=4)
        there.line.event("asks", 7, id=5)
        assert there.answers() == ["30[]", "31[5]", "32[1,[2]]", "34[8]", '35[7,"first"]']
        released.set()
        await eventually(lambda: there.answers() == ["33[2]"])
        there.line.event("awaitable", id=10)
        there.line.event("sent", id=12)
        assert there.answers() == ["310[42]", "312[]"]
        there.line.event("binary", id=11)
        assert there.line.take() == ['461-11[{"_placeholder":true,"num":0}]', b"\x05"]
        # Nobody asked, nobody is answered; nor where there is no handler.
        there.line.event("value", 5)
        there.line.event("nobody", 5, id=13)
        await turns()
        assert there.answers() == []


@run_async
async def test_of_several_handlers_the_first_answer_counts() -> None:
    async with joined() as there:
        socket = there.socket
        released = asyncio.Event()

        async def late() -> str:
            await released.wait()
            return "late"

        socket.on("e", lambda: None)
        socket.on("e", late)
        socket.on("e", lambda: "early")
        there.line.event("e", id=0)
        assert there.answers() == ['30["early"]']
        released.set()
        await turns()
        assert there.answers() == []
        socket.off("e")
        socket.on("e", lambda: None)
        socket.on("e", lambda: None)
        there.line.event("e", id=1)
        assert there.answers() == ["31[]"]


@run_async
async def test_once_prepend_off() -> None:
    async with joined() as there:
        socket = there.socket
        seen: list[str] = []
        socket.on("e", lambda: seen.append("on"))
        socket.once("e", lambda: seen.append("once"))
        socket.prepend("e", lambda: seen.append("first"))
        there.line.event("e")
        there.line.event("e")
        assert seen == ["first", "on", "once", "first", "on"]
        socket.off("e")
        there.line.event("e")
        assert len(seen) == 5


@run_async
async def test_handlers_that_are_removed_by_others_still_see_the_event_under_way() -> None:
    async with joined() as there:
        socket = there.socket
        seen: list[str] = []

        def second() -> None:
            seen.append("second")

        def first() -> None:
            seen.append("first")
            socket.off("e", second)

        socket.on("e", first)
        socket.on("e", second)
        there.line.event("e")
        there.line.event("e")
        assert seen == ["first", "second", "first"]


@run_async
async def test_catch_alls_come_first() -> None:
    async with joined() as there:
        socket = there.socket
        seen: list[Any] = []
        socket.on("e", lambda *args: seen.append(("own", args)))
        socket.on_any(lambda event, *args: seen.append((event, args)))
        socket.prepend_any(lambda event: seen.append(event))
        there.line.event("e", 1)
        there.line.event("other")
        assert seen == ["e", ("e", (1,)), ("own", (1,)), "other", ("other", ())]
        socket.off_any()
        there.line.event("other")
        assert len(seen) == 5


@run_async
async def test_blocking_handlers_run_in_threads_and_may_use_the_socket() -> None:
    async with joined() as there:
        socket = there.socket
        threads: list[bool] = []

        def blocking(value: int) -> int:
            threads.append(threading.current_thread() is threading.main_thread())
            socket.emit("from a thread", value)
            return value + 1

        socket.on("e", blocking, thread=True)
        there.line.event("e", 1, id=5)
        sent = [await there.line.next(), await there.line.next()]
        assert sorted(str(one) for one in sent) == ['42["from a thread",1]', "435[2]"]
        assert threads == [False]


# Handlers that fail.


@run_async
async def test_failures_are_told_and_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as there:
        socket = there.socket
        told: list[Any] = []
        there.manager.on_error(lambda error, socket, event: told.append((error, socket, event)))
        mistake = ValueError("mistake")

        def fails() -> None:
            raise mistake

        async def fails_later() -> None:
            await asyncio.sleep(0)
            raise mistake

        socket.on("now", fails)
        socket.on("later", fails_later)
        socket.on("both", fails)
        socket.on("both", lambda: "the other")
        socket.on("unsendable", lambda: object())
        socket.on_any(fails_any)
        there.line.event("now", id=0)
        there.line.event("later", id=1)
        there.line.event("both", id=2)
        there.line.event("unsendable", id=3)
        await eventually(lambda: len(told) == 8)
        errors = [(error, of, event) for error, of, event in told if error is mistake]
        assert errors == [
            (mistake, socket, "now"),
            (mistake, socket, "both"),
            (mistake, socket, "later"),
        ]
        assert [event for error, _, event in told if isinstance(error, TypeError)] == ["unsendable"]
        # Nothing of it leaks to the server; the handler that went well answers.
        assert there.answers() == ['32["the other"]']
        assert socket.connected
    assert {record.levelno for record in caplog.records if record.name == "nuncio.client"} == {
        logging.ERROR
    }


def fails_any(event: str) -> None:
    raise KeyError(event)


@run_async
async def test_arguments_that_do_not_fit_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as there:
        called: list[Any] = []
        told: list[Any] = []
        there.manager.on_error(lambda error: told.append(error))

        @there.socket.on("typed")
        def typed(number: int, text: str) -> None:
            called.append((number, text))

        there.line.event("typed", "five", "x", id=0)
        there.line.event("typed", 5, id=1)
        there.line.event("typed", 5, "x", id=2)
        answers = there.answers()
        assert '"code":"invalid_argument"' in answers[0]
        assert '"argument":"number"' in answers[0]
        assert '"argument":"text"' in answers[1]
        assert answers[2] == "32[]"
        assert called == [(5, "x")]
        assert [type(error) for error in told] == [nuncio.ArgumentError, nuncio.ArgumentError]
    # The server must not be able to fill the log.
    assert not [one for one in caplog.records if one.levelno > logging.DEBUG]


@run_async
async def test_a_failing_listener_of_what_the_client_tells_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with joined() as there:
        socket = there.socket
        told: list[Any] = []

        def fails() -> None:
            raise RuntimeError("mine")

        async def fails_later(reason: str) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("mine")

        socket.on("disconnect", fails)
        socket.on("disconnect", fails_later)
        socket.on("disconnect", lambda reason: told.append(reason))
        there.line.lose()
        line = await there.world.joined()
        await within(socket.wait_connected())
        assert told == ["transport close"]
        assert line.dial is not there.line.dial
        await eventually(lambda: len(caplog.records) >= 2)


# How many at once.


class Busy:
    """A handler that waits until it is told to go on."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.gate = asyncio.Event()

    async def __call__(self, value: Any) -> Any:
        self.begun.append(value)
        await self.gate.wait()
        self.ended.append(value)
        return value


@run_async
async def test_so_many_handlers_run_at_once_and_the_rest_wait_in_order() -> None:
    async with joined(concurrency=2) as there:
        busy = Busy()
        there.socket.on("e", busy)
        there.socket.on("quick", lambda: None)
        for value in range(5):
            there.line.event("e", value, id=value)
        assert busy.begun == [0, 1]
        # What comes behind does not overtake.
        there.line.event("quick", id=9)
        assert there.answers() == []
        busy.gate.set()
        await eventually(lambda: len(there.line.sent) == 6)
        assert busy.begun == [0, 1, 2, 3, 4]
        assert sorted(there.answers()) == ["30[0]", "31[1]", "32[2]", "33[3]", "34[4]", "39[]"]


@run_async
async def test_one_at_a_time_is_strictly_serial() -> None:
    async with joined(concurrency=1) as there:
        trace: list[str] = []

        async def step(value: int) -> None:
            trace.append(f"begin {value}")
            await asyncio.sleep(0)
            trace.append(f"end {value}")

        there.socket.on("e", step)
        for value in range(3):
            there.line.event("e", value)
        await eventually(lambda: len(trace) == 6)
        assert trace == ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]


@run_async
async def test_a_handler_may_have_a_limit_of_its_own() -> None:
    async with joined() as there:
        busy = Busy()
        there.socket.on("e", busy, concurrency=1)
        seen: list[int] = []
        there.socket.on("other", lambda value: seen.append(value))
        there.line.event("e", 0)
        there.line.event("other", 0)
        there.line.event("e", 1)
        there.line.event("other", 1)
        # The second one waits, and what is behind it.
        assert (busy.begun, seen) == ([0], [0])
        busy.gate.set()
        await eventually(lambda: seen == [0, 1])
        assert busy.begun == [0, 1]


@run_async
async def test_many_events_that_wait_do_not_pile_up_calls() -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    seen: list[int] = []

    @socket.on("n")
    async def number(value: int) -> None:
        seen.append(value)

    line = await world.opened()
    assert await line.next() == "40"
    # Before the server has said who it is, they wait.
    for value in range(20_000):
        line.event("n", value)
    assert seen == []
    line.admit()
    await eventually(lambda: len(seen) == 20_000)
    assert seen == list(range(20_000))
    await manager.close()


@run_async
async def test_a_handler_that_waits_and_ends_lets_thousands_go_on() -> None:
    async with joined(concurrency=1, limits=ClientLimits(queued_events=100_000)) as there:
        busy = Busy()
        there.socket.on("first", busy)
        seen: list[int] = []

        @there.socket.on("n")
        async def number(value: int) -> None:
            seen.append(value)

        there.line.event("first", 0)
        for value in range(20_000):
            there.line.event("n", value)
        assert seen == []
        busy.gate.set()
        await eventually(lambda: len(seen) == 20_000)


# Reading pauses.


@run_async
async def test_reading_pauses_when_many_events_wait_and_goes_on_at_half() -> None:
    async with joined(concurrency=1, limits=ClientLimits(queued_events=4)) as there:
        gate = asyncio.Semaphore(0)
        seen: list[int] = []

        @there.socket.on("e")
        async def one(value: int) -> None:
            await gate.acquire()
            seen.append(value)

        for value in range(4):
            there.line.event("e", value)
        assert there.line.reading
        there.line.event("e", 4)
        assert not there.line.reading
        gate.release()
        await eventually(lambda: seen == [0])
        assert not there.line.reading
        gate.release()
        await eventually(lambda: seen == [0, 1])
        assert there.line.reading
        for _ in range(3):
            gate.release()
        await eventually(lambda: seen == [0, 1, 2, 3, 4])


@run_async
async def test_handlers_that_wait_for_an_answer_do_not_stop_it_from_being_read() -> None:
    async with joined(concurrency=1, limits=ClientLimits(queued_events=2)) as there:
        answers: list[Any] = []

        @there.socket.on("ask me")
        async def ask() -> None:
            answers.append(await there.socket.emit_with_ack("question"))

        for _ in range(6):
            there.line.event("ask me")
        assert there.line.reading
        assert await there.line.next() == '420["question"]'
        there.line.tell('30["answer"]')
        await eventually(lambda: answers == ["answer"])
        for id in range(1, 6):
            assert await there.line.next() == f'42{id}["question"]'
            there.line.tell(f"3{id}[]")
        await eventually(lambda: len(answers) == 6)


@run_async
async def test_who_asks_while_reading_is_paused_makes_it_go_on() -> None:
    async with joined(concurrency=1, limits=ClientLimits(queued_events=2)) as there:
        gate = asyncio.Event()
        answers: list[Any] = []

        @there.socket.on("e")
        async def ask() -> None:
            await gate.wait()
            answers.append(await there.socket.emit_with_ack("question"))

        for _ in range(3):
            there.line.event("e")
        assert not there.line.reading
        gate.set()
        assert await there.line.next() == '420["question"]'
        assert there.line.reading
        there.line.tell("30[1]")
        for id in range(1, 3):
            assert await there.line.next() == f'42{id}["question"]'
            there.line.tell(f"3{id}[]")
        await eventually(lambda: len(answers) == 3)


@run_async
async def test_one_socket_that_is_behind_does_not_let_another_s_end_make_it_read() -> None:
    async with joined(limits=ClientLimits(queued_events=1), concurrency=1) as there:
        other = there.manager.socket("/other")
        assert await there.line.join(nsp="/other") == ""
        await within(other.wait_connected())
        busy, also = Busy(), Busy()
        there.socket.on("e", busy)
        other.on("e", also)
        for value in range(2):
            there.line.event("e", value)
            there.line.event("e", value, nsp="/other")
        assert not there.line.reading
        # What was under way when reading paused still arrives.
        there.line.reading = True
        there.line.say()
        there.line.reading = False
        also.gate.set()
        await eventually(lambda: len(also.ended) == 2)
        assert not there.line.reading
        busy.gate.set()
        await eventually(lambda: there.line.reading)


# Before the server has said who it is.


@run_async
async def test_events_that_come_before_connect_are_handled_before_it_is_told() -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    trace: list[Any] = []
    socket.on("connect", lambda: trace.append("connect"))

    @socket.on("early")
    def early(value: int) -> int:
        trace.append(value)
        return value

    socket.emit("buffered")
    line = await world.opened()
    assert await line.next() == "40"
    line.event("early", 1, id=7)
    line.event("early", 2)
    await turns()
    assert trace == []
    line.admit()
    assert trace == [1, 2, "connect"]
    assert line.take() == ["437[1]", '42["buffered"]']
    await manager.close()


@run_async
async def test_a_server_that_never_says_who_it_is_and_sends_events_is_left() -> None:
    world = World()
    manager = world.manager(limits=ClientLimits(queued_events=1))
    socket = manager.socket("/")
    closed: list[tuple[str, str]] = []
    manager.on("close", lambda reason, description: closed.append((reason, description)))
    line = await world.opened()
    assert await line.next() == "40"
    for value in range(101):
        line.event("e", value)
    assert closed == [("parse error", "too many events before the namespace was joined")]
    # It comes back, as after any parse error.
    await world.joined()
    await within(socket.wait_connected())
    await manager.close()


@run_async
async def test_early_events_of_a_connection_that_came_to_nothing_are_not_the_next_one_s() -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    seen: list[int] = []
    socket.on("e", lambda value: seen.append(value))
    line = await world.opened()
    assert await line.next() == "40"
    line.event("e", 1)
    line.lose()
    line = await world.opened()
    assert await line.next() == "40"
    line.event("e", 2)
    line.admit()
    assert seen == [2]
    await manager.close()


# When the connection ends.


@run_async
async def test_what_has_arrived_is_handled_although_the_connection_is_lost() -> None:
    async with joined(concurrency=1, reconnection=False) as there:
        busy = Busy()
        there.socket.on("e", busy)
        for value in range(3):
            there.line.event("e", value, id=value)
        there.line.lose()
        assert not there.socket.connected
        busy.gate.set()
        await eventually(lambda: busy.ended == [0, 1, 2])


@run_async
async def test_what_has_arrived_comes_before_what_the_next_connection_brings() -> None:
    async with joined(concurrency=1) as there:
        busy = Busy()
        there.socket.on("e", busy)
        for value in range(3):
            there.line.event("e", value)
        there.line.lose()
        line = await there.world.opened()
        assert await line.next() == "40"
        line.event("e", 3)
        line.admit()
        line.event("e", 4)
        busy.gate.set()
        await eventually(lambda: busy.ended == [0, 1, 2, 3, 4])


@run_async
async def test_who_leaves_hears_no_more() -> None:
    async with joined(concurrency=1) as there:
        busy = Busy()
        there.socket.on("e", busy)
        for value in range(3):
            there.line.event("e", value)
        there.socket.disconnect()
        busy.gate.set()
        await eventually(lambda: busy.ended == [0])
        await turns()
        assert busy.begun == [0]


@run_async
async def test_a_handler_that_leaves_is_the_last_one() -> None:
    async with joined() as there:
        seen: list[int] = []

        def leave(value: int) -> None:
            seen.append(value)
            there.socket.disconnect()

        there.socket.on("e", leave)
        there.socket.hold()
        there.line.event("e", 1)
        there.line.event("e", 2)
        there.socket.release()
        assert seen == [1]


@run_async
async def test_an_answer_that_comes_late_is_not_taken_for_that_to_another_question() -> None:
    async with joined() as there:
        busy = Busy()
        there.socket.on("slow", busy)
        there.socket.on("quick", lambda: "quick")
        late: list[nuncio.AckCallback] = []

        @there.socket.on("kept")
        def keep(ack: nuncio.AckCallback) -> None:
            late.append(ack)

        there.line.event("slow", "old", id=0)
        there.line.event("kept", id=1)
        there.line.lose()
        line = await there.world.opened()
        assert await line.next() == "40"
        # The new connection counts anew. Before it is let in, nothing may be answered at all.
        late[0]("too early")
        line.admit()
        line.event("slow", "new", id=0)
        line.event("kept", id=1)
        line.event("quick", id=2)
        late[0]("too late")
        busy.gate.set()
        await eventually(lambda: busy.ended == ["old", "new"])
        late[1]("in time")
        assert line.take() == ['432["quick"]', '430["new"]', '431["in time"]']


@run_async
async def test_ids_may_be_as_long_as_the_protocol_allows() -> None:
    async with joined() as there:
        there.socket.on("e", lambda: None)
        long = int("9" * 20)
        there.line.event("e", id=long)
        assert there.answers() == [f"3{long}[]"]
        there.line.lose()
        line = await there.world.joined()
        line.event("e", id=long)
        assert line.take() == [f"43{long}[]"]


# At-least-once delivery: the client's part.

PROMISED = {"delivery": "at-least-once"}


@run_async
async def test_promised_events_come_once_and_without_their_ids() -> None:
    async with joined(PROMISED) as there:
        seen: list[Any] = []
        there.socket.on("e", lambda *args: seen.append(args))
        there.line.event("e", 1, "id-1", id=0)
        there.line.event("e", 2, "id-2", id=1)
        there.line.event("e", 1, "id-1", id=2)
        assert seen == [(1,), (2,)]
        # The second time it is known, and acknowledged all the same.
        assert there.answers() == ["30[]", "31[]", "32[]"]


@run_async
async def test_promised_events_are_acknowledged_when_their_handlers_have_ended() -> None:
    async with joined(PROMISED) as there:
        busy = Busy()
        there.socket.on("e", busy)
        there.line.event("e", "x", "id-1", id=0)
        await turns()
        assert there.answers() == []
        busy.gate.set()
        await eventually(lambda: there.answers() == ['30["x"]'])


@run_async
async def test_promised_events_are_acknowledged_where_nobody_listens_or_handlers_fail() -> None:
    async with joined(PROMISED) as there:

        def fails() -> None:
            raise ValueError

        async def fails_later() -> None:
            await asyncio.sleep(0)
            raise ValueError

        there.socket.on("fails", fails)
        there.socket.on("fails later", fails_later)
        there.socket.on("all fail", fails)
        there.socket.on("all fail", fails)
        there.line.event("nobody", "id-1", id=0)
        there.line.event("fails", "id-2", id=1)
        there.line.event("all fail", "id-3", id=2)
        there.line.event("fails later", "id-4", id=3)
        await turns()
        assert there.answers() == ["30[]", "31[]", "32[]", "33[]"]


@run_async
async def test_other_events_keep_their_arguments() -> None:
    async with joined(PROMISED) as there:
        seen: list[Any] = []
        there.socket.on("e", lambda *args: seen.append(args))
        there.line.event("e", "text")
        there.line.event("e", "text")
        there.line.event("e", 5, id=0)
        there.line.event("e", id=1)
        assert seen == [("text",), ("text",), (5,), ()]
        assert there.answers() == ["30[]", "31[]"]


@run_async
async def test_how_many_ids_are_remembered_has_a_limit() -> None:
    async with joined(PROMISED, limits=ClientLimits(queued_events=1)) as there:
        seen: list[int] = []
        there.socket.on("e", lambda value: seen.append(value))
        for value in range(11):
            there.line.event("e", value, f"id-{value}", id=value)
        # The first one is forgotten by now, the second is not.
        there.line.event("e", 1, "id-1", id=11)
        there.line.event("e", 0, "id-0", id=12)
        assert seen == [*range(11), 0]


@run_async
async def test_a_promised_event_that_comes_again_while_it_is_handled_runs_once() -> None:
    async with joined(PROMISED) as there:
        busy = Busy()
        there.socket.on("e", busy)
        there.line.event("e", "x", "id-1", id=0)
        there.line.lose()
        line = await there.world.joined()
        line.event("e", "x", "id-1", id=0)
        assert line.take() == ["430[]"]
        busy.gate.set()
        await eventually(lambda: busy.ended == ["x"])
        await turns()
        # Its own answer is for a connection that is gone.
        assert line.take() == []


@run_async
async def test_who_iterates_need_not_acknowledge_what_was_promised() -> None:
    async with joined(PROMISED) as there:
        events = there.socket.events("e")
        there.line.event("e", "x", "id-1", id=0)
        event = await within(anext(events))
        assert (event.args, event.wants_ack) == (["x"], False)
        event.ack()
        assert there.answers() == ["30[]"]
