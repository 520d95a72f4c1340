"""One client in one namespace: sending, rooms and the end. [compiled]

It stands on others, each of which is one part of it: who listens (`nuncio.handlers.listeners`),
what arrives (`nuncio.server.dispatch`), what outlives a lost link (`nuncio.server.recoverable`),
and the acknowledgements that are waited for (`nuncio.server.asker`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import NOT_CONNECTED
from nuncio.cluster.rooms import Room, is_room, rooms_of
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.session import Session
from nuncio.errors import Disconnected, DisconnectReason, OptionError
from nuncio.handlers.listeners import event_name
from nuncio.options import seconds as checked_seconds
from nuncio.protocol.engineio import Message
from nuncio.protocol.socketio import RESERVED_EVENTS
from nuncio.server.access import Access
from nuncio.server.asker import Asker, patient
from nuncio.server.connection import REASON_EVENT, Connection
from nuncio.server.generics import D, U, subscripted
from nuncio.server.handshake import Handshake
from nuncio.server.operator import (
    BroadcastOperator,
    SocketOperator,
    check_event,
    check_farewell,
)
from nuncio.slow import SlowConsumer

if TYPE_CHECKING:
    from nuncio.server.namespace import Namespace

SERVER_NAMESPACE_DISCONNECT: Final = DisconnectReason.SERVER_NAMESPACE_DISCONNECT

EXPIRING_EVENT: Final = "auth:expiring"

# After these the client may come back to where it was.
RECOVERABLE: Final = frozenset(
    {
        DisconnectReason.TRANSPORT_CLOSE,
        DisconnectReason.TRANSPORT_ERROR,
        DisconnectReason.PING_TIMEOUT,
        DisconnectReason.FORCED_CLOSE,
        DisconnectReason.FORCED_SERVER_CLOSE,
        DisconnectReason.SERVER_SHUTTING_DOWN,
        DisconnectReason.SLOW_CONSUMER,
    }
)


class Socket(Asker, Generic[D, U]):
    """One client in one namespace; what a `connection` handler receives.

    Type checkers know `socket.data` as `Data` and `socket.user` as `User` where it is annotated as
    `nuncio.Socket[Data, User]`; one or both may be left out.

    Attributes:
        id: public; others may know it. Every socket is in the room of its own id.
        nsp: its namespace.
        connected: whether it can receive.
        recovered: whether its state was restored after a lost connection.
    """

    __slots__ = (
        "_auth",
        "_ending",
        "_handshake",
        "_issued",
        "closed",
        "joined_at",
    )

    def __init__(
        self, nsp: Namespace, connection: Connection, id: str, auth: dict[str, Any] | None
    ) -> None:
        """Made by its namespace.

        For the server's own use are `closed`, whether it has left its rooms for good, and
        `joined_at`, by the monotonic clock: sockets of one connection end in this order.
        """
        super().__init__(nsp, connection, id)
        self._auth = auth
        self._issued = time.time()
        self.joined_at = 0.0
        self.closed = False
        self._ending = False
        self._handshake: Handshake | None = None

    @classmethod
    def __class_getitem__(cls, parameters: Any) -> Any:
        return subscripted(cls, parameters)

    def __repr__(self) -> str:
        state = "connected" if self.connected else "disconnected"
        return f"<Socket {self.id!r} of {self.nsp.name!r} {state}>"

    # What is known of the client.

    @property
    def conn(self) -> Session:
        """The Engine.IO session: `conn.transport.name`, `conn.on("upgrade")`, `conn.close()`."""
        return self._connection.session

    @property
    def request(self) -> Any:
        """The HTTP request that opened the connection."""
        return self._connection.session.request

    @property
    def handshake(self) -> Handshake:
        """Headers, query, address, auth and so on, as they were when the client connected."""
        handshake = self._handshake
        if handshake is None:
            auth: dict[str, Any] = {} if self._auth is None else self._auth
            handshake = Handshake(self._connection.session.request, auth, self._issued)
            self._handshake = handshake
        return handshake

    @property
    def data(self) -> D:
        """The application's own: what the server's option `data` makes, else an empty dict."""
        if self._data is None:
            make = self.nsp.server.options.data
            self._data = {} if make is None else make()
        data: D = self._data
        return data

    @data.setter
    def data(self, value: D) -> None:
        self._data = value

    @property
    def user(self) -> U:
        """Who the client is: whatever an authentication middleware has set, None until then."""
        found: Any = None if self._access is None else self._access.user
        user: U = found
        return user

    @user.setter
    def user(self, value: U) -> None:
        self.access().user = value

    def access(self) -> Access:
        """Who the client is, and until when."""
        access = self._access
        if access is None:
            access = Access(self)
            self._access = access
        return access

    @property
    def disconnected(self) -> bool:
        """The opposite of `connected`."""
        return not self.connected

    @property
    def rooms(self) -> set[Room]:
        """The rooms it is in, its own among them; empty once disconnected."""
        rooms: set[Room] = set() if self._rooms is None else set(self._rooms)
        if self.connected and not self._left_own:
            rooms.add(self.id)
        return rooms

    # Sending.

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to this client.

        A callable as the last argument receives the client's acknowledgement.

        Args:
            event: its name; not one of the reserved ones.
            args: plain data, structs, dataclasses, models; bytes anywhere in them.

        Returns:
            Something to await for back-pressure; nothing is lost by not awaiting it.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
            LimitExceeded: when the client is behind, there is no room for more, and the policy is
                `block`.
        """
        if args and callable(args[-1]):
            return self.emit_callback([event, *args[:-1]], args[-1], 0.0, True, self.nsp.slow)
        nsp = self.nsp
        return self.send_event([event, *args], -1, False, True, nsp.promised, nsp.slow)

    def send(self, *args: object) -> Sent:
        """Send a `message` event; see `emit`."""
        return self.emit("message", *args)

    def emit_with_ack(
        self, event: str, *args: object, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send an event and wait for the client's acknowledgement.

        Args:
            event: its name.
            args: see `emit`.
            timeout: seconds to wait; None to wait as long as the connection lasts.

        Returns:
            The client's answer, which is one value, or a list when it gave several.

        Raises:
            AckTimeout: when it did not come in time.
            Dropped: when the client is behind, and its policy let the event be dropped.
            Disconnected: when the connection ended first.
            LimitExceeded: when too many acknowledgements are being waited for.
        """
        limit = 0.0 if timeout is None else checked_seconds("timeout", timeout)
        return self.request_ack([event, *args], limit, True, self.nsp.slow)

    def send_event(
        self,
        payload: list[Any],
        id: int,
        volatile: bool,
        compress: bool,
        promised: bool,
        slow: SlowConsumer | None,
    ) -> Sent:
        """See `emit`: the event's name and arguments, the acknowledgement's id or -1, flags."""
        check_event(payload[0])
        if self.nsp.recovering and id < 0 and not volatile and self._reachable:
            return self._send_logged(payload, compress, promised, slow)
        if self._any_out is not None:
            self.notify_outgoing(payload)
        if self.closed:
            return TAKEN
        nsp = self.nsp
        message = nsp.parser.encode_event(nsp.prefix, id, payload, compress)
        if slow is not None:
            slow = slow.of_event(nsp.name, payload)
            message.slow = slow if id < 0 else slow.with_ack(nsp.name, id)
        return self.deliver(message, volatile)

    def _send_logged(
        self, payload: list[Any], compress: bool, promised: bool, slow: SlowConsumer | None
    ) -> Sent:
        """Send an event that the client receives later if not now."""
        nsp = self.nsp
        if promised and not self.connected and not nsp.adapter.remembers(self.pid):
            self.not_delivered(NOT_CONNECTED, [[*payload, ""]])
            return TAKEN
        options = BroadcastOptions(frozenset((self.id,)))
        options.compress = compress
        options.promised = promised
        options.slow = slow
        return nsp.broadcast(payload, options)

    @property
    def _reachable(self) -> bool:
        """Whether the room of its own id stands for it, now or while it is away."""
        return bool(self.pid) and not (self._left_own and self.connected)

    def deliver(self, message: Message, volatile: bool) -> Sent:
        """Send an encoded packet; broadcasts share one."""
        threads = self.nsp.threads
        if threads.used and threads.away():
            message.slow = patient(message.slow)
            threads.call(self._connection.session.push, message, volatile)
            return TAKEN
        return self._connection.session.push(message, volatile)

    def push(self, message: Message) -> Sent:
        """Send an encoded packet from the loop's own thread."""
        return self._connection.session.push(message)

    def notify_outgoing(self, args: list[Any]) -> None:
        """Tell the catch-all listeners of a broadcast."""
        if self._any_out is not None:
            for listener in list(self._any_out):
                self.nsp.server.notify(listener, args, self, event_name(args[0]))

    # Rooms.

    def join(self, rooms: Room | Iterable[Room]) -> Sent:
        """Join a room, or several. Nothing happens once the socket is disconnected.

        Args:
            rooms: a room, which is any text or whole number, or several of them.

        Returns:
            Something that may be awaited, as in JavaScript, and need not be.

        Raises:
            OptionError: for what cannot be a room.
            LimitExceeded: when the socket is in too many.
        """
        listed = rooms_of(rooms, "rooms")
        threads = self.nsp.threads
        if threads.used and threads.away():
            threads.call(self.join, listed)
        elif not self.closed:
            self.nsp.adapter.add_all(self, listed)
        return TAKEN

    def leave(self, room: Room) -> Sent:
        """Leave a room. Nothing happens where the socket is not in it.

        Returns:
            As `join`.

        Raises:
            OptionError: for what cannot be a room.
        """
        if not is_room(room):
            raise OptionError(f"room must be a str or an int, not {room!r}")
        threads = self.nsp.threads
        if threads.used and threads.away():
            threads.call(self.leave, room)
        else:
            self.nsp.adapter.remove(self, room)
        return TAKEN

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody in a room, or in any of several, but this socket.

        Raises:
            OptionError: for what cannot be a room.
        """
        return self.broadcast.to(rooms)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self.broadcast.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but this socket and those in these rooms.

        Raises:
            OptionError: for what cannot be a room.
        """
        return self.broadcast.except_(rooms)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this socket."""
        return BroadcastOperator(self.nsp, self.nsp.all_but(self.id))

    @property
    def local(self) -> BroadcastOperator:
        """Everybody on this server but this socket."""
        return self.broadcast.local

    @property
    def volatile(self) -> SocketOperator:
        """What is emitted with it is dropped when the client is not ready to receive."""
        operator = self._with_defaults()
        operator._is_volatile = True
        return operator

    def compress(self, compress: bool) -> SocketOperator:
        """Whether the transport may compress what is emitted with it; it may unless told."""
        return self._with_defaults().compress(compress)

    def timeout(self, seconds: float) -> SocketOperator:
        """How long what is emitted with it waits for its acknowledgement.

        Args:
            seconds: above 0.

        Raises:
            OptionError: for what is no such number.
        """
        return self._with_defaults().timeout(seconds)

    def delivery(self, guarantee: str) -> SocketOperator:
        """See `BroadcastOperator.delivery`."""
        return self._with_defaults().delivery(guarantee)

    def when_slow(self, policy: Any) -> SocketOperator:
        """What becomes of what is emitted with it, if the client is behind.

        Args:
            policy: see `Namespace.slow_consumer`.

        Raises:
            OptionError: for what is no policy.
        """
        return self._with_defaults().when_slow(policy)

    def _with_defaults(self) -> SocketOperator:
        nsp = self.nsp
        return SocketOperator(self, promised=nsp.promised, slow=nsp.slow)

    # Ending.

    def disconnect(
        self, close: bool = False, *, reason: str | None = None, data: object = None
    ) -> None:
        """Disconnect this client; it will not reconnect by itself.

        Args:
            close: end the whole connection, with the sockets of its other namespaces.
            reason: told to the client, as the first argument of the event `disconnect_reason` that
                it receives just before. Handlers of `disconnect` here get the official word.
            data: plain data for the client, the event's second argument.

        Raises:
            OptionError: for a reason that is no text, and data without a reason.
            TypeError: for data that cannot be sent.
        """
        check_farewell(reason, data)
        self.dismiss(close, reason, data, SERVER_NAMESPACE_DISCONNECT)

    def dismiss(self, close: bool, reason: str | None, data: object, word: str) -> None:
        """See `disconnect`; `word` is the reason that handlers here are given."""
        threads = self.nsp.threads
        if threads.used and threads.away():
            threads.call(self.dismiss, close, reason, data, word)
            return
        if not self.connected or self._ending:
            return
        if reason is not None:
            farewell: list[Any] = [REASON_EVENT, str(reason)]
            if data is not None:
                farewell.append(data)
            for socket in self._connection.sockets if close else [self]:
                socket.tell(farewell)
        if close:
            self._connection.disconnect(word)
        else:
            self.deliver(self.nsp.parser.encode_disconnect(self.nsp.prefix), False)
            self.end(word, "")

    def tell(self, payload: list[Any]) -> None:
        """Send an event of Nuncio's own: it is of this moment, so it is not kept for recovery."""
        self.notify_outgoing(payload)
        nsp = self.nsp
        self.deliver(nsp.parser.encode_event(nsp.prefix, -1, payload, True), False)

    def expire_at(
        self, timestamp: float | None, *, notice: float = 30.0, event: str = EXPIRING_EVENT
    ) -> None:
        """Disconnect this client at a given time, with the reason `auth expired`.

        Args:
            timestamp: seconds since the epoch, as in a token's `exp`; None for never.
            notice: how many seconds before that the client is told, by an event with
                `{"expires_in": seconds}`, so that it can prove again who it is; 0 to say nothing.
            event: the name of that event.

        Raises:
            OptionError: for what is no time, no number of seconds, or no event's name.
        """
        if timestamp is not None:
            if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
                raise OptionError(f"timestamp must be seconds since the epoch, not {timestamp!r}")
            timestamp = float(timestamp)
            if timestamp != timestamp:
                raise OptionError("timestamp must be seconds since the epoch, not nan")
        notice = checked_seconds("notice", notice, zero=True)
        if not isinstance(event, str) or not event or event in RESERVED_EVENTS:
            raise OptionError(f"event: {event!r} cannot be an event's name")
        threads = self.nsp.threads
        if threads.used and threads.away():
            threads.call(self.access().until, timestamp, notice, event)
        elif not self.closed:
            self.access().until(timestamp, notice, event)

    def refresh_auth(self, auth: dict[str, Any]) -> Awaitable[None]:
        """Let this client prove again who it is, while it stays connected.

        The middleware of `nuncio.auth` that let it in checks the new credentials. If they hold,
        `user`, `handshake.auth`, the rooms of the user and the expiry change together, and handlers
        of `auth_refreshed` run. If not, everything stays as it was, the expiry included.

        Args:
            auth: what the client would send as `auth` when it connects.

        Raises:
            ConnectError: when the credentials are refused.
            Disconnected: when the client has gone.
            OptionError: when no such middleware let it in.
        """
        access = self._access
        if access is None or access.authentication is None:
            raise OptionError(
                "refresh_auth: nothing can check the credentials; let clients in by "
                "io.use(nuncio.auth.JWT(…)) or io.use(nuncio.auth.middleware(…))"
            )
        threads = self.nsp.threads
        if threads.used and threads.away():
            raise RuntimeError("refresh_auth cannot be awaited in a thread: use an async handler")
        refreshing: Awaitable[None] = access.authentication.refresh(self, auth)
        return refreshing

    def start_afresh(self, id: str) -> None:
        """It is somebody else than whose session it wanted to recover: nothing of that is left.

        Args:
            id: its public id from now on.
        """
        self.nsp.adapter.remove_all(self)
        self.nsp.let_go(self)
        self.forget_session(id)

    def replace_auth(self, auth: dict[str, Any]) -> None:
        """From now on, this is what the client sent as `auth`."""
        self._auth = auth
        if self._handshake is not None:
            self._handshake.auth = auth

    def end(self, reason: str, description: str) -> None:
        """The closing sequence, once: events with the rooms intact, then without them."""
        if not self.connected or self._ending:
            return
        self._ending = True
        said = DisconnectReason(reason)
        self.fire("disconnecting", [said, description])
        if self.pid and said in RECOVERABLE:
            self.nsp.adapter.persist_session(self.state())
        else:
            self.report_undelivered(reason)
        self.leave_all()
        self.nsp.remove(self)
        self._connection.forget(self)
        self.connected = False
        peering: Any = self.nsp.server.peering
        if peering is not None:
            peering.left(self, said)
        self.fire("disconnect", [said, description])
        if self._acks is not None:
            self.fail_acks(Disconnected(reason))
        self._queue = None
        if self._paused:
            self._paused = False
            self._connection.resume_reading()

    def leave_all(self) -> None:
        """Leave every room for good."""
        # First, so that a listener of the adapter cannot put it back into a room.
        self.closed = True
        if self._access is not None:
            self._access.stop()
        self.nsp.adapter.remove_all(self)
