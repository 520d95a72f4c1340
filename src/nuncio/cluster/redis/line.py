"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from nuncio.cluster import line
from nuncio.cluster.line import Changed, seen
from nuncio.cluster.redis.connection import Connection, Listener


class Line(line.Line):
    """One connection to one of Redis' servers; see `nuncio.cluster.line.Line`.

    Args:
        dial: makes a connection of redis-py's that is not connected yet.
        changed: see `Line`.
        listener: told what comes.
    """

    engine = "Redis"

    def __init__(self, dial: Callable[[], Any], changed: Changed, listener: Listener) -> None:
        super().__init__(changed)
        self._dial = dial
        self._listener = listener

    async def connect(self) -> Connection:
        """See `Line.connect`."""
        dialled = self._dial()
        try:
            await dialled.connect()
            return Connection(dialled, self._listener)
        except BaseException:
            with contextlib.suppress(Exception):
                await hang_up(dialled)
            raise

    async def disconnect(self, connection: Connection) -> None:
        """See `Line.disconnect`."""
        await hang_up(connection.dialled)


async def hang_up(dialled: Any) -> None:
    """Disconnect, without waiting for what may not answer.

    asyncio knows why the connection broke. As redis-py does not ask, it would tell the log.
    """
    stream = getattr(dialled, "_writer", None)
    await dialled.disconnect(nowait=True)
    ended = getattr(getattr(stream, "_protocol", None), "_closed", None)
    if ended is not None:
        ended.add_done_callback(seen)


def as_connection_error(error: BaseException) -> ConnectionError:
    """Any failure of Redis or the network, as Python's own exception."""
    return line.as_connection_error(error, Line.engine)
