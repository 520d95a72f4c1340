from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import nuncio
from nuncio import ClientLimits, ClientSocket
from nuncio.client.asker import check_name
from nuncio.errors import AckTimeout, Disconnected, Dropped, LimitExceeded, OptionError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns


class Scene:
    """A socket of which nothing is connected yet."""

    def __init__(self, **options: Any) -> None:
        socket_options = {name: options.pop(name) for name in ("ack_timeout",) if name in options}
        self.world = World()
        self.manager = self.world.manager(**options)
        self.socket: ClientSocket = self.manager.socket("/", **socket_options)

    async def joined(self) -> Line:
        """Let it in."""
        line = await self.world.joined()
        await within(self.socket.wait_connected())
        return line

    async def close(self) -> None:
        await self.manager.close()


@asynccontextmanager
async def joined(**options: Any) -> AsyncIterator[tuple[Scene, Line]]:
    """A socket that is connected, and the server's end."""
    scene = Scene(**options)
    line = await scene.joined()
    yield scene, line
    await scene.close()


# Events.


@run_async
async def test_events_leave_as_they_are_emitted() -> None:
    @dataclass
    class Point:
        x: int
        y: int

    async with joined() as (scene, line):
        scene.socket.emit("a")
        scene.socket.emit("b", 1, None, [True], {"k": "ü"}, Point(1, 2))
        scene.socket.send("text")
        scene.socket.emit("c", b"\x01", {"d": [bytearray(b"\x02")]})
        scene.socket.compress(False).emit("d")
        assert line.take() == [
            '42["a"]',
            '42["b",1,null,[true],{"k":"ü"},{"x":1,"y":2}]',
            '42["message","text"]',
            '452-["c",{"_placeholder":true,"num":0},{"d":[{"_placeholder":true,"num":1}]}]',
            b"\x01",
            b"\x02",
            '42["d"]',
        ]
        assert line.compressed == [True] * 5 + [False]


@run_async
async def test_namespaces_are_named_in_packets() -> None:
    scene = Scene()
    other = scene.manager.socket("/other")
    line = await scene.world.opened()
    await line.join()
    await line.join(nsp="/other")
    other.emit("e", 5)
    other.emit("asked", lambda: None)
    assert line.take() == ['42/other,["e",5]', '42/other,0["asked"]']
    await scene.close()


@pytest.mark.parametrize("name", sorted(nuncio.protocol.socketio.RESERVED_EVENTS))
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"event: '{name}' is a reserved event name"):
        check_name(name)


@pytest.mark.parametrize("name", [None, 1.5, True, b"e", ["e"]])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(OptionError, match="event must be a str, not"):
        check_name(name)


@run_async
async def test_every_way_to_emit_refuses_them() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        for emit in (
            lambda: socket.emit("connect"),
            lambda: socket.emit("disconnect", lambda: None),
            lambda: socket.emit_with_ack("connect_error"),
            lambda: socket.timeout(5).emit_with_ack("connect_error"),
            lambda: socket.volatile.emit("newListener"),
        ):
            with pytest.raises(OptionError, match="reserved"):
                emit()
        assert line.take() == []


@run_async
async def test_what_cannot_be_sent_is_told_and_leaves_nothing_behind() -> None:
    loop: list[Any] = []
    loop.append(loop)
    async with joined() as (scene, line):
        socket = scene.socket
        for wrong in (object(), {"a": object()}, [object()]):
            with pytest.raises(TypeError):
                socket.emit("e", wrong)
            with pytest.raises(TypeError):
                socket.emit_with_ack("e", wrong)
            with pytest.raises(TypeError):
                socket.emit("e", wrong, lambda: None)
        with pytest.raises(ValueError, match="nested too deeply"):
            socket.emit("e", loop)
        assert line.take() == []
        assert not socket.awaits_answers


