"""Reading a stream to its end, and on as it grows. What came while Redis was away is read later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import outcome
from nuncio.cluster.redis.connection import Connection, Refused, packed
from nuncio.cluster.redis.line import Changed, Line, first_failure
from nuncio.cluster.session_wire import START

logger = logging.getLogger("nuncio.cluster")

# Redis answers so much later than it promised, or is taken for lost.
_GRACE_SECONDS: Final = 5.0

Fields = dict[bytes, bytes]
Receiver = Callable[[str, Fields], None]


class StreamReader(Line):
    """Reads one stream.

    Args:
        dial: see `Line`.
        changed: see `Line`.
        stream: its name.
        receiver: called with each entry's id and fields.
        count: how many entries are read at once.
        block: seconds for which Redis waits for a new one.

    Attributes:
        position: the id of the last entry that was read.
    """

    def __init__(
        self,
        dial: Callable[[], Any],
        changed: Changed,
        stream: str,
        receiver: Receiver,
        count: int,
        block: float,
    ) -> None:
        super().__init__(dial, changed)
        self._stream = stream
        self._receiver = receiver
        self._block = block
        block_ms = max(round(block * 1000), 1)
        self._question = ("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", stream)
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._asked: asyncio.Future[Any] | None = None
        self.position = ""

    async def begin(self, connection: Connection) -> None:
        """See `Line.begin`: at first from the end of the stream, then from where it was."""
        asked = self._asked = outcome()
        connection.write(packed(("XREVRANGE", self._stream, "+", "-", "COUNT", "1")))
        await first_failure(connection.ended(), asked)
        last = asked.result()
        end = last[0][0].decode() if last else START
        if not self.position or order(end) < order(self.position):
            # The stream is another one, of a Redis that has forgotten what it had.
            self.position = end

    async def use(self, connection: Connection) -> None:
        """See `Line.use`."""
        self._connection = connection
        self._read()
        await first_failure(connection.ended(), self._watch(connection))

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        self._connection = None

    def _read(self) -> None:
        """Ask for what comes next."""
        connection = self._connection
        if connection is not None and not connection.closed:
            connection.write(packed((*self._question, self.position)))

    def writable(self) -> None:
        """See `Listener.writable`: there is never much to write."""

    def replied(self, value: Any) -> None:
        """See `Listener.replied`."""
        if isinstance(value, Refused):
            raise value
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result(value)
            return
        for _, entries in value or ():
            for id, fields in entries:
                self.position = id.decode()
                if fields is not None:
                    self._take(self.position, fields)
        # What this turn of the loop adds to the stream itself is read with what others add.
        self._loop.call_soon(self._read)

    async def _watch(self, connection: Connection) -> None:
        """Notice when Redis says nothing any longer: it was to answer when it had waited enough."""
        longest = self._block + _GRACE_SECONDS
        while True:
            await asyncio.sleep(longest / 4)
            if self._loop.time() - connection.heard_at > longest:
                raise ConnectionError("Redis does not answer")

    def _take(self, id: str, fields: list[bytes]) -> None:
        try:
            self._receiver(id, mapped(fields))
        except Exception:
            logger.exception("an entry of the stream could not be handled")


def mapped(fields: list[bytes]) -> Fields:
    """An entry's names and values."""
    return dict(zip(fields[::2], fields[1::2], strict=False))


def order(id: str) -> tuple[int, int]:
    """What an id is compared by."""
    moment, _, number = id.partition("-")
    return int(moment), int(number or 0)
