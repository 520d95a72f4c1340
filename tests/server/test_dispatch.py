from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any

import msgspec
import pydantic
import pytest

from nuncio import (
    Ack,
    AckCallback,
    ArgumentError,
    EventError,
    Limits,
    NuncioError,
    PacketError,
    Server,
    Socket,
)
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


class Order(msgspec.Struct):
    table: int
    dishes: list[str] = []


class Guest(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1)


class Gate:
    """Handlers that end when the test says so.

    Attributes:
        started: the arguments of those that have begun, in order.
        ended: of those that have ended.
    """

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self._waiting: dict[Any, asyncio.Event] = {}

    async def handler(self, socket: Socket, value: Any = None) -> Any:
        await self.wait(value)
        return value

    async def wait(self, value: Any) -> None:
        self.started.append(value)
        event = asyncio.Event()
        self._waiting[value] = event
        await event.wait()
        self.ended.append(value)

    async def open(self, value: Any) -> None:
        """Let one go, and wait until it is gone."""
        self._waiting.pop(value).set()
        await eventually(lambda: value in self.ended)

    async def begun(self, *values: Any) -> None:
        """Wait until exactly these have begun, in this order."""
        await eventually(lambda: len(self.started) >= len(values), f"started: {self.started}")
        assert self.started == list(values)


