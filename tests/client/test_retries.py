from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import ClientLimits, ClientSocket
from nuncio.errors import AckTimeout, Disconnected, LimitExceeded, OptionError
from tests.support.aio import eventually, run_async, within
from tests.support.lines import Line, World, turns

SOON = 0.02


class Scene:
    """A socket that repeats its events; nothing is connected yet."""

    def __init__(self, retries: int = 2, ack_timeout: float | None = 60.0, **options: Any) -> None:
        self.world = World()
        self.manager = self.world.manager(**options)
        self.socket: ClientSocket = self.manager.socket(
            "/", retries=retries, ack_timeout=ack_timeout
        )

    async def joined(self) -> Line:
        """Let it in."""
        line = await self.world.joined()
        await within(self.socket.wait_connected())
        return line

    async def close(self) -> None:
        # Without waiting for answers that no test gives.
        self.socket.disconnect()
        await self.manager.close()


@asynccontextmanager
async def joined(
    retries: int = 2, ack_timeout: float | None = 60.0, **options: Any
) -> AsyncIterator[tuple[Scene, Line]]:
    """A socket that is connected, and the server's end."""
    scene = Scene(retries, ack_timeout, **options)
    line = await scene.joined()
    yield scene, line
    await scene.close()


@run_async
async def test_events_are_sent_one_at_a_time_and_in_order() -> None:
    async with joined() as (scene, line):
        for value in range(3):
            scene.socket.emit("e", value)
        assert line.take() == ['420["e",0]']
        line.tell("30[]")
        assert line.take() == ['421["e",1]']
        # An answer to another question is none.
        line.tell("30[]", "37[]")
        assert line.take() == []
        line.tell("31[]")
        assert line.take() == ['422["e",2]']
        line.tell("32[]")
        scene.socket.emit("e", 3)
        assert line.take() == ['423["e",3]']


@run_async
async def test_whoever_asked_is_told_the_answer_in_the_end() -> None:
    async with joined() as (scene, line):
        told: list[Any] = []
        answer = scene.socket.emit_with_ack("a")
        scene.socket.emit("b", lambda error, value: told.append((error, value)))
        line.tell("30[1,2]")
        assert await within(answer) == [1, 2]
        line.tell("31[3]")
        assert told == [(None, 3)]


@pytest.mark.parametrize("retries", [0, 1, 2])
@run_async
async def test_each_is_sent_so_often_and_then_given_up(retries: int) -> None:
    async with joined(retries, SOON) as (scene, line):
        answer = scene.socket.emit_with_ack("a")
        scene.socket.emit("b")
        with pytest.raises(AckTimeout):
            await within(answer)
        sent = line.take()
        assert sent[: retries + 1] == [f'42{id}["a"]' for id in range(retries + 1)]
        # Then it is the next one's turn.
        assert sent[retries + 1 :] == [f'42{retries + 1}["b"]']


@run_async
async def test_an_answer_to_an_earlier_try_that_came_too_late_counts_for_nothing() -> None:
    async with joined(5, SOON) as (scene, line):
        scene.socket.emit("a")
        scene.socket.emit("b")
        assert [await line.next(), await line.next()] == ['420["a"]', '421["a"]']
        line.tell("30[]")
        line.tell("31[]")
        assert '["b"]' in str(await line.next())


@run_async
async def test_a_time_out_of_its_own() -> None:
    async with joined(0) as (scene, line):
        answer = scene.socket.timeout(SOON).emit_with_ack("a")
        with pytest.raises(AckTimeout):
            await within(answer)
        assert line.take() == ['420["a"]']


@run_async
async def test_without_a_time_out_only_a_lost_connection_leads_to_another_try() -> None:
    async with joined(1, None) as (scene, line):
        answer = scene.socket.emit_with_ack("a")
        assert line.take() == ['420["a"]']
        line.lose()
        line = await scene.joined()
        assert line.take() == ['421["a"]']
        line.lose()
        with pytest.raises(Disconnected):
            await within(answer)
        line = await scene.joined()
        assert line.take() == []


