"""A server to talk to: `python -m tests.cli.server PORT`."""

from __future__ import annotations

import sys
from typing import Any

import nuncio

io = nuncio.Server()
admin = io.of("/admin")


@io.on("connection")
def connection(socket: nuncio.Socket) -> None:
    socket.emit("hello", socket.id)


@io.event
def echo(socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
    return nuncio.Ack(*args)


@io.event
def say(socket: nuncio.Socket, *args: Any) -> None:
    io.emit("said", *args)


@io.event
def flood(socket: nuncio.Socket, count: int) -> None:
    for number in range(count):
        socket.emit("flooding", number, "water " * 10)


@io.event
def silent(socket: nuncio.Socket, ack: nuncio.AckCallback) -> None:
    """It never answers."""


@io.event
async def ask_me(socket: nuncio.Socket, *args: Any) -> None:
    answer = await socket.emit_with_ack("question", *args)
    socket.emit("thanks", answer)


@io.event
def whoami(socket: nuncio.Socket) -> dict[str, Any]:
    handshake = socket.handshake
    return {
        "auth": dict(handshake.auth),
        "header": handshake.headers.get("x-test"),
        "cookie": handshake.headers.get("cookie"),
        "query": handshake.query.get("room"),
        "transport": socket.conn.transport.name,
    }


@io.event
def kick(socket: nuncio.Socket) -> None:
    socket.disconnect()


@io.event
def drop(socket: nuncio.Socket) -> None:
    socket.conn.close()


@admin.use
def only_with_token(socket: nuncio.Socket) -> None:
    if socket.handshake.auth.get("token") != "secret":
        raise nuncio.ConnectError("who are you?", {"code": 401})


@admin.event
def stats(socket: nuncio.Socket) -> dict[str, int]:
    return {"clients": len(io.of("/").sockets)}


if __name__ == "__main__":
    io.run(port=int(sys.argv[1]))
