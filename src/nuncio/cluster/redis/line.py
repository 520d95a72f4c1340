"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from nuncio.cluster import line
from nuncio.cluster.line import PULSE_SECONDS as PULSE_SECONDS
from nuncio.cluster.line import Changed as Changed
from nuncio.cluster.line import first_failure as first_failure
from nuncio.cluster.line import seen


class Line(line.DialledLine):
    """One connection to one of Redis' servers; see `nuncio.cluster.line.DialledLine`."""

    engine = "Redis"

    async def disconnect(self, connection: Any) -> None:
        """See `Line.disconnect`.

        asyncio knows why the connection broke. As redis-py does not ask, it would tell the log.
        """
        stream = getattr(connection, "_writer", None)
        await super().disconnect(connection)
        ended = getattr(getattr(stream, "_protocol", None), "_closed", None)
        if ended is not None:
            ended.add_done_callback(seen)


def _packed(command: tuple[Any, ...]) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def _quickest() -> Callable[[tuple[Any, ...]], bytes]:
    try:
        import hiredis
    except ImportError:
        return _packed
    found: Any = hiredis.pack_command
    return cast("Callable[[tuple[Any, ...]], bytes]", found)


# Makes of a command what Redis reads. It is a name and arguments: bytes, text or integers. redis-py
# knows more kinds of arguments, and takes much longer.
packed: Final = _quickest()


def as_connection_error(error: BaseException) -> ConnectionError:
    """Any failure of Redis or the network, as Python's own exception."""
    return line.as_connection_error(error, Line.engine)
