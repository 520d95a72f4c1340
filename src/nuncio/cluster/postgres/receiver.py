"""The connection that listens: for all namespaces of a server, and to the attachments they need."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nuncio.cluster.line import Changed, Line, outcome
from nuncio.cluster.postgres.endpoint import ENGINE, Endpoint
from nuncio.cluster.postgres.intake import Intake, Listener
from nuncio.cluster.postgres.session import Session
from nuncio.cluster.postgres.wire import Wire

# Whoever writes larger ones shall not fill the memory.
_MOST_ATTACHMENT: Final = 64 * 1024 * 1024

# Longer than usual may be waited for so many bytes.
_USUAL_BYTES: Final = 16 * 1024 * 1024


class Receiver(Line):
    """Listens, and goes on listening after a loss.

    Args:
        endpoint: where PostgreSQL is.
        changed: see `Line`.
        table: the table of attachments.
        wire: reads what arrives.
    """

    engine = ENGINE

    def __init__(self, endpoint: Endpoint, changed: Changed, table: str, wire: Wire) -> None:
        super().__init__(changed)
        self._endpoint = endpoint
        self._query = (
            f"SELECT id::bigint, payload FROM {table}"
            " WHERE id = ANY($1::bigint[]) AND octet_length(payload) <= $2"
        )
        self._wake = asyncio.Event()
        self._intake = Intake(wire, self._wake.set)
        self._wanted: set[str] = set()
        self._listening: set[str] = set()
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._connection: Any = None

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, channel: str, nsp: str, listener: Listener) -> asyncio.Future[None]:
        """Listen to a namespace's channel.

        Returns:
            What is done once PostgreSQL has confirmed it.
        """
        self._intake.add(channel, nsp, listener)
        self._wanted.add(channel)
        confirmed = outcome()
        if channel in self._listening:
            confirmed.set_result(None)
        else:
            self._confirmed[channel] = confirmed
        self._wake.set()
        return confirmed

    def remove(self, channel: str) -> None:
        """Listen no longer."""
        self._intake.remove(channel)
        self._wanted.discard(channel)
        confirmed = self._confirmed.pop(channel, None)
        if confirmed is not None:
            confirmed.cancel()
        self._wake.set()

    async def connect(self) -> Session:
        """See `Line.connect`."""
        return Session(await self._endpoint.connect(), self._wake)

    async def disconnect(self, connection: Session) -> None:
        """See `Line.disconnect`."""
        self._connection = None
        await self._endpoint.disconnect(connection.raw)

    async def begin(self, connection: Session) -> None:
        """See `Line.begin`: what was listened to is listened to again."""
        self._connection = connection.raw
        await self._listen(connection)

    async def use(self, connection: Session) -> None:
        """See `Line.use`."""
        while True:
            await self._listen(connection)
            while rows := self._intake.wanted():
                await self._fetch(connection, rows)
            await connection.wait()

    async def _listen(self, connection: Session) -> None:
        while changes := self._wanted ^ self._listening:
            for channel in changes:
                if channel in self._wanted:
                    await connection.ask(connection.raw.add_listener(channel, self._arrived))
                    self._listening.add(channel)
                    confirmed = self._confirmed.pop(channel, None)
                    if confirmed is not None and not confirmed.done():
                        confirmed.set_result(None)
                else:
                    await connection.ask(connection.raw.remove_listener(channel, self._arrived))
                    self._listening.discard(channel)

    async def _fetch(self, connection: Session, rows: list[int]) -> None:
        asked = connection.raw.fetch(self._query, rows, _MOST_ATTACHMENT)
        found: dict[int, bytes | None] = dict.fromkeys(rows)
        found.update(dict(await connection.ask(asked, _USUAL_BYTES)))
        self._intake.fetched(found)

    def _arrived(self, connection: Any, pid: int, channel: str, text: str) -> None:
        # What an earlier connection still has to say is not in order any more.
        if connection is self._connection:
            self._intake.arrived(channel, text)

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        self._listening.clear()
        self._intake.clear()
