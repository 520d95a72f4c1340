"""What of a socket outlives its link: its state, its rooms, and what was promised to it. [compiled]

A client that lost its link may come back over another one, and then a new socket goes on where the
old one ended. What is remembered meanwhile is the adapter's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuncio.cluster.outbox import NOT_RECOVERED, OVERFLOW, Outbox
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.rooms import Room
from nuncio.protocol.engineio import Message
from nuncio.server.access import Access
from nuncio.server.dispatch import Dispatcher

if TYPE_CHECKING:
    from nuncio.server.connection import Connection
    from nuncio.server.namespace import Namespace


class Recoverable(Dispatcher):
    """The part of a socket that can be saved and restored.

    Attributes:
        id: public; others may know it.
        recovered: whether its state was restored after a lost connection.
        pid: the secret by which the client recovers; empty without recovery.
    """

    __slots__ = (
        "_access",
        "_before",
        "_data",
        "_left_own",
        "_outbox",
        "_rooms",
        "_saved",
        "_since",
        "_strange",
        "id",
        "pid",
        "recovered",
    )

    def __init__(self, nsp: Namespace, connection: Connection, id: str) -> None:
        super().__init__(nsp, connection)
        self.id = id
        self.pid = ""
        # Side by side they take one word of each socket.
        self.recovered = False
        self._left_own = False
        # The number of the last event that it surely has; and of the last before a heartbeat.
        self._since = 0
        self._before = 0
        # How offsets begin that it may have of servers where it was; mostly the one empty set.
        self._strange: frozenset[str] = frozenset()
        self._saved: SavedSession | None = None
        self._outbox: Outbox | None = None
        self._rooms: dict[Room, int] | None = None
        self._data: Any = None
        self._access: Access | None = None

    def access(self) -> Access:
        """Who the client is, and until when."""
        raise NotImplementedError

    # Recovery and promised events.

    def begin_session(self, pid: str, since: int) -> None:
        """A new client that may recover later.

        Args:
            pid: its secret.
            since: the number of the last event before it came.
        """
        self.pid = pid
        self._since = self._before = since

    def restore(self, session: SavedSession) -> None:
        """A client that came back."""
        self.recovered = True
        self.pid = session.pid
        self._since = self._before = session.since
        self._strange = session.strange
        self._data = session.data
        if session.access is not None:
            self.access().restore(session.access)
        self._outbox = session.outbox
        self._saved = session
        self._left_own = session.sid not in session.rooms

    def forget_session(self, id: str) -> None:
        """Nothing is left of the session that it recovered, now that it is in no room.

        Args:
            id: its public id from now on.
        """
        self.report_undelivered(NOT_RECOVERED)
        self.recovered = False
        self.id = id
        self.pid = ""
        self._since = self._before = 0
        self._strange = frozenset()
        self._saved = None
        self._left_own = False
        self._data = None
        if self._access is not None:
            self._access.forget()

    def confirmed(self) -> None:
        """A heartbeat has come through, whose ping was sent after the heartbeat before.

        So it has all that was sent by then, also if it never says so: an official client knows no
        offset of events that it acknowledges.
        """
        if self.pid:
            self._since = self._before
            self._before = self.nsp.adapter.position()

    @property
    def present(self) -> list[tuple[Room, str | int, Any]]:
        """Where it was told as present when it was lost, until it is let in."""
        return [] if self._saved is None else self._saved.present

    def missed(self) -> list[Message] | None:
        """What was sent to it while it was away; None when that is no longer known."""
        session = self._saved
        if session is None:
            return []
        self._saved = None
        missed = self.nsp.adapter.missed(session)
        # It may have been promised something while it was being let in.
        self._outbox = session.outbox
        return missed

    def rejoined(self, rooms: dict[Room, int]) -> None:
        """It is in the rooms where it was: since when it was, not since now.

        If it loses its link before it has received what it missed, that is for it still.
        """
        mine = self._rooms
        if mine is not None:
            for room, number in rooms.items():
                if room in mine:
                    mine[room] = number

    def unclaimed(self) -> SavedSession | None:
        """What it came back for and has not been sent, if that is so; it is no longer its."""
        session = self._saved
        self._saved = None
        if session is not None:
            session.outbox = self._outbox
            self._outbox = None
        return session

    def replaced(self) -> None:
        """The client came back over another connection."""
        self._connection.session.lose("the client came back over another connection")

    def promise(self, id: int, number: int, message: Message, payload: list[Any]) -> bool:
        """Keep an event until the client acknowledges it; False when there is no room."""
        outbox = self._outbox
        if outbox is None:
            outbox = self.nsp.new_outbox()
            self._outbox = outbox
        if outbox.add(id, number, message, payload):
            return True
        self.not_delivered(OVERFLOW, [payload])
        return False

    def report_undelivered(self, reason: str) -> None:
        """Tell the application what the client has not acknowledged, and never will."""
        outbox = self._outbox
        if outbox is not None:
            self._outbox = None
            self.not_delivered(reason, outbox.payloads())

    def not_delivered(self, reason: str, payloads: list[list[Any]]) -> None:
        """Tell the application which promises cannot be kept."""
        user = None if self._access is None else self._access.user
        self.nsp.undelivered(self.id, self._data, user, reason, payloads)

    def state(self) -> SavedSession:
        """What is saved of it; what was promised goes along."""
        rooms: dict[Room, int] = {} if self._left_own else {self.id: self._since}
        if self._rooms is not None:
            rooms.update(self._rooms)
        outbox = self._outbox
        self._outbox = None
        access = None if self._access is None else self._access.saved()
        state = SavedSession(self.id, self.pid, rooms, self._since, self._data, access, outbox)
        state.strange = self._strange
        state.present = self.nsp.server.present(self.nsp.name, self.id)
        return state

    # What the adapter keeps here, so that removal costs only the socket's own rooms.

    def room_set(self) -> dict[Room, int]:
        """The rooms it joined, in this order, its own not among them.

        Each with the number of the last event before it joined, for recovery.
        """
        rooms = self._rooms
        if rooms is None:
            rooms = {}
            self._rooms = rooms
        return rooms

    def joined_rooms(self) -> dict[Room, int] | None:
        """As `room_set`, None when there are none."""
        return self._rooms

    def drop_rooms(self) -> None:
        """Forget the rooms."""
        self._rooms = None

    @property
    def in_own_room(self) -> bool:
        """Whether the room of its id reaches it."""
        return not self._left_own

    def set_own_room(self, member: bool) -> None:
        """Join or leave the room of its own id."""
        self._left_own = not member
