"""Beside FastAPI and Starlette: in front of them, or mounted below."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import pytest
import starlette.applications
import starlette.middleware
import starlette.responses
import starlette.routing
import uvicorn
from fastapi.middleware.cors import CORSMiddleware

from nuncio import Server, Socket
from nuncio.engine.websocket import WebSocketTransport
from nuncio.hosts.asgi import ASGIWebSocketTransport
from tests.support.aio import run_async
from tests.support.rawclient import Peer, Polling, Refused, WebSocket, fetch, websocket_target

NATIVE = "nuncio.hosts.uvicorn:NuncioProtocol"
PLAIN = "websockets-sansio"


@asynccontextmanager
async def served(app: Any, ws: str = PLAIN) -> AsyncIterator[int]:
    """Serve an application by uvicorn; yields the port."""
    config = uvicorn.Config(app, port=0, ws=ws, log_level="warning")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def echo_server(**options: Any) -> Server:
    io = Server(**options)
    io.on("echo", lambda socket, value: value)
    return io


def fastapi_app(io: Server, life: list[str]) -> fastapi.FastAPI:
    """An application with routes of its own, one of which reaches the sockets."""

    @asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        life.append("started")
        yield
        life.append("ended")

    api = fastapi.FastAPI(lifespan=lifespan)

    @api.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @api.post("/tell/{room}")
    async def tell(room: str, body: dict[str, Any]) -> None:
        io.to(room).emit("told", body)

    @api.websocket("/own")
    async def own(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("own " + await websocket.receive_text())
        except fastapi.WebSocketDisconnect as end:
            life.append(f"closed with {end.code}")

    return api


async def routes_work(port: int) -> None:
    """The application's own routes and WebSockets answer as they always do."""
    assert (await fetch(port, "/hello")).json == {"hello": "world"}
    assert (await fetch(port, "/nothing")).status == 404
    assert (await fetch(port, "/openapi.json")).json["paths"].keys() >= {"/hello"}
    async with await WebSocket.open(port, "/own") as socket:
        await socket.send("text")
        assert await socket.receive() == "own text"
        await socket.close(4001)


async def sockets_work(port: int, path: str) -> None:
    """Socket.IO works below a path, over both transports and from one to the other."""
    async with await Peer.join(port, path=path) as peer:
        assert await peer.ask("echo", "é") == ["é"]
    polling = await Polling.open(port, path)
    await polling.post("40")
    assert (await polling.receive())[0].startswith("40{")
    async with await polling.probe() as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.send("5", '421["echo",2]')
        assert await socket.receive() == "431[2]"


@pytest.mark.parametrize("ws", [NATIVE, PLAIN])
@run_async
async def test_in_front_of_fastapi(ws: str) -> None:
    io, life = echo_server(), list[str]()
    async with served(io.asgi(fastapi_app(io, life)), ws) as port:
        assert life == ["started"]
        await routes_work(port)
        await sockets_work(port, "/socket.io/")
    assert life == ["started", "closed with 4001", "ended"]


@run_async
async def test_in_front_of_fastapi_under_its_own_server() -> None:
    io, life = echo_server(), list[str]()
    async with await io.listen(0, app=fastapi_app(io, life)) as listening:
        assert life == ["started"]
        await routes_work(listening.port)
        await sockets_work(listening.port, "/socket.io/")
    assert life == ["started", "closed with 4001", "ended"]


@pytest.mark.parametrize("ws", [NATIVE, PLAIN])
@pytest.mark.parametrize(
    ("mount", "path"),
    [("/ws", "/ws/socket.io/"), ("/socket.io", "/socket.io/"), ("", "/socket.io/")],
)
@run_async
async def test_mounted_below_fastapi(mount: str, path: str, ws: str) -> None:
    io, life = echo_server(), list[str]()
    api = fastapi_app(io, life)
    api.mount(mount, io.asgi())
    async with served(api, ws) as port:
        await routes_work(port)
        await sockets_work(port, path)
        with pytest.raises(Refused):
            await WebSocket.open(port, websocket_target("/elsewhere/"))


@run_async
async def test_mounted_below_starlette() -> None:
    io = echo_server(path="/live")

    async def hello(request: Any) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse("hello")

    routes = [
        starlette.routing.Route("/hello", hello),
        starlette.routing.Mount("/deep/er", io.asgi()),
    ]
    async with served(starlette.applications.Starlette(routes=routes)) as port:
        assert (await fetch(port, "/hello")).text == "hello"
        await sockets_work(port, "/deep/er/live/")


@run_async
async def test_a_route_reaches_the_sockets() -> None:
    io = echo_server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("screens")

    app = io.asgi(fastapi_app(io, []))
    async with served(app, NATIVE) as port, await Peer.join(port) as peer:
        headers = [("Content-Type", "application/json")]
        told = await fetch(port, "/tell/screens", "POST", headers, b'{"news":1}')
        assert told.status == 200
        assert await peer.receive() == '42["told",{"news":1}]'


@pytest.mark.parametrize(
    ("wrap", "transport"),
    [
        # In front of the application, whatever is around that.
        (lambda io, api: io.asgi(api), WebSocketTransport),
        # Behind the application's own middlewares.
        (lambda io, api: api.mount("/", io.asgi()) or api, ASGIWebSocketTransport),
    ],
)
@run_async
async def test_middlewares_of_the_application_see_what_is_behind_them(
    wrap: Callable[[Server, fastapi.FastAPI], Any], transport: type
) -> None:
    io = echo_server()
    api = fastapi.FastAPI()
    api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
    async with served(wrap(io, api), NATIVE) as port:
        own = [("Origin", f"http://127.0.0.1:{port}"), ("Host", f"127.0.0.1:{port}")]
        assert (await fetch(port, "/docs", headers=own)).status == 200
        async with await Peer.join(port) as peer:
            (socket,) = io.sockets.sockets.values()
            assert type(socket.conn.transport) is transport
            assert await peer.ask("echo", 1) == [1]
