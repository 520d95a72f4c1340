"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

from nuncio.cluster import line
from nuncio.cluster.line import PULSE_SECONDS as PULSE_SECONDS
from nuncio.cluster.line import Changed as Changed
from nuncio.cluster.line import first_failure as first_failure
from nuncio.cluster.line import seen as seen


class Line(line.DialledLine):
    """One connection to one of Redis' servers; see `nuncio.cluster.line.DialledLine`."""

    engine = "Redis"


def as_connection_error(error: BaseException) -> ConnectionError:
    """Any failure of Redis or the network, as Python's own exception."""
    return line.as_connection_error(error, Line.engine)
