"""The adapter of a server that is alone. [compiled]

A room holds its sockets and a socket its rooms, so that everything costs only the rooms concerned.
The room of a socket's own id is not stored: the table of sockets is that room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from nuncio.cluster.adapter import Adapter
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import OVERFLOW
from nuncio.cluster.past import UNKNOWN
from nuncio.cluster.recovery import RecoveryLog, SavedSession
from nuncio.cluster.rooms import Room
from nuncio.engine.sent import Sent
from nuncio.errors import DisconnectReason, LimitExceeded
from nuncio.protocol.engineio import Message
from nuncio.slow import SlowConsumer

if TYPE_CHECKING:
    from nuncio.server.socket import Socket


@mypyc_attr(allow_interpreted_subclasses=True)
class MemoryAdapter(Adapter):
    """Rooms in this process.

    Adapters of clusters build on it: it does what concerns this server's own sockets.

    Args:
        nsp: see `Adapter`.
    """

    __slots__ = ("_max_rooms", "_members", "log")

    def __init__(self, nsp: Any) -> None:
        super().__init__(nsp)
        self._members: dict[Room, set[Socket]] = {}
        self._max_rooms: int = nsp.server.limits.rooms
        recovery = nsp.server.recovery
        self.log: RecoveryLog | None = None
        if recovery is not None:
            self.log = RecoveryLog(recovery, nsp.session_lost)

    def add_all(self, socket: Socket, rooms: Iterable[Room]) -> None:
        """See `Adapter.add_all`.

        Raises:
            LimitExceeded: when the socket is in too many rooms.
        """
        for room in rooms:
            if room == socket.id:
                if not socket.in_own_room:
                    socket.set_own_room(True)
                    self._joined(room, socket, room not in self._members)
                continue
            mine = socket.room_set()
            if room in mine:
                continue
            if len(mine) >= self._max_rooms:
                self.nsp.server.counters.limits_exceeded += 1
                raise LimitExceeded(
                    f"socket {socket.id} is in {len(mine)} rooms; raise Limits(rooms=…) "
                    "if it really needs more"
                )
            mine[room] = 0 if self.log is None else self.log.last
            members = self._members.get(room)
            if members is None:
                self._members[room] = {socket}
            else:
                members.add(socket)
            self._joined(room, socket, members is None and not self._owner_in(room))

    def _owner_in(self, room: Room) -> bool:
        """Whether the room is a socket's id, and that socket in it."""
        owner = self.sockets.get(room) if isinstance(room, str) else None
        return owner is not None and owner.in_own_room

    def _joined(self, room: Room, socket: Socket, created: bool) -> None:
        events = self._events
        if events is not None:
            if created:
                events.emit("create_room", room)
            events.emit("join_room", room, socket.id)

    def entered(self, socket: Socket) -> None:
        """See `Adapter.entered`."""
        if self._events is not None:
            if socket.id not in self._members:
                self._events.emit("create_room", socket.id)
            self._events.emit("join_room", socket.id, socket.id)

    def remove(self, socket: Socket, room: Room) -> None:
        """See `Adapter.remove`."""
        if room == socket.id:
            # Before it is connected there is nothing to leave.
            if socket.connected and socket.in_own_room:
                socket.set_own_room(False)
                self._left(room, socket, room not in self._members)
            return
        mine = socket.joined_rooms()
        if mine is None or room not in mine:
            return
        del mine[room]
        self._remove(socket, room)

    def _remove(self, socket: Socket, room: Room) -> None:
        members = self._members[room]
        members.discard(socket)
        if not members:
            del self._members[room]
        self._left(room, socket, not members and not self._owner_in(room))

    def _left(self, room: Room, socket: Socket, deleted: bool) -> None:
        events = self._events
        if events is not None:
            events.emit("leave_room", room, socket.id)
            if deleted:
                events.emit("delete_room", room)

    def remove_all(self, socket: Socket) -> None:
        """See `Adapter.remove_all`."""
        mine = socket.joined_rooms()
        socket.drop_rooms()
        if socket.in_own_room:
            # Joined first, left first.
            socket.set_own_room(False)
            if self._events is not None and socket.connected:
                self._left(socket.id, socket, socket.id not in self._members)
        if mine is not None:
            for room in mine:
                self._remove(socket, room)

    def targets(self, rooms: frozenset[Room], excepted: frozenset[Room]) -> list[Socket]:
        """See `Adapter.targets`."""
        if not rooms:
            if not excepted:
                return list(self.sockets.values())
            left_out = self._excluded(excepted)
            return [socket for socket in self.sockets.values() if socket not in left_out]
        if not excepted and len(rooms) == 1:
            for room in rooms:
                return self._room(room)
        # A dictionary, for it keeps the order of the rooms and each socket once.
        chosen: dict[Socket, bool] = {}
        for room in rooms:
            for socket in self._room(room):
                chosen[socket] = True
        if not excepted:
            return list(chosen)
        left_out = self._excluded(excepted)
        return [socket for socket in chosen if socket not in left_out]

    def _room(self, room: Room) -> list[Socket]:
        members = self._members.get(room)
        # A socket whose admission is not complete may be in rooms, but receives nothing yet.
        found = [] if members is None else [one for one in members if one.connected]
        if isinstance(room, str):
            owner = self.sockets.get(room)
            if owner is not None and owner.in_own_room and owner not in found:
                found.append(owner)
        return found

    def _excluded(self, rooms: frozenset[Room]) -> set[Socket]:
        excluded: set[Socket] = set()
        for room in rooms:
            excluded.update(self._room(room))
        return excluded

    @property
    def rooms(self) -> dict[Room, set[str]]:
        """See `Adapter.rooms`; a new dictionary."""
        found: dict[Room, set[str]] = {
            id: {id} for id, socket in self.sockets.items() if socket.in_own_room
        }
        for room, members in self._members.items():
            found.setdefault(room, set()).update([socket.id for socket in members])
        return found

    def has_room(self, room: Room) -> bool:
        """Whether somebody of this server is in a room, be it that he is away for a moment."""
        if room in self._members:
            return True
        if isinstance(room, str) and room in self.sockets:
            return True
        return self.log is not None and self.log.has_room(room)

    # Operations: this server's sockets are all there are.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Adapter.broadcast`."""
        nsp = self.nsp
        log = self.log
        if log is None or options.volatile:
            unlogged = nsp.encode(payload, -1, options.compress)
            if options.slow is not None:
                unlogged.slow = _for_many(options.slow, nsp, payload)
            return nsp.deliver(unlogged, payload, options)
        slow = None
        if options.slow is not None and not options.promised:
            slow = _for_many(options.slow, nsp, payload)
        number = log.last + 1
        payload = [*payload, log.next_offset()]
        id = nsp.next_ack_id() if options.promised else -1
        message = nsp.encode(payload, id, options.compress)
        message.slow = slow
        log.add(message, options, options.promised, id, payload)
        if options.promised:
            return nsp.deliver_promised(id, number, message, payload, options)
        return nsp.deliver(message, payload, options)

    def broadcast_with_ack(
        self, payload: list[Any], options: BroadcastOptions, gathering: Any
    ) -> None:
        """See `Adapter.broadcast_with_ack`."""
        self.nsp.deliver_with_ack(payload, options, gathering)

    async def fetch_sockets(self, options: BroadcastOptions) -> list[Any]:
        """See `Adapter.fetch_sockets`."""
        return list(self.targets(options.rooms, options.excepted))

    def add_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.add_sockets`."""
        error: LimitExceeded | None = None
        for socket in self.targets(options.rooms, options.excepted):
            try:
                socket.join(rooms)
            except LimitExceeded as too_many:
                # That one is in too many rooms; the others can join.
                error = too_many
        if error is not None:
            raise error

    def remove_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.remove_sockets`."""
        for socket in self.targets(options.rooms, options.excepted):
            for room in rooms:
                socket.leave(room)

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> None:
        """See `Adapter.disconnect_sockets`."""
        for socket in self.targets(options.rooms, options.excepted):
            socket.dismiss(
                close, options.reason, options.data, DisconnectReason.SERVER_NAMESPACE_DISCONNECT
            )

    def server_side_emit(self, payload: list[Any]) -> None:
        """See `Adapter.server_side_emit`: there are no other servers."""

    async def server_side_emit_with_ack(self, payload: list[Any], timeout: float) -> list[Any]:
        """See `Adapter.server_side_emit_with_ack`: there is nobody to answer."""
        return []

    # Connection state recovery.

    def persist_session(self, session: SavedSession) -> None:
        """See `Adapter.persist_session`."""
        if self.log is not None:
            # It may have come back, and left again before it was let in.
            self.promise_late(session)
            self.log.save(session, self.nsp.wheel)

    def restore_session(self, pid: str, offset: str) -> Any:
        """See `Adapter.restore_session`."""
        log = self.log
        return None if log is None else log.restore(pid, offset)

    def position(self) -> int:
        """See `Adapter.position`."""
        return 0 if self.log is None else self.log.last

    def remembers(self, pid: str) -> bool:
        """See `Adapter.remembers`."""
        return self.log is not None and self.log.remembers(pid)

    def missed(self, session: SavedSession) -> list[Message] | None:
        """See `Adapter.missed`."""
        log = self.log
        if log is None:
            return None
        self.promise_late(session)
        return log.missed(session)

    def promise_late(self, session: SavedSession) -> None:
        """Put into a client's outbox what was promised to it while it was being let in."""
        log = self.log
        if log is None:
            return
        for number, entry in log.promised_late(session):
            payload = entry.payload
            if payload is None:
                continue
            if session.outbox is None:
                session.outbox = self.nsp.new_outbox()
            if not session.outbox.add(entry.id, number, entry.message, payload):
                self.nsp.undelivered(session.sid, session.data, session.user, OVERFLOW, [payload])
        session.claimed = UNKNOWN

    def absent(self, options: BroadcastOptions) -> list[SavedSession]:
        """See `Adapter.absent`."""
        return [] if self.log is None else self.log.absent(options)

    @property
    def occupied(self) -> bool:
        """See `Adapter.occupied`."""
        return self.log is not None and not self.log.empty

    def give_up_sessions(self) -> None:
        """See `Adapter.give_up_sessions`."""
        if self.log is not None:
            self.log.give_up_all()


def _for_many(slow: SlowConsumer, nsp: Any, payload: list[Any]) -> SlowConsumer | None:
    """A broadcast's policy: it does not fail as a whole because one of its recipients is slow."""
    return slow.of_event(nsp.name, payload) if slow.droppable else None
