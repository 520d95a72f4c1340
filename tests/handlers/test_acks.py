from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import AckError, AckTimeout, Disconnected, LimitExceeded, Limits, OptionError, Server
from nuncio.handlers.acks import unwrap
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

SOON = 0.01


def test_an_answer_is_one_value_a_list_or_nothing() -> None:
    assert unwrap([]) is None
    assert unwrap([5]) == 5
    assert unwrap([[5]]) == [5]
    assert unwrap([None]) is None
    assert unwrap([1, 2]) == [1, 2]


# Awaited.


@run_async
async def test_the_answer_is_awaited() -> None:
    io = Server()
    client = Client.join(io)
    waiting = client.socket.emit_with_ack("question", 1, b"\x01")
    assert client.take() == ['51-0["question",1,{"_placeholder":true,"num":0}]', b"\x01"]
    client.send('30["answer"]')
    assert await waiting == "answer"


@run_async
async def test_answers_are_told_apart_by_their_ids() -> None:
    io = Server()
    client = Client.join(io)
    waiting = [client.socket.emit_with_ack("q", number) for number in range(3)]
    assert client.take() == ['20["q",0]', '21["q",1]', '22["q",2]']
    client.send('32["two",2]', "30[]", '61-1[{"_placeholder":true,"num":0}]', b"\xff")
    assert await asyncio.gather(*waiting) == [None, b"\xff", ["two", 2]]


@run_async
async def test_ids_are_shared_by_a_namespace_so_that_broadcasts_can_use_one() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    one.socket.emit("a", lambda: None)
    other.socket.emit("b", lambda: None)
    assert (one.take(), other.take()) == (['20["a"]'], ['21["b"]'])


@run_async
async def test_an_answer_of_another_socket_does_not_count() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    waiting = one.socket.emit_with_ack("q")
    other.send('30["stolen"]')
    one.send('30["mine"]')
    assert await waiting == "mine"


@run_async
async def test_unknown_and_repeated_answers_are_ignored() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.emit("q", lambda *values: calls.append(values))
    client.send('35["unknown"]', '30["first"]', '30["second"]', '318446744073709551615["big"]')
    assert calls == [("first",)]
    assert client.socket.connected


@run_async
async def test_an_answer_that_does_not_come_in_time_is_a_time_out() -> None:
    io = Server()
    client = Client.join(io)
    with pytest.raises(AckTimeout) as caught:
        await client.socket.emit_with_ack("q", timeout=SOON)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, AckError)
    assert str(caught.value) == "operation has timed out"
    client.send('30["late"]')
    with pytest.raises(AckTimeout):
        await client.socket.timeout(SOON).emit_with_ack("q")
    assert client.socket.connected


@run_async
async def test_an_answer_in_time_stops_the_clock() -> None:
    io = Server()
    client = Client.join(io)
    waiting = client.socket.emit_with_ack("q", timeout=SOON)
    client.send('30["in time"]')
    # Another time-out passes after it, so this one would have, too.
    with pytest.raises(AckTimeout):
        await client.socket.emit_with_ack("q", timeout=SOON * 2)
    assert await waiting == "in time"


@run_async
async def test_the_end_of_the_connection_ends_the_waiting() -> None:
    io = Server()
    client = Client.join(io)
    order: list[str] = []
    client.socket.on("disconnect", lambda: order.append("disconnect"))
    waiting = client.socket.emit_with_ack("q", timeout=60)
    asyncio.ensure_future(waiting).add_done_callback(lambda _: order.append("failed"))
    client.lose("ping timeout")
    with pytest.raises(Disconnected, match="ping timeout") as caught:
        await waiting
    assert caught.value.reason == "ping timeout"
    await eventually(lambda: order == ["disconnect", "failed"])


@run_async
async def test_nobody_can_answer_who_is_gone() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    client.lose()
    with pytest.raises(Disconnected):
        await socket.emit_with_ack("q")
    with pytest.raises(Disconnected):
        await socket.timeout(30).emit_with_ack("q")


@run_async
async def test_who_does_not_wait_any_longer_gets_no_complaint() -> None:
    io = Server()
    client = Client.join(io)
    # Nobody awaits this one; the runner fails on what nobody caught.
    client.socket.emit_with_ack("q", timeout=SOON)
    with pytest.raises(TimeoutError):
        await within(client.socket.emit_with_ack("q"), SOON)
    client.send('31["late"]')
    socket = client.socket
    socket.emit_with_ack("q")
    client.lose()
    socket.emit_with_ack("q")
    await asyncio.sleep(0)


@run_async
async def test_the_answer_may_come_before_anybody_awaits_it() -> None:
    io = Server()
    client = Client.join(io)
    waiting = client.socket.emit_with_ack("q")
    client.send('30["early"]')
    client.lose()
    assert await waiting == "early"


@pytest.mark.parametrize("seconds", [0, -1, "5", float("nan")])
@run_async
async def test_a_time_out_is_a_number_of_seconds(seconds: Any) -> None:
    io = Server()
    socket = Client.join(io).socket
    # A wrong type is refused by the compiled signature itself.
    with pytest.raises((OptionError, TypeError)):
        await socket.emit_with_ack("q", timeout=seconds)
    with pytest.raises((OptionError, TypeError)):
        socket.timeout(seconds)
    if seconds == 0:
        with pytest.raises(OptionError, match="timeout must be a number of seconds above 0"):
            await socket.emit_with_ack("q", timeout=seconds)


