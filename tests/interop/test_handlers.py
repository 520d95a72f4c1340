"""Handlers: typed, waiting, in threads; and the order in which they run."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from nuncio import Ack, AckCallback, ArgumentError, Limits, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import Node, Way


class Struct(msgspec.Struct):
    name: str
    age: Annotated[int, msgspec.Meta(ge=0)] = 0


@dataclasses.dataclass
class Data:
    name: str
    tags: list[str]


class Model(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(default=0, ge=0)


class Typed(TypedDict):
    name: str


@run_async
async def test_arguments_are_what_handlers_declare(node: Node, way: Way) -> None:
    io = Server()
    got = Inbox()
    io.on_error(got.put)

    @io.event
    def struct(socket: Socket, value: Struct) -> Struct:
        got.put(value)
        return value

    @io.event
    async def data(socket: Socket, value: Data, raw: bytes) -> Ack:
        got.put(value)
        return Ack(value, raw)

    @io.event
    def model(socket: Socket, value: Model) -> Model:
        got.put(value)
        return value

    @io.event
    def typed(socket: Socket, value: Typed, *rest: int) -> list[int]:
        got.put(value)
        return list(rest)

    @io.event
    def choice(socket: Socket, value: Literal["a", "b"] | None, ack: AckCallback) -> None:
        ack(value)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        assert await client.ask("struct", {"name": "Ada"}) == [{"name": "Ada", "age": 0}]
        assert await got.next() == [Struct("Ada")]
        expected = [{"name": "Ada", "tags": ["x"]}, b"\x01"]
        assert await client.ask("data", *expected) == expected
        assert await got.next() == [Data("Ada", ["x"])]
        assert await client.ask("model", {"name": "Ada", "age": 3}) == [{"name": "Ada", "age": 3}]
        assert await got.next() == [Model(name="Ada", age=3)]
        assert await client.ask("typed", {"name": "Ada"}, 1, 2) == [[1, 2]]
        assert await got.next() == [{"name": "Ada"}]
        assert await client.ask("choice", None) == [None]

        wrong: list[tuple[str, list[Any], str]] = [
            ("struct", [{"name": 1}], "value"),
            ("struct", [{"name": "Ada", "age": -1}], "value"),
            ("struct", [], "value"),
            ("struct", [None], "value"),
            ("data", [{"name": "Ada", "tags": [1]}, b""], "value"),
            ("data", [{"name": "Ada", "tags": []}, "no bytes"], "raw"),
            ("model", [{"name": "Ada", "age": -1}], "value"),
            ("model", ["Ada"], "value"),
            ("typed", [{}], "value"),
            ("typed", [{"name": "Ada"}, 1, "2"], "rest"),
            ("choice", ["c"], "value"),
        ]
        for event, args, argument in wrong:
            [answer] = await client.ask(event, *args)
            error = answer["error"]
            assert (error["code"], error["argument"]) == ("invalid_argument", argument)
            assert error["message"]
            told, socket, name = await got.next()
            assert isinstance(told, ArgumentError)
            assert name == event
            assert isinstance(socket, Socket)
        # Without a question there is no answer, and the handler does not run.
        await client.emit("struct", "wrong")
        assert isinstance((await got.next())[0], ArgumentError)
        assert await client.value("socket.connected")


@run_async
async def test_handlers_take_as_many_arguments_as_they_declare(node: Node) -> None:
    io = Server()
    io.on("args", lambda socket: "none")
    io.of("/one").on("args", lambda socket, a: a)
    io.of("/default").on("args", lambda socket, a, b="default": [a, b])
    io.of("/all").on("args", lambda socket, a, *rest: [a, list(rest)])

    class Methods:
        def args(self, socket: Socket, a: int) -> int:
            return a + 1

    io.of("/method").on("args", Methods().args)
    async with node.clients(io) as clients:
        main = await clients.connect()
        assert await main.ask("args", 1, 2) == ["none"]
        for name, args, expected in [
            ("/one", [1, 2], [1]),
            ("/default", [1], [[1, "default"]]),
            ("/default", [1, 2, 3], [[1, 2]]),
            ("/all", [1, 2, 3], [[1, [2, 3]]]),
            ("/method", [1], [2]),
        ]:
            client = await clients.join(main, name)
            assert await client.ask("args", *args) == expected
            await client.disconnect()


@run_async
async def test_blocking_handlers_run_in_threads(node: Node, way: Way) -> None:
    io = Server()
    here = threading.get_ident()
    release = threading.Event()

    @io.event(thread=True)
    def work(socket: Socket, n: int) -> bytes:
        assert threading.get_ident() != here
        assert release.wait(10)
        for part in range(3):
            socket.emit("progress", n, part, b"bytes")
        socket.join(f"done {n}")
        io.to(f"done {n}").emit("room", n)
        socket.volatile.emit("may be dropped")
        return bytes([n])

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        answer = client.begin_asking("work", 1)
        io.on("works", lambda socket: release.set())
        await client.emit("works")
        assert await within(answer) == [b"\x01"]
        for part in range(3):
            assert await client.next("progress") == [1, part, b"bytes"]
        assert await client.next("room") == [1]


@run_async
async def test_threads_may_disconnect_and_leave(node: Node) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)

    @io.event(thread=True)
    def finish(socket: Socket) -> None:
        socket.emit("last", b"word")
        socket.leave("room")
        socket.disconnect()

    async with node.clients(io) as clients:
        client = await clients.connect()
        (await client.peer(io)).join("room")
        await client.emit("finish")
        assert await client.next("last") == [b"word"]
        assert await client.next("disconnect") == ["io server disconnect"]
        assert (await gone.next())[0] == "server namespace disconnect"


@run_async
async def test_a_failing_thread_is_reported(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    errors = Inbox()
    io.on_error(errors.put)

    @io.event(thread=True)
    def broken(socket: Socket) -> None:
        raise ZeroDivisionError

    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.emit("broken")
        error, _, event = await errors.next()
        assert (type(error), event) == (ZeroDivisionError, "broken")
        assert await client.value("socket.connected")
    caplog.clear()


@run_async
async def test_concurrency_one_makes_handlers_serial(node: Node, way: Way) -> None:
    io = Server(concurrency=1)
    log: list[tuple[str, int]] = []

    @io.event
    async def work(socket: Socket, n: int, data: bytes) -> int:
        log.append(("begin", n))
        for _ in range(3 - n % 3):
            await asyncio.sleep(0)
        log.append(("end", n))
        return n

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        answers = [client.begin_asking("work", n, bytes(n)) for n in range(30)]
        assert await within(asyncio.gather(*answers)) == [[n] for n in range(30)]
        assert log == [(what, n) for n in range(30) for what in ("begin", "end")]


@run_async
async def test_handlers_start_in_order_and_so_many_at_once(node: Node, way: Way) -> None:
    io = Server(concurrency=4)
    started: list[int] = []
    gates = [asyncio.Event() for _ in range(10)]

    @io.event
    async def work(socket: Socket, n: int) -> int:
        started.append(n)
        await gates[n].wait()
        return n

    @io.event
    def quick(socket: Socket) -> str:
        return "quick"

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        answers = [client.begin_asking("work", n) for n in range(10)]
        await eventually(lambda: len(started) == 4)
        # Another client is not held up.
        other = await clients.connect(way=way)
        assert await other.ask("quick") == ["quick"]
        assert started == [0, 1, 2, 3]
        gates[2].set()
        assert await within(answers[2]) == [2]
        await eventually(lambda: len(started) == 5)
        assert started == [0, 1, 2, 3, 4]
        for gate in gates:
            gate.set()
        assert await within(asyncio.gather(*answers)) == [[n] for n in range(10)]
        assert started == list(range(10))


@run_async
async def test_concurrency_of_one_handler(node: Node) -> None:
    io = Server()
    running = 0
    most = 0
    two = asyncio.Event()

    @io.event(concurrency=2)
    async def narrow(socket: Socket, n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            two.set()
        # The next one may take a while to arrive.
        await two.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return n

    async with node.clients(io) as clients:
        client = await clients.connect()
        answers = [client.begin_asking("narrow", n) for n in range(20)]
        assert await within(asyncio.gather(*answers)) == [[n] for n in range(20)]
        assert most == 2


@run_async
async def test_events_wait_for_an_async_connection_handler(node: Node, way: Way) -> None:
    io = Server()
    go_on = asyncio.Event()
    seen: list[Any] = []

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        socket.emit("wait")
        await go_on.wait()
        socket.on("number", lambda n, data: seen.append((n, data)))
        socket.on("done", lambda: len(seen))

    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        await client.next("wait")
        await client.run("for (let n = 0; n < 20; n++) socket.emit('number', n, Buffer.from([n]))")
        answer = client.begin_asking("done")
        socket = await client.peer(io)
        # The server answers this packet itself, so the events before it have arrived.
        other = await clients.start_joining(client, "/nowhere")
        await other.next("connect_error")
        assert seen == [] and socket.connected
        go_on.set()
        assert await within(answer) == [20]
        assert seen == [(n, bytes([n])) for n in range(20)]


@run_async
async def test_reading_pauses_when_too_many_events_wait(node: Node, way: Way) -> None:
    io = Server(concurrency=1, limits=Limits(queued_events=5))
    arrived = 0
    most_waiting = 0
    seen: list[int] = []

    async with node.clients(io) as clients:

        @io.on("connection")
        def connection(socket: Socket) -> None:
            socket.on_any(count)

        def count(event: str, n: int, text: str) -> None:
            nonlocal arrived, most_waiting
            arrived += 1
            most_waiting = max(most_waiting, arrived - len(seen))

        @io.event
        async def work(socket: Socket, n: int, text: str) -> None:
            # Meanwhile the client has time to send more.
            await clients.run("")
            seen.append(n)

        client = await clients.connect(way=way)
        await client.run(
            """
            const text = "x".repeat(50_000);
            for (let n = 0; n < 200; n++) socket.emit("work", n, text);
            """
        )
        await eventually(lambda: len(seen) == 200)
        assert seen == list(range(200))
        # The limit, and what one read may bring: at most a million bytes.
        assert 5 <= most_waiting <= 5 + 20
        await client.emit("work", 200, "")
        await eventually(lambda: len(seen) == 201)


@run_async
async def test_middlewares_keep_the_order_of_events(node: Node, way: Way) -> None:
    io = Server()
    seen: list[int] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        async def slow(event: str, n: int) -> None:
            for _ in range(3 - n % 3):
                await asyncio.sleep(0)

        @socket.on("number")
        def number(n: int) -> int:
            seen.append(n)
            return n

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        answers = [client.begin_asking("number", n) for n in range(30)]
        assert await within(asyncio.gather(*answers)) == [[n] for n in range(30)]
        assert seen == list(range(30))
