"""Our own clients in a test: what they were told, and that they end with it.

async with ours(server.url) as clients:
    client = await clients.connect("/foo")
    await server.emit("news", 1, nsp="/foo")
    assert await client.next("news") == [1]
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from nuncio import ClientSocket, Manager
from nuncio.client import EngineClient
from tests.support.aio import within
from tests.support.node import WEBSOCKET, Seen, Way
from tests.support.ports import free_port

LIFECYCLE = ("connect", "connect_error", "disconnect")
MANAGER = (
    "open",
    "error",
    "close",
    "reconnect_attempt",
    "reconnect",
    "reconnect_error",
    "reconnect_failed",
)
ENGINE = ("handshake", "open", "message", "upgrading", "upgrade", "upgrade_error", "error", "close")

# Attempts to reconnect follow each other quickly.
QUICK: dict[str, Any] = {"reconnection_delay": 0.02, "randomization_factor": 0}

_OFFSET = re.compile(r"[0-9]{10,}-[0-9]+(\+[0-9a-f]+\.[0-9]+)?")

# What belongs to a socket; the rest belongs to its Manager.
_OF_SOCKETS = ("auth", "retries", "ack_timeout")


def nobody() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


class Heard:
    """Keeps what something that has `on` tells.

    Args:
        source: what is listened to.
        names: its events.

    Attributes:
        log: names and arguments, in order.
    """

    def __init__(self, source: Any, names: tuple[str, ...]) -> None:
        self._seen = Seen()
        for name in names:
            source.on(name, self._keep(name))

    def _keep(self, name: str) -> Callable[..., None]:
        return lambda *args: self.add(name, *args)

    def add(self, name: str, *args: Any) -> None:
        """Something was told."""
        self._seen.add(name, list(args))

    @property
    def log(self) -> list[tuple[str, list[Any]]]:
        """What was told so far, in order."""
        return self._seen.log

    def names(self) -> list[str]:
        """The names of what was told so far, in order."""
        return [name for name, _ in self.log]

    def count(self, name: str) -> int:
        """How often something of this name was told."""
        return self.names().count(name)

    def forget(self) -> None:
        """Begin anew with what was told."""
        self._seen.log.clear()
        self._seen.queues.clear()

    async def next(self, name: str) -> list[Any]:
        """The arguments of the earliest of this name not yet taken."""
        try:
            args: list[Any] = await within(self._seen.queue(name).get())
        except TimeoutError:
            raise AssertionError(f"no {name!r} came, but {self.log}") from None
        return args


class Client(Heard):
    """A socket, and all that it and its Manager tell.

    Attributes:
        socket: it.
        manager: its Manager.
        told: what the Manager tells.
        recovers: whether what it is sent ends with an offset, which is left out here.
    """

    def __init__(self, socket: ClientSocket, told: Heard) -> None:
        self.recovers = False
        super().__init__(socket, LIFECYCLE)
        self.socket = socket
        self.manager: Manager = socket.io
        self.told = told
        socket.on_any(self.add)

    def add(self, name: str, *args: Any) -> None:
        """See `Heard.add`."""
        if self.recovers and args and _OFFSET.fullmatch(str(args[-1])):
            args = args[:-1]
        super().add(name, *args)

    @property
    def transport(self) -> str:
        """The name of what carries its packets now."""
        engine = self.manager.engine
        assert engine is not None and engine.transport is not None
        return engine.transport.name

    async def upgraded(self) -> None:
        """Wait until it has left long-polling."""
        engine = self.manager.engine
        assert engine is not None
        if self.transport == "websocket":
            return
        done = asyncio.Event()
        engine.once("upgrade", lambda *_: done.set())
        await within(done.wait())

    def cut(self) -> None:
        """End the connection from here, not the socket: it reconnects."""
        engine = self.manager.engine
        assert engine is not None
        engine.close()


class Ours:
    """The clients of one test.

    Args:
        url: the server's, without a namespace.
        options: of each, unless it has its own.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self._options = {**QUICK, **options}
        self._managers: list[Manager] = []
        self._told: dict[Manager, Heard] = {}
        self._engines: list[EngineClient] = []

    def manager(self, url: str | None = None, **options: Any) -> Manager:
        """Make a Manager. It listens to nothing before a socket is made of it."""
        manager = Manager(url or self.url, **{**self._options, **options})
        self._managers.append(manager)
        self._told[manager] = Heard(manager, MANAGER)
        return manager

    def told(self, manager: Manager) -> Heard:
        """What one of the Managers told so far."""
        return self._told[manager]

    def start(
        self,
        nsp: str = "/",
        *,
        way: Way = WEBSOCKET,
        manager: Manager | None = None,
        url: str | None = None,
        **options: Any,
    ) -> Client:
        """Make a client without waiting for its connection.

        Args:
            nsp: the namespace.
            way: its transports.
            manager: whose socket it is; None for a new one.
            url: the server's, in place of the usual one.
            options: the socket's, and those of the new Manager.
        """
        own = {name: options.pop(name) for name in _OF_SOCKETS if name in options}
        if manager is None:
            options.setdefault("transports", way.transports)
            manager = self.manager(url, **options)
        return Client(manager.socket(nsp, **own), self._told[manager])

    async def connect(self, nsp: str = "/", *, way: Way = WEBSOCKET, **options: Any) -> Client:
        """Make a client and wait until it is connected; see `start`."""
        client = self.start(nsp, way=way, **options)
        await client.next("connect")
        if way.upgraded:
            await client.upgraded()
        return client

    def engine(self, url: str | None = None, **options: Any) -> tuple[EngineClient, Heard]:
        """Open an Engine.IO client that stands alone; and what it tells."""
        engine = EngineClient(url or self.url, **{"path": "/engine.io", **options})
        self._engines.append(engine)
        heard = Heard(engine, ENGINE)
        engine.open()
        return engine, heard

    async def some_time(self) -> None:
        """Wait as long as a client with the same delays takes for three attempts in vain."""
        other = self.start(url=nobody(), reconnection_attempts=3, auto_connect=True)
        await other.told.next("reconnect_failed")

    async def close(self) -> None:
        """End all of them, and wait until they have."""
        for engine in self._engines:
            engine.close()
            await within(engine.wait_closed())
        for manager in self._managers:
            await within(manager.close())


@asynccontextmanager
async def ours(url: str, **options: Any) -> AsyncIterator[Ours]:
    """Clients of a server, which end with the block."""
    clients = Ours(url, options)
    try:
        yield clients
    finally:
        await clients.close()