@run_async
async def test_outgoing_listeners_see_what_leaves_when_it_leaves() -> None:
    scene = Scene()
    seen: list[Any] = []
    scene.socket.on_any_outgoing(lambda event, *args: seen.append((event, *args)))
    scene.socket.emit("early", 1)
    assert seen == []
    await scene.joined()
    assert seen == [("early", 1)]
    scene.socket.emit("late", 2)
    scene.socket.emit("asked", 3, lambda: None)
    assert seen[1:] == [("late", 2), ("asked", 3)]
    scene.socket.off_any_outgoing()
    scene.socket.emit("unseen")
    assert len(seen) == 3
    await scene.close()


# While there is no connection.


@run_async
async def test_events_wait_for_the_connection_and_leave_in_order_before_connect() -> None:
    scene = Scene()
    socket = scene.socket
    socket.on("connect", lambda: socket.emit("third"))
    socket.emit("first")
    answer = asyncio.ensure_future(within(socket.emit_with_ack("second")))
    line = await scene.joined()
    assert line.take() == ['42["first"]', '420["second"]', '42["third"]']
    line.tell("30[5]")
    assert await answer == 5
    await scene.close()


@run_async
async def test_events_emitted_after_a_loss_and_after_leaving_wait_too() -> None:
    async with joined() as (scene, line):
        line.lose()
        scene.socket.emit("lost")
        line = await scene.joined()
        assert line.take() == ['42["lost"]']
        scene.socket.disconnect()
        scene.socket.emit("left")
        scene.socket.connect()
        line = await scene.joined()
        assert line.take() == ['42["left"]']


@run_async
async def test_how_many_wait_has_a_limit_and_a_policy() -> None:
    scene = Scene(limits=ClientLimits(buffered_events=2))
    scene.socket.emit("a")
    scene.socket.emit("b")
    with pytest.raises(LimitExceeded, match=r"2 events, .* wait for a connection"):
        scene.socket.emit("c")
    with pytest.raises(LimitExceeded):
        scene.socket.emit_with_ack("c")
    line = await scene.joined()
    assert line.take() == ['42["a"]', '42["b"]']
    await scene.close()


@pytest.mark.parametrize(
    ("policy", "kept", "failed"), [("drop_oldest", "bc", "a"), ("drop_newest", "ab", "c")]
)
@run_async
async def test_who_waits_for_the_answer_to_a_dropped_event_is_told(
    policy: str, kept: str, failed: str
) -> None:
    scene = Scene(limits=ClientLimits(buffered_events=2), buffer=policy)
    answers = {name: scene.socket.emit_with_ack(name) for name in "abc"}
    with pytest.raises(Dropped, match="the server is behind, or there is no connection"):
        await within(answers[failed])
    line = await scene.joined()
    ids = {name: index for index, name in enumerate("abc")}
    assert line.take() == [f'42{ids[name]}["{name}"]' for name in kept]
    for name in kept:
        line.tell(f"3{ids[name]}[]")
        assert await within(answers[name]) is None
    await scene.close()


@run_async
async def test_what_waited_leaves_although_less_may_wait_for_a_connected_server() -> None:
    """What was taken is not dropped for another limit."""
    scene = Scene(limits=ClientLimits(outgoing_bytes=500))
    answers = [scene.socket.emit_with_ack("e", "x" * 100) for _ in range(20)]
    line = await scene.world.opened()
    assert await line.next() == "40"
    line.stall()
    line.admit()
    assert line.take() == []
    line.drain()
    assert len(line.take()) == 20
    for id in range(20):
        line.tell(f"3{id}[]")
    for answer in answers:
        await within(answer)
    await scene.close()


# A server that is behind.


@run_async
async def test_awaiting_an_emit_waits_for_a_server_that_is_behind() -> None:
    async with joined() as (scene, line):
        await within(scene.socket.emit("at once"))
        line.stall()
        sent = scene.socket.emit("later")
        assert not sent.taken
        waiting = asyncio.ensure_future(_wait(sent))
        await turns()
        assert not waiting.done()
        line.drain()
        await within(waiting)
        line.stall()
        waiting = asyncio.ensure_future(_wait(scene.socket.emit("never")))
        await turns()
        line.lose()
        # There is nothing to wait for any more.
        await within(waiting)
        await scene.joined()


async def _wait(sent: Any) -> None:
    await sent


