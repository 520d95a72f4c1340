"""Emitting from processes that are no servers: workers, scheduled jobs, other frameworks.

An emitter says what a server of the cluster would say, under the name `emitter`, which none of them
counts as one. It cannot ask: there are no acknowledgements, and nobody is found by it. How its
messages travel is known to the adapter that it is made of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    EMITTER,
    Broadcast,
    DisconnectSockets,
    EmittedOptions,
    Kind,
    ServerSideEmit,
    SocketsRooms,
)
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.recipients import to_wire
from nuncio.cluster.rooms import Room, rooms_of
from nuncio.cluster.values import plain
from nuncio.errors import OptionError
from nuncio.protocol.socketio import EVENT
from nuncio.server.operator import check_event, check_farewell

R_co = TypeVar("R_co", covariant=True)


class Sender(Protocol[R_co]):
    """How an emitter's messages travel: `R_co` is None, or something to await."""

    def send(self, message: ClusterMessage) -> R_co:
        """Send a message to all servers."""

    def close(self) -> R_co:
        """End the connection."""


@runtime_checkable
class Target(Protocol):
    """What an emitter can be made of: an adapter, as servers are given it."""

    def sender(self) -> Sender[Awaitable[None]]:
        """For code that runs in an event loop."""

    def blocking_sender(self) -> Sender[None]:
        """For code that blocks."""


def target_of(where: Any) -> Target:
    """An adapter that can be emitted through.

    Args:
        where: one, or the address of one, or a client.

    Raises:
        OptionError: for what is neither.
    """
    if type(where).__module__.startswith("pymongo."):
        # Whatever one asks of it, it has that: it is a collection below itself.
        return _over_mongo(where)
    if isinstance(where, Target):
        return where
    if isinstance(where, str) and "://" in where:
        scheme = where.partition("://")[0]
        if scheme in ("mongodb", "mongodb+srv"):
            return _over_mongo(where)
        if scheme == "nats":
            from nuncio.cluster.nats.adapter import NatsAdapter

            return NatsAdapter(where)
        if scheme in ("postgresql", "postgres"):
            return _over_postgres(where)
        if scheme not in ("redis", "rediss", "unix"):
            raise OptionError(f"url: nobody emits through {scheme!r}; give an adapter")
    elif type(where).__module__.startswith("asyncpg."):
        return _over_postgres(where)
    elif not type(where).__module__.startswith("redis."):
        raise OptionError(
            "an emitter is made of an adapter, such as nuncio.cluster.RedisAdapter('redis://…'), "
            "or of its address, or of the nuncio.cluster.RedisMeeting where workers meet, not of "
            f"{where!r}"
        )
    from nuncio.cluster.redis.classic import RedisAdapter

    return RedisAdapter(where)


def _over_mongo(where: Any) -> Target:
    from nuncio.cluster.mongo.adapter import MongoAdapter

    return MongoAdapter(where)


def _over_postgres(where: Any) -> Target:
    from nuncio.cluster.postgres.adapter import PostgresAdapter

    return PostgresAdapter(where)


