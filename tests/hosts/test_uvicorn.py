"""uvicorn with Nuncio's WebSocket class, as `uvicorn --ws` sets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from nuncio import Limits, Server, Socket
from nuncio.cluster import LocalBus
from nuncio.engine.websocket import WebSocketTransport
from nuncio.hosts.asgi import ASGIWebSocketTransport
from nuncio.hosts.uvicorn import NuncioProtocol
from tests.support.aio import SharedLoop, eventually, run_async, within
from tests.support.live import give_up
from tests.support.rawclient import (
    Peer,
    Polling,
    Refused,
    WebSocket,
    websocket_target,
)


@asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[int]:
    """Serve an application as the command line would; yields the port."""
    settings: dict[str, Any] = {"ws": NuncioProtocol, "http": "httptools", "log_level": "warning"}
    config = uvicorn.Config(app, port=0, **{**settings, **options})
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def own_websocket(scope: Any, receive: Any, send: Any) -> None:
    """Another application, with a WebSocket that echoes."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-from", b"application")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"own {message['text']}"})


def echo_server(**options: Any) -> Server:
    io = Server(**options)
    io.on("echo", lambda socket, value: value)
    return io


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("log_level", ["warning", "trace"])
@run_async
async def test_websockets_take_the_native_path(http: str, log_level: str) -> None:
    io = echo_server()
    app = io.asgi(own_websocket)
    async with (
        served(app, http=http, log_level=log_level) as port,
        await Peer.join(port) as peer,
    ):
        (socket,) = io.sockets.sockets.values()
        assert isinstance(socket.conn.transport, WebSocketTransport)
        assert await peer.ask("echo", "é") == ["é"]


@pytest.fixture
def uvloop() -> Iterator[SharedLoop]:
    """A loop of uvloop's, which the command line uses."""
    loop = SharedLoop(uvloop=True)
    yield loop
    loop.close()


@run_async
async def test_under_uvloop(uvloop: SharedLoop) -> None:
    io = echo_server()
    async with served(io.asgi()) as port, await Peer.join(port) as peer:
        (socket,) = io.sockets.sockets.values()
        assert isinstance(socket.conn.transport, WebSocketTransport)
        assert await peer.ask("echo", [1]) == [[1]]


@run_async
async def test_it_takes_part_in_its_cluster_from_the_start_to_the_end() -> None:
    bus = LocalBus()
    other = Server(adapter=bus)
    await other.engine.start()
    io = Server(adapter=bus)
    async with served(io.asgi(own_websocket)) as port:
        assert await other.sockets.adapter.server_count() == 2
        async with await Peer.join(port) as peer:
            other.emit("news", 1)
            assert await peer.socket.receive() == '42["news",1]'
    assert await other.sockets.adapter.server_count() == 1
    await other.close()


@run_async
async def test_other_websockets_are_the_applications() -> None:
    io = echo_server()
    async with served(io.asgi(own_websocket)) as port:
        async with await WebSocket.open(port, "/own") as socket:
            assert socket.head.header("x-from") == "application"
            for text in ("one", "two"):
                await socket.send(text)
                assert await socket.receive() == f"own {text}"
            await socket.close()
        async with await Peer.join(port) as peer:
            assert await peer.ask("echo", 1) == [1]


@run_async
async def test_an_upgrade_from_long_polling_under_plain_http() -> None:
    io = echo_server()
    async with served(io.asgi()) as port:
        polling = await Polling.open(port)
        await polling.post("40")
        await polling.receive()
        async with await polling.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await socket.send("5")
            await socket.send('421["echo",5]')
            assert await socket.receive() == "431[5]"


