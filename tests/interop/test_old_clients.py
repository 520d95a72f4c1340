"""The last release of Socket.IO 2.x, and its Engine.IO client, where `allow_eio3` lets them in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Ack, ConnectError, Server, Session, Socket
from nuncio.engine import Engine
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.live import HOSTS
from tests.support.node import (
    LATEST,
    OLD,
    POLLING,
    UPGRADED,
    WEBSOCKET,
    Clients,
    JSError,
    Node,
    Way,
)

DATA: list[Any] = [None, True, -1.5, "", "Grüße, 世界 🎉", [], {"deep": [1, {"a": None}]}]
BINARY: list[Any] = [b"\x00\x01\xff", {"one": b"1", "more": [b"22", {"last": b""}]}]

# Whether a client asks for text in place of binary.
TEXT = {"binary": False, "base64": True}


def old_server(**options: Any) -> Server:
    """A server that lets old clients in and gives back what it is sent."""
    io = Server(allow_eio3=True, **options)

    @io.event
    def echo(socket: Socket, *args: Any) -> Ack:
        socket.emit("echoed", *args)
        return Ack(*args)

    return io


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
@run_async
async def test_events_and_answers_carry_everything_both_ways(
    node: Node, way: Way, text: bool
) -> None:
    io = old_server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=OLD, forceBase64=text)
        for args in ([], DATA, BINARY, ["x" * 70_000, bytes(70_000)]):
            assert await client.ask("echo", *args) == args
            assert await client.next("echoed") == args
        await client.on("swap", "(a, b, ack) => ack(b, a)")
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("swap", "é🎉", {"b": b"2"})) == [
            {"b": b"2"},
            "é🎉",
        ]


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_every_host_serves_them(node: Node, way: Way, host: str) -> None:
    io = old_server()
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=way, version=OLD)
        for args in (DATA, BINARY):
            assert await client.ask("echo", *args) == args
        (await client.peer(io)).disconnect(True)
        assert await client.next("disconnect") == ["io server disconnect"]


@run_async
async def test_events_keep_their_order(node: Node, way: Way) -> None:
    io = old_server()
    arrived: list[Any] = []

    @io.event
    def number(socket: Socket, n: int, *data: bytes) -> None:
        arrived.append(n)
        socket.emit("back", n, *data)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=OLD)
        await client.run(
            """
            for (let n = 0; n < 100; n++) {
              if (n % 3) socket.emit("number", n);
              else socket.emit("number", n, Buffer.from([n]));
            }
            """
        )
        back = [await client.next("back") for _ in range(100)]
    assert arrived == list(range(100))
    assert back == [[n] if n % 3 else [n, bytes([n])] for n in range(100)]


@run_async
async def test_the_handshake_tells_who_the_client_is(node: Node, way: Way) -> None:
    io = old_server()
    connected = Inbox()
    io.on("connection", lambda socket: connected.put(socket))
    io.of("/chat").on("connection", lambda socket: connected.put(socket))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=OLD, query="?room=lobby")
        [socket] = await connected.next()
        assert socket.id == socket.conn.id == await client.value("socket.id")
        assert socket.conn.protocol == 3
        assert socket.handshake.query["room"] == "lobby"
        assert socket.handshake.query["EIO"] == "3"
        assert socket.handshake.auth == {}
        other = await clients.join(client, "/chat", query={"token": "a b&c", "n": 1})
        [socket] = await connected.next()
        assert socket.id == f"/chat#{socket.conn.id}" == await other.value("socket.id")
        assert socket.handshake.auth == {"token": "a b&c", "n": "1"}
        assert "token" not in socket.handshake.query
        await other.emit("x")
        await eventually(lambda: socket.connected)


@run_async
async def test_both_kinds_of_clients_in_one_room(node: Node, way: Way) -> None:
    io = old_server()
    io.on("connection", lambda socket: socket.join("room"))
    io.on("say", lambda socket, *args: socket.to("room").emit("said", *args))
    async with node.clients(io) as clients:
        old = await clients.connect(way=way, version=OLD)
        text = await clients.connect(way=way, version=OLD, forceBase64=True)
        new = await clients.connect(way=way, version=LATEST)
        everybody = [old, text, new]
        await eventually(lambda: len(io.sockets.sockets) == 3)
        for args in (DATA, BINARY):
            io.to("room").emit("news", *args)
            for client in everybody:
                assert await client.next("news") == args
            for speaker in everybody:
                await speaker.emit("say", *args)
                for client in everybody:
                    if client is not speaker:
                        assert await client.next("said") == args
        for client in everybody:
            await client.on("count", "(ack) => ack(1)")
        assert await within(io.timeout(30).emit_with_ack("count")) == [1, 1, 1]


@run_async
async def test_middlewares_may_refuse_them(node: Node) -> None:
    io = old_server()

    @io.use
    def first(socket: Socket) -> None:
        if socket.handshake.query.get("who") == "stranger":
            raise ConnectError("not you")

    @io.of("/vip").use
    async def second(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ConnectError("no", {"code": 7})

    async with node.clients(io) as clients:
        stranger = await clients.start(version=OLD, query="?who=stranger")
        assert await stranger.next("error") == ["not you"]
        client = await clients.connect(version=OLD)
        vip = await clients.start_joining(client, "/vip")
        assert await vip.next("error") == [{"code": 7}]
        lost = await clients.start_joining(client, "/nowhere")
        assert await lost.next("error") == [{"message": "Invalid namespace"}]
        assert await client.ask("echo", 1) == [1]


@run_async
async def test_leaving_and_being_told_to_leave(node: Node, way: Way) -> None:
    io = old_server()
    reasons = Inbox()
    for nsp in (io.sockets, io.of("/chat")):
        nsp.on("disconnect", lambda socket, reason: reasons.put(socket.nsp.name, str(reason)))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=OLD)
        chat = await clients.join(client, "/chat")
        await chat.disconnect()
        assert await reasons.next() == ["/chat", "client namespace disconnect"]
        assert await client.ask("echo", 1) == [1]
        (await client.peer(io)).disconnect()
        assert await client.next("disconnect") == ["io server disconnect"]
        assert await reasons.next() == ["/", "server namespace disconnect"]
        again = await clients.connect(way=way, version=OLD)
        (await again.peer(io)).disconnect(True)
        assert await again.next("disconnect") == ["io server disconnect"]
        gone = await clients.connect(way=way, version=OLD)
        await reasons.next()
        await gone.run("socket.io.engine.close()")
        assert await reasons.next() == ["/", "transport close"]


@run_async
async def test_the_client_keeps_the_connection_alive(node: Node) -> None:
    # A client, and the machine, may stand still for more than a second.
    io = old_server(ping_interval=0.1, ping_timeout=1.9)
    reasons = Inbox()
    io.on("disconnect", lambda socket, reason: reasons.put(str(reason)))

    async def live_and_fall_silent(clients: Clients, carrier: Way) -> None:
        client = await clients.connect(way=carrier, version=OLD)
        socket = await client.peer(io)
        beats: list[None] = []
        socket.conn.on("heartbeat", lambda: beats.append(None))
        # More of them than fit into the time a silent client has.
        await eventually(lambda: len(beats) >= 22, f"{carrier.name} lives on")
        await client.run("socket.io.engine.ping = () => {}")
        assert await reasons.next() == ["ping timeout"]

    async with node.clients(io) as clients:
        # At the same time, for each takes its time.
        carriers = (POLLING, WEBSOCKET, UPGRADED)
        await asyncio.gather(*(live_and_fall_silent(clients, carrier) for carrier in carriers))


@run_async
async def test_they_are_refused_unless_they_are_let_in(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.start(way=way, version=OLD)
        (error, *_) = await client.next("connect_error")
        assert isinstance(error, JSError)
    assert io.engine.clients_count == 0


# The engine on its own.


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
@run_async
async def test_messages_of_the_engine_come_back(node: Node, way: Way, text: bool) -> None:
    engine = Engine(allow_eio3=True)
    closed = Inbox()

    @engine.on("connection")
    def connection(session: Session) -> None:
        session.on("message", session.send)
        session.on("close", closed.put)

    messages: list[str | bytes] = ["text", "é\u2028🎉", b"\x00\xff", b"\xe0\x41", "x" * 70_000]
    messages += [bytes(70_000), "with \x1e in it"]
    async with node.clients(engine) as clients:
        client = await clients.engine(version="3", transports=way.transports, forceBase64=text)
        if way.upgraded:
            await client.upgraded()
        for message in messages:
            await client.send(message)
        for message in messages:
            assert await client.next("message") == [message]
        await client.run("socket.close()")
        assert (await closed.next())[0] == "transport close"


@run_async
async def test_the_engine_closes(node: Node, way: Way) -> None:
    engine = Engine(allow_eio3=True)
    sessions: list[Session] = []
    engine.on("connection", sessions.append)
    async with node.clients(engine) as clients:
        client = await clients.engine(version="3", transports=way.transports)
        if way.upgraded:
            await client.upgraded()
        sessions[0].send("last")
        sessions[0].close()
        assert await client.next("message") == ["last"]
        assert await client.next("close") == ["transport close"]
