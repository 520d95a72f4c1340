"""What of a client that lost its connection is told to another server, whatever carries it."""

from __future__ import annotations

import logging
import random
from typing import Any, Final

import msgspec

from nuncio.cluster.recovery import SavedAccess, SavedSession
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import plain

logger = logging.getLogger("nuncio.cluster")

# Ids of acknowledgements begin below; clients that know 31 bits have as many left.
_FIRST_IDS: Final = 1 << 30


def first_id() -> int:
    """Where a server's ids of acknowledgements begin, if clients come to it from other servers.

    They may acknowledge late what another server sent. Ids of two servers should not meet, or that
    would be taken for something else.
    """
    return random.randrange(_FIRST_IDS)


class ToldAccess(msgspec.Struct, omit_defaults=True):
    """See `SavedAccess`."""

    user: Any = None
    key: Any = None
    rooms: tuple[Room, ...] = ()
    expires_at: float | None = None
    notice: float = 0.0
    event: str = ""


def told_access(access: SavedAccess | None) -> ToldAccess | None:
    """Who a client is, to be told.

    Raises:
        TypeError: when that cannot be sent.
    """
    if access is None:
        return None
    return ToldAccess(
        user=plain(access.user),
        key=plain(access.key),
        rooms=access.rooms,
        expires_at=access.expires_at,
        notice=access.notice,
        event=access.event,
    )


def saved_access(told: ToldAccess | None) -> SavedAccess | None:
    """Who a client is, as it was told."""
    if told is None:
        return None
    return SavedAccess(told.user, told.key, told.rooms, told.expires_at, told.notice, told.event)


def shape(session: SavedSession, kind: object) -> bool:
    """Make the data of a client of another server what this application keeps of one.

    Args:
        session: the client.
        kind: the server's option `data`.

    Returns:
        False when that cannot be.
    """
    if not isinstance(kind, type) or session.data is None or isinstance(session.data, kind):
        return True
    try:
        session.data = msgspec.convert(session.data, kind)
    except (msgspec.ValidationError, TypeError) as error:
        logger.warning("the client %r cannot come back: %s", session.sid, error)
        return False
    return True
