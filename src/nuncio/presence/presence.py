"""`io.presence`: who is in a room, across all servers, with joins and leaves as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import OptionError
from nuncio.events import Emitter, EventNames
from nuncio.ids import new_id
from nuncio.presence.messages import EVENT
from nuncio.presence.options import PresenceOptions
from nuncio.presence.replica import Replica
from nuncio.presence.roll import Key, Present, Roll, Room
from nuncio.protocol.json import simplify

if TYPE_CHECKING:
    from nuncio.server.namespace import Namespace
    from nuncio.server.socket import Socket

L = TypeVar("L", bound=Callable[..., Any])

_EVENTS: Final = EventNames("presence", ("join", "update", "leave"), {})

# What clients are told, where they are.
ANNOUNCED: Final = "presence"


class Presence:
    """Who is in the rooms of a namespace.

        @io.on("connection")
        async def connection(socket):
            io.presence.track(socket, "lobby", key=socket.user["id"], meta={"name": …})

        @io.presence.on("leave")
        def left(room, key): ...

    A user is known by a key, whatever the number of its tabs, devices and servers. It joins with
    its first, and leaves when its last has been gone for `leave_grace` seconds; so who reloads a
    page has never left. In a cluster every server knows everybody, and is told of everybody.

    Args:
        nsp: the namespace.
        options: see `PresenceOptions`.
    """

    def __init__(self, nsp: Namespace, options: PresenceOptions) -> None:
        self._nsp = nsp
        self._options = options
        self._events = Emitter(nsp.server.spawn, _EVENTS)
        self._roll = Roll(self._joined, self._updated, self._away, self._left)
        self._replica = Replica(new_id(), self._roll, self._tell, self._now)
        self._mine: dict[str, dict[Room, Key]] = {}
        self._grace: dict[tuple[Room, Key], _Grace] = {}
        self._gather = _Gather(self)
        self._beat = _Beat(self)
        self._begun = False
        self._news: dict[Room, tuple[dict[Key, Any], set[Key]]] = {}
        nsp.on_server(EVENT, self._replica.received)
        nsp.adapter.on("leave_room", self._left_room)

    def __repr__(self) -> str:
        return f"<nuncio.Presence of {self._nsp.name}>"

    # What applications use.

    def track(self, socket: Socket, room: Room, key: Key | None = None, meta: Any = None) -> None:
        """A socket's user is in a room, from now until the socket leaves it or disconnects.

        The socket joins the room. Called again it says something else of it, or another user. When
        a socket recovers, this does, too.

        Args:
            socket: one of this server's.
            room: the room.
            key: who it is; without it `socket.user` where that is text or a number, else the
                socket itself.
            meta: plain data that others may know of it.

        Raises:
            OptionError: for a key that is no text or number, or a meta that is no plain data.
            LimitExceeded: when the socket is in too many rooms.
        """
        self.begin()
        if key is None:
            key = socket.user if isinstance(socket.user, (str, int)) else socket.id
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise OptionError(f"key must be text or a number that tells users apart, not {key!r}")
        try:
            plain = simplify(meta)
        except TypeError as error:
            raise OptionError(f"meta must be plain data: {error}") from error
        socket.join(room)
        mine = self._mine.setdefault(socket.id, {})
        before = mine.get(room)
        if before is not None and before != key:
            self._replica.remove(room, before, socket.id)
        mine[room] = key
        self._replica.add(room, key, socket.id, plain)
        self._soon()

    def untrack(self, socket: Socket, room: Room) -> None:
        """A socket's user is not in a room any longer; the socket itself stays in it."""
        self._end(socket.id, room)

    def stays(self, id: str) -> list[tuple[Room, Key, Any]]:
        """Where a socket of this server is, as which user, and what is said of it."""
        mine = self._mine.get(id, {})
        return [(room, key, self._replica.meta(room, key, id)) for room, key in mine.items()]

    def resume(self, socket: Socket, stays: list[tuple[Room, Key, Any]]) -> None:
        """A socket has recovered, and is where it was, as far as it is in those rooms still."""
        rooms = socket.rooms
        for room, key, meta in stays:
            if room in rooms:
                self.track(socket, room, key, meta)

    def members(self, room: Room) -> list[Present]:
        """Who is in a room, on all servers, in the order in which this one heard of them."""
        self.begin()
        return self._roll.members(room)

    def keys(self, room: Room) -> list[Key]:
        """As `members`, the keys alone."""
        return [present.key for present in self.members(room)]

    def count(self, room: Room) -> int:
        """How many users are in a room."""
        self.begin()
        return self._roll.count(room)

    def rooms(self) -> list[Room]:
        """The rooms that somebody is in."""
        self.begin()
        return self._roll.rooms()

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event: `on(event, listener)`, or `@on(event)`.

        Args:
            event: `join(room, key, meta)`; `update(room, key, meta)`, when something else is said
                of somebody; `leave(room, key, meta)`, with what was said last. On every server.
            listener: a function, which may be async.

        Raises:
            OptionError: when there is no such event.
        """
        return self._events.on(event, listener)

    # Life.

    def begin(self) -> None:
        """Take part: from now on this server knows what the others know.

        It does by itself when it is first used while a loop runs, or when the server starts.
        """
        if self._begun:
            return
        self._begun = True
        self._replica.hello()
        self._wheel.arm(self._beat, self._options.beat)

    def end(self) -> None:
        """The server ends, and everybody on it is gone."""
        if self._begun:
            self._begun = False
            self._replica.bye()
            for timer in (self._beat, self._gather, *self._grace.values()):
                self._wheel.cancel(timer)
            self._grace.clear()

    @property
    def _wheel(self) -> TimerWheel:
        return self._nsp.wheel

    def _now(self) -> float:
        return self._wheel.now()

    def _tell(self, message: dict[str, Any]) -> None:
        self._nsp.adapter.server_side_emit([EVENT, message])

    def _soon(self) -> None:
        if self._gather.tick < 0:
            self._wheel.arm(self._gather, self._options.gather)

    def gathered(self) -> None:
        """The time for gathering is over."""
        self._replica.flush()
        news, self._news = self._news, {}
        for room, (joins, leaves) in news.items():
            told = {"room": room, "joins": joins, "leaves": list(leaves)}
            self._nsp.local.to(room).emit(ANNOUNCED, told)

    def beat(self) -> None:
        """It is time for a sign of life."""
        self._replica.beat(self._options.lost_after)
        self._wheel.arm(self._beat, self._options.beat)

    # What rooms and the roll tell.

    def _left_room(self, room: Room, id: str) -> None:
        if id in self._mine:
            self._end(id, room)

    def _end(self, id: str, room: Room) -> None:
        mine = self._mine.get(id)
        if mine is None or room not in mine:
            return
        key = mine.pop(room)
        if not mine:
            del self._mine[id]
        self._replica.remove(room, key, id)
        self._soon()

    def _joined(self, room: Room, key: Key, meta: Any) -> None:
        self._announce(room, key, meta)
        self._events.emit("join", room, key, meta)

    def _updated(self, room: Room, key: Key, meta: Any) -> None:
        self._announce(room, key, meta)
        self._events.emit("update", room, key, meta)

    def _announce(self, room: Room, key: Key, meta: Any) -> None:
        if self._options.announce:
            joins, leaves = self._news.setdefault(room, ({}, set()))
            leaves.discard(key)
            joins[key] = meta
            self._soon()

    def _away(self, room: Room, key: Key) -> None:
        grace = self._grace.get((room, key))
        if grace is None:
            grace = self._grace[room, key] = _Grace(self, room, key)
        self._wheel.arm(grace, self._options.leave_grace)

    def over(self, room: Room, key: Key) -> None:
        """Somebody may have been away for long enough."""
        del self._grace[room, key]
        self._roll.expire(room, key)

    def _left(self, room: Room, key: Key, meta: Any) -> None:
        if self._options.announce:
            joins, leaves = self._news.setdefault(room, ({}, set()))
            joins.pop(key, None)
            leaves.add(key)
            self._soon()
        self._events.emit("leave", room, key, meta)


class _Grace(Timer):
    """One user who is away."""

    def __init__(self, presence: Presence, room: Room, key: Key) -> None:
        super().__init__()
        self._presence = presence
        self._room = room
        self._key = key

    def expire(self, now: float) -> None:
        self._presence.over(self._room, self._key)


class _Gather(Timer):
    """When what has changed is told."""

    def __init__(self, presence: Presence) -> None:
        super().__init__()
        self._presence = presence

    def expire(self, now: float) -> None:
        self._presence.gathered()


class _Beat(Timer):
    """When this server says that it is there."""

    def __init__(self, presence: Presence) -> None:
        super().__init__()
        self._presence = presence

    def expire(self, now: float) -> None:
        self._presence.beat()