@run_async
async def test_while_there_is_no_connection_nothing_is_sent_or_counted() -> None:
    scene = Scene(retries=0)
    for value in range(3):
        scene.socket.emit("e", value)
    line = await scene.world.opened()
    assert await line.next() == "40"
    await turns()
    assert line.take() == []
    line.admit()
    assert line.take() == ['420["e",0]']
    line.tell("30[]", "1")
    assert not scene.socket.active
    scene.socket.emit("e", 3)
    scene.socket.connect()
    line = await scene.joined()
    # The one that was on its way when the server sent it away had no other try.
    assert line.take() == ['422["e",2]']
    line.tell("32[]")
    assert line.take() == ['423["e",3]']
    await scene.close()


@run_async
async def test_the_first_one_leaves_again_with_the_next_connection_and_before_connect() -> None:
    async with joined() as (scene, line):
        trace: list[str] = []
        scene.socket.on("connect", lambda: trace.append("connect"))
        scene.socket.on_any_outgoing(lambda event: trace.append(event))
        scene.socket.emit("a")
        scene.socket.emit("b")
        assert trace == ["a"]
        line.lose()
        line = await scene.joined()
        assert trace == ["a", "a", "connect"]
        assert line.take() == ['421["a"]']


@run_async
async def test_what_a_handler_of_connect_emits_is_sent_once() -> None:
    scene = Scene()
    scene.socket.on("connect", lambda: scene.socket.emit("e"))
    line = await scene.joined()
    assert line.take() == ['420["e"]']
    line.tell("30[]")
    await turns()
    assert line.take() == []
    await scene.close()


@run_async
async def test_volatile_events_do_not_wait_for_their_turn_and_are_not_repeated() -> None:
    async with joined() as (scene, line):
        scene.socket.emit("a")
        scene.socket.volatile.emit("v")
        asked = scene.socket.volatile.emit_with_ack("w")
        assert line.take() == ['420["a"]', '42["v"]', '421["w"]']
        line.lose()
        with pytest.raises(Disconnected):
            await within(asked)
        scene.socket.volatile.emit("lost")
        line = await scene.joined()
        assert line.take() == ['422["a"]']


@run_async
async def test_a_callback_that_emits_and_one_that_leaves() -> None:
    async with joined() as (scene, line):
        scene.socket.emit("a", lambda error: scene.socket.emit("c"))
        scene.socket.emit("b", lambda error: scene.socket.disconnect())
        scene.socket.emit("never")
        line.tell("30[]")
        line.tell("31[]")
        assert line.take() == ['420["a"]', '421["b"]', "41"]


@run_async
async def test_what_cannot_be_sent_is_told_at_once_and_does_not_stop_the_queue() -> None:
    scene = Scene()
    with pytest.raises(TypeError):
        scene.socket.emit("offline", object())
    line = await scene.joined()
    with pytest.raises(TypeError):
        scene.socket.emit("first", object())
    scene.socket.emit("good")
    with pytest.raises(TypeError):
        scene.socket.emit_with_ack("behind", object())
    with pytest.raises(OptionError):
        scene.socket.emit("connect")
    assert line.take() == ['420["good"]']
    line.tell("30[]")
    scene.socket.emit("better")
    assert line.take() == ['421["better"]']
    await scene.close()


@run_async
async def test_data_that_cannot_be_sent_any_more_when_its_turn_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    told: list[Any] = []
    scene.manager.on_error(lambda error, socket, event: told.append((type(error), socket, event)))
    changing: list[Any] = [1]
    answer = scene.socket.emit_with_ack("changed", changing)
    scene.socket.emit("good")
    changing.append(object())
    line = await scene.joined()
    assert line.take() == ['421["good"]']
    with pytest.raises(TypeError):
        await within(answer)
    assert told == [(TypeError, scene.socket, "changed")]
    assert scene.socket.connected
    await scene.close()


@run_async
async def test_how_many_wait_has_a_limit() -> None:
    async with joined(limits=ClientLimits(queued_retries=2)) as (scene, line):
        scene.socket.emit("a")
        scene.socket.emit("b")
        with pytest.raises(LimitExceeded, match="2 events wait for acknowledgements"):
            scene.socket.emit("c")
        line.tell("30[]")
        scene.socket.emit("c")
        assert line.take() == ['420["a"]', '421["b"]']


