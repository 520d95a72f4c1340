"""A server for hostile clients, and the proof that nobody else notices them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nuncio
from tests.support.aio import eventually
from tests.support.live import Home
from tests.support.rawclient import Peer, fetch

# uvicorn's does not hand on what it is told.
_LOGGERS = [logging.getLogger(), logging.getLogger("uvicorn")]

FOREIGN = ("Origin", "https://evil.example")


class Arena(Home):
    """A server with everything an attacker may want to touch.

    Attributes:
        io: the server.
        sessions: how each session ended, reason and description, by its secret id.
        sockets: the reason with which each socket ended, by its public id.
        errors: what `error` listeners of sockets were given.
        heard: the events that reached a handler.
        peer: what its well-behaved clients are.
    """

    def __init__(
        self,
        host: str = "native",
        *,
        uvloop: bool = True,
        peer: type[Peer] = Peer,
        **options: Any,
    ) -> None:
        self.peer = peer
        self.io = nuncio.Server(**options)
        self.sessions: dict[str, tuple[str, str]] = {}
        self.sockets: dict[str, str] = {}
        self.errors: list[str] = []
        self.heard: list[tuple[Any, ...]] = []
        self._serve()
        super().__init__(self.io, host, uvloop=uvloop)
        # The first page of another origin is told to the developer, the rest is silence.
        self.run(fetch(self.port, "/socket.io/?EIO=4&transport=polling", headers=[FOREIGN]))

    def _serve(self) -> None:
        io = self.io

        @io.engine.on("connection")
        def session(session: nuncio.Session) -> None:
            session.on("close", lambda *end: self.sessions.__setitem__(session.id, end))

        @io.on("connection")
        def connection(socket: nuncio.Socket) -> None:
            socket.on("error", lambda error: self.errors.append(str(error)))

        @io.on("disconnect")
        def disconnect(socket: nuncio.Socket, reason: str) -> None:
            self.sockets[socket.id] = reason

        @io.event
        def echo(socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
            self.heard.append(args)
            return nuncio.Ack(*args)

        @io.event
        async def slow(socket: nuncio.Socket) -> str:
            await asyncio.sleep(0)
            return "done"

        for name in ("/admin", "/other"):
            io.of(name).on("disconnect", disconnect)

    @property
    def timers(self) -> int:
        """How many timers are armed."""
        wheel: Any = self.io.engine.config().wheel
        return sum(len(bucket) for bucket in wheel._buckets.values())

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Peer]:
        """What happens inside must leave a well-behaved client, and the server, as they were.

        Yields:
            the well-behaved client.
        """
        io = self.io
        alarm = _Alarm()
        for logger in _LOGGERS:
            logger.addHandler(alarm)
        try:
            async with await self.peer.join(self.port) as witness:
                assert await witness.ask("echo", "before") == ["before"]
                before = self._state()
                yield witness
                assert await witness.ask("echo", "after", 1) == ["after", 1]
                assert await witness.ask("slow") == ["done"]
                await eventually(lambda: self._rests(before), self._difference(before))
                assert list(io.sockets.sockets) == [witness.sid]
        finally:
            for logger in _LOGGERS:
                logger.removeHandler(alarm)
        await eventually(lambda: not io.engine.sessions, "sessions are gone")
        assert alarm.messages == []

    async def settled(self) -> None:
        """Wait until the server has read whatever was sent to it.

        It is in this loop, and reads connections as their bytes come: what it answers now, on a
        connection of its own, came later than the rest.
        """
        response = await fetch(self.port, "/socket.io/?EIO=4&transport=none")
        assert response.status == 400

    def _state(self) -> dict[str, int]:
        return {
            "sessions": len(self.io.engine.sessions),
            "handshakes": self.io.handshakes,
            "tasks": len(asyncio.all_tasks()),
            "timers": self.timers,
            "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        }

    def _rests(self, before: dict[str, int]) -> bool:
        """Whether nothing is there that was not before; what lingered then may have gone."""
        return all(value <= before[name] for name, value in self._state().items())

    def _difference(self, before: dict[str, int]) -> Any:
        return _Lazy(lambda: f"{before} again, and not {self._state()}")


class _Lazy:
    """A text that is made when it is needed."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __str__(self) -> str:
        return str(self._make())


class _Alarm(logging.Handler):
    """Keeps what is logged as a warning or worse: no peer may cause that."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # uvicorn's classes for WebSockets forget that they themselves sent a refusal.
        if record.getMessage() != "ASGI callable returned without completing handshake.":
            self.messages.append(self.format(record))
