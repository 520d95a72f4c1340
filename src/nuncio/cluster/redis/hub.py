"""The streams of one server: each is read once, for all namespaces in it. [compiled]"""

from __future__ import annotations

import logging
from typing import Protocol

from mypy_extensions import mypyc_attr

from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.entries import Fields
from nuncio.cluster.redis.reader import StreamReader

logger = logging.getLogger("nuncio.cluster")


class Listener(Protocol):
    """An adapter, as the hub knows it."""

    def entry_arrived(self, id: str, fields: Fields) -> None:
        """An entry for its namespace."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Hub:
    """Reads streams for adapters.

    Args:
        bus: the server's connections.
        count: how many entries are read at once.
        block: seconds for which Redis waits for a new one.
    """

    def __init__(self, bus: Bus, count: int, block: float) -> None:
        self._bus = bus
        self._count = count
        self._block = block
        self._listeners: dict[str, dict[bytes, Listener]] = {}
        self._readers: dict[str, StreamReader] = {}

    async def listen(self, stream: str, nsp: str, listener: Listener) -> None:
        """Receive a namespace's entries of a stream, from now on.

        Raises:
            ConnectionError: when Redis cannot be reached.
        """
        listeners = self._listeners.setdefault(stream, {})
        first = not listeners
        listeners[nsp.encode()] = listener

        def arrived(id: str, fields: Fields) -> None:
            found = listeners.get(fields.get(b"nsp", b""))
            if found is not None:
                found.entry_arrived(id, fields)

        if first:
            self._readers[stream] = self._bus.read(stream, arrived, self._count, self._block)
        await self._readers[stream].open()

    async def forget(self, stream: str, nsp: str) -> None:
        """Receive them no longer."""
        listeners = self._listeners.get(stream, {})
        listeners.pop(nsp.encode(), None)
        if not listeners:
            reader = self._readers.pop(stream, None)
            if reader is not None:
                await self._bus.stop_reading(reader)

    def position(self, stream: str) -> str:
        """The id of the last entry that was read; empty before there is one."""
        reader = self._readers.get(stream)
        return "" if reader is None else reader.entries.position
