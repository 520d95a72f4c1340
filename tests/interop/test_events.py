"""Events: every kind of value both ways, and who listens."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from typing import Any

import msgspec
import pydantic
import pytest

from nuncio import EventError, OptionError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import JS, Client, Node, Way

LONE = "\ud83d and \udd25 alone"
SEPARATOR = "record\x1eseparator and\nline\u2028ends\x00"


@run_async
async def test_values_that_only_javascript_has_arrive_as_json_has_them(
    node: Node, way: Way
) -> None:
    io = Server()
    got = Inbox()
    io.on("values", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.emit(
            "values",
            JS("undefined"),
            JS("NaN"),
            JS("-Infinity"),
            JS("new Date(0)"),
            JS("{a: undefined, b: [undefined]}"),
            JS("new Map([[1, 2]])"),
            JS("{toJSON() { return {kept: 1} }}"),
            JS("2 ** 53"),
            JS("1.0"),
            JS("1e21"),
        )
        assert await got.next() == [
            None,
            None,
            None,
            "1970-01-01T00:00:00.000Z",
            {"b": [None]},
            {},
            {"kept": 1},
            2**53,
            1,
            1e21,
        ]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Person(msgspec.Struct):
    name: str
    photo: bytes


class Order(pydantic.BaseModel):
    item: str
    count: int = 1


@run_async
async def test_values_that_only_python_has_arrive_as_json_has_them(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        io.emit(
            "values",
            float("nan"),
            [float("inf")],
            (1, 2),
            {3},
            1.0,
            Colour.RED,
            Point(1, 2.5),
            Person("Ada", b"\x89PNG"),
            Order(item="tea"),
            uuid.UUID(int=1),
            datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
        )
        assert await client.next("values") == [
            None,
            [None],
            [1, 2],
            [3],
            1,
            "red",
            {"x": 1, "y": 2.5},
            {"name": "Ada", "photo": b"\x89PNG"},
            {"item": "tea", "count": 1},
            "00000000-0000-0000-0000-000000000001",
            "2024-02-29T12:00:00Z",
        ]


@run_async
async def test_any_text_survives(node: Node, way: Way) -> None:
    io = Server()
    texts = [LONE, {LONE: [LONE, float("inf")]}, SEPARATOR, "\x7f\x80\ufeff\uffff", "\U0010ffff"]
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    got = Inbox()
    io.on("echo", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.emit("echo", LONE, {LONE: [LONE, None]}, *texts[2:])
        expected = [LONE, {LONE: [LONE, None]}, *texts[2:]]
        assert await got.next() == expected
        assert await client.next("back") == expected
        io.emit("odd", *texts)
        assert await client.next("odd") == expected
        io.emit("odd name,/1-[]", 1)
        assert await client.next("odd name,/1-[]") == [1]


@run_async
async def test_large_values_survive(node: Node, way: Way) -> None:
    io = Server()
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        for size in (125, 126, 65_535, 65_536, 200_000):
            text = "é" * size
            await client.emit("echo", text, [text])
            assert await client.next("back") == [text, [text]]


@run_async
async def test_what_is_too_large_ends_the_connection(node: Node) -> None:
    io = Server(max_http_buffer_size=10_000)
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect(transports=["websocket"])
        await client.emit("big", "x" * 10_000)
        assert (await gone.next())[0] == "transport error"
        assert (await client.next("disconnect"))[0] == "transport close"
        client = await clients.connect(transports=["polling"])
        await client.emit("big", "x" * 10_000)
        reason, error = await client.next("disconnect")
        assert (reason, error) == ("transport error", 413)


@run_async
async def test_numbers_name_events_too(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    io.on("7", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.emit(7, "seven")
        assert await got.next() == ["seven"]


@run_async
async def test_names_that_objects_have_are_ordinary_events(node: Node) -> None:
    io = Server()
    names = ["constructor", "__proto__", "toString", "error", "connection", "message", "ping"]
    got = Inbox()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(got.put)

    async with node.clients(io) as clients:
        client = await clients.connect()
        for name in names:
            await client.emit(name, 1)
            assert await got.next() == [name, 1]
        for name in names:
            io.emit(name, 2)
            assert await client.next(name) == [2]


@run_async
async def test_reserved_names_are_refused_on_either_side(node: Node) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)
        for name in ("connect", "disconnect", "connect_error", "disconnecting", "newListener"):
            with pytest.raises(OptionError, match=name):
                socket.emit(name)
            with pytest.raises(OptionError, match=name):
                io.emit(name)
        await client.run("""socket.io.engine.write('2["disconnect"]')""")
        assert (await gone.next())[0] == "forced close"
        assert (await client.next("disconnect"))[0] == "transport close"


@run_async
async def test_send_is_the_event_message(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    io.on("message", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.run("socket.send('hello', 1)")
        assert await got.next() == ["hello", 1]
        socket = await client.peer(io)
        socket.send("one")
        io.send("all", 2)
        io.of("/").send("namespace")
        assert await client.next("message") == ["one"]
        assert await client.next("message") == ["all", 2]
        assert await client.next("message") == ["namespace"]


@run_async
async def test_what_the_client_emits_before_it_is_connected_arrives(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    io.on("early", got)
    async with node.clients(io) as clients:
        client = await clients.start(way=way, autoConnect=False)
        for n in range(5):
            await client.emit("early", n, bytes([n]))
        await client.run("socket.connect()")
        assert [await got.next() for _ in range(5)] == [[n, bytes([n])] for n in range(5)]


@run_async
async def test_what_is_emitted_at_the_connection_follows_it(node: Node, way: Way) -> None:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("first", b"1")
        socket.emit("second", 2)

    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        assert await client.next("second") == [2]
        assert client.seen.log[:3] == [("connect", []), ("first", [b"1"]), ("second", [2])]


async def _emit(client: Client, *events: str) -> None:
    """Emit events, and one more to know that they were handled."""
    for event in events:
        await client.emit(event)
    assert await client.ask("done") == []


@run_async
async def test_handlers_come_and_go(node: Node) -> None:
    io = Server()
    io.on("done", lambda socket: None)
    calls: list[str] = []

    def own() -> None:
        calls.append("own")

    def shared(socket: Socket) -> None:
        calls.append("shared")

    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)
        io.once("a", lambda socket: calls.append("shared once"))
        socket.once("a", lambda: calls.append("own once"))
        socket.on("a", own)
        socket.prepend("a", lambda: calls.append("before"))
        await _emit(client, "a", "a")
        assert calls == ["shared once", "before", "own once", "own", "before", "own"]
        calls.clear()
        assert own in socket.listeners("a")
        socket.off("a")
        assert socket.listeners("a") == []
        io.on("a", shared)
        socket.on("a", own)
        assert io.listeners("a") == [shared]
        await _emit(client, "a")
        io.off("a", shared)
        await _emit(client, "a")
        socket.off("a", own)
        await _emit(client, "a")
        assert calls == ["shared", "own", "own"]
        socket.on("a", own)
        socket.off()
        await _emit(client, "a")
        assert calls == ["shared", "own", "own"]


@run_async
async def test_catch_all_listeners_see_what_arrives(node: Node, way: Way) -> None:
    io = Server()
    seen: list[Any] = []
    io.on("known", lambda socket, *args: seen.append("handler"))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        socket.use(lambda event, *args: seen.append("middleware"))

        @socket.on_any
        def second(event: str, *args: Any) -> None:
            seen.append(("second", event, *args))

        @socket.prepend_any
        def first(event: str, *args: Any) -> None:
            seen.append(("first", event))

        assert socket.listeners_any() == [first, second]
        await client.emit("known", 1, b"2")
        await eventually(lambda: len(seen) == 4)
        assert seen == [
            ("first", "known"),
            ("second", "known", 1, b"2"),
            "middleware",
            "handler",
        ]
        seen.clear()
        socket.off_any(first)
        await client.emit("unknown")
        await eventually(lambda: len(seen) == 2)
        assert seen == [("second", "unknown"), "middleware"]
        socket.off_any()
        assert socket.listeners_any() == []


@run_async
async def test_outgoing_catch_all_listeners_see_what_is_sent(node: Node) -> None:
    io = Server()
    seen: list[Any] = []
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.on("asked", "(ack) => ack('yes')")
        socket = await client.peer(io)
        socket.join("room")

        @socket.on_any_outgoing
        def second(event: str, *args: Any) -> None:
            seen.append(("second", event, *args))

        @socket.prepend_any_outgoing
        def first(event: str, *args: Any) -> None:
            seen.append(("first", event))

        assert socket.listeners_any_outgoing() == [first, second]
        socket.emit("own", 1, b"2")
        assert seen == [("first", "own"), ("second", "own", 1, b"2")]
        socket.off_any_outgoing(first)
        seen.clear()
        io.to("room").emit("room", 1)
        socket.broadcast.emit("others")
        assert await within(socket.emit_with_ack("asked")) == "yes"
        assert seen == [("second", "room", 1), ("second", "asked")]
        socket.off_any_outgoing()
        assert socket.listeners_any_outgoing() == []
        assert await client.next("own") == [1, b"2"]


@run_async
async def test_socket_middlewares_may_stop_an_event(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    errors = Inbox()
    order: list[str] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        async def slow(event: str, *args: Any) -> None:
            order.append(f"first {event}")

        @socket.use
        def check(event: str, *args: Any) -> None:
            order.append(f"second {event}")
            if event == "bad":
                raise EventError("no", {"args": list(args)})

        socket.on("error", errors.put)

    io.on("good", got)
    io.on("bad", got)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        for event in ("bad", "good"):
            await client.emit(event, 1)
        assert await got.next() == [1]
        [error] = await errors.next()
        assert isinstance(error, EventError)
        assert (error.message, error.data) == ("no", {"args": [1]})
        assert order == ["first bad", "second bad", "first good", "second good"]
        assert got.seen == [[1]]
        assert await client.value("socket.connected")


@run_async
async def test_a_socket_middleware_that_fails_stops_the_event(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    got = Inbox()
    errors = Inbox()
    io.on_error(errors.put)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def check(event: str, *args: Any) -> None:
            if event == "bad":
                raise ZeroDivisionError

    io.on("good", got)
    io.on("bad", got)
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.emit("bad")
        await client.emit("good", "still here")
        assert await got.next() == ["still here"]
    [[error, socket, event]] = errors.seen
    assert (type(error), type(socket), event) == (ZeroDivisionError, Socket, "bad")
    caplog.clear()
