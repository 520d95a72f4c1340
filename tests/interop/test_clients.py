"""What every application does, with each release of the client in each way."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import Ack, ConnectError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.live import HOSTS
from tests.support.node import Client, JSError, Node, Way

DATA: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "Grüße, 世界 🎉",
    [],
    {},
    {"list": [1, [2, {"deep": None}]], "": "no name"},
]
BINARY: list[Any] = [b"\x00\x01\xff", {"one": b"1", "more": [b"22", {"last": b""}]}]


@run_async
async def test_the_handshake_tells_who_the_client_is(node: Node, way: Way, version: str) -> None:
    io = Server()
    connected = Inbox()
    io.on("connection", lambda socket: connected.put(socket))
    async with node.clients(io) as clients:
        client = await clients.connect(
            way=way,
            version=version,
            query="?room=lobby&name=J%C3%B6rg%20%26%20co",
            auth={"token": "secret", "nested": [1, {"a": None}]},
            extraHeaders={"X-Team": "blue"},
        )
        [socket] = await connected.next()
        assert socket.connected and not socket.disconnected
        assert await client.value("socket.id") == socket.id
        assert await client.value("socket.io.engine.id") == socket.conn.id != socket.id
        shake = socket.handshake
        assert shake.auth == {"token": "secret", "nested": [1, {"a": None}]}
        assert shake.query["room"] == "lobby"
        assert shake.query["name"] == "Jörg & co"
        assert shake.query["EIO"] == "4"
        assert shake.query["transport"] == way.transports[0]
        assert shake.headers["x-team"] == "blue"
        assert shake.headers["host"] == f"127.0.0.1:{clients.port}"
        assert shake.address == "127.0.0.1"
        assert shake.url.startswith("/socket.io/?room=lobby&")
        assert shake.time.endswith(" GMT+0000 (Coordinated Universal Time)")
        assert shake.issued > 1_700_000_000
        assert not shake.secure and not shake.xdomain
        assert not socket.recovered
        if not way.upgraded and len(way.transports) > 1:
            await client.upgraded()
        assert await client.transport() == way.transport
        await eventually(lambda: socket.conn.transport.name == way.transport)


@run_async
async def test_events_and_answers_carry_everything_both_ways(
    node: Node, way: Way, version: str
) -> None:
    io = Server()

    @io.event
    def echo(socket: Socket, *args: Any) -> Ack:
        socket.emit("echoed", *args)
        return Ack(*args)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version)
        for args in ([], DATA, BINARY):
            assert await client.ask("echo", *args) == args
            assert await client.next("echoed") == args
        await client.on("swap", "(a, b, ack) => ack(b, a)")
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("swap", 1, {"b": b"2"})) == [{"b": b"2"}, 1]


@run_async
async def test_events_keep_their_order(node: Node, way: Way, version: str) -> None:
    io = Server()
    arrived: list[Any] = []

    @io.event
    def number(socket: Socket, n: int, data: bytes | None = None) -> None:
        arrived.append((n, data))
        socket.emit("number", n, *([] if data is None else [data]))

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version)
        await client.run(
            """
            for (let n = 0; n < 150; n++) {
              if (n % 3) socket.emit("number", n);
              else socket.emit("number", n, Buffer.from([n]));
            }
            """
        )
        back = [await client.next("number") for _ in range(150)]
    assert arrived == [(n, None if n % 3 else bytes([n])) for n in range(150)]
    assert back == [[n] if n % 3 else [n, bytes([n])] for n in range(150)]


@run_async
async def test_rooms_and_namespaces(node: Node, way: Way, version: str) -> None:
    io = Server()
    io.of("/chat").on("connection", lambda socket: socket.join("lobby"))

    @io.of("/chat").event
    def say(socket: Socket, text: str) -> None:
        socket.to("lobby").emit("said", text)
        io.of("/chat").to("lobby").emit("heard", text)

    async with node.clients(io) as clients:
        first = await clients.connect("/chat", way=way, version=version)
        second = await clients.connect("/chat", way=way, version=version)
        main = await clients.join(second, "/")
        await first.emit("say", "hi")
        assert await second.next("said") == ["hi"]
        assert await second.next("heard") == ["hi"]
        assert await first.next("heard") == ["hi"]
        io.emit("main")
        assert await main.next("main") == []
        assert first.names() == ["connect", "heard"]
        assert second.names() == ["connect", "said", "heard"]


@run_async
async def test_refusals_reach_the_client(node: Node, way: Way, version: str) -> None:
    io = Server()

    async def gate(socket: Socket) -> None:
        if socket.handshake.auth.get("password") != "sesame":
            raise ConnectError("not you", {"retry": False})

    io.of("/private").use(gate)
    async with node.clients(io) as clients:
        stranger = await clients.start("/private", way=way, version=version)
        [error] = await stranger.next("connect_error")
        assert isinstance(error, JSError)
        assert (error.message, error.fields["data"]) == ("not you", {"retry": False})
        lost = await clients.start("/nowhere", way=way, version=version)
        [error] = await lost.next("connect_error")
        assert error.message == "Invalid namespace"
        friend = await clients.connect(
            "/private", way=way, version=version, auth={"password": "sesame"}
        )
        assert list(io.of("/private").sockets) == [await friend.value("socket.id")]


async def _reasons(io: Server, client: Client, gone: Inbox) -> tuple[str, str]:
    reason, *_ = await gone.next()
    said, *_ = await client.next("disconnect")
    return reason, said


@run_async
async def test_either_side_can_disconnect(node: Node, way: Way, version: str) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    io.on("leave", lambda socket: socket.disconnect())
    io.on("out", lambda socket: socket.disconnect(True))
    async with node.clients(io) as clients:

        async def connect() -> Client:
            return await clients.connect(way=way, version=version)

        client = await connect()
        await client.disconnect()
        expected = ("client namespace disconnect", "io client disconnect")
        assert await _reasons(io, client, gone) == expected
        for event in ("leave", "out"):
            client = await connect()
            await client.emit(event)
            expected = ("server namespace disconnect", "io server disconnect")
            assert await _reasons(io, client, gone) == expected
        assert not io.sockets.sockets


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_both_hosts_carry_the_same(node: Node, way: Way, host: str) -> None:
    io = Server()

    @io.event
    async def echo(socket: Socket, *args: Any) -> Ack:
        await socket.emit("echoed", *args)
        return Ack(*args)

    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=way)
        for args in (DATA, BINARY, ["x" * 200_000, bytes(200_000)]):
            assert await client.ask("echo", *args) == args
            assert await client.next("echoed") == args
        await client.emit("echo", 1)
        assert await client.next("echoed") == [1]
        socket = await client.peer(io)
        socket.disconnect(True)
        expected = ("server namespace disconnect", "io server disconnect")
        assert await _reasons(io, client, gone) == expected
