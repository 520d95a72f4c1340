"""Connection state recovery: recent events, and clients that lost their link. [compiled]

Each event gets an offset, which the client keeps and brings back. The log holds recent events for
all clients together, each encoded once; a session holds what belongs to one client. Both are
bounded by time, number and bytes, and what falls out is forgotten: a client whose events are no
longer all there begins afresh.
"""

from __future__ import annotations

import base64
import os
import time
from collections import deque
from typing import Any, Final

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import CROWDED_OUT, FORGOTTEN, NOT_RECOVERED, Outbox
from nuncio.cluster.past import UNKNOWN, Past
from nuncio.cluster.recovery_options import RecoveryOptions
from nuncio.cluster.rooms import Room
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.protocol.engineio import Message

# Bookkeeping of one logged event, counted beside its bytes so that many tiny ones are bounded.
ENTRY_OVERHEAD: Final = 200

MOST_DIGITS: Final = 18


class SavedAccess:
    """Who a client is that lost its connection, and until when.

    Attributes:
        user: its `socket.user`.
        key: what tells users apart, or None.
        rooms: those that the user brought along.
        expires_at: seconds since the epoch, None for never.
        notice: how many seconds before that the client is told.
        event: by which event.
    """

    __slots__ = ("event", "expires_at", "key", "notice", "rooms", "user")

    def __init__(
        self,
        user: Any,
        key: Any,
        rooms: tuple[Room, ...],
        expires_at: float | None,
        notice: float,
        event: str,
    ) -> None:
        self.user = user
        self.key = key
        self.rooms = rooms
        self.expires_at = expires_at
        self.notice = notice
        self.event = event


