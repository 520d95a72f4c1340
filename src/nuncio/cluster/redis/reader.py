"""The connection over which a stream is read. What came while Redis was away is read later.

See `nuncio.cluster.redis.entries`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import Changed, first_failure
from nuncio.cluster.redis.connection import Connection
from nuncio.cluster.redis.entries import Entries
from nuncio.cluster.redis.line import Line

# Redis answers so much later than it promised, or is taken for lost.
_GRACE_SECONDS: Final = 5.0


class StreamReader(Line):
    """Keeps it.

    Args:
        dial: see `Line`.
        changed: see `Line`.
        entries: what is read over it.
        block: seconds for which Redis waits for a new entry.
    """

    def __init__(
        self, dial: Callable[[], Any], changed: Changed, entries: Entries, block: float
    ) -> None:
        super().__init__(dial, changed, entries)
        self.entries = entries
        self._longest = block + _GRACE_SECONDS

    async def begin(self, connection: Connection) -> None:
        """See `Line.begin`."""
        await first_failure(connection.ended(), self.entries.begin(connection))

    async def use(self, connection: Connection) -> None:
        """See `Line.use`."""
        self.entries.read()
        await first_failure(connection.ended(), self._watch(connection))

    async def _watch(self, connection: Connection) -> None:
        """Notice when Redis says nothing any longer: it was to answer when it had waited enough."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._longest / 4)
            if loop.time() - connection.heard_at > self._longest:
                raise ConnectionError("Redis does not answer")

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        self.entries.lost()
