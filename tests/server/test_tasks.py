from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

import nuncio
from nuncio import AckTimeout, ArgumentError, EventError, OptionError, Server, Socket
from nuncio.server.tasks import GatheredAcks
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

# on_error.


@run_async
async def test_on_error_is_called_with_as_much_as_it_declares() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on_error(lambda: calls.append(()))
    io.on_error(lambda error: calls.append((str(error),)))
    io.on_error(lambda error, socket: calls.append((str(error), socket)))

    @io.on_error
    def everything(error: Exception, socket: Socket | None, event: str) -> None:
        calls.append((str(error), socket, event))

    def fails() -> None:
        raise RuntimeError("failed")

    io.on("x", fails)
    client.emit("x")
    socket = client.socket
    assert calls == [(), ("failed",), ("failed", socket), ("failed", socket, "x")]


HOSTILE = "/x\nERROR nuncio: all is lost\x1b[2J\r\u2028"


@pytest.mark.parametrize("revision", [4, 3])
def test_nothing_that_a_client_chose_breaks_a_line_of_the_log(
    revision: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Log injection: names of dynamic namespaces and of events are the client's."""

    def fails() -> None:
        raise RuntimeError("failed")

    def checked(socket: Socket, number: int) -> None:
        raise AssertionError(socket, number)

    @run_async
    async def provoke() -> None:
        io = Server(allow_eio3=True)
        shown: list[str] = []
        rooms = io.of(lambda name, auth: True)
        rooms.on("connection", lambda socket: shown.extend([repr(socket), repr(socket.nsp)]))
        rooms.on("x", fails)
        rooms.on(HOSTILE, fails)
        rooms.on("n", checked)
        client = Client(io, query=f"&EIO={revision}")
        client.send(f"0{HOSTILE},")
        for event in ("x", HOSTILE):
            client.send(f"2{HOSTILE},{json.dumps([event])}")
        client.send(f'2{HOSTILE},["n","{HOSTILE[:2]}"]')
        client.send("\n\x1b")
        assert [text.isprintable() for text in shown] == [True, True]

    with caplog.at_level(logging.DEBUG, "nuncio"):
        provoke()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "DEBUG", "DEBUG"]
    assert [one for one in caplog.records if not one.getMessage().isprintable()] == []


@run_async
async def test_on_error_may_be_async() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    @io.on_error
    async def listener(error: Exception, socket: Socket | None) -> None:
        await asyncio.sleep(0)
        calls.append((str(error), socket))

    def fails() -> None:
        raise RuntimeError("failed")

    io.on("x", fails)
    client.emit("x")
    await io.settle(30)
    assert calls == [("failed", client.socket)]


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_an_on_error_listener_that_fails_is_logged_and_stops_nothing(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []

    async def later() -> None:
        raise ValueError("the listener itself")

    def listener() -> Any:
        if waits:
            return later()
        raise ValueError("the listener itself")

    def fails() -> None:
        raise RuntimeError("failed")

    io.on_error(listener)
    io.on_error(lambda: calls.append("second"))
    io.on("x", fails)
    client.emit("x")
    await io.settle(30)
    assert calls == ["second"]
    assert "an on_error listener failed" in caplog.text
    assert "the listener itself" in caplog.text


def test_an_on_error_listener_must_be_callable() -> None:
    with pytest.raises(OptionError):
        Server().on_error("not a function")  # type: ignore[arg-type]  # wrong on purpose


@run_async
async def test_what_a_client_did_wrong_is_logged_for_those_who_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server()
    client = Client.join(io)
    with caplog.at_level(logging.DEBUG, "nuncio"):
        io.report(ArgumentError("x", "value", "is missing"), client.socket, "x")
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.exc_info is None
    assert client.sid in record.getMessage()


# Tasks.


@run_async
async def test_tasks_are_kept_until_they_end() -> None:
    io = Server()
    client = Client.join(io)
    ended: list[int] = []

    @io.event
    async def slow(socket: Socket, value: int) -> None:
        # Nothing else keeps this future, nor the task that waits for it.
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, future.set_result, None)
        await future
        ended.append(value)

    for value in range(3):
        client.emit("slow", value)
    assert len(io.running) == 3
    await eventually(lambda: len(ended) == 3)
    await eventually(lambda: not io.running)


@run_async
async def test_a_handler_that_is_cancelled_makes_room_and_answers_nothing() -> None:
    io = Server(concurrency=1)
    client = Client.join(io)
    calls: list[str] = []

    @io.event
    async def gives_up(socket: Socket) -> str:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(0)
        return "never"

    io.on("x", lambda socket: calls.append("x"))
    client.emit("gives_up", id=1)
    client.emit("x")
    await eventually(lambda: calls == ["x"])
    assert client.take() == []
    assert not io.running


@run_async
async def test_settle_waits_and_then_cancels() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []

    @io.event
    async def quick(socket: Socket) -> None:
        await asyncio.sleep(0.01)
        calls.append("quick")

    @io.event
    async def never(socket: Socket) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            calls.append("cancelled")

    client.emit("quick")
    client.emit("never")
    await io.settle(0.5)
    await eventually(lambda: calls == ["quick", "cancelled"])
    assert not io.running


@run_async
async def test_settle_does_not_wait_for_who_calls_it() -> None:
    io = Server()
    client = Client.join(io)
    ended: list[str] = []

    @io.event
    async def stop(socket: Socket) -> None:
        await io.settle(30)
        ended.append("stop")

    client.emit("stop")
    await eventually(lambda: ended == ["stop"])


