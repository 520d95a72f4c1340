"""Reading a stream to its end, and on as it grows. What came while Redis was away is read later."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.redis.line import Changed, Line, first_failure, packed
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
        self._count = count
        self._block = block
        self.position = ""
        self._heard_at = 0.0

    async def begin(self, connection: Any) -> None:
        """See `Line.begin`: at first from the end of the stream, then from where it was."""
        last = await _command(connection, "XREVRANGE", self._stream, "+", "-", "COUNT", "1")
        end = last[0][0].decode() if last else START
        if not self.position or order(end) < order(self.position):
            # The stream is another one, of a Redis that has forgotten what it had.
            self.position = end

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        self._heard_at = asyncio.get_running_loop().time()
        await first_failure(self._read(connection), self._watch())

    async def _read(self, connection: Any) -> None:
        loop = asyncio.get_running_loop()
        block = max(round(self._block * 1000), 1)
        while True:
            found = await _command(
                connection,
                *("XREAD", "COUNT", self._count, "BLOCK", block),
                *("STREAMS", self._stream, self.position),
            )
            self._heard_at = loop.time()
            for _, entries in found or ():
                for id, fields in entries:
                    self.position = id.decode()
                    if fields is not None:
                        self._take(self.position, fields)

            # What this turn of the loop adds to the stream itself is read with what others add.
            await asyncio.sleep(0)

    async def _watch(self) -> None:
        """Notice when Redis says nothing any longer: it was to answer when it had waited enough."""
        loop = asyncio.get_running_loop()
        longest = self._block + _GRACE_SECONDS
        while True:
            await asyncio.sleep(longest / 4)
            if loop.time() - self._heard_at > longest:
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


async def _command(connection: Any, *args: Any) -> Any:
    await connection.send_packed_command(packed(args), check_health=False)
    return await connection.read_response(disable_decoding=True, timeout=math.inf)