@run_async
async def test_what_waits_for_a_server_that_is_behind_has_a_limit() -> None:
    async with joined(limits=ClientLimits(outgoing_bytes=1000)) as (scene, line):
        line.stall()
        with pytest.raises(LimitExceeded, match="wait for a server that does not read"):
            for _ in range(100):
                scene.socket.emit("e", "x" * 100)
        answers = scene.socket.awaits_answers
        with pytest.raises(LimitExceeded):
            scene.socket.emit_with_ack("e", "x" * 1000)
        assert scene.socket.awaits_answers == answers
        assert scene.socket.connected
        line.drain()
        scene.socket.emit("room again")


# Volatile.


@run_async
async def test_volatile_events_leave_at_once_or_never() -> None:
    scene = Scene()
    scene.socket.volatile.emit("too early")
    line = await scene.joined()
    scene.socket.volatile.emit("now")
    line.stall()
    scene.socket.volatile.emit("behind")
    scene.socket.emit("in time")
    line.drain()
    scene.socket.volatile.emit("again")
    line.lose()
    scene.socket.volatile.emit("lost")
    other = await scene.joined()
    assert line.take() == ['42["now"]', '42["in time"]', '42["again"]']
    assert other.take() == []
    await scene.close()


@run_async
async def test_who_waits_for_the_answer_to_a_volatile_event_is_told_that_it_was_dropped() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        told: list[Any] = []
        answer = socket.volatile.emit_with_ack("now")
        assert await line.next() == '420["now"]'
        line.tell("30[1]")
        assert await within(answer) == 1
        line.stall()
        with pytest.raises(Dropped):
            await within(socket.volatile.emit_with_ack("behind"))
        socket.volatile.timeout(60).emit("behind", lambda error: told.append(error))
        socket.volatile.emit("behind", lambda *answer: told.append(answer))
        assert told == []
        await turns()
        # A callback without a place for errors is forgotten, as in JavaScript.
        assert [type(one) for one in told] == [Dropped]
        assert not socket.awaits_answers
        line.lose()
        with pytest.raises(Dropped):
            await within(socket.volatile.emit_with_ack("lost"))
        line = await scene.joined()
        assert line.take() == []


# Acknowledgements.


@run_async
async def test_answers_of_all_shapes() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        seen: list[Any] = []
        answers = [socket.emit_with_ack("e") for _ in range(5)]
        socket.emit("e", lambda *values: seen.append(values))
        socket.emit("e", lambda first: seen.append(first))
        socket.emit("e", lambda first, second: seen.append((first, second)))
        socket.emit("e", lambda: seen.append("called"))
        line.tell("30[]", "31[null]", "32[5]", "33[1,[2]]")
        line.tell('64-["x"]')
        assert not socket.connected
        assert [await within(one) for one in answers[:4]] == [None, None, 5, [1, [2]]]
        with pytest.raises(Disconnected, match="socket has been disconnected: parse error"):
            await within(answers[4])
        line = await scene.joined()
        socket.emit("e", lambda *values: seen.append(values))
        socket.emit("e", lambda first: seen.append(first))
        socket.emit("e", lambda first, second: seen.append((first, second)))
        socket.emit("e", lambda: seen.append("called"))
        binary = socket.emit_with_ack("e")
        line.tell("39[1,2]", "310[1,2]", "311[1]", "312[1,2]")
        line.tell('61-13[{"_placeholder":true,"num":0}]', b"\x05")
        assert seen == [(1, 2), 1, (1, None), "called"]
        assert await within(binary) == b"\x05"


@run_async
async def test_answers_to_what_nobody_asked_are_ignored() -> None:
    async with joined() as (scene, line):
        answer = scene.socket.emit_with_ack("e")
        line.tell("35[1]", "30[2]", "30[3]")
        assert await within(answer) == 2
        assert scene.socket.connected