@run_async
async def test_a_server_that_is_behind_does_not_use_up_the_tries() -> None:
    async with joined(0, SOON, limits=ClientLimits(outgoing_bytes=1000)) as (scene, line):
        line.stall()
        # As much as there is room for.
        with pytest.raises(LimitExceeded):
            for _ in range(100):
                line_session(scene).push(_message())
        answer = asyncio.ensure_future(within(scene.socket.emit_with_ack("e")))
        await asyncio.sleep(5 * SOON)
        assert not answer.done()
        line.drain()
        while not (packet := str(await line.next())).endswith('["e"]'):
            pass
        id = packet.removeprefix("42").removesuffix('["e"]')
        line.tell(f"3{id}[5]")
        assert await answer == 5


def line_session(scene: Scene) -> Any:
    assert scene.manager.engine is not None
    return scene.manager.engine.session


def _message() -> Any:
    from nuncio.protocol.engineio import Message

    return Message(b"4")


@run_async
async def test_a_connection_that_must_be_over_does_not_make_it_leave_twice() -> None:
    scene = Scene()
    line = await scene.world.opened(interval=0.02, timeout=0.02)
    await line.join()
    end = asyncio.get_running_loop().time() + 0.1
    while asyncio.get_running_loop().time() < end:
        pass
    scene.socket.emit("e")
    assert line.take() == []
    line = await scene.joined()
    assert line.take() == ['420["e"]']
    await scene.close()


@run_async
async def test_an_engine_that_is_closing_does_not_make_it_leave_twice() -> None:
    async with joined() as (scene, line):
        line.stall()
        line_session(scene).push(_message())
        assert scene.manager.engine is not None
        scene.manager.engine.close()
        scene.socket.emit("e")
        line.drain()
        line.take()
        line = await scene.joined()
        assert line.take() == ['420["e"]']


# The end.


@run_async
async def test_closing_waits_for_the_answers() -> None:
    scene = Scene()
    line = await scene.joined()
    for value in range(3):
        scene.socket.emit("e", value)
    closing = asyncio.ensure_future(scene.manager.close())
    for id in range(3):
        assert await line.next() == f'42{id}["e",{id}]'
        await turns()
        assert not closing.done()
        line.tell(f"3{id}[]")
    await within(closing)
    assert line.take() == ["41"]


@run_async
async def test_closing_waits_no_longer_than_the_connection_lasts_or_the_tries_do() -> None:
    scene = Scene(1, SOON)
    line = await scene.joined()
    answer = scene.socket.emit_with_ack("never answered")
    await within(scene.manager.close())
    with pytest.raises(AckTimeout):
        await within(answer)
    assert line.take() == ['420["never answered"]', '421["never answered"]', "41"]

    scene = Scene()
    line = await scene.joined()
    answer = scene.socket.emit_with_ack("lost")
    closing = asyncio.ensure_future(scene.socket.close())
    await turns()
    line.lose()
    await within(closing)
    with pytest.raises(Disconnected):
        await within(answer)
    await within(scene.manager.close())


@run_async
async def test_without_a_time_out_closing_has_one() -> None:
    scene = Scene(ack_timeout=None)
    await scene.joined()
    assert scene.socket.patience == 10.0
    await scene.close()
    scene = Scene(ack_timeout=60.0)
    assert scene.socket.patience is None
    await scene.close()


@run_async
async def test_leaving_keeps_what_waits_and_closing_does_not() -> None:
    scene = Scene()
    line = await scene.joined()
    first = scene.socket.emit_with_ack("first")
    second = scene.socket.emit_with_ack("second")
    scene.socket.disconnect()
    await turns()
    assert not second.done()  # type: ignore[attr-defined]
    scene.socket.connect()
    line = await scene.joined()
    assert line.take() == ['421["first"]']
    line.lose()
    await within(scene.socket.close())
    for answer in (first, second):
        with pytest.raises(Disconnected, match="io client disconnect"):
            await within(answer)
    scene.socket.connect()
    line = await scene.joined()
    assert line.take() == []
    await scene.close()


@run_async
async def test_repetitions_end_when_the_socket_has_ended() -> None:
    async with joined(100, SOON) as (scene, line):
        scene.socket.emit("e")
        assert await line.next() == '420["e"]'
        scene.socket.disconnect()
        line.take()
        await asyncio.sleep(3 * SOON)
        assert line.take() == []
        await eventually(lambda: not scene.socket.awaits_answers)