class SavedSession:
    """What is kept of a client that lost its connection.

    Attributes:
        sid: its public id.
        pid: its secret id, by which it is found again.
        rooms: the rooms it was in, its own among them, each with the number of the last event
            before it joined.
        since: the number of the last event before the session began.
        data: the application's own.
        access: who the client is and until when, None where nobody said.
        outbox: what it was promised and has not acknowledged, or None.
        expires: by the loop's clock, in seconds.
        offset: the last event that the client says it has, once it came back.
        claimed: the number of the last event when it came back: what was promised later is not in
            its outbox.
        ending: why it is given up, if it is.
        present: where it is told as present: rooms, and there its key and what else is said of it.
    """

    __slots__ = (
        "access",
        "claimed",
        "data",
        "ending",
        "expires",
        "offset",
        "outbox",
        "pid",
        "present",
        "rooms",
        "sid",
        "since",
        "strange",
    )

    def __init__(
        self,
        sid: str,
        pid: str,
        rooms: dict[Room, int],
        since: int,
        data: Any = None,
        access: SavedAccess | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self.sid = sid
        self.pid = pid
        self.rooms = rooms
        self.since = since
        self.data = data
        self.access = access
        self.outbox = outbox
        self.expires = 0.0
        self.offset = ""
        self.claimed = UNKNOWN
        self.ending = NOT_RECOVERED
        self.strange: frozenset[str] = frozenset()
        self.present: list[tuple[Room, str | int, Any]] = []

    @property
    def user(self) -> Any:
        """Who the client is."""
        return None if self.access is None else self.access.user


class Entry:
    """One event of the log.

    Attributes:
        at: when it was logged, by the monotonic clock, in seconds.
        message: as it was sent, its offset in it.
        rooms: whose members it was for; empty for everybody.
        excepted: whose members it was not for.
        promised: whether its recipients' outboxes hold it, too.
        local: whether it was for this server's clients alone.
        id: of the acknowledgements of a promised one.
        payload: name, arguments and offset of a promised one.
        origin: which server it came from; empty for this one.
        number: its number there.
        offset: as its clients were given it; empty where that follows from its number here.
    """

    __slots__ = (
        "at",
        "excepted",
        "id",
        "local",
        "message",
        "number",
        "offset",
        "origin",
        "payload",
        "promised",
        "rooms",
    )

    def __init__(
        self, at: float, message: Message, options: BroadcastOptions, promised: bool
    ) -> None:
        self.at = at
        self.message = message
        self.rooms = options.rooms
        self.excepted = options.excepted
        self.promised = promised
        self.local = options.local
        self.id = -1
        self.payload: list[Any] | None = None
        self.origin = ""
        self.number = 0
        self.offset = ""

    def concerns(self, number: int, session: SavedSession) -> bool:
        """Whether a client would have received it, had its link held."""
        rooms = session.rooms
        for room in self.excepted:
            if room in rooms:
                return False
        if not self.rooms:
            return True
        for room in self.rooms:
            # Not what was said in a room before it came in.
            if rooms.get(room, number) < number:
                return True
        return False


class RecoveryLog(Timer):
    """Recent events of a namespace, and its lost clients.

    Args:
        options: the bounds.
        lost: called with each session that is given up.
    """

    __slots__ = (
        "_by_room",
        "_bytes",
        "_duration",
        "_entries",
        "_epoch",
        "_first",
        "_forgotten",
        "_last_own",
        "_lost",
        "_max_bytes",
        "_max_packets",
        "_max_sessions",
        "_number_there",
        "_origin",
        "_pasts",
        "_sessions",
        "_wheel",
    )

    def __init__(self, options: RecoveryOptions, lost: Any) -> None:
        super().__init__()
        self._duration = float(options.max_disconnection_duration)
        self._max_packets = int(options.max_packets)
        self._max_bytes = int(options.max_bytes)
        self._max_sessions = int(options.max_sessions)
        self._lost = lost
        # Offsets of another process, or of another life of this one, are not ours.
        self._epoch = base64.urlsafe_b64encode(os.urandom(6)).decode() + "."
        self._entries: deque[Entry] = deque()
        self._first = 1
        self._bytes = 0
        # Where the next event comes from. Then the last of this server's own, and of those the
        # last that is forgotten.
        self._origin = ""
        self._number_there = 0
        self._last_own = 0
        self._forgotten = 0
        self._sessions: dict[str, SavedSession] = {}
        self._pasts: dict[str, Past] = {}
        self._by_room: dict[Room, dict[str, SavedSession]] = {}
        self._wheel: TimerWheel | None = None

    # Events.

    @property
    def last(self) -> int:
        """The number of the latest event."""
        return self._first + len(self._entries) - 1

    def next_offset(self) -> str:
        """The offset of the event that is logged next."""
        return self._epoch + str(self._first + len(self._entries))

    def coming(self, origin: str, number: int) -> None:
        """The next event that is added comes from another server, or from this one again.

        Args:
            origin: which; empty for this one.
            number: its number there.
        """
        self._origin = origin
        self._number_there = number

    def add(
        self,
        message: Message,
        options: BroadcastOptions,
        promised: bool,
        id: int = -1,
        payload: list[Any] | None = None,
    ) -> None:
        """Remember an event.

        Args:
            message: as it was sent, its offset in it.
            options: to whom.
            promised: whether its recipients' outboxes hold it, too.
            id: of the acknowledgements of a promised one.
            payload: name, arguments and offset of a promised one.
        """
        now = time.monotonic()
        entry = Entry(now, message, options, promised)
        self._entries.append(entry)
        if promised:
            entry.id = id
            entry.payload = payload
        if self._origin:
            entry.origin = self._origin
            entry.number = self._number_there
            self._origin = ""
        else:
            entry.number = self.last
            if not entry.local:
                self._last_own = entry.number
        self._bytes += message.size + ENTRY_OVERHEAD
        self._trim(now)

    def _trim(self, now: float) -> None:
        oldest = now - self._duration
        entries = self._entries
        while entries:
            entry = entries[0]
            fits = len(entries) <= self._max_packets and self._bytes <= self._max_bytes
            if fits and entry.at >= oldest:
                break
            entries.popleft()
            if not entry.origin and not entry.local:
                self._forgotten = entry.number
            self._first += 1
            self._bytes -= entry.message.size + ENTRY_OVERHEAD

    def _number(self, session: SavedSession) -> int:
        """The number of the last event that a client has.

        `UNKNOWN` when events after it may have been forgotten, or it is no offset of ours.
        """
        offset = session.offset
        past = self._pasts.get(session.pid)
        number = UNKNOWN
        if not offset:
            # It has received nothing since it connected.
            number = session.since
        elif past is not None:
            number = past.number_of(offset)
        if number == UNKNOWN:
            number = self._number_here(offset)
            if past is not None and number <= past.arrived:
                number = UNKNOWN
            if number == UNKNOWN:
                epoch, dot, _ = offset.partition(".")
                if epoch + dot not in session.strange:
                    return UNKNOWN
                # It has heard nothing for long.
                number = session.since
        # An offset of an earlier session does not reach back before this one.
        number = max(number, session.since)
        if number > self.last:
            return UNKNOWN
        if past is not None and number <= past.arrived:
            return number if past.low <= number and self._first - 1 <= past.arrived else UNKNOWN
        return number if self._first - 1 <= number else UNKNOWN

    def _number_here(self, offset: str) -> int:
        digits = offset[len(self._epoch) :]
        if not offset.startswith(self._epoch) or not digits.isdigit():
            return UNKNOWN
        if not digits.isascii() or len(digits) > MOST_DIGITS:
            return UNKNOWN
        return int(digits)

    def missed(self, session: SavedSession) -> list[Message] | None:
        """What a client has to be sent, in order, promised events among it.

        Returns:
            None when some of it has been forgotten.
        """
        number = self._number(session)
        if number == UNKNOWN:
            return None
        found: list[Message] = []
        promised: list[tuple[int, Message]] = []
        if session.outbox is not None:
            promised = session.outbox.unacknowledged()
        position = 0
        for current, entry in self.concerning(session, number):
            if entry.promised:
                continue
            while position < len(promised) and promised[position][0] <= current:
                found.append(promised[position][1])
                position += 1
            found.append(entry.message)
        while position < len(promised):
            found.append(promised[position][1])
            position += 1
        return found

    def concerning(self, session: SavedSession, number: int) -> list[tuple[int, Entry]]:
        """The events after a number that a client would have received, each with its number."""
        found: list[tuple[int, Entry]] = []
        past = self._pasts.get(session.pid)
        if past is not None:
            for earlier, entry in past.all():
                if earlier > number and entry.concerns(earlier, session):
                    found.append((earlier, entry))
            number = max(number, past.arrived)
        current = self._first - 1
        for entry in self._entries:
            current += 1
            if current > number and entry.concerns(current, session):
                found.append((current, entry))
        return found

    def promised_late(self, session: SavedSession) -> list[tuple[int, Entry]]:
        """What was promised to a client while it was being let in, so that no outbox has it."""
        if session.claimed == UNKNOWN or session.claimed >= self.last:
            return []
        late = self.concerning(session, session.claimed)
        return [(number, entry) for number, entry in late if entry.promised]

    # Lost clients.

    def save(self, session: SavedSession, wheel: TimerWheel) -> None:
        """Remember a client for a while."""
        self._wheel = wheel
        if len(self._sessions) >= self._max_sessions:
            for oldest in self._sessions.values():
                oldest.ending = CROWDED_OUT
                self._give_up(oldest)
                break
        session.expires = wheel.now() + self._duration
        self._sessions[session.pid] = session
        for room in session.rooms:
            members = self._by_room.get(room)
            if members is None:
                self._by_room[room] = {session.pid: session}
            else:
                members[session.pid] = session
        if len(self._sessions) == 1:
            wheel.arm(self, self._duration)

    def remembers(self, pid: str) -> bool:
        """Whether a client may come back."""
        return pid in self._sessions

    def find(self, pid: str) -> SavedSession | None:
        """A client that may come back."""
        return self._sessions.get(pid)

    def has_room(self, room: Room) -> bool:
        """Whether somebody who may come back is in a room."""
        return room in self._by_room

    @property
    def empty(self) -> bool:
        """Whether nobody may come back."""
        return not self._sessions

    def restore(self, pid: str, offset: str) -> SavedSession | None:
        """Find a client that came back. It is not restored twice.

        Args:
            pid: its secret.
            offset: the last event it has; empty for none.

        Returns:
            None when it is unknown, or some of what it missed has been forgotten.
        """
        session = self._sessions.get(pid)
        if session is None:
            return None
        session.offset = offset
        number = self._number(session)
        if number == UNKNOWN:
            session.ending = FORGOTTEN
            self._give_up(session)
            return None
        # What it has by now it has, also if it comes back once more with an earlier offset: one of
        # an event that it was promised, which is sent again.
        session.since = number
        session.claimed = self.last
        past = self._pasts.get(pid)
        if past is not None:
            session.strange |= past.strange()
        self._take(session)
        return session

    def _take(self, session: SavedSession) -> None:
        if self._sessions.pop(session.pid, None) is None:
            return
        for room in session.rooms:
            members = self._by_room.get(room)
            if members is not None:
                members.pop(session.pid, None)
                if not members:
                    del self._by_room[room]

    def _give_up(self, session: SavedSession) -> None:
        self._take(session)
        self._pasts.pop(session.pid, None)
        self._lost(session)

    def give_up_all(self) -> None:
        """Nobody can come back any more."""
        for session in list(self._sessions.values()):
            self._give_up(session)
        if self._wheel is not None:
            self._wheel.cancel(self)

    def expire(self, now: float) -> None:
        """The wheel: the oldest has been away for too long."""
        for session in list(self._sessions.values()):
            # They stand in the order in which they left.
            if session.expires > now:
                break
            self._give_up(session)
        if self._wheel is not None:
            for session in self._sessions.values():
                self._wheel.arm(self, max(session.expires - now, 0.0))
                break
        self._trim(time.monotonic())

    def absent(self, options: BroadcastOptions) -> list[SavedSession]:
        """The lost clients whom an event is meant for, each once."""
        chosen: dict[str, SavedSession] = {}
        if not options.rooms:
            chosen.update(self._sessions)
        for room in options.rooms:
            chosen.update(self._by_room.get(room, {}))
        for room in options.excepted:
            for pid in self._by_room.get(room, {}):
                chosen.pop(pid, None)
        return list(chosen.values())

    # Clients that come from other servers, or go there.

    @property
    def epoch(self) -> str:
        """With which its offsets begin."""
        return self._epoch

    @property
    def last_own(self) -> int:
        """The number of the last event that this server emitted for all."""
        return self._last_own

    def adopt(self, session: SavedSession, past: Past, wheel: TimerWheel) -> None:
        """Remember a client that another server knew."""
        self.save(session, wheel)
        if session.pid in self._sessions:
            self._pasts[session.pid] = past

    def past(self, pid: str) -> Past | None:
        """What a client received at the servers where it was before."""
        return self._pasts.get(pid)

    def settle(self, pid: str, past: Past) -> None:
        """A client has received all that it missed, unless it is away again."""
        if pid not in self._sessions and self._pasts.get(pid) is past:
            del self._pasts[pid]

    def give_away(self, session: SavedSession) -> None:
        """A client is another server's from now on."""
        self._take(session)
        self._pasts.pop(session.pid, None)

    @property
    def sessions(self) -> list[SavedSession]:
        """Those who are away, in the order in which they left."""
        return list(self._sessions.values())

    def entries_after(self, number: int) -> list[tuple[int, Entry]]:
        """All events after a number, with theirs."""
        current = self._first - 1
        found: list[tuple[int, Entry]] = []
        for entry in self._entries:
            current += 1
            if current > number:
                found.append((current, entry))
        return found

    @property
    def first(self) -> int:
        """The number of the first event that is still known."""
        return self._first

    def own_after(self, number: int) -> list[tuple[int, Entry]] | None:
        """The events after a number that this server emitted for all; None if some is forgotten."""
        if number >= self._last_own:
            return []
        if number < self._forgotten:
            return None
        return [one for one in self.entries_after(number) if not one[1].origin and not one[1].local]

    def offset_of(self, number: int, entry: Entry) -> str:
        """The offset of an event that clients were given."""
        return entry.offset or self._epoch + str(number)