class Emitting(Generic[R_co]):
    """What emitters do, whether what they return is to be awaited or None.

    Args:
        sender: takes their messages.
        nsp: the namespace.
        options: to whom and how.
    """

    def __init__(
        self, sender: Sender[R_co], nsp: str = "/", options: BroadcastOptions | None = None
    ) -> None:
        self._sender = sender
        self._nsp = nsp
        self._options = BroadcastOptions() if options is None else options

    # Namespaces and recipients.

    def of(self, nsp: str) -> Emitting[R_co]:
        """The same for another namespace.

        Args:
            nsp: its name, with or without the leading `/`.

        Raises:
            OptionError: for what is no name.
        """
        if not isinstance(nsp, str) or not nsp:
            raise OptionError(f"nsp: a namespace's name is a non-empty str, not {nsp!r}")
        return Emitting(self._sender, nsp if nsp.startswith("/") else f"/{nsp}")

    def _changed(self, **changes: Any) -> Emitting[R_co]:
        options = self._options.copy()
        for name, value in changes.items():
            setattr(options, name, value)
        return Emitting(self._sender, self._nsp, options)

    def to(self, rooms: Room | Iterable[Room]) -> Emitting[R_co]:
        """Everybody in a room, or in any of several; ids of sockets are rooms, too.

        Raises:
            OptionError: for what cannot be a room.
        """
        return self._changed(rooms=_joined(self._options.rooms, rooms))

    def in_(self, rooms: Room | Iterable[Room]) -> Emitting[R_co]:
        """The same as `to`."""
        return self.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> Emitting[R_co]:
        """But nobody in these rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        return self._changed(excepted=_joined(self._options.excepted, rooms))

    @property
    def volatile(self) -> Emitting[R_co]:
        """Those who are not ready to receive are left out."""
        return self._changed(volatile=True)

    def compress(self, compress: bool) -> Emitting[R_co]:
        """Whether transports may compress it."""
        return self._changed(compress=compress)

    # What is said.

    def emit(self, event: str, *args: object) -> R_co:
        """Emit an event to clients.

        Args:
            event: its name.
            args: anything that can be sent: plain data, bytes, dataclasses, models.

        Raises:
            OptionError: for a reserved name, and for a callback: nobody can answer an emitter.
        """
        check_event(event)
        _check_no_callback(args)
        packet = {"type": EVENT, "data": plain([event, *args]), "nsp": self._nsp}
        told = to_wire(self._options)
        opts: Any = EmittedOptions(told.rooms, told.flags, told.excepted)
        return self._say(Kind.BROADCAST, Broadcast(packet=packet, opts=opts))

    def sockets_join(self, rooms: Room | Iterable[Room]) -> R_co:
        """Put the clients into rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        told = SocketsRooms(to_wire(self._options), rooms_of(rooms, "rooms"))
        return self._say(Kind.SOCKETS_JOIN, told)

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> R_co:
        """Take the clients out of rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        told = SocketsRooms(to_wire(self._options), rooms_of(rooms, "rooms"))
        return self._say(Kind.SOCKETS_LEAVE, told)

    def disconnect_sockets(
        self, close: bool = False, *, reason: str | None = None, data: object = None
    ) -> R_co:
        """Disconnect the clients.

        Args:
            close: whether their connections end, too.
            reason: see `Socket.disconnect`; only Nuncio's servers tell it.
            data: goes with the reason.

        Raises:
            OptionError: for a reason that is no text, and data without a reason.
        """
        check_farewell(reason, data)
        options = self._options.copy()
        options.reason, options.data = reason, data
        return self._say(Kind.DISCONNECT_SOCKETS, DisconnectSockets(to_wire(options), close))

    def server_side_emit(self, event: str, *args: object) -> R_co:
        """Send an event to all servers, whose `on_server` handlers receive it.

        Raises:
            OptionError: for what is no name, and for a callback: nobody can answer an emitter.
        """
        check_event(event)
        _check_no_callback(args)
        return self._say(Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=plain([event, *args])))

    def _say(self, kind: int, told: Any) -> R_co:
        return self._sender.send(ClusterMessage(EMITTER, self._nsp, kind, told))


def _joined(known: frozenset[Room], rooms: Room | Iterable[Room]) -> frozenset[Room]:
    return known | frozenset(rooms_of(rooms, "rooms"))


def _check_no_callback(args: tuple[object, ...]) -> None:
    if args and callable(args[-1]):
        raise OptionError("args: an emitter cannot be answered, so it takes no callback")


class Emitter(Emitting[Awaitable[None]]):
    """Emits to the clients of a cluster, from a process that is no server.

        emitter = nuncio.Emitter("redis://localhost:6379")
        await emitter.to("news").emit("headline", "…")
        await emitter.close()

    What its methods return need not be awaited, as long as the loop goes on: who awaits it learns
    whether the message was taken. `nuncio.sync.Emitter` is the same for code that blocks.

    Args:
        adapter: the adapter of the servers, made with the same options; or an address such as
            `redis://…`, or a client of `redis.asyncio`, for `RedisAdapter` with its defaults; or
            `postgresql://…`, or a pool of asyncpg, for `PostgresAdapter` with its; or `nats://…`
            for `NatsAdapter`; or `mongodb://…`, or a collection of pymongo's, for `MongoAdapter`.
            Or the `RedisMeeting` of workers, where these are joined by nothing else.
        nsp: the namespace, `/` unless said otherwise.

    Raises:
        OptionError: for what is no adapter, or when a library is not installed.
    """

    def __init__(self, adapter: Any, nsp: str = "/") -> None:
        super().__init__(target_of(adapter).sender(), nsp)

    async def close(self) -> None:
        """Send what has been emitted, then end the connection."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
