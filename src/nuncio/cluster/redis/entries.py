"""What is added to a stream, read to its end and on as it grows. [compiled]"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from nuncio.cluster.line import outcome
from nuncio.cluster.redis.connection import Connection, Refused, packed
from nuncio.cluster.session_wire import START

logger = logging.getLogger("nuncio.cluster")

Fields = dict[bytes, bytes]
Receiver = Callable[[str, Fields], None]


class Entries:
    """Those of one stream, over one connection and then the next.

    Args:
        stream: its name.
        receiver: called with each entry's id and fields.
        count: how many entries are read at once.
        block: seconds for which Redis waits for a new one.

    Attributes:
        position: the id of the last entry that was read.
    """

    def __init__(self, stream: str, receiver: Receiver, count: int, block: float) -> None:
        self._stream = stream
        self._receiver = receiver
        milliseconds = max(round(block * 1000), 1)
        self._question: tuple[Any, ...] = (
            *("XREAD", "COUNT", count, "BLOCK", milliseconds),
            *("STREAMS", stream),
        )
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._end: asyncio.Future[None] | None = None
        self.position = ""

    def begin(self, connection: Connection) -> asyncio.Future[None]:
        """Find where to read from: at first the end of the stream, then where it was left.

        Returns:
            What is done once it is known.
        """
        self._connection = connection
        self._end = outcome()
        connection.write(packed(("XREVRANGE", self._stream, "+", "-", "COUNT", "1")))
        return self._end

    def lost(self) -> None:
        """There is no connection any longer."""
        self._connection = None

    def read(self) -> None:
        """Ask for what comes next, and then for what comes after that."""
        connection = self._connection
        if connection is not None and not connection.closed:
            connection.write(packed((*self._question, self.position)))

    def writable(self) -> None:
        """See `Listener.writable`: there is never much to write."""

    def replied(self, value: Any) -> None:
        """See `Listener.replied`."""
        if isinstance(value, Refused):
            raise value
        end, self._end = self._end, None
        if end is not None:
            self._begin_after(value[0][0].decode() if value else START)
            end.set_result(None)
            return
        for _, entries in value or ():
            for id, fields in entries:
                self.position = id.decode()
                if fields is not None:
                    self._take(fields)
        # What this turn of the loop adds to the stream itself is read with what others add.
        self._loop.call_soon(self.read)

    def _begin_after(self, last: str) -> None:
        if not self.position or order(last) < order(self.position):
            # The stream is another one, of a Redis that has forgotten what it had.
            self.position = last

    def _take(self, fields: list[bytes]) -> None:
        try:
            self._receiver(self.position, mapped(fields))
        except Exception:
            logger.exception("an entry of the stream could not be handled")


def mapped(fields: list[bytes]) -> Fields:
    """An entry's names and values."""
    return dict(zip(fields[::2], fields[1::2], strict=False))


def order(id: str) -> tuple[int, int]:
    """What an id is compared by."""
    moment, _, number = id.partition("-")
    return int(moment), int(number or 0)
