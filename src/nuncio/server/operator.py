"""Chains that choose recipients and flags: `io.to("room").volatile.emit(...)`. [compiled]

Each call returns a new operator, so one that was kept never changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.rooms import Room, rooms_of
from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import OptionError
from nuncio.options import seconds as checked_seconds
from nuncio.protocol.socketio import RESERVED_EVENTS
from nuncio.slow import SlowConsumer, policy_of

if TYPE_CHECKING:
    from nuncio.server.broadcasting import Broadcaster
    from nuncio.server.socket import Socket


def check_event(event: object) -> None:
    """Check the name of an event that is sent.

    Raises:
        OptionError: when it is no name, or a reserved one.
    """
    if not isinstance(event, str):
        raise OptionError(f"event: an event's name is a str, not {event!r}")
    if event in RESERVED_EVENTS:
        raise OptionError(f'event: "{event}" is a reserved event name')


def check_farewell(reason: object, data: object) -> None:
    """Check what a client is to be told when it is disconnected.

    Raises:
        OptionError: for a reason that is no text, and data without a reason.
    """
    if reason is not None and not isinstance(reason, str):
        raise OptionError(f"reason must be a str, not {reason!r}")
    if reason is None and data is not None:
        raise OptionError('data goes with a reason: disconnect(reason="…", data=…)')


class BroadcastOperator:
    """Recipients in a namespace, and flags for what they are sent: `io.to("lobby").volatile`.

    Each call returns a new one, so one that was kept never changes.
    """

    __slots__ = ("_nsp", "_options")

    def __init__(self, nsp: Broadcaster, options: BroadcastOptions) -> None:
        """Made by namespaces and sockets.

        Args:
            nsp: the namespace.
            options: whom and how; the operator's own from now on.
        """
        self._nsp = nsp
        self._options = options

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Also everybody in this room, or in any of these.

        Raises:
            OptionError: for what cannot be a room.
        """
        options = self._options.copy()
        options.rooms = options.rooms.union(rooms_of(rooms, "rooms"))
        return BroadcastOperator(self._nsp, options)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """But nobody in this room, or in any of these.

        Raises:
            OptionError: for what cannot be a room.
        """
        options = self._options.copy()
        options.excepted = options.excepted.union(rooms_of(rooms, "rooms"))
        return BroadcastOperator(self._nsp, options)

    @property
    def volatile(self) -> BroadcastOperator:
        """Those who are not ready to receive are left out."""
        options = self._options.copy()
        options.volatile = True
        return BroadcastOperator(self._nsp, options)

    @property
    def local(self) -> BroadcastOperator:
        """Only those connected to this server."""
        options = self._options.copy()
        options.local = True
        return BroadcastOperator(self._nsp, options)

    def compress(self, compress: bool) -> BroadcastOperator:
        """Whether transports may compress it, where compression is on; they may unless told."""
        options = self._options.copy()
        options.compress = compress
        return BroadcastOperator(self._nsp, options)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """How long to wait for acknowledgements.

        Args:
            seconds: above 0.

        Raises:
            OptionError: for what is no such number.
        """
        options = self._options.copy()
        options.timeout = checked_seconds("timeout", seconds)
        return BroadcastOperator(self._nsp, options)

    def delivery(self, guarantee: str) -> BroadcastOperator:
        """What is promised of the delivery.

        Args:
            guarantee: `at-most-once`, or `at-least-once`: recipients acknowledge it, get it again
                if their connection breaks before, or the application is told; see `Undelivered`.

        Raises:
            OptionError: for what is neither, and for `at-least-once` without connection state
                recovery.
        """
        options = self._options.copy()
        options.promised = self._nsp.checked_delivery(guarantee)
        return BroadcastOperator(self._nsp, options)

    def when_slow(self, policy: Any) -> BroadcastOperator:
        """What becomes of it for those who are behind.

        Args:
            policy: `disconnect`, `block`, `drop_oldest`, `drop_newest` or `nuncio.conflate(key)`;
                see `Namespace.slow_consumer`.

        Raises:
            OptionError: for what is no policy.
        """
        options = self._options.copy()
        options.slow = policy_of(policy, "policy")
        return BroadcastOperator(self._nsp, options)

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to all recipients; it is encoded once.

        A callable as the last argument receives the acknowledgements, as in JavaScript: first an
        error or None, then the list of the answers that came. It needs `timeout`.

        Args:
            event: its name; not one of the reserved ones.
            args: see `Socket.emit`.

        Returns:
            Something to await for back-pressure, which waits for those who are behind.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
        """
        check_event(event)
        if args and callable(args[-1]):
            self._nsp.server.tell_answers(self.emit_with_ack(event, *args[:-1]), args[-1])
            return TAKEN
        return self._nsp.broadcast([event, *args], self._options)

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[list[Any]]:
        """Send an event and wait for everybody's acknowledgement; needs `timeout`.

        Args:
            event: its name; not one of the reserved ones.
            args: see `Socket.emit`.

        Returns:
            The first value of each answer, in the order in which they came.

        Raises:
            AckTimeout: when some did not come in time; `responses` holds those that did.
            OptionError: without a time-out, for one recipient could keep all waiting for ever.
        """
        if not self._options.timeout:
            raise OptionError("timeout: a broadcast with acknowledgements needs .timeout(seconds)")
        check_event(event)
        return self._nsp.broadcast_with_ack([event, *args], self._options)

    # Utilities (Socket.IO's "utility methods").

    def fetch_sockets(self) -> Awaitable[list[Any]]:
        """The sockets: this server's as `Socket`, those of others as `RemoteSocket`.

        Raises:
            ClusterTimeout: when a server did not answer; `responses` holds the sockets of those
                that did.
        """
        return self._nsp.fetch(self._options)

    def sockets_join(self, rooms: Room | Iterable[Room]) -> None:
        """Put the sockets into rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        self._nsp.add_sockets(self._options, rooms_of(rooms, "rooms"))

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> None:
        """Take the sockets out of rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        self._nsp.remove_sockets(self._options, rooms_of(rooms, "rooms"))

    def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect the sockets.

        Args:
            close: end their connections, with the sockets of their other namespaces.
        """
        self._nsp.disconnect_many(self._options, close)