@run_async
async def test_an_answer_that_does_not_come_in_time() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        told: list[Any] = []
        with pytest.raises(AckTimeout, match="operation has timed out") as caught:
            await within(socket.emit_with_ack("a", timeout=0.01))
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(AckTimeout):
            await within(socket.timeout(0.01).emit_with_ack("b"))
        socket.timeout(0.01).emit("c", lambda error, *values: told.append((error, *values)))
        await eventually(lambda: told)
        assert isinstance(told[0][0], AckTimeout)
        # Too late.
        line.tell("30[1]", "31[1]", "32[1]")
        assert len(told) == 1
        socket.timeout(60).emit("d", lambda error, *values: told.append((error, *values)))
        line.tell("33[1,2]")
        assert told[1] == (None, 1, 2)


@run_async
async def test_a_time_out_for_all_and_another_for_one() -> None:
    async with joined(ack_timeout=60) as (scene, line):
        socket = scene.socket
        told: list[Any] = []
        socket.emit("e", lambda error, value: told.append((error, value)))
        line.tell("30[5]")
        assert told == [(None, 5)]
        with pytest.raises(AckTimeout):
            await within(socket.emit_with_ack("e", timeout=0.01))
    async with joined(ack_timeout=0.01) as (scene, line):
        with pytest.raises(AckTimeout):
            await within(scene.socket.emit_with_ack("e"))
        late = scene.socket.timeout(60).emit_with_ack("e")
        await asyncio.sleep(0.05)
        line.tell("31[5]")
        assert await within(late) == 5


@run_async
async def test_an_event_whose_time_is_over_before_it_left_does_not_leave() -> None:
    scene = Scene()
    socket = scene.socket
    socket.emit("first")
    with pytest.raises(AckTimeout):
        await within(socket.emit_with_ack("too late", timeout=0.01))
    socket.emit("second")
    line = await scene.joined()
    assert line.take() == ['42["first"]', '42["second"]']
    await scene.close()


@pytest.mark.parametrize("seconds", [0, -1, 1e10, float("nan"), float("inf")])
@run_async
async def test_time_outs_that_cannot_be(seconds: Any) -> None:
    async with joined() as (scene, line):
        with pytest.raises(OptionError, match="timeout must be a number of seconds"):
            scene.socket.timeout(seconds)
        with pytest.raises(OptionError, match="timeout must be a number of seconds"):
            scene.socket.emit_with_ack("e", timeout=seconds)
        assert line.take() == []


@run_async
async def test_answers_that_a_lost_connection_owes_fail_behind_disconnect() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        trace: list[str] = []
        socket.on("disconnect", lambda reason: trace.append(f"disconnect {reason}"))
        answer = socket.emit_with_ack("a")
        timed = socket.emit_with_ack("b", timeout=60)
        socket.timeout(60).emit("c", lambda error: trace.append(str(error)))
        socket.emit("d", lambda *values: trace.append("never"))
        line.lose()
        assert trace == [
            "disconnect transport close",
            "socket has been disconnected: transport close",
        ]
        for waiting in (answer, timed):
            with pytest.raises(Disconnected) as caught:
                await within(waiting)
            assert caught.value.reason == "transport close"
        assert not socket.awaits_answers
        line = await scene.joined()
        line.tell("33[1]")
        assert len(trace) == 2


@run_async
async def test_answers_to_what_has_not_left_are_still_waited_for() -> None:
    async with joined() as (scene, line):
        line.lose()
        answer = scene.socket.emit_with_ack("a")
        # Also when the next attempt comes to nothing.
        line = await scene.world.accept()
        line.lose()
        line = await scene.joined()
        assert line.take() == ['420["a"]']
        line.tell("30[5]")
        assert await within(answer) == 5


@run_async
async def test_closing_fails_what_would_never_be_answered() -> None:
    scene = Scene()
    waiting = scene.socket.emit_with_ack("buffered")
    await scene.world.accept()
    await within(scene.socket.close())
    with pytest.raises(Disconnected, match="io client disconnect"):
        await within(waiting)
    # And it is gone.
    scene.socket.connect()
    line = await scene.joined()
    assert line.take() == []
    await scene.close()


