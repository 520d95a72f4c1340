"""The adapter interface: who is in which room, and how servers act together. [compiled]

The server knows clusters by this interface alone. One adapter serves one namespace. It keeps the
rooms of this server's sockets, carries operations to all servers, and stores what connection state
recovery needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.rooms import Room
from nuncio.engine.sent import Sent
from nuncio.events import Emitter, EventNames
from nuncio.ids import new_id
from nuncio.protocol.engineio import Message

if TYPE_CHECKING:
    from nuncio.server.broadcasting import Broadcaster
    from nuncio.server.socket import Socket

_EVENTS: Final = EventNames(
    "the adapter",
    ("create_room", "join_room", "leave_room", "delete_room", "healthy", "unhealthy"),
    {"error": "failures are logged, and what `init` raises ends the start of the server"},
)


@mypyc_attr(allow_interpreted_subclasses=True)
class Adapter:
    """Rooms of one namespace, and its part in a cluster.

    Made by the server, by calling what its option `adapter` holds with the namespace. Events
    (`adapter.on`): `create_room(room)`, `join_room(room, id)`, `leave_room(room, id)`,
    `delete_room(room)`; and in a cluster `unhealthy(error)` when the other servers cannot be
    reached, `healthy()` when they can again.

    Args:
        nsp: the namespace.
    """

    __slots__ = ("_events", "nsp", "sockets")

    def __init__(self, nsp: Any) -> None:
        self.nsp: Broadcaster = nsp
        self.sockets: dict[str, Socket] = nsp.sockets
        self._events: Emitter | None = None

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to the adapter's events.

        Raises:
            OptionError: when there is no such event.
        """
        events = self._events
        if events is None:
            events = Emitter(self.nsp.server.spawn, _EVENTS)
        registered = events.on(event, listener)
        self._events = events
        return registered

    # Starting and ending.

    async def init(self) -> None:
        """Join the cluster: connect, subscribe, whatever has to be before the namespace is of use.

        The server awaits it when it starts, of all its namespaces at the same time, and does not
        begin to listen before. Of a namespace that is made later, and of an application that is
        mounted so that it is not told of the start, the first clients wait for it.

        What it raises ends the start of the server, which raises the same. Later it is reported,
        the clients that wait are refused, and the next one causes another attempt.
        """

    async def close(self) -> None:
        """Leave the cluster.

        Awaited once at the end, also of an adapter that failed in `init` or is in the middle of it,
        and then cancelled. A server that starts again calls `init` again.
        """

    async def server_count(self) -> int:
        """How many servers there are."""
        return 1

    # Rooms of this server's sockets.

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

    # Operations on sockets, wherever they are.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """Deliver an event.

        Args:
            payload: the event's name and arguments.
            options: to whom and how.
        """
        raise NotImplementedError

    def broadcast_with_ack(
        self, payload: list[Any], options: BroadcastOptions, gathering: Any
    ) -> None:
        """Deliver an event and gather the answers.

        Args:
            payload: the event's name and arguments.
            options: to whom and how; it has a time-out.
            gathering: a `GatheredAcks`: `expect(count)` is called for each server, then `answer`
                with the first value of each acknowledgement, or `fail`.
        """
        raise NotImplementedError

    async def fetch_sockets(self, options: BroadcastOptions) -> list[Any]:
        """The sockets: this server's as `Socket`, those of others as `RemoteSocket`."""
        raise NotImplementedError

    def add_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """Put sockets into rooms."""
        raise NotImplementedError

    def remove_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """Take sockets out of rooms."""
        raise NotImplementedError

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> None:
        """Disconnect sockets; with `close` their connections, too."""
        raise NotImplementedError

    # Messages between servers.

    def server_side_emit(self, payload: list[Any]) -> None:
        """Send an event to the other servers."""
        raise NotImplementedError

    async def server_side_emit_with_ack(self, payload: list[Any], timeout: float) -> list[Any]:
        """Send an event to the other servers and gather their answers.

        Raises:
            AckTimeout: when some did not come in time.
        """
        raise NotImplementedError

    # Connection state recovery; only asked for when the server's option is on.

    def secret(self) -> str:
        """A new secret by which a client may come back."""
        return new_id()

    def persist_session(self, session: SavedSession) -> None:
        """Keep the state of a client that lost its connection."""
        raise NotImplementedError

    def restore_session(self, pid: str, offset: str) -> Any:
        """The state of a client that came back; it is restored once.

        Args:
            pid: the secret that the client was given.
            offset: what it received last; empty when it received nothing.

        Returns:
            A `SavedSession`, or None when it cannot be restored whole; or an awaitable of these.
        """
        raise NotImplementedError

    def position(self) -> int:
        """The number of the latest event, where events are numbered."""
        return 0

    def remembers(self, pid: str) -> bool:
        """Whether a client is away and may come back."""
        return False

    def missed(self, session: SavedSession) -> list[Message] | None:
        """What a restored client has to be sent, in order.

        Returns:
            None when some of it has been forgotten since the session was restored.
        """
        raise NotImplementedError

    def absent(self, options: BroadcastOptions) -> list[SavedSession]:
        """The lost clients whom a promised event is meant for."""
        return []

    @property
    def occupied(self) -> bool:
        """Whether clients that are away may come back."""
        return False

    def give_up_sessions(self) -> None:
        """The server ends: nobody can come back to it."""
