"""What clients of tests know of what they have received."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest

import nuncio
from nuncio.testing import Client, Clock, client, connect, settle
from tests.testing.stages import staged, timed


def text_of(error: pytest.ExceptionInfo[AssertionError]) -> str:
    return str(error.value)


@staged
async def test_next_takes_events_in_order_and_leaves_others() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    io.emit("a", 1)
    io.emit("b", 2)
    io.emit("a", 3)
    assert (await ada.next("b")).args == [2]
    assert (await ada.next()).args == [1]
    assert (await ada.next("a")).args == [3]
    assert [event.name for event in ada.received] == ["a", "b", "a"]


@staged
async def test_next_waits_for_what_is_not_there_yet() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    asyncio.get_running_loop().call_later(0.02, io.emit, "late", 1)
    assert (await ada.next("late", timeout=30)).args == [1]


@staged
async def test_several_may_wait_for_the_same() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    waiting = [asyncio.ensure_future(ada.next("news", timeout=30)) for _ in range(3)]
    await settle()
    for number in range(3):
        io.emit("news", number)
    found = [(await one).args[0] for one in waiting]
    assert sorted(found) == [0, 1, 2]


@staged
async def test_next_tells_what_has_come_instead() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    io.emit("joined", "lobby", b"\x00")
    await ada.next("joined")
    io.emit("message", "x" * 1000)
    with pytest.raises(AssertionError) as caught:
        await ada.next("news", timeout=0.05)
    lines = text_of(caught).splitlines()
    assert lines[0] == "no 'news' has come within 0.05 s; this has arrived, in this order:"
    assert lines[1:3] == [
        "    connect()   (asked for)",
        "    joined('lobby', b'\\x00')   (asked for)",
    ]
    assert lines[3].startswith("    message('xxxx")
    assert lines[3].endswith("x…")
    with pytest.raises(AssertionError, match="no event has come"):
        ada.forget()
        await ada.next(timeout=0)


@staged
async def test_expect_finds_what_is_equal() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    io.emit("message", "ada", {"text": "hello", "at": 7.5})
    io.emit("message", "bob", {"text": "hi", "at": 8.5})
    event = await ada.expect("message", "bob", {"text": "hi", "at": pytest.approx(8.5)})
    assert event.args[0] == "bob"
    await ada.expect("message", ANY, ANY)
    with pytest.raises(AssertionError) as caught:
        await ada.expect("message", "bob", timeout=0)
    assert text_of(caught).startswith("message('bob') has not come within 0 s; this has arrived")


@staged
async def test_expect_wants_all_arguments() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    io.emit("ready", 1)
    with pytest.raises(AssertionError):
        await ada.expect("ready", timeout=0.02)
    io.emit("ready")
    await ada.expect("ready")


@staged
async def test_expect_nothing_is_not_fooled_by_what_is_under_way() -> None:
    io = nuncio.Server()

    @io.event
    async def slowly(socket: nuncio.Socket) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        socket.emit("surprise", 1)

    ada = await connect(io)
    await ada.expect_nothing()
    ada.emit("slowly")
    with pytest.raises(AssertionError) as caught:
        await ada.expect_nothing()
    assert "nothing was to come, but surprise(1) has; this has arrived" in text_of(caught)
    await ada.expect_nothing("something else")
    await ada.expect("surprise", 1)
    await ada.expect_nothing()


@staged
async def test_what_became_of_the_connection_is_known_too() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    ada.network.cut()
    await ada.expect("disconnect", "transport close")
    await ada.expect("connect")
    # Neither comes from the server, nor does either count as an event.
    await ada.expect_nothing()
    assert ada.received == []
    ada.network.cut()
    await settle()
    with pytest.raises(AssertionError, match="disconnect"):
        await ada.expect_nothing("disconnect")


@staged
async def test_events_can_be_answered() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    asking = asyncio.ensure_future(ada.server_socket.emit_with_ack("question", 6))
    question = await ada.next("question")
    assert question.wants_ack
    question.ack(question.args[0] * 7)
    assert await asking == 42


@staged
async def test_handlers_work_beside_it() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    heard: list[int] = []
    ada.on("news", heard.append)
    io.emit("news", 1)
    await ada.expect("news", 1)
    assert heard == [1]


@staged
async def test_what_is_sent_at_once_is_there() -> None:
    io = nuncio.Server()

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        socket.emit("welcome", socket.id)

    ada = await connect(io)
    heard: list[str] = []
    ada.on("welcome", heard.append)
    await ada.expect("welcome", ada.id)
    assert heard == [ada.id]


@staged
async def test_offsets_of_recovery_are_not_shown() -> None:
    io = nuncio.Server(connection_state_recovery=True)
    ada = await connect(io)
    io.emit("news", "text")
    io.volatile.emit("tick", "no offset, and no number.1")
    io.emit("empty")
    await ada.expect("news", "text")
    await ada.expect("tick", "no offset, and no number.1")
    await ada.expect("empty")
    ada.network.cut()
    io.emit("missed", [1])
    await ada.expect("connect")
    assert ada.recovered
    await ada.expect("missed", [1])


@staged
async def test_promised_events_come_once_and_without_their_ids() -> None:
    io = nuncio.Server(connection_state_recovery=True, delivery="at-least-once")
    ada = await connect(io, delivery="at-least-once")
    io.emit("alarm", 7)
    await ada.expect("alarm", 7)
    ada.network.cut()
    await ada.expect("connect")
    await ada.expect_nothing()


@staged
async def test_more_than_a_client_lets_wait_is_recorded_all_the_same() -> None:
    io = nuncio.Server()
    ada = await connect(io, limits=nuncio.ClientLimits(queued_events=5))
    for number in range(100):
        io.emit("news", number)
    await settle()
    assert len(ada.received) == 100


@staged
async def test_it_has_all_that_a_client_has() -> None:
    io = nuncio.Server()
    ada = await connect(io, auth={"user": "ada"})
    for name in dir(nuncio.ClientSocket):
        if not name.startswith("_"):
            assert hasattr(ada, name), name
    assert ada.auth == {"user": "ada"}
    ada.auth = {"user": "bob"}
    assert ada.socket.auth == {"user": "bob"}
    assert "ClientSocket" in repr(ada)
    with pytest.raises(AttributeError):
        _ = ada.nothing_like_it  # type: ignore[attr-defined]  # that is what is tested


@staged
async def test_an_acknowledgement_that_never_comes_does_not_hang_the_test() -> None:
    io = nuncio.Server()
    ada = await connect(io)
    patience, client.ACK_SECONDS = client.ACK_SECONDS, 0.05
    try:
        with pytest.raises(AssertionError, match="'nobody' has not been acknowledged"):
            await ada.emit_with_ack("nobody")
    finally:
        client.ACK_SECONDS = patience
    with pytest.raises(nuncio.AckTimeout):
        await ada.emit_with_ack("nobody", timeout=0.05)
    # It need not be awaited.
    ada.emit_with_ack("nobody")
    async with connect(io, ack_timeout=0.05) as bob:
        with pytest.raises(nuncio.AckTimeout):
            await bob.emit_with_ack("nobody")


@timed
async def test_nothing_is_waited_for_that_cannot_come(clock: Clock) -> None:
    io = nuncio.Server()
    ada = await connect(io)
    with pytest.raises(AssertionError, match="within 3600 s"):
        await ada.next("never", timeout=3600)
    assert clock.now == 0


def test_it_is_a_client_for_type_checkers() -> None:
    def takes(socket: nuncio.ClientSocket) -> str:
        return socket.id

    function: Callable[[Client], Any] = takes
    assert function is takes
