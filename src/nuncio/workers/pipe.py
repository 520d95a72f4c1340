"""A Unix socket, as what carries a link between two workers of one machine."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nuncio.workers.link import MOST_WAITING, Link

logger = logging.getLogger("nuncio.workers")


class Pipe(asyncio.Protocol):
    """One end of the socket.

    Args:
        link: what it carries.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._io: Any = None

    # What the link calls.

    def carry(self, data: bytes) -> None:
        """See `Carrier.carry`."""
        io = self._io
        if io.is_closing():
            return
        io.write(data)
        if io.get_write_buffer_size() > MOST_WAITING:
            logger.error("the worker %s does not read, so it is taken for dead", self.link.tag)
            io.abort()

    def close(self) -> None:
        """See `Carrier.close`."""
        self._io.close()

    def abort(self) -> None:
        """See `Carrier.abort`."""
        self._io.abort()

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """asyncio: connected."""
        self._io = transport
        self.link.connected(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        self.link.feed(data)

    def pause_writing(self) -> None:
        """asyncio: the other worker is behind."""
        self.link.fell_behind()

    def resume_writing(self) -> None:
        """asyncio: it has caught up."""
        self.link.caught_up()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the socket is closed, most likely as the worker has ended."""
        self.link.gone()