async def settled() -> None:
    """Let everything that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


# Answers.


@run_async
async def test_what_a_handler_returns_is_the_answer() -> None:
    io = Server()
    client = Client.join(io)
    values: list[Any] = [0, "", False, [], {}, [1, 2], {"ok": True}, 1.5, "text", [[]]]
    io.on("echo", lambda socket, index: values[index])
    for index, value in enumerate(values):
        client.emit("echo", index, id=index)
        assert client.answers(index) == [value]


@run_async
async def test_nothing_returned_is_an_empty_answer() -> None:
    io = Server()
    client = Client.join(io)
    io.on("x", lambda: None)
    client.emit("x", id=0)
    assert client.take() == ["30[]"]


@run_async
async def test_an_ack_answers_with_several_values_or_none() -> None:
    io = Server()
    client = Client.join(io)
    io.on("many", lambda: Ack(1, None, [2]))
    io.on("none", lambda: Ack())
    client.emit("many", id=7)
    client.emit("none", id=8)
    assert client.take() == ["37[1,null,[2]]", "38[]"]


@run_async
async def test_binary_answers_travel_as_attachments() -> None:
    io = Server()
    client = Client.join(io)
    io.on("x", lambda: {"data": b"\x01\x02"})
    client.emit("x", id=3)
    assert client.take() == ['61-3[{"data":{"_placeholder":true,"num":0}}]', b"\x01\x02"]


@run_async
async def test_structs_and_models_can_be_answers() -> None:
    io = Server()
    client = Client.join(io)
    io.on("struct", lambda: Order(3, ["soup"]))
    io.on("model", lambda: Guest(name="ada"))
    client.emit("struct", id=1)
    client.emit("model", id=2)
    assert client.answers(1) == [{"table": 3, "dishes": ["soup"]}]
    assert client.answers(2) == [{"name": "ada"}]


@run_async
async def test_no_answer_is_sent_for_events_without_an_id_or_without_a_handler() -> None:
    io = Server()
    client = Client.join(io)
    io.on("x", lambda: 1)
    client.emit("x")
    client.emit("unknown", id=5)
    assert client.take() == []


@run_async
async def test_async_handlers_answer_when_they_have_ended() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)
    client.emit("x", "value", id=1)
    await gate.begun("value")
    assert client.take() == []
    await gate.open("value")
    await eventually(lambda: client.take() == ['31["value"]'])


@run_async
async def test_an_awaitable_that_is_returned_is_awaited() -> None:
    io = Server()
    client = Client.join(io)
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    io.on("future", lambda: future)
    io.on("ask", lambda socket: socket.emit_with_ack("question"))
    client.emit("future", id=1)
    client.emit("ask", id=2)
    await settled()
    assert client.take() == ['20["question"]']
    future.set_result("done")
    client.send('30["because"]')
    await eventually(lambda: client.answers(2))
    assert client.answers(1) == ["done"]
    assert client.answers(2) == ["because"]


@run_async
async def test_what_emit_returns_can_be_returned() -> None:
    io = Server()
    client = Client.join(io)
    io.on("x", lambda socket, data: socket.emit("seen", data))
    client.emit("x", 1, id=4)
    assert client.take() == ['2["seen",1]', "34[]"]
    # While the client is behind the answer waits for it, as `await socket.emit(…)` would.
    client.stall()
    client.emit("x", 2, id=5)
    await settled()
    client.drain()
    await eventually(lambda: client.received == ['2["seen",2]', "35[]"])


@run_async
async def test_an_answer_that_cannot_be_sent_is_reported() -> None:
    io = Server()
    client = Client.join(io)
    errors: list[Exception] = []
    io.on_error(lambda error: errors.append(error))
    io.on("x", lambda: object())
    client.emit("x", id=1)
    assert client.take() == []
    assert client.socket.connected
    assert [type(error) for error in errors] == [TypeError]


@run_async
async def test_a_handler_answers_itself_with_the_acknowledgement_function() -> None:
    io = Server()
    client = Client.join(io)
    kept: list[AckCallback] = []

    @io.event
    def at_once(socket: Socket, value: int, ack: AckCallback) -> str:
        ack(value, "more")
        ack("again")
        return "ignored"

    @io.event
    def later(ack: AckCallback) -> None:
        kept.append(ack)

    client.emit("at_once", 1, id=1)
    client.emit("at_once", 1)
    client.emit("later", id=2)
    assert client.take() == ['31[1,"more"]']
    kept[0]()
    kept[0]("twice")
    assert client.take() == ["32[]"]


@run_async
async def test_an_async_handler_with_the_acknowledgement_function_returns_no_answer() -> None:
    io = Server()
    client = Client.join(io)

    @io.event
    async def slow(socket: Socket, ack: AckCallback) -> str:
        await asyncio.sleep(0)
        ack("early")
        await asyncio.sleep(0)
        return "ignored"

    client.emit("slow", id=1)
    await io.settle(30)
    assert client.take() == ['31["early"]']


@run_async
async def test_an_answer_after_the_end_is_harmless() -> None:
    io = Server()
    client = Client.join(io)
    kept: list[AckCallback] = []
    gate = Gate()

    @io.event
    def later(ack: AckCallback) -> None:
        kept.append(ack)

    io.on("slow", gate.handler)
    client.emit("later", id=1)
    client.emit("slow", "x", id=2)
    await gate.begun("x")
    client.send("1")
    kept[0]("late")
    await gate.open("x")
    await settled()
    assert client.take() == []


@run_async
async def test_of_several_handlers_the_first_answer_counts() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []

    def handler(name: str, answer: Any) -> Any:
        def call() -> Any:
            calls.append(name)
            return answer

        return call

    io.on("x", handler("one", "first"))
    client.socket.on("x", handler("two", "second"))
    client.socket.on("x", handler("three", "third"))
    client.emit("x", id=1)
    client.emit("x")
    assert client.take() == ['31["first"]']
    assert calls == ["one", "two", "three"] * 2


@run_async
async def test_of_several_handlers_the_first_that_ends_answers() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)

    @client.socket.on("x")
    def silent(value: int, ack: AckCallback) -> None:
        """Could answer, and does not."""

    client.socket.on("x", lambda: "quick")
    client.emit("x", 1, id=1)
    assert client.take() == ['31["quick"]']
    await gate.begun(1)
    await gate.open(1)
    await settled()
    assert client.take() == []


@run_async
async def test_one_of_several_handlers_that_fails_does_not_stop_the_others() -> None:
    io = Server()
    client = Client.join(io)
    io.on_error(lambda: None)

    def fails() -> None:
        raise RuntimeError("failed")

    io.on("x", fails)
    io.on("x", lambda: "answer")
    client.emit("x", id=1)
    assert client.take() == ['31["answer"]']


# Arguments that do not fit.


@run_async
async def test_arguments_that_do_not_fit_are_answered_and_the_handler_does_not_run() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    errors: list[Any] = []
    io.on_error(lambda error, socket, event: errors.append((error, socket, event)))

    @io.event
    def order(socket: Socket, wanted: Order, note: str = "") -> str:
        calls.append((wanted, note))
        return "ok"

    @io.event
    async def guest(socket: Socket, who: Guest) -> str:
        calls.append(who)
        return "welcome"

    client.emit("order", {"table": 1}, "hot", id=0)
    client.emit("order", {"table": "one"}, id=1)
    client.emit("order", {"table": 1}, 5, id=2)
    client.emit("order", id=3)
    client.emit("order")
    client.emit("guest", {"name": ""}, id=4)
    client.emit("guest", {"name": "ada"}, id=5)
    await io.settle(30)
    assert calls == [(Order(1), "hot"), Guest(name="ada")]
    assert client.answers(0) == ["ok"]
    assert client.answers(5) == ["welcome"]

    def refused(argument: str, message: str) -> list[Any]:
        return [{"error": {"code": "invalid_argument", "argument": argument, "message": message}}]

    assert client.answers(1) == refused("wanted", "Expected `int`, got `str` - at `$.table`")
    assert client.answers(2) == refused("note", "Expected `str`, got `int`")
    assert client.answers(3) == refused("wanted", "is missing")
    assert client.answers(4) == refused(
        "who", "String should have at least 1 character - at `$.name`"
    )
    assert len(errors) == 5
    for error, socket, event in errors:
        assert isinstance(error, ArgumentError)
        assert isinstance(error, NuncioError)
        assert socket is client.socket
        assert error.event == event
    assert [event for _, _, event in errors] == ["order"] * 4 + ["guest"]


@run_async
async def test_arguments_that_do_not_fit_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server()
    client = Client.join(io)

    @io.event
    def number(socket: Socket, value: int) -> None: ...

    with caplog.at_level(logging.INFO, "nuncio"):
        client.emit("number", "text")
    assert caplog.records == []


@run_async
async def test_binary_arguments_are_checked_like_others() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[bytes] = []

    @io.event
    def image(socket: Socket, data: bytes) -> int:
        calls.append(data)
        return len(data)

    client.send('51-1["image",{"_placeholder":true,"num":0}]', b"\x89PNG")
    client.emit("image", "text", id=2)
    assert calls == [b"\x89PNG"]
    assert client.answers(1) == [4]
    answer = client.answers(2)
    assert answer is not None
    assert answer[0]["error"]["message"] == "Expected `bytes`, got `str`"


# Failures.


@run_async
async def test_what_a_handler_raises_is_logged_and_reported_and_closes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server()
    client = Client.join(io)
    reported: list[Any] = []
    io.on_error(lambda error, socket, event: reported.append((str(error), socket, event)))

    @io.event
    def plain(socket: Socket) -> None:
        raise RuntimeError("the secret of plain")

    @io.event
    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("the secret of slow")

    @io.event
    def future(socket: Socket) -> Any:
        return slow(socket)

    io.on("fine", lambda: "fine")
    for number, event in enumerate(("plain", "slow", "future")):
        client.emit(event, id=number)
    await io.settle(30)
    client.emit("fine", id=9)
    # No answer: the client's own time-out tells it, and nothing leaks.
    assert client.take() == ['39["fine"]']
    assert reported == [
        ("the secret of plain", client.socket, "plain"),
        ("the secret of slow", client.socket, "slow"),
        ("the secret of slow", client.socket, "future"),
    ]
    records = [record for record in caplog.records if record.name == "nuncio"]
    assert len(records) == 3
    for record, event in zip(records, ("plain", "slow", "future"), strict=True):
        assert record.levelno == logging.ERROR
        assert event in record.getMessage()
        assert client.sid in record.getMessage()
        assert record.exc_info is not None


# Order and concurrency.


@run_async
async def test_events_are_handled_in_the_order_in_which_they_arrive() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    async def slow(socket: Socket, value: int) -> None:
        calls.append(value)
        await asyncio.sleep(0)

    io.on("slow", slow)
    io.on("quick", lambda socket, value: calls.append(value))
    for number in range(0, 40, 2):
        client.emit("slow", number)
        client.emit("slow", number + 1)
    await io.settle(30)
    assert calls == list(range(40))


@run_async
async def test_with_a_concurrency_of_one_handlers_are_strictly_serial() -> None:
    io = Server(concurrency=1)
    client = Client.join(io)
    gate = Gate()
    io.on("slow", gate.handler)
    io.on("quick", lambda socket, value: gate.started.append(value))
    client.emit("slow", "a")
    client.emit("quick", "b")
    client.emit("slow", "c")
    client.emit("quick", "d")
    await gate.begun("a")
    await settled()
    await gate.begun("a")
    await gate.open("a")
    await gate.begun("a", "b", "c")
    await gate.open("c")
    await gate.begun("a", "b", "c", "d")


@run_async
async def test_so_many_handlers_of_a_socket_run_at_once_and_no_more() -> None:
    io = Server(concurrency=2)
    client, other = Client.join(io), Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)
    for value in range(4):
        client.emit("x", value)
    await gate.begun(0, 1)
    # Another client's handlers do not count.
    other.emit("x", "other")
    await gate.begun(0, 1, "other")
    await gate.open(1)
    await gate.begun(0, 1, "other", 2)
    await gate.open(0)
    await gate.begun(0, 1, "other", 2, 3)


@run_async
async def test_a_handler_may_have_a_concurrency_of_its_own() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    io.on("single", gate.handler, concurrency=1)
    io.on("many", gate.handler)
    client.emit("many", 1)
    client.emit("single", 2)
    client.emit("many", 3)
    client.emit("single", 4)
    client.emit("many", 5)
    await gate.begun(1, 2, 3)
    # What waits holds up what comes after it: the order of events is kept.
    await settled()
    await gate.begun(1, 2, 3)
    await gate.open(2)
    await gate.begun(1, 2, 3, 4, 5)


@run_async
async def test_a_namespace_may_have_a_concurrency_of_its_own() -> None:
    io = Server()
    io.sockets.concurrency = 1
    client = Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)
    client.emit("x", 1)
    client.emit("x", 2)
    await gate.begun(1)
    await settled()
    await gate.begun(1)
    await gate.open(1)
    await gate.begun(1, 2)


@run_async
async def test_handlers_that_return_awaitables_are_counted_too() -> None:
    io = Server(concurrency=2)
    client = Client.join(io)
    gate = Gate()
    io.on("x", lambda socket, value: gate.wait(value))
    for value in range(3):
        client.emit("x", value)
    await gate.begun(0, 1)
    await settled()
    await gate.begun(0, 1)
    await gate.open(0)
    await gate.begun(0, 1, 2)


@run_async
async def test_a_handler_that_fails_makes_room_for_the_next() -> None:
    io = Server(concurrency=1)
    client = Client.join(io)
    io.on_error(lambda: None)
    calls: list[int] = []

    async def fails(socket: Socket, value: int) -> None:
        calls.append(value)
        await asyncio.sleep(0)
        raise RuntimeError("failed")

    io.on("x", fails, concurrency=1)
    for value in range(3):
        client.emit("x", value)
    await eventually(lambda: calls == [0, 1, 2])


@run_async
async def test_what_still_waits_when_the_client_leaves_is_not_handled() -> None:
    io = Server(concurrency=1)
    client = Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)
    client.emit("x", 1)
    client.emit("x", 2)
    await gate.begun(1)
    client.lose()
    await gate.open(1)
    await settled()
    assert gate.started == [1]


@run_async
async def test_an_event_that_arrives_with_the_end_is_not_handled() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []
    io.on("x", lambda: calls.append("x"))
    client.send("1", '2["x"]')
    assert calls == []


# Reading.


@run_async
async def test_reading_pauses_while_too_many_events_wait() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=4))
    client = Client.join(io)
    gate = Gate()
    io.on("x", gate.handler)
    client.emit("x", 0)
    for value in range(1, 4):
        client.emit("x", value)
    assert client.wire.reading
    client.emit("x", 4)
    assert not client.wire.reading
    # What had been read already is not lost.
    client.emit("x", 5)
    for value in range(3):
        await gate.begun(*range(value + 1))
        assert not client.wire.reading
        await gate.open(value)
    # Half of the limit is left: 4 and 5 wait.
    await gate.begun(0, 1, 2, 3)
    assert client.wire.reading
    await gate.open(3)
    await gate.begun(0, 1, 2, 3, 4)
    await gate.open(4)
    await gate.begun(0, 1, 2, 3, 4, 5)


@run_async
async def test_reading_goes_on_when_every_namespace_has_caught_up() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=1))
    gate, other_gate = Gate(), Gate()
    io.on("x", gate.handler)
    io.of("/other").on("x", other_gate.handler)
    client = Client.join(io)
    client.connect("/other")
    for nsp in ("", "/other,"):
        client.emit("x", 1, nsp=nsp)
        client.emit("x", 2, nsp=nsp)
    await gate.begun(1)
    await gate.open(1)
    await gate.begun(1, 2)
    assert not client.wire.reading
    await other_gate.open(1)
    await other_gate.begun(1, 2)
    assert client.wire.reading


@run_async
async def test_reading_goes_on_when_the_socket_that_was_behind_leaves() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=1))
    io.of("/other")
    gate = Gate()
    io.on("x", gate.handler)
    client = Client.join(io)
    client.connect("/other")
    socket = next(iter(io.sockets.sockets.values()))
    client.emit("x", 1)
    client.emit("x", 2)
    assert not client.wire.reading
    socket.disconnect()
    assert client.wire.reading


@run_async
async def test_many_waiting_events_of_a_client_are_handled_without_recursion() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=10_000))
    client = Client.join(io)
    calls: list[int] = []
    gate = Gate()
    io.on("first", gate.handler)

    @io.event
    async def next_one(socket: Socket, value: int) -> None:
        calls.append(value)

    client.emit("first")
    for value in range(3000):
        client.emit("next_one", value)
    await gate.begun(None)
    await gate.open(None)
    await eventually(lambda: len(calls) == 3000)
    assert calls == list(range(3000))


# Connection handlers.


@run_async
async def test_events_wait_for_an_async_connection_handler() -> None:
    io = Server()
    gate = Gate()
    calls: list[Any] = []

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        await gate.wait(socket)
        socket.on("x", lambda value: calls.append(value))

    client = Client.join(io)
    client.emit("x", 1)
    client.emit("x", 2)
    await gate.begun(client.socket)
    assert calls == []
    await gate.open(client.socket)
    await eventually(lambda: calls == [1, 2])
    client.emit("x", 3)
    assert calls == [1, 2, 3]


@run_async
async def test_events_wait_for_every_async_connection_handler() -> None:
    io = Server()
    gate = Gate()
    calls: list[Any] = []
    io.on("connection", lambda socket: gate.wait("one"))
    io.on("connection", lambda socket: gate.wait("two"))
    io.on("x", lambda socket, value: calls.append(value))
    client = Client.join(io)
    client.emit("x", 1)
    await gate.begun("one", "two")
    await gate.open("two")
    assert calls == []
    await gate.open("one")
    await eventually(lambda: calls == [1])


@run_async
async def test_events_are_handled_after_an_async_connection_handler_that_fails() -> None:
    io = Server()
    errors: list[Any] = []
    calls: list[Any] = []
    io.on_error(lambda error, socket, event: errors.append((str(error), event)))

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("failed")

    io.on("x", lambda socket, value: calls.append(value))
    client = Client.join(io)
    client.emit("x", 1)
    await eventually(lambda: calls == [1])
    assert errors == [("failed", "connection")]
    assert client.socket.connected


@run_async
async def test_a_client_may_leave_while_its_connection_handler_waits() -> None:
    io = Server()
    gate = Gate()
    calls: list[Any] = []
    io.on("connection", lambda socket: gate.wait("c"))
    io.on("x", lambda socket: calls.append("x"))
    io.on("disconnect", lambda socket, reason: calls.append(reason))
    client = Client.join(io)
    client.emit("x")
    await gate.begun("c")
    client.lose()
    await gate.open("c")
    await settled()
    assert calls == ["transport close"]


@run_async
async def test_what_the_connection_handler_sends_follows_the_connect_packet() -> None:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("welcome")

    client = Client(io)
    client.send("0")
    sid = next(iter(io.sockets.sockets))
    assert client.take() == [f'0{{"sid":"{sid}"}}', '2["welcome"]']


# Middlewares of a socket.


@run_async
async def test_middlewares_see_the_event_in_order_before_the_handlers() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.use(lambda *args: calls.append(("one", *args)))

    @client.socket.use
    async def two(event: str, *args: Any) -> None:
        calls.append(("two", event, *args))
        await asyncio.sleep(0)
        calls.append("two ended")

    client.socket.use(lambda *args: calls.append(("three", *args)))
    io.on("x", lambda socket, value: calls.append(("handler", value)))
    client.emit("x", 1)
    await io.settle(30)
    assert calls == [
        ("one", "x", 1),
        ("two", "x", 1),
        "two ended",
        ("three", "x", 1),
        ("handler", 1),
    ]


@run_async
async def test_events_wait_for_a_middleware_that_waits() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    calls: list[Any] = []

    @client.socket.use
    def middleware(event: str, value: int) -> Any:
        return gate.wait(value) if value == 1 else None

    io.on("x", lambda socket, value: calls.append(value))
    for value in range(3):
        client.emit("x", value)
    assert calls == [0]
    await gate.begun(1)
    await gate.open(1)
    await eventually(lambda: calls == [0, 1, 2])


@run_async
async def test_an_event_error_drops_the_event_and_reaches_the_error_listeners() -> None:
    io = Server()
    client = Client.join(io)
    heard: list[EventError] = []
    reported: list[Any] = []
    calls: list[Any] = []
    io.on_error(lambda error: reported.append(error))

    @client.socket.use
    def sync(event: str, value: str) -> None:
        if value == "sync":
            raise EventError("refused at once", {"code": 1})

    @client.socket.use
    async def slow(event: str, value: str) -> None:
        await asyncio.sleep(0)
        if value == "async":
            raise EventError("refused later")

    @client.socket.on("error")
    def error(error: EventError) -> None:
        heard.append(error)

    io.on("x", lambda socket, value: calls.append(value))
    for value in ("sync", "async", "fine"):
        client.emit("x", value, id=1)
    await io.settle(30)
    assert [(one.message, one.data) for one in heard] == [
        ("refused at once", {"code": 1}),
        ("refused later", None),
    ]
    assert calls == ["fine"]
    assert reported == []
    assert client.take() == ["31[]"]


@run_async
async def test_an_event_error_without_listeners_is_harmless() -> None:
    io = Server()
    client = Client.join(io)

    @client.socket.use
    def refuse(event: str) -> None:
        raise EventError("no")

    client.emit("x", id=1)
    assert client.take() == []
    assert client.socket.connected


@run_async
async def test_other_errors_of_middlewares_drop_the_event_and_are_reported() -> None:
    io = Server()
    client = Client.join(io)
    reported: list[Any] = []
    calls: list[Any] = []
    io.on_error(lambda error, socket, event: reported.append((str(error), socket, event)))

    @client.socket.use
    def fails(event: str, how: str) -> Any:
        if how == "sync":
            raise RuntimeError("sync")
        return later() if how == "async" else None

    async def later() -> None:
        raise RuntimeError("async")

    io.on("x", lambda socket, value: calls.append(value))
    for how in ("sync", "async", "not at all"):
        client.emit("x", how)
    await io.settle(30)
    assert calls == ["not at all"]
    assert reported == [("sync", client.socket, "x"), ("async", client.socket, "x")]


@run_async
async def test_what_a_middleware_returns_does_not_matter() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    async def says_no(*args: Any) -> bool:
        return False

    client.socket.use(lambda *args: False)
    client.socket.use(says_no)
    client.socket.use(lambda *args: False)
    io.on("x", lambda: calls.append("x"))
    client.emit("x")
    await eventually(lambda: calls == ["x"])


@run_async
async def test_a_middleware_added_later_does_not_see_an_event_under_way() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    calls: list[Any] = []
    client.socket.use(lambda event: gate.wait(event) if event == "first" else None)
    for event in ("first", "second"):
        client.socket.on(event, functools.partial(calls.append, event))
    client.emit("first")
    await gate.begun("first")
    client.socket.use(lambda event: calls.append(f"middleware {event}"))
    await gate.open("first")
    await eventually(lambda: "first" in calls)
    client.emit("second")
    assert calls == ["first", "middleware second", "second"]


@run_async
async def test_a_middleware_may_disconnect_the_socket() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    socket.use(lambda event: socket.disconnect())
    io.on("x", lambda: calls.append("x"))
    client.emit("x", id=1)
    assert client.take() == ["1"]
    assert calls == []


@run_async
async def test_the_client_may_leave_while_a_middleware_waits() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    calls: list[Any] = []
    client.socket.use(lambda event: gate.wait(event))
    io.on("x", lambda: calls.append("x"))
    client.emit("x")
    await gate.begun("x")
    client.lose()
    await gate.open("x")
    await settled()
    assert calls == []


@run_async
async def test_middlewares_and_concurrency_keep_the_order_together() -> None:
    io = Server(concurrency=1)
    client = Client.join(io)
    gate = Gate()
    passed: list[Any] = []

    @client.socket.use
    async def middleware(event: str, value: int) -> None:
        await asyncio.sleep(0)
        passed.append(value)

    io.on("x", gate.handler)
    for value in range(4):
        client.emit("x", value)
    for value in range(4):
        await gate.begun(*range(value + 1))
        await gate.open(value)
    assert passed == [0, 1, 2, 3]


@run_async
async def test_errors_of_the_protocol_reach_the_error_listeners_before_the_end() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []

    @client.socket.on("error")
    def error(error: PacketError) -> None:
        calls.append(type(error))

    client.socket.on("disconnect", lambda reason: calls.append(reason))
    client.send("2[")
    assert calls == [PacketError, "forced close"]


# Names.


@run_async
async def test_numbers_as_event_names_are_handled_under_their_text() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("1", lambda socket, value: calls.append(("1", value)))
    io.on("-2", lambda: calls.append("-2"))
    io.on("1.5", lambda: calls.append("1.5"))
    client.socket.on_any(lambda event, *args: calls.append(("any", event)))
    client.emit(1, "a", id=3)
    client.emit(-2)
    client.emit(1.5)
    client.emit("1", "b")
    # JavaScript has one kind of numbers.
    client.send('2[1.0,"c"]')
    assert calls == [
        ("any", 1),
        ("1", "a"),
        ("any", -2),
        "-2",
        ("any", 1.5),
        "1.5",
        ("any", "1"),
        ("1", "b"),
        ("any", 1.0),
        ("1", "c"),
    ]
    assert client.take() == ["33[]"]


@run_async
async def test_names_are_just_text() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []
    for name in ("__proto__", "constructor", "ümläut 🎉", "a b", "toString"):
        client.socket.on(name, functools.partial(calls.append, name))
        client.emit(name)
    assert calls == ["__proto__", "constructor", "ümläut 🎉", "a b", "toString"]


# Several handlers, and answers that others wait for.


@run_async
async def test_when_none_of_several_handlers_returns_anything_the_answer_is_empty() -> None:
    io = Server()
    client = Client.join(io)
    gate = Gate()
    io.on("x", lambda: None)
    io.on("x", lambda socket, value: gate.wait(value))
    client.emit("x", 1, id=1)
    assert client.take() == []
    await gate.begun(1)
    await gate.open(1)
    await eventually(lambda: client.take() == ["31[]"])


@run_async
async def test_a_handler_that_returns_nothing_leaves_the_answer_to_another() -> None:
    io = Server()
    client = Client.join(io)
    io.on("x", lambda: None)
    io.on("x", lambda: "second")
    client.emit("x", id=1)
    assert client.take() == ['31["second"]']


@run_async
async def test_when_all_of_several_handlers_fail_there_is_no_answer() -> None:
    io = Server()
    client = Client.join(io)
    io.on_error(lambda: None)

    def fails() -> None:
        raise RuntimeError("failed")

    io.on("x", fails)
    io.on("x", fails)
    client.emit("x", id=1)
    assert client.take() == []


@run_async
async def test_reading_goes_on_while_a_handler_waits_for_an_answer_behind_what_waits() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=4))
    client = Client.join(io)
    calls: list[Any] = []
    go_on = asyncio.Event()

    @io.event
    async def ask(socket: Socket, value: int) -> None:
        await go_on.wait()
        calls.append(await socket.emit_with_ack("question", value))

    for value in range(12):
        client.emit("ask", value)
    assert not client.wire.reading
    go_on.set()
    for value in range(12):
        await eventually(lambda: client.received)
        assert client.take() == [f'2{value}["question",{value}]']
        # Beyond the limit or not: what the handler waits for comes behind the rest.
        assert client.wire.reading
        client.send(f"3{value}[{value}]")
    await eventually(lambda: calls == list(range(12)))


@run_async
async def test_even_then_reading_pauses_in_the_end() -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=2))
    client = Client.join(io)

    @io.event
    async def ask(socket: Socket) -> None:
        await socket.emit_with_ack("question")

    for _ in range(100):
        client.emit("ask")
        await asyncio.sleep(0)
    assert not client.wire.reading


@run_async
async def test_what_runs_in_place_does_not_overtake_a_task() -> None:
    io = Server()
    begun: list[str] = []

    @io.event
    async def slow(socket: Socket, value: str) -> None:
        begun.append(value)
        await asyncio.sleep(0.01)

    @io.event
    def quick(socket: Socket, value: str) -> None:
        begun.append(value)

    client = Client.join(io)
    for event, value in (("slow", "a"), ("quick", "b"), ("slow", "c"), ("quick", "d")):
        client.emit(event, value)
    await eventually(lambda: len(begun) == 4)
    assert begun == ["a", "b", "c", "d"]
