"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nuncio.cluster import line
from nuncio.cluster.line import PULSE_SECONDS as PULSE_SECONDS
from nuncio.cluster.line import Changed as Changed
from nuncio.cluster.line import first_failure as first_failure


class Line(line.DialledLine):
    """One connection to one of Redis' servers; see `nuncio.cluster.line.DialledLine`."""

    engine = "Redis"


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
