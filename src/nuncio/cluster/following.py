"""Which rooms there are, for adapters whose messages take ways that depend on it. [compiled]

Rooms of clients that are away for a moment are among them, for what is said there is theirs, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from nuncio.cluster.memory import MemoryAdapter
from nuncio.cluster.recovery import RecoveryLog, SavedSession
from nuncio.cluster.rooms import Room

if TYPE_CHECKING:
    from nuncio.server.socket import Socket


@mypyc_attr(allow_interpreted_subclasses=True)
class FollowingAdapter(MemoryAdapter):
    """An adapter that may learn of each room that there is now a first or no last member of.

    Args:
        nsp: see `Adapter`.

    Attributes:
        follows: whether it does; a derived one that wants to sets it, and gives `follow`.
    """

    def __init__(self, nsp: Any) -> None:
        super().__init__(nsp)
        self.follows = False
        self._session_lost = nsp.session_lost
        if self.log is not None:
            self.log = RecoveryLog(nsp.server.recovery, self._lost)

    def follow(self, room: Room) -> Any:
        """Somebody came into a room, or left it: `has_room` says whether anybody is there now."""

    def follow_all(self, rooms: Iterable[Room]) -> None:
        """As `follow`, of several."""
        for room in rooms:
            self.follow(room)

    def entered(self, socket: Socket) -> None:
        """See `Adapter.entered`."""
        super().entered(socket)
        if self.follows:
            self.follow(socket.id)

    def add_all(self, socket: Socket, rooms: Iterable[Room]) -> None:
        """See `Adapter.add_all`."""
        if not self.follows:
            super().add_all(socket, rooms)
            return
        listed = list(rooms)
        try:
            super().add_all(socket, listed)
        finally:
            self.follow_all(listed)

    def remove(self, socket: Socket, room: Room) -> None:
        """See `Adapter.remove`."""
        super().remove(socket, room)
        if self.follows:
            self.follow(room)

    def remove_all(self, socket: Socket) -> None:
        """See `Adapter.remove_all`."""
        if not self.follows:
            super().remove_all(socket)
            return
        left = list(socket.joined_rooms() or ())
        super().remove_all(socket)
        self.follow_all(left)
        # It is still among the sockets, but not for long.
        asyncio.get_running_loop().call_soon(self.follow, socket.id)

    def _lost(self, session: SavedSession) -> None:
        """A client that was away will not come back."""
        self._session_lost(session)
        if self.follows:
            self.follow_all(session.rooms)
