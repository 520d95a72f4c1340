"""A server with the application of the captures, its admin pages and its users."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import bcrypt

import nuncio
from tests.support.aio import eventually

# As quick as bcrypt can be.
HASH = bcrypt.hashpw(b"changeit", bcrypt.gensalt(4)).decode()
AUTH = {"username": "ops", "password": HASH}
CREDENTIALS = {"username": "ops", "password": "changeit"}


class Site:
    """A server, and what its clients were told.

    Attributes:
        log: the client's name, the event and its arguments.
    """

    def __init__(self, io: nuncio.Server, port: int) -> None:
        self.io = io
        self.url = f"http://127.0.0.1:{port}"
        self.log: list[tuple[str, str, list[Any]]] = []
        self._managers: list[nuncio.Manager] = []

    def client(
        self, name: str, nsp: str = "/", auth: Any = None, transports: Any = ("websocket",)
    ) -> nuncio.ClientSocket:
        """A client that is not connected yet; what it is told is logged."""
        manager = nuncio.Manager(
            self.url, transports=list(transports), reconnection=False, auto_connect=False
        )
        self._managers.append(manager)
        socket = manager.socket(nsp, auth=auth)

        def told(event: str, *args: Any) -> None:
            self.log.append((name, event, list(args)))

        socket.on_any(told)
        socket.on("connect", lambda: told("$connect"))
        socket.on("connect_error", lambda error: told("$connect_error", error.message))
        return socket

    def page(self, auth: Any = None, nsp: str = "/admin") -> nuncio.ClientSocket:
        """An admin page."""
        return self.client("admin", nsp, auth or CREDENTIALS)

    def told(self, event: str, name: str = "admin") -> list[list[Any]]:
        """The arguments with which an event has come until now."""
        return [args for who, what, args in self.log if (who, what) == (name, event)]

    async def hears(
        self, event: str, wanted: Callable[[list[list[Any]]], object] = bool, name: str = "admin"
    ) -> list[list[Any]]:
        """Wait until what `told` says of an event is what is wanted, and return it."""
        await eventually(lambda: wanted(self.told(event, name)), event)
        return self.told(event, name)

    async def comes(self, socket: nuncio.ClientSocket) -> nuncio.ClientSocket:
        """Wait until a client is connected."""
        socket.connect()
        await eventually(lambda: socket.connected, "connected")
        return socket

    async def close(self) -> None:
        """Its clients leave."""
        for manager in self._managers:
            await manager.close()


def application(**options: Any) -> nuncio.Server:
    """The server of the captures."""
    io = nuncio.Server(**options)
    io.of(re.compile("^/dyn"))

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        socket.data["user"] = "u1"
        socket.join("lobby")

    @io.event
    def hi(socket: nuncio.Socket, data: Any) -> str:
        socket.emit("reply", data, b"zz")
        return "ok"

    @io.on("set")
    def change(socket: nuncio.Socket) -> None:
        socket.data["nested"] = {"a": 1}
        socket.data["nested"]["a"] = 2

    return io


@asynccontextmanager
async def site(io: nuncio.Server | None = None, **options: Any) -> AsyncIterator[Site]:
    """An instrumented server; it and its clients end with the block."""
    io = application() if io is None else io
    nuncio.instrument(io, **{"auth": AUTH, "server_id": "srv-1", **options})
    listening = await io.listen(0)
    here = Site(io, listening.port)
    try:
        yield here
    finally:
        await here.close()
        await io.close(0.5)