@run_async
async def test_handlers_see_the_task_they_run_in() -> None:
    io = Server()
    client = Client.join(io)
    answers: list[Any] = []

    @io.event
    async def timed(socket: Socket) -> None:
        # Needs a current task.
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            answers.append("timed out")

    client.emit("timed")
    await eventually(lambda: answers == ["timed out"])


# Gathered acknowledgements.


@run_async
async def test_answers_are_gathered_until_all_are_there() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    gathering = GatheredAcks(future)
    gathering.expect(2)
    gathering.answer(1)
    assert not future.done()
    gathering.answer(2)
    assert await within(future) == [1, 2]
    gathering.answer(3)
    gathering.fail(AckTimeout())


@run_async
async def test_one_that_is_missing_is_told_when_all_the_others_are_there() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    gathering = GatheredAcks(future)
    gathering.expect(2)
    gathering.fail(AckTimeout())
    assert not future.done()
    gathering.answer(2)
    with pytest.raises(AckTimeout) as caught:
        await future
    assert caught.value.responses == [2]


@run_async
async def test_nobody_to_wait_for() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    GatheredAcks(future).expect(0)
    assert await future == []


@run_async
async def test_every_server_says_how_many_answers_it_will_gather() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    gathering = GatheredAcks(future, servers=2)
    gathering.answer("early")
    gathering.expect(1)
    assert not future.done()
    gathering.expect(0)
    assert await future == ["early"]


@run_async
async def test_no_servers_to_wait_for() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    GatheredAcks(future, servers=0)
    assert await future == []


@run_async
async def test_what_has_not_come_can_be_given_up() -> None:
    future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
    gathering = GatheredAcks(future, servers=3)
    gathering.expect(2)
    gathering.answer("one")
    gathering.give_up()
    with pytest.raises(AckTimeout) as caught:
        await future
    assert caught.value.responses == ["one"]


# Exceptions that are answers.


class Mine(LookupError):
    """The application's own."""


@run_async
async def test_an_exception_handler_answers_the_event(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    client = Client.join(io)
    told: list[Any] = []
    io.on_error(told.append)

    @io.exception_handler(Mine)
    def mine(error: Mine, socket: Socket, event: str) -> dict[str, str]:
        return {"error": f"{event}: {error}", "id": socket.id}

    @io.exception_handler(ArithmeticError, LookupError)
    async def others(error: Exception) -> nuncio.Ack:
        await asyncio.sleep(0)
        return nuncio.Ack("error", type(error).__name__)

    @io.event
    def first(socket: Socket) -> None:
        raise Mine("first")

    @io.event
    async def second(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    @io.event(thread=True)
    def third(socket: Socket) -> None:
        raise KeyError

    for id, event in enumerate(("first", "second", "third")):
        client.emit(event, id=id)
    await eventually(lambda: client.answers(2))
    await io.settle(30)
    assert client.answers(0) == [{"error": "first: first", "id": client.sid}]
    assert client.answers(1) == ["error", "ZeroDivisionError"]
    assert client.answers(2) == ["error", "KeyError"]
    assert told == []
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


@run_async
async def test_an_exception_handler_may_answer_what_is_refused_otherwise() -> None:
    io = Server()
    client = Client.join(io)
    io.exception_handler(EventError)(lambda error: error.message)
    io.exception_handler(ArgumentError)(lambda error: error.argument)

    @io.event
    def number(socket: Socket, n: int) -> None:
        raise EventError("not allowed")

    client.emit("number", 1, id=1)
    client.emit("number", "one", id=2)
    assert (client.answers(1), client.answers(2)) == (["not allowed"], ["n"])


@run_async
async def test_an_event_error_of_a_handler_goes_to_the_sockets_error_listeners() -> None:
    io = Server()
    client = Client.join(io)
    told: list[Any] = []
    refused: list[Any] = []
    io.on_error(told.append)
    client.socket.on("error", refused.append)
    error = EventError("not allowed")

    @io.event
    def message(socket: Socket) -> None:
        raise error

    client.emit("message", id=1)
    assert (refused, told, client.answers(1)) == ([error], [], None)


@run_async
async def test_an_exception_handler_that_fails_is_reported() -> None:
    io = Server()
    client = Client.join(io)
    told: list[Any] = []
    io.on_error(told.append)

    @io.exception_handler(KeyError)
    def fails(error: KeyError) -> None:
        raise ValueError("in place")

    @io.exception_handler(IndexError)
    async def fails_later(error: IndexError) -> None:
        raise ValueError("later")

    @io.event
    def message(socket: Socket, n: int) -> None:
        raise (KeyError, IndexError, OSError)[n]

    for n in range(3):
        client.emit("message", n, id=n)
    await io.settle(30)
    assert sorted(map(repr, told)) == ["OSError()", "ValueError('in place')", "ValueError('later')"]
    assert [client.answers(n) for n in range(3)] == [None, None, None]


def test_exception_handlers_are_for_classes_of_exceptions() -> None:
    io = Server()
    with pytest.raises(OptionError, match="takes classes of exceptions, not 'KeyError'"):
        io.exception_handler("KeyError")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="takes classes of exceptions, not <function"):
        io.exception_handler(lambda error: None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="needs a class"):
        io.exception_handler()
