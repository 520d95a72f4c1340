"""The adapter interface: who is in which room, and how a broadcast reaches them. [compiled]

The server knows clusters by this interface alone. One adapter serves one namespace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from nuncio.cluster.rooms import Room
from nuncio.events import Emitter

if TYPE_CHECKING:
    from nuncio.server.socket import Socket


@mypyc_attr(allow_interpreted_subclasses=True)
class Adapter:
    """Rooms of one namespace.

    Events (`adapter.on`): `create-room(room)`, `join-room(room, id)`, `leave-room(room, id)`,
    `delete-room(room)`.

    Args:
        sockets: the namespace's connected sockets by id; the namespace keeps it up to date.
        spawn: runs the coroutines of `async def` listeners.
    """

    __slots__ = ("_events", "_spawn", "sockets")

    def __init__(self, sockets: dict[str, Socket], spawn: Any) -> None:
        self.sockets = sockets
        self._spawn = spawn
        self._events: Emitter | None = None

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to the adapter's events."""
        if self._events is None:
            self._events = Emitter(self._spawn)
        return self._events.on(event, listener)

    def entered(self, socket: Socket) -> None:
        """A socket is connected and so in the room of its own id."""
        raise NotImplementedError

    def add_all(self, socket: Socket, rooms: Iterable[Room]) -> None:
        """Put a socket into rooms."""
        raise NotImplementedError

    def remove(self, socket: Socket, room: Room) -> None:
        """Take a socket out of a room."""
        raise NotImplementedError

    def remove_all(self, socket: Socket) -> None:
        """Take a socket out of all its rooms, its own among them."""
        raise NotImplementedError

    def targets(self, rooms: frozenset[Room], excepted: frozenset[Room]) -> list[Socket]:
        """The sockets of this server that a broadcast reaches, each once.

        Args:
            rooms: whose members are meant; empty for everybody.
            excepted: whose members are not.
        """
        raise NotImplementedError

    @property
    def rooms(self) -> dict[Room, set[str]]:
        """The ids of the sockets in each room."""
        raise NotImplementedError

    async def server_count(self) -> int:
        """How many servers there are."""
        return 1

    async def close(self) -> None:
        """Leave the cluster."""
