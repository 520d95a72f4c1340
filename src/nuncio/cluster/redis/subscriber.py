"""The connection for subscriptions at one of Redis' servers.

See `nuncio.cluster.redis.subscriptions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nuncio.cluster.line import PULSE_SECONDS, Changed, first_failure
from nuncio.cluster.redis.connection import Connection, packed
from nuncio.cluster.redis.line import Line
from nuncio.cluster.redis.subscriptions import Subscriptions


class Subscriber(Line):
    """Keeps it.

    Args:
        dial: see `Line`.
        changed: see `Line`.
        subscriptions: what is received over it.
    """

    def __init__(
        self, dial: Callable[[], Any], changed: Changed, subscriptions: Subscriptions
    ) -> None:
        super().__init__(dial, changed, subscriptions)
        self.subscriptions = subscriptions

    async def begin(self, connection: Connection) -> None:
        """See `Line.begin`: everything is subscribed to again."""
        await first_failure(connection.ended(), self.subscriptions.begin(connection))

    async def use(self, connection: Connection) -> None:
        """See `Line.use`."""
        await first_failure(connection.ended(), self._watch(connection))

    async def _watch(self, connection: Connection) -> None:
        """Ask now and then whether Redis is there."""
        heard = -1.0
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            if heard == connection.heard_at:
                raise ConnectionError("Redis does not answer")
            heard = connection.heard_at
            connection.write(packed(("PING",)))

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        self.subscriptions.lost()
