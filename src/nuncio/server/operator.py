"""Chains that choose recipients and flags: `io.to("room").volatile.emit(...)`. [compiled]

Each call returns a new operator, so one that was kept never changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.rooms import Room, rooms_of
from nuncio.engine.session import Sent
from nuncio.errors import OptionError
from nuncio.options import seconds as checked_seconds
from nuncio.protocol.socketio import RESERVED_EVENTS

if TYPE_CHECKING:
    from nuncio.server.namespace import Namespace
    from nuncio.server.socket import Socket


class BroadcastOperator:
    """Recipients in a namespace, and flags for what they are sent.

    Args:
        nsp: the namespace.
        rooms: whose members are meant; empty for everybody.
        excepted: whose members are not.
        volatile: see `volatile`.
        compress: see `compress`.
        local: see `local`.
        timeout: see `timeout`; 0 for none.
    """

    __slots__ = ("_compress", "_excepted", "_is_volatile", "_local", "_nsp", "_rooms", "_timeout")

    def __init__(
        self,
        nsp: Namespace,
        rooms: frozenset[Room],
        excepted: frozenset[Room],
        volatile: bool = False,
        compress: bool = True,
        local: bool = False,
        timeout: float = 0.0,
    ) -> None:
        self._nsp = nsp
        self._rooms = rooms
        self._excepted = excepted
        self._is_volatile = volatile
        self._compress = compress
        self._local = local
        self._timeout = timeout

    def _copy(self) -> BroadcastOperator:
        return BroadcastOperator(
            self._nsp,
            self._rooms,
            self._excepted,
            self._is_volatile,
            self._compress,
            self._local,
            self._timeout,
        )

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Also everybody in this room, or in any of these."""
        operator = self._copy()
        operator._rooms = self._rooms.union(rooms_of(rooms, "rooms"))
        return operator

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """But nobody in this room, or in any of these."""
        operator = self._copy()
        operator._excepted = self._excepted.union(rooms_of(rooms, "rooms"))
        return operator

    @property
    def volatile(self) -> BroadcastOperator:
        """Those who are not ready to receive are left out."""
        operator = self._copy()
        operator._is_volatile = True
        return operator

    @property
    def local(self) -> BroadcastOperator:
        """Only those connected to this server."""
        operator = self._copy()
        operator._local = True
        return operator

    def compress(self, compress: bool) -> BroadcastOperator:
        """Whether transports may compress it."""
        operator = self._copy()
        operator._compress = compress
        return operator

    def timeout(self, seconds: float) -> BroadcastOperator:
        """How long to wait for acknowledgements."""
        operator = self._copy()
        operator._timeout = checked_seconds("timeout", seconds)
        return operator

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to all recipients; it is encoded once.

        Args:
            event: its name; not one of the reserved ones.
            args: see `Socket.emit`.

        Returns:
            Something to await for back-pressure: it waits for those who are behind.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
        """
        if not isinstance(event, str):
            raise OptionError(f"event: an event's name is a str, not {event!r}")
        if event in RESERVED_EVENTS:
            raise OptionError(f'event: "{event}" is a reserved event name')
        if args and callable(args[-1]):
            raise OptionError(
                "args: a broadcast's acknowledgements are awaited: "
                "await io.to(…).timeout(5).emit_with_ack(event, …)"
            )
        payload: list[object] = [event, *args]
        nsp = self._nsp
        message = nsp.parser.encode_event(nsp.prefix, -1, payload, self._compress)
        return nsp.broadcast(message, payload, self._rooms, self._excepted, self._is_volatile)

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[list[Any]]:
        """Send an event and wait for everybody's acknowledgement; needs `timeout`.

        Returns:
            The first value of each answer, in the order in which they came.

        Raises:
            AckTimeout: when some did not come in time; `responses` holds those that did.
            OptionError: without a time-out, for one recipient could keep all waiting for ever.
        """
        if not self._timeout:
            raise OptionError("timeout: a broadcast with acknowledgements needs .timeout(seconds)")
        if not isinstance(event, str):
            raise OptionError(f"event: an event's name is a str, not {event!r}")
        if event in RESERVED_EVENTS:
            raise OptionError(f'event: "{event}" is a reserved event name')
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        payload: list[object] = [event, *args]
        self._nsp.broadcast_with_ack(
            payload, self._rooms, self._excepted, self._compress, self._timeout, future
        )
        return future


class SocketOperator:
    """Flags for what one socket is sent: `socket.volatile.emit(...)`.

    Args:
        socket: whom.
        volatile: drop it when the client is not ready.
        compress: whether the transport may compress it.
        timeout: seconds to wait for the acknowledgement; 0 for none.
    """

    __slots__ = ("_compress", "_is_volatile", "_socket", "_timeout")

    def __init__(
        self,
        socket: Socket,
        volatile: bool = False,
        compress: bool = True,
        timeout: float = 0.0,
    ) -> None:
        self._socket = socket
        self._is_volatile = volatile
        self._compress = compress
        self._timeout = timeout

    @property
    def volatile(self) -> SocketOperator:
        """See `Socket.volatile`."""
        return SocketOperator(self._socket, True, self._compress, self._timeout)

    def compress(self, compress: bool) -> SocketOperator:
        """See `Socket.compress`."""
        return SocketOperator(self._socket, self._is_volatile, compress, self._timeout)

    def timeout(self, seconds: float) -> SocketOperator:
        """See `Socket.timeout`."""
        limit = checked_seconds("timeout", seconds)
        return SocketOperator(self._socket, self._is_volatile, self._compress, limit)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody but this socket, with the same flags."""
        operator = self._socket.broadcast
        operator._is_volatile = self._is_volatile
        operator._compress = self._compress
        operator._timeout = self._timeout
        return operator

    @property
    def local(self) -> BroadcastOperator:
        """See `Socket.local`."""
        return self.broadcast.local

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Socket.to`."""
        return self.broadcast.to(rooms)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Socket.to`."""
        return self.broadcast.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """See `Socket.except_`."""
        return self.broadcast.except_(rooms)

    def emit(self, event: str, *args: object) -> Sent:
        """See `Socket.emit`; after `timeout`, a callback's first argument is an error or None."""
        if args and callable(args[-1]):
            return self._socket.emit_callback(
                [event, *args[:-1]], args[-1], self._timeout, self._compress
            )
        return self._socket.send_event([event, *args], -1, self._is_volatile, self._compress)

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[Any]:
        """See `Socket.emit_with_ack`."""
        return self._socket.request_ack([event, *args], self._timeout, self._compress)