class SocketOperator:
    """Flags for what one socket is sent: `socket.volatile.emit(...)`.

    Args:
        socket: whom.
        volatile: drop it when the client is not ready.
        compress: whether the transport may compress it.
        timeout: seconds to wait for the acknowledgement; 0 for none.
        promised: see `delivery`.
        slow: see `when_slow`.
    """

    __slots__ = ("_compress", "_is_volatile", "_promised", "_slow", "_socket", "_timeout")

    def __init__(
        self,
        socket: Socket,
        volatile: bool = False,
        compress: bool = True,
        timeout: float = 0.0,
        promised: bool = False,
        slow: SlowConsumer | None = None,
    ) -> None:
        self._socket = socket
        self._is_volatile = volatile
        self._compress = compress
        self._timeout = timeout
        self._promised = promised
        self._slow = slow

    def _copy(self) -> SocketOperator:
        return SocketOperator(
            self._socket,
            self._is_volatile,
            self._compress,
            self._timeout,
            self._promised,
            self._slow,
        )

    @property
    def volatile(self) -> SocketOperator:
        """See `Socket.volatile`."""
        operator = self._copy()
        operator._is_volatile = True
        return operator

    def compress(self, compress: bool) -> SocketOperator:
        """See `Socket.compress`."""
        operator = self._copy()
        operator._compress = compress
        return operator

    def timeout(self, seconds: float) -> SocketOperator:
        """See `Socket.timeout`."""
        operator = self._copy()
        operator._timeout = checked_seconds("timeout", seconds)
        return operator

    def delivery(self, guarantee: str) -> SocketOperator:
        """See `BroadcastOperator.delivery`."""
        operator = self._copy()
        operator._promised = self._socket.nsp.checked_delivery(guarantee)
        return operator

    def when_slow(self, policy: Any) -> SocketOperator:
        """See `Socket.when_slow`."""
        operator = self._copy()
        operator._slow = policy_of(policy, "policy")
        return operator

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody but this socket, with the same flags."""
        socket = self._socket
        options = socket.nsp.all_but(socket.id)
        options.volatile = self._is_volatile
        options.compress = self._compress
        options.timeout = self._timeout
        options.promised = self._promised
        options.slow = self._slow
        return BroadcastOperator(socket.nsp, options)

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
                [event, *args[:-1]], args[-1], self._timeout, self._compress, self._slow
            )
        return self._socket.send_event(
            [event, *args], -1, self._is_volatile, self._compress, self._promised, self._slow
        )

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[Any]:
        """See `Socket.emit_with_ack`."""
        return self._socket.request_ack([event, *args], self._timeout, self._compress, self._slow)
