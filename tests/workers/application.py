"""What workers serve that are processes: `nuncio serve tests.workers.application:io`."""

from __future__ import annotations

from typing import Any

import nuncio

io = nuncio.Server()


@io.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """Everybody is in one room."""
    socket.join("everybody")


@io.event
def echo(socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
    """Answer with what came."""
    return nuncio.Ack(*args)


@io.event
def shout(socket: nuncio.Socket, text: str) -> None:
    """Tell everybody."""
    io.to("everybody").emit("shout", text)
