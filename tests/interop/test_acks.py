"""Acknowledgements both ways, in every style."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Ack, AckCallback, AckTimeout, Disconnected, LimitExceeded, Limits, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import UNDEFINED, Node, Way

NEVER = "(...args) => {}"
ECHO = "(...args) => args.pop()(...args)"


@run_async
async def test_what_a_handler_returns_is_the_answer(node: Node, way: Way) -> None:
    io = Server()
    io.on("nothing", lambda socket: None)
    io.on("one", lambda socket, *args: args[0])
    io.on("list", lambda socket, *args: list(args))
    io.on("several", lambda socket, *args: Ack(*args))
    io.on("none", lambda socket: Ack())
    io.on("tuple", lambda socket: (1, 2))

    @io.event
    async def later(socket: Socket, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        assert await client.ask("nothing") == []
        assert await client.ask("one", False) == [False]
        assert await client.ask("one", 0) == [0]
        assert await client.ask("one", "") == [""]
        assert await client.ask("list", 1, 2) == [[1, 2]]
        assert await client.ask("several", 1, None, 2) == [1, None, 2]
        assert await client.ask("none") == []
        assert await client.ask("tuple") == [[1, 2]]
        assert await client.ask("later", {"é": "世"}) == [{"é": "世"}]
        assert await client.ask("later", None) == []


@run_async
async def test_a_handler_may_answer_by_itself(node: Node, way: Way) -> None:
    io = Server()
    kept: list[AckCallback] = []

    @io.event
    def ask(socket: Socket, text: str, ack: AckCallback) -> None:
        ack(text, 1)
        ack("a second answer is not sent")

    @io.event
    async def keep(socket: Socket, ack: AckCallback) -> str:
        kept.append(ack)
        return "not an answer, since the handler gives it itself"

    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        assert await client.ask("ask", "hi") == ["hi", 1]
        waiting = client.begin_asking("keep")
        await eventually(lambda: kept)
        # Another question is answered meanwhile: the first still has no answer.
        assert await client.ask("ask", "there") == ["there", 1]
        assert not waiting.done()
        kept[0]("late", b"bytes")
        assert await within(waiting) == ["late", b"bytes"]
        # Without somebody who asks, the function does nothing.
        await client.emit("keep")
        await eventually(lambda: len(kept) == 2)
        kept[1]("nobody asked")
        await client.emit("ask", "nobody asked")
        assert await client.ask("ask", "end") == ["end", 1]
        assert client.names() == ["connect"]


@run_async
async def test_the_answer_may_be_an_emit(node: Node, way: Way) -> None:
    io = Server()
    io.on("seen", lambda socket, text: socket.emit("seen", text))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        assert await client.ask("seen", "x") == []
        assert await client.next("seen") == ["x"]


@run_async
async def test_the_server_asks_and_awaits(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.on("echo", ECHO)
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("echo")) is None
        assert await within(socket.emit_with_ack("echo", 1)) == 1
        assert await within(socket.emit_with_ack("echo", 1, "2")) == [1, "2"]
        assert await within(socket.emit_with_ack("echo", [1])) == [1]
        assert await within(socket.emit_with_ack("echo", "x", timeout=30)) == "x"
        assert await within(socket.timeout(30).emit_with_ack("echo", b"y")) == b"y"
        answers = [socket.emit_with_ack("echo", n) for n in range(50)]
        assert await within(asyncio.gather(*answers)) == list(range(50))


@run_async
async def test_the_server_asks_with_a_callback(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.on("echo", ECHO)
        socket = await client.peer(io)
        got = Inbox()
        socket.emit("echo", 1, b"2", got.put)
        assert await got.next() == [1, b"2"]
        socket.emit("echo", got.put)
        assert await got.next() == []
        socket.timeout(30).emit("echo", "fine", got.put)
        assert await got.next() == [None, "fine"]

        async def later(value: int) -> None:
            await asyncio.sleep(0)
            got.put(value)

        socket.emit("echo", 3, "not declared, so not passed", later)
        assert await got.next() == [3]


@run_async
async def test_answers_that_do_not_come_in_time(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        # It answers only when asked once more.
        await client.run(
            """
            let first;
            socket.on("late", (n, ack) => { first ? first(n) : (first = ack) });
            """
        )
        socket = await client.peer(io)
        got = Inbox()
        with pytest.raises(AckTimeout, match="operation has timed out"):
            await within(socket.emit_with_ack("late", 1, timeout=0.05))
        socket.timeout(0.05).emit("late", 2, got.put)
        [error] = await got.next()
        assert isinstance(error, AckTimeout)
        with pytest.raises(TimeoutError):
            await within(socket.timeout(0.05).emit_with_ack("late", 3))
        # The late answers were ignored, and the connection is fine.
        await client.on("echo", ECHO)
        assert await within(socket.emit_with_ack("echo", "fine")) == "fine"
        assert got.seen == [[error]]


@run_async
async def test_a_client_times_out_too(node: Node) -> None:
    io = Server()
    waiting = asyncio.Event()

    @io.event
    async def never(socket: Socket) -> None:
        await waiting.wait()

    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.run(
            "socket.timeout(50).emit('never', (error) => report('answer', error.message))"
        )
        assert await client.next("answer") == ["operation has timed out"]
        waiting.set()


@run_async
async def test_answers_end_with_the_connection(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.on("never", NEVER)
        socket = await client.peer(io)
        got = Inbox()
        socket.emit("never", got.put)
        socket.timeout(60).emit("never", got.put)
        answer = socket.emit_with_ack("never")
        await client.disconnect()
        with pytest.raises(Disconnected) as caught:
            await within(answer)
        assert caught.value.reason == "client namespace disconnect"
        [error] = await got.next()
        assert isinstance(error, Disconnected)
        assert got.seen == [[error]]
        with pytest.raises(Disconnected):
            await socket.emit_with_ack("never")
        with pytest.raises(Disconnected):
            await socket.emit_with_ack("never", timeout=60)


@run_async
async def test_answers_waited_for_are_bounded(node: Node) -> None:
    io = Server(limits=Limits(pending_acks=3))
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.on("echo", ECHO)
        socket = await client.peer(io)
        answers = [socket.emit_with_ack("echo", n) for n in range(3)]
        with pytest.raises(LimitExceeded, match="pending_acks"):
            await within(socket.emit_with_ack("echo", 3))
        assert await within(asyncio.gather(*answers)) == [0, 1, 2]
        assert await within(socket.emit_with_ack("echo", 4)) == 4


@run_async
async def test_everybody_answers_a_broadcast(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        for name in ("a", "b", "c"):
            client = await clients.connect(way=way)
            await client.on("who", f"(ack) => ack('{name}', 'a second value')")
            (await client.peer(io)).join("all")
        assert sorted(await within(io.timeout(30).emit_with_ack("who"))) == ["a", "b", "c"]
        assert sorted(await within(io.to("all").timeout(30).emit_with_ack("who"))) == [
            "a",
            "b",
            "c",
        ]
        socket = await client.peer(io)
        others = await within(socket.broadcast.timeout(30).emit_with_ack("who"))
        assert sorted(others) == ["a", "b"]
        others = await within(socket.to("all").timeout(30).emit_with_ack("who"))
        assert sorted(others) == ["a", "b"]
        assert await within(io.to("nobody").timeout(30).emit_with_ack("who")) == []


@run_async
async def test_a_broadcast_that_not_everybody_answers(node: Node) -> None:
    io = Server()
    io.on("done", lambda socket: None)
    async with node.clients(io) as clients:
        good = await clients.connect()
        await good.on("who", "(ack) => ack(Buffer.from('good'), 'a second value')")
        silent = await clients.connect()
        await silent.on("who", NEVER)
        answers = io.timeout(30).emit_with_ack("who")
        assert await good.next("who") == await silent.next("who") == []
        # It has answered before, so what follows cannot overtake it.
        await good.run("await new Promise((resolve) => socket.emit('done', resolve))")
        await silent.disconnect()
        with pytest.raises(AckTimeout) as caught:
            await within(answers)
        assert caught.value.responses == [b"good"]
        await good.run("socket.off('who')")
        with pytest.raises(AckTimeout) as caught:
            await within(io.timeout(0.05).emit_with_ack("who"))
        assert caught.value.responses == []


@run_async
async def test_answers_that_are_odd(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.on("odd", "(ack) => ack(undefined, NaN)")
        await client.on("twice", "(ack) => { ack(1); ack(2); }")
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("odd")) == [None, None]
        assert await within(socket.emit_with_ack("twice")) == 1
        # Answers to questions nobody asked, one with bytes.
        await client.run(
            """
            socket.io.engine.write("3999[1]");
            socket.io.engine.write('61-998[{"_placeholder":true,"num":0}]');
            socket.io.engine.write(Buffer.from("x"));
            """
        )
        assert await within(socket.emit_with_ack("twice")) == 1
        await client.emit("event", UNDEFINED)


@run_async
async def test_handlers_that_fail_answer_nothing(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors = Inbox()
    io.on_error(errors.put)

    @io.event
    def broken(socket: Socket) -> None:
        raise ZeroDivisionError("secret")

    @io.event
    async def broken_later(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("secret")

    @io.event
    def cannot_be_sent(socket: Socket) -> object:
        return object()

    io.on("works", lambda socket: "yes")
    async with node.clients(io) as clients:
        client = await clients.connect()
        unanswered = []
        for event, kind in [
            ("broken", ZeroDivisionError),
            ("broken_later", ZeroDivisionError),
            ("cannot_be_sent", TypeError),
        ]:
            unanswered.append(client.begin_asking(event))
            error, socket, name = await errors.next()
            assert (type(error), name) == (kind, event)
            assert socket is await client.peer(io)
        assert await client.ask("works") == ["yes"]
        assert not any(answer.done() for answer in unanswered)
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()
