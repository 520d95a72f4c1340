"""What workers tell each other of clients that are away: their state, and what they have missed.

Numbers are those of the sender's log, and below; see `nuncio.cluster.past`. The receiver moves them
all below the first of its own.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.recovery import Entry, RecoveryLog, SavedSession
from nuncio.cluster.rooms import Room
from nuncio.cluster.travel import ToldAccess, saved_access, told_access
from nuncio.cluster.values import plain
from nuncio.protocol.engineio import Message
from nuncio.workers.claims import Stamp

# Kinds of messages; those of the official cluster adapters end at 13.
POSITION: Final = 101
WANTED: Final = 102
NOTHING: Final = 103
SINCE: Final = 104
SAID: Final = 105
PART: Final = 106
ESTATE: Final = 107
INHERITED: Final = 108
CLAIMED: Final = 109
LEAVING: Final = 110

# How much one message of an estate has, and how much all of them.
PART_BYTES: Final = 256 * 1024
MOST_BYTES: Final = 64 * 1024 * 1024


class Position(msgspec.Struct):
    """The number of the sender's last event.

    It may ask for the receiver's, and may have just joined.
    """

    request: str
    number: int
    ask: bool = False
    joins: bool = False


class Leaving(msgspec.Struct):
    """The sender ends, with this as the number of its last event.

    The answer is a `Position`, once nobody is on the way from the receiver to another worker, which
    may have to ask the sender first.
    """

    request: str
    number: int


class Wanted(msgspec.Struct):
    """A client came back that the receiver may know: its secret, and the last offset that it has.

    The answer is an `Estate`, or `Nothing`.
    """

    request: str
    pid: str
    offset: str


class Nothing(msgspec.Struct):
    """The sender does not know the client; perhaps because it has given it to another worker."""

    request: str
    heir: str = ""


class Since(msgspec.Struct):
    """Clients are on their way to the sender.

    What did the receiver emit for their rooms after the numbers that are told of each worker?
    """

    request: str
    rooms: list[Room]
    after: dict[str, int]


class Event(msgspec.Struct, array_like=True):
    """One event. A promised one is its payload, so that it can be sent with its own number.

    In an estate `past` says whose past it is alone; below 0 it is everybody's.
    """

    number: int
    offset: str
    rooms: list[Room]
    excepted: list[Room]
    past: int = -1
    compress: bool = True
    text: bytes | None = None
    attachments: list[bytes] | None = None
    id: int = -1
    payload: list[Any] | None = None


class Said(msgspec.Struct):
    """The answer to `Since`, up to a number. What comes after it the receiver gets as ever."""

    request: str
    number: int
    events: list[Event]
    forgotten: bool = False


class Session(msgspec.Struct):
    """One client; see `SavedSession`. Its rooms, and for each since when; its outbox by ids.

    `past` is the place of its past in the estate, `claim` the stamp of its latest return.
    """

    sid: str
    pid: str
    since: int
    rooms: list[Room]
    joined: list[int]
    data: Any = None
    access: ToldAccess | None = None
    outbox: list[tuple[int, int, bool, list[Any]]] = []
    past: int = 0
    claim: Stamp = 0
    present: list[tuple[Room, str | int, Any]] = []


class Part(msgspec.Struct):
    """Some of what belongs to an estate, which is told after its last part."""

    id: str
    answer: bool
    events: list[Event] = []
    sessions: list[Session] = []


class ToldPast(msgspec.Struct):
    """What clients have in common that come from the same place; see `Past`.

    `low` is the number from which on everything is told; everybody's events up to `skipped` are
    not theirs. `strange` is how offsets begin that they may have from where they were long ago.
    """

    low: int
    skipped: int
    epochs: dict[str, int]
    offsets: dict[str, int]
    strange: list[str] = []


class Estate(msgspec.Struct):
    """Clients are the receiver's from now on.

    `answer` says that it wanted one of them, whose request the id is. It says what it did with
    them, by `Inherited`; until then the sender does not end. `last` is the number of the sender's
    last event; `heard` has for each worker the number of the last of its events that the sender
    has dealt with.
    """

    id: str
    answer: bool
    last: int
    heard: dict[str, int]
    pasts: list[ToldPast]


class Inherited(msgspec.Struct):
    """Whether the sender has taken the clients of an estate."""

    id: str
    taken: bool


class Claimed(msgspec.Struct):
    """Clients have returned to the sender, or to somebody of whom it knows; see `Claims`."""

    stamps: dict[str, Stamp]


def _told_event(log: RecoveryLog, number: int, entry: Entry) -> Event:
    message = entry.message
    event = Event(
        number,
        log.offset_of(number, entry),
        list(entry.rooms),
        list(entry.excepted),
        compress=message.compress,
    )
    if entry.promised and entry.payload is not None:
        event.id = entry.id
        event.payload = plain(entry.payload)
    else:
        event.text = message.text
        event.attachments = message.attachments
    return event


def told_events(log: RecoveryLog, entries: list[tuple[int, Entry]]) -> list[Event]:
    """Events of the log, to be told, except those that could not be when they were emitted."""
    found: list[Event] = []
    for number, entry in entries:
        with suppress(TypeError, ValueError, RecursionError):
            found.append(_told_event(log, number, entry))
    return found


def entry_of(event: Event, nsp: Any) -> Entry:
    """An event that was told, as the log has it."""
    promised = event.payload is not None
    if promised:
        message = nsp.encode(event.payload, event.id, event.compress)
    else:
        message = Message(event.text, event.attachments, event.compress)
    options = BroadcastOptions(frozenset(event.rooms), frozenset(event.excepted))
    entry = Entry(0.0, message, options, promised)
    entry.offset = event.offset
    entry.id = event.id
    entry.payload = event.payload
    return entry


def told_session(session: SavedSession) -> Session:
    """A client, to be told.

    Raises:
        TypeError: when its data cannot be sent.
    """
    found = Session(
        session.sid,
        session.pid,
        session.since,
        list(session.rooms),
        list(session.rooms.values()),
        plain(session.data),
        told_access(session.access),
    )
    found.present = session.present
    if session.outbox is not None:
        found.outbox = [
            (id, number, compress, plain(payload))
            for id, number, compress, payload in session.outbox.promises()
        ]
    return found


def saved_session(told: Session, shift: int) -> SavedSession:
    """A client that was told, without its outbox.

    Args:
        told: it.
        shift: what is added to numbers.
    """
    rooms = dict(zip(told.rooms, [number + shift for number in told.joined], strict=True))
    access = saved_access(told.access)
    session = SavedSession(told.sid, told.pid, rooms, told.since + shift, told.data, access)
    session.present = told.present
    return session


def size_of(events: list[Event]) -> int:
    """About how many bytes they are."""
    return sum(_event_size(event) for event in events)


def _event_size(event: Event) -> int:
    if event.text is None:
        return len(msgspec.msgpack.encode(event.payload)) + 100
    attachments = event.attachments or []
    return len(event.text) + sum(map(len, attachments)) + 100


def parts_of(
    id: str, answer: bool, events: list[Event], sessions: list[Session]
) -> tuple[list[Part], list[str]]:
    """An estate in parts that are not too large.

    Args:
        id: the estate's.
        answer: whether somebody asked for it.
        events: its events; they are told before the sessions.
        sessions: its clients.

    Returns:
        The parts, and the secrets of clients for whom there was no room.
    """
    parts = [Part(id, answer, [], [])]
    left_out: list[str] = []
    filled = total = 0
    sized: list[tuple[int, Event | Session]] = [(_event_size(event), event) for event in events]
    sized += [(len(msgspec.msgpack.encode(session)), session) for session in sessions]
    for size, one in sized:
        if isinstance(one, Session) and total + size > MOST_BYTES:
            left_out.append(one.pid)
            continue
        if filled and filled + size > PART_BYTES:
            parts.append(Part(id, answer, [], []))
            filled = 0
        filled += size
        total += size
        if isinstance(one, Session):
            parts[-1].sessions.append(one)
        else:
            parts[-1].events.append(one)
    return parts, left_out


def joined(parts: list[Part]) -> Part:
    """An estate's parts, as if they were one."""
    first = parts[0]
    events = [event for part in parts for event in part.events]
    sessions = [session for part in parts for session in part.sessions]
    return Part(first.id, first.answer, events, sessions)
