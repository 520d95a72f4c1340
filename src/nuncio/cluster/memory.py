"""The adapter of a server that is alone. [compiled]

A room holds its sockets and a socket its rooms, so that everything costs only the rooms concerned.
The room of a socket's own id is not stored: the table of sockets is that room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.adapter import Adapter
from nuncio.cluster.rooms import Room
from nuncio.errors import LimitExceeded

if TYPE_CHECKING:
    from nuncio.server.socket import Socket


class MemoryAdapter(Adapter):
    """Rooms in this process.

    Args:
        sockets: see `Adapter`.
        spawn: see `Adapter`.
        max_rooms: how many rooms one socket may be in.
    """

    __slots__ = ("_max_rooms", "_members")

    def __init__(self, sockets: dict[str, Socket], spawn: Any, max_rooms: int) -> None:
        super().__init__(sockets, spawn)
        self._members: dict[Room, set[Socket]] = {}
        self._max_rooms = max_rooms

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
                raise LimitExceeded(
                    f"socket {socket.id} is in {len(mine)} rooms; raise Limits(rooms=…) "
                    "if it really needs more"
                )
            mine[room] = None
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
                events.emit("create-room", room)
            events.emit("join-room", room, socket.id)

    def entered(self, socket: Socket) -> None:
        """See `Adapter.entered`."""
        if self._events is not None:
            if socket.id not in self._members:
                self._events.emit("create-room", socket.id)
            self._events.emit("join-room", socket.id, socket.id)

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
            events.emit("leave-room", room, socket.id)
            if deleted:
                events.emit("delete-room", room)

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
