"""What is served under each host: Socket.IO in front of a FastAPI application."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI, WebSocket

import nuncio

# Any file will do for a client.
io = nuncio.Server(
    serve_client={"socket.io.js": __file__},
    transports=["polling", "websocket", "stream", "sse", "forever"],
)
api = FastAPI()
app = io.asgi(api)


class Sum(msgspec.Struct):
    """Two numbers."""

    left: int
    right: int


@io.event
def echo(socket: nuncio.Socket, *values: object) -> None:
    """Send everything back."""
    socket.emit("echo", *values)


@io.event
async def add(socket: nuncio.Socket, numbers: Sum) -> int:
    """Add two numbers."""
    return numbers.left + numbers.right


@io.event
def who(socket: nuncio.Socket) -> nuncio.Ack:
    """Tell the client what is known of it."""
    return nuncio.Ack(socket.handshake.address, socket.handshake.secure)


@io.event
def leave(socket: nuncio.Socket) -> None:
    """Send the client away."""
    socket.disconnect()


@api.get("/hello")
def hello() -> dict[str, str]:
    """The application's own route."""
    return {"hello": "world"}


@api.websocket("/own")
async def own(websocket: WebSocket) -> None:
    """The application's own WebSocket."""
    await websocket.accept()
    await websocket.send_text("own " + await websocket.receive_text())
    await websocket.close()


# Behind a path of a larger application.
outer = FastAPI()
outer.mount("/deep", nuncio.Server.asgi(io))