@run_async
async def test_a_middleware_around_it_is_not_passed_by() -> None:
    io = echo_server()

    class Guard:
        """What an application may put around everything: nobody gets past it."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan" or (b"x-pass", b"yes") in scope["headers"]:
                await self.app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})

    async with served(Guard(io.asgi(own_websocket))) as port:
        with pytest.raises(Refused, match="403"):
            await WebSocket.open(port, websocket_target())
        assert io.engine.clients_count == 0
        async with await WebSocket.open(port, websocket_target(), [("X-Pass", "yes")]) as socket:
            assert str(await socket.receive()).startswith("0{")
            (session,) = io.engine.sessions.values()
            # Behind something that is not known, it is an application like any other.
            assert isinstance(session.transport, ASGIWebSocketTransport)


@run_async
async def test_the_peer_is_the_client() -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("connection", lambda socket: found.append(socket.handshake))
    async with served(io.asgi(), proxy_headers=False) as port:
        headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Token", "1"), ("Cookie", "a=b")]
        async with await WebSocket.open(port, websocket_target() + "&a=%C3%A9", headers) as socket:
            await socket.send("40")
            await eventually(lambda: found)
    (handshake,) = found
    assert handshake.address == "127.0.0.1"
    assert not handshake.secure
    assert handshake.headers["x-token"] == "1"
    assert handshake.headers["cookie"] == "a=b"
    assert handshake.query["a"] == "é"


@pytest.mark.parametrize("way", ["websocket", "polling"])
@pytest.mark.parametrize(
    ("trusted", "chain", "address", "secure"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9", True),
        ("127.0.0.1", "spoofed, 203.0.113.9", "203.0.113.9", True),
        ("127.0.0.1,198.51.100.1", "203.0.113.9, 198.51.100.1", "203.0.113.9", True),
        ("*", "203.0.113.9, 198.51.100.1", "203.0.113.9", True),
        ("192.0.2.1", "203.0.113.9", "127.0.0.1", False),
    ],
)
@run_async
async def test_proxies_are_believed_when_they_are_trusted(
    way: str, trusted: str, chain: str, address: str, secure: bool
) -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("connection", lambda socket: found.append(socket.handshake))
    headers = [("X-Forwarded-For", chain), ("X-Forwarded-Proto", "https")]
    async with served(io.asgi(), forwarded_allow_ips=trusted) as port:
        if way == "websocket":
            async with await WebSocket.open(port, websocket_target(), headers) as socket:
                await socket.send("40")
                await eventually(lambda: found)
        else:
            client = await Polling.open(port, headers=headers)
            await client.post("40")
            await client.receive()
            give_up(io.engine)
    assert (found[0].address, found[0].secure) == (address, secure)


@pytest.mark.parametrize("way", ["websocket", "polling"])
@run_async
async def test_the_own_server_believes_proxies_on_this_machine_alone(way: str) -> None:
    io = echo_server()
    found: list[Any] = []
    io.on("connection", lambda socket: found.append(socket.handshake.address))
    headers = [("X-Forwarded-For", "203.0.113.9")]
    for options in ({}, {"forwarded_allow_ips": "192.0.2.1"}):
        async with await io.listen(0, **options) as listening:
            if way == "websocket":
                target = websocket_target()
                async with await WebSocket.open(listening.port, target, headers) as socket:
                    await socket.send("40")
                    await socket.receive()
                    await socket.receive()
            else:
                client = await Polling.open(listening.port, headers=headers)
                await client.post("40")
                await client.receive()
                give_up(io.engine)
    assert found == ["203.0.113.9", "127.0.0.1"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Sec-WebSocket-Key", "short")], 400),
        ([("Sec-WebSocket-Version", "8")], 426),
        ([("X-Long", "x" * 5000)], 431),
    ],
)
@run_async
async def test_a_wrong_handshake_is_refused(headers: list[tuple[str, str]], status: int) -> None:
    io = echo_server(limits=Limits(header_bytes=4000))
    async with served(io.asgi()) as port:
        with pytest.raises(Refused, match=f"^{status} "):
            await WebSocket.open(port, websocket_target(), headers)
    assert io.engine.clients_count == 0


@run_async
async def test_without_a_websocket_library_other_websockets_are_not_there() -> None:
    # An application without WebSocket routes of its own.
    io = echo_server()
    async with served(io.asgi()) as port:
        with pytest.raises(Refused, match="403"):
            await WebSocket.open(port, "/own")


@run_async
async def test_nested_applications_are_found() -> None:
    one, two = echo_server(), echo_server(path="/two")
    async with served(one.asgi(two.asgi(own_websocket))) as port:
        for io, path in ((one, "/socket.io/"), (two, "/two/")):
            async with await Peer.join(port, path=path) as peer:
                assert await peer.ask("echo", path) == [path]
                (socket,) = io.sockets.sockets.values()
                assert isinstance(socket.conn.transport, WebSocketTransport)


@run_async
async def test_clients_are_told_when_uvicorn_stops() -> None:
    io = echo_server()
    reasons: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with served(io.asgi()) as port:
        peer = await Peer.join(port)
        io.emit("last")
        reading = asyncio.ensure_future(_until_closed(peer))
        # Leaving the block stops uvicorn.
    assert await within(reading) == ['42["last"]']
    assert reasons == ["server shutting down"]


async def _until_closed(peer: Peer) -> list[str]:
    messages = []
    async with peer:
        try:
            while True:
                messages.append(await peer.receive())
        except Exception:
            return messages