@run_async
async def test_who_stops_waiting_leaves_nothing_that_complains() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        task = asyncio.ensure_future(within(socket.emit_with_ack("e")))
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        line.tell("30[5]")
        # One that nobody ever awaits, and that fails.
        socket.emit_with_ack("e")
        line.lose()
        await scene.joined()


@run_async
async def test_how_many_answers_may_be_waited_for_has_a_limit() -> None:
    async with joined(limits=ClientLimits(pending_acks=2)) as (scene, line):
        socket = scene.socket
        first = asyncio.ensure_future(within(socket.emit_with_ack("a")))
        socket.emit("b", lambda: None)
        await turns()
        with pytest.raises(LimitExceeded, match="2 acknowledgements are waited for already"):
            socket.emit_with_ack("c")
        with pytest.raises(LimitExceeded):
            socket.emit("c", lambda: None)
        # Whoever has stopped waiting makes room.
        first.cancel()
        await turns()
        answer = socket.emit_with_ack("c")
        line.tell("32[5]")
        assert await within(answer) == 5


@run_async
async def test_ids_go_on_over_reconnections() -> None:
    async with joined() as (scene, line):
        scene.socket.emit("a", lambda: None)
        line.lose()
        line = await scene.joined()
        scene.socket.emit("b", lambda: None)
        assert line.take() == ['421["b"]']


@run_async
async def test_callbacks_that_fail_or_are_async(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (scene, line):
        told: list[Any] = []
        done: list[int] = []
        scene.manager.on_error(lambda error, socket, event: told.append((error, socket, event)))
        mistake = ValueError("mine")

        def fails(value: int) -> None:
            raise mistake

        async def later(value: int) -> None:
            await asyncio.sleep(0)
            done.append(value)

        scene.socket.emit("e", fails)
        scene.socket.emit("e", later)
        line.tell("30[5]", "31[6]")
        await eventually(lambda: done == [6])
        assert told == [(mistake, scene.socket, "ack")]
        assert scene.socket.connected


@run_async
async def test_flags_hold_for_one_emit_and_may_be_combined() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        operator = socket.timeout(60).compress(False).volatile
        answer = operator.emit_with_ack("a")
        socket.volatile.compress(False).timeout(60).emit("b")
        socket.emit("c")
        operator.send("d")
        assert line.take() == ['420["a"]', '42["b"]', '42["c"]', '42["message","d"]']
        assert line.compressed[-4:] == [False, False, True, False]
        line.tell("30[]")
        assert await within(answer) is None


# Threads.


@run_async
async def test_emitting_from_another_thread_is_carried_over_in_order() -> None:
    async with joined() as (scene, line):
        socket = scene.socket
        problems: list[str] = []

        def blocking() -> None:
            for value in range(3):
                assert socket.emit("e", value).taken
            socket.emit("asked", lambda: None)
            try:
                socket.emit_with_ack("e")
            except RuntimeError as error:
                problems.append(str(error))

        socket.on("go", blocking, thread=True)
        line.event("go")
        await eventually(lambda: len(line.sent) == 4 and problems)
        assert line.take() == ['42["e",0]', '42["e",1]', '42["e",2]', '420["asked"]']
        assert "cannot be awaited in a thread" in problems[0]
        assert threading.active_count() > 1


# A connection that must be over.


@pytest.mark.parametrize(
    "emit",
    [
        lambda socket: socket.emit("e", 1),
        lambda socket: socket.emit("e", 1, lambda: None),
        lambda socket: socket.emit_with_ack("e", 1),
    ],
)
@run_async
async def test_nothing_is_written_on_a_connection_that_must_be_over(emit: Any) -> None:
    scene = Scene()
    line = await scene.world.opened(interval=0.02, timeout=0.02)
    await line.join()
    reasons: list[str] = []
    scene.socket.on("disconnect", lambda reason: reasons.append(reason))
    # A loop that is blocked cannot notice that the server has given it up.
    _block(0.1)
    emit(scene.socket)
    assert reasons == ["ping timeout"]
    assert line.take() == []
    line = await scene.joined()
    assert [str(one).lstrip("4210") for one in line.take()] == ['["e",1]']
    await scene.close()


def _block(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
