"""What a bus keeps of a client that lost its connection, as Node's adapter of Redis streams does.

Node's servers read `sid`, `pid`, `rooms` and `data`. The rest is Nuncio's own, and they ignore it:
`since`, where the stream ended when the client came; `joined`, the same for its rooms; `left`, the
same when it was lost; `access`, who it is; `outbox`, what it was promised and has not acknowledged;
`early`, what it was given before the stream had it: a server, and the first and last of the numbers
that its events have there; `by`, the name of this loss: the server's, and a number; `present`,
where it is told as present.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nuncio.cluster.numbered import Early
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.rooms import Room
from nuncio.cluster.travel import ToldAccess, saved_access, told_access
from nuncio.cluster.values import converted, from_msgpack, plain, to_msgpack, unmarked
from nuncio.errors import PacketError

# Before everything.
START: Final = "0-0"

# What follows in the id of an event that has no entry: it stands behind the one that it names.
BESIDE: Final = "+"


class Session(msgspec.Struct, omit_defaults=True):
    """What is kept."""

    sid: str
    pid: str
    rooms: list[Room]
    data: Any
    since: str = ""
    joined: list[str] = []
    left: str = ""
    access: ToldAccess | None = None
    outbox: list[tuple[str, list[Any]]] = []
    early: list[Early] = []
    by: str = ""
    present: list[tuple[Room, str | int, Any]] = []


def position_of(id: str) -> int:
    """The id of an entry, as a number that grows with it."""
    moment, _, number = id.partition("-")
    return (int(moment) << 64) | int(number or 0)


def id_of(position: int) -> str:
    """The id of an entry."""
    return f"{position >> 64}-{position & (2**64 - 1)}"


def told(session: SavedSession, position: int, write: Callable[[int], str] = id_of) -> Session:
    """What is kept of a client.

    Args:
        session: the client.
        position: of the last event that it was sent, as far as it was meant.
        write: what is kept of a position.

    Raises:
        TypeError: when its data cannot be sent.
    """
    found = Session(
        session.sid,
        session.pid,
        list(session.rooms),
        plain(session.data),
        since=write(session.since),
        joined=[write(one) for one in session.rooms.values()],
        left=write(position),
    )
    found.access = told_access(session.access)
    found.present = session.present
    outbox = session.outbox
    if outbox is not None:
        numbers = [write(number) for number, _ in outbox.unacknowledged()]
        found.outbox = list(zip(numbers, plain(outbox.payloads()), strict=True))
    return found


def encode(session: Session) -> bytes:
    """As it is kept."""
    return base64.b64encode(to_msgpack(session))


def decode(text: bytes) -> Session:
    """What was kept.

    Raises:
        PacketError: when it is no session.
    """
    try:
        return converted(from_msgpack(base64.b64decode(text, validate=True)), Session)
    except binascii.Error as error:
        raise PacketError("a session that is none") from error


def saved(session: Session) -> SavedSession:
    """The client, as the server knows those who lost their connection; without its outbox.

    Raises:
        PacketError: for positions that are none.
    """
    try:
        since = position_of(session.since) if session.since else 0
        joined = [position_of(id) for id in session.joined]
    except ValueError as error:
        raise PacketError("a position that is none") from error
    # Servers that do not say when a room was joined mean that it was there from the beginning.
    joined += [0] * (len(session.rooms) - len(joined))
    rooms = dict(zip(session.rooms, joined, strict=False))
    access = saved_access(session.access)
    data, _ = unmarked(session.data)
    found = SavedSession(session.sid, session.pid, rooms, since, data, access)
    found.present = session.present
    return found