@run_async
async def test_what_cannot_be_sent_is_not_waited_for() -> None:
    io = Server(limits=Limits(pending_acks=1))
    client = Client.join(io)
    socket = client.socket
    for _ in range(3):
        with pytest.raises(OptionError, match='"disconnect" is a reserved event name'):
            await socket.emit_with_ack("disconnect")
        with pytest.raises(TypeError):
            await socket.emit_with_ack("q", object())
        with pytest.raises(TypeError):
            socket.emit("q", object(), lambda: None)
    assert client.take() == []
    waiting = socket.emit_with_ack("q")
    answer = client.take()[0]
    assert isinstance(answer, str)
    client.send("3" + answer[1 : answer.index("[")] + "[1]")
    assert await waiting == 1


# Callbacks.


@run_async
async def test_a_callback_receives_the_answers_values() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.emit("q", 1, lambda *values: calls.append(values))
    client.socket.emit("q", 2, lambda first: calls.append(first))
    client.socket.emit("q", 3, lambda: calls.append("nothing"))
    client.socket.emit("q", 4, lambda first, second=None: calls.append((first, second)))
    assert client.take() == ['20["q",1]', '21["q",2]', '22["q",3]', '23["q",4]']
    client.send("30[1,2]", "31[1,2]", "32[1,2]", "33[1]")
    assert calls == [(1, 2), 1, "nothing", (1, None)]


@run_async
async def test_a_callback_may_be_async() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    async def callback(value: int) -> None:
        await asyncio.sleep(0)
        calls.append(value)

    client.socket.emit("q", callback)
    client.send("30[5]")
    await io.settle(30)
    assert calls == [5]


@run_async
async def test_a_callback_that_fails_is_reported() -> None:
    io = Server()
    client = Client.join(io)
    errors: list[Any] = []
    io.on_error(lambda error, socket: errors.append((str(error), socket)))

    def callback() -> None:
        raise RuntimeError("failed")

    client.socket.emit("q", callback)
    client.send("30[]")
    assert errors == [("failed", client.socket)]
    assert client.socket.connected


@run_async
async def test_after_timeout_a_callback_receives_an_error_or_none_first() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.timeout(60).emit("q", lambda *args: calls.append(args))
    client.send("30[1,2]")
    assert calls == [(None, 1, 2)]
    calls.clear()
    client.socket.timeout(SOON).emit("q", lambda *args: calls.append(args))
    await eventually(lambda: calls)
    assert [type(arg) for arg in calls[0]] == [AckTimeout]
    client.send('31["late"]')
    assert len(calls) == 1


@run_async
async def test_after_timeout_a_callback_learns_of_the_end() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    socket = client.socket
    socket.timeout(60).emit("q", lambda *args: calls.append(args))
    socket.emit("q", lambda *args: calls.append("without a time-out, never called"))
    client.lose()
    assert [[type(arg) for arg in args] for args in calls] == [[Disconnected]]
    calls.clear()
    socket.timeout(60).emit("q", lambda *args: calls.append(args))
    socket.emit("q", lambda *args: calls.append("never called"))
    await eventually(lambda: calls)
    assert [[type(arg) for arg in args] for args in calls] == [[Disconnected]]


@run_async
async def test_a_callback_may_emit_again() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    socket = client.socket

    def first(value: int) -> None:
        calls.append(value)
        socket.emit("second", calls.append)

    socket.emit("first", first)
    client.send("30[1]", "31[2]")
    assert calls == [1, 2]


# Limits.


@run_async
async def test_a_socket_may_wait_for_so_many_answers_and_no_more() -> None:
    io = Server(limits=Limits(pending_acks=2))
    client = Client.join(io)
    socket = client.socket
    first = socket.emit_with_ack("q")
    socket.emit("q", lambda: None)
    with pytest.raises(LimitExceeded, match=r"already waits for 2 .*Limits\(pending_acks=…\)"):
        await socket.emit_with_ack("q")
    with pytest.raises(LimitExceeded):
        socket.timeout(1).emit("q", lambda: None)
    assert len(client.take()) == 2
    client.send("30[1]")
    assert await first == 1
    socket.emit("q", lambda: None)
    socket.emit("an ordinary event")


@run_async
async def test_answers_that_nobody_awaits_any_longer_do_not_count() -> None:
    io = Server(limits=Limits(pending_acks=2))
    client = Client.join(io)
    for _ in range(5):
        # What people write in Python instead of a time-out of Socket.IO's.
        waiting = asyncio.ensure_future(client.socket.emit_with_ack("q"))
        waiting.cancel()
    assert len(client.take()) == 5


@run_async
async def test_a_time_out_makes_room() -> None:
    io = Server(limits=Limits(pending_acks=1))
    client = Client.join(io)
    for _ in range(3):
        with pytest.raises(AckTimeout):
            await client.socket.emit_with_ack("q", timeout=SOON)
