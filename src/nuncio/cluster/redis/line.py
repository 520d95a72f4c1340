"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from nuncio.cluster import line
from nuncio.cluster.line import PULSE_SECONDS as PULSE_SECONDS
from nuncio.cluster.line import Changed as Changed
from nuncio.cluster.line import first_failure as first_failure
from nuncio.cluster.line import seen as seen


class Line(line.Line):
    """One connection to one of Redis' servers.

    Args:
        dial: makes a connection that is not connected yet.
        changed: see `nuncio.cluster.line.Line`.
    """

    engine = "Redis"

    def __init__(self, dial: Callable[[], Any], changed: Changed) -> None:
        super().__init__(changed)
        self._dial = dial

    async def connect(self) -> Any:
        """See `Line.connect` of all engines."""
        connection = self._dial()
        try:
            await connection.connect()
        except BaseException:
            with contextlib.suppress(Exception):
                await self.disconnect(connection)
            raise
        return connection

    async def disconnect(self, connection: Any) -> None:
        """See `Line.disconnect` of all engines."""
        await connection.disconnect(nowait=True)


def packed(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Commands as Redis reads them.

    redis-py's own way knows more kinds of arguments, and takes much longer.

    Args:
        commands: the name and the arguments of each, as bytes, text or integers.
    """
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for part in command:
            data = part if isinstance(part, bytes) else str(part).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def as_connection_error(error: BaseException) -> ConnectionError:
    """Any failure of Redis or the network, as Python's own exception."""
    return line.as_connection_error(error, Line.engine)
