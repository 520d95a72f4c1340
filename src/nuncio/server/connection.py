"""One client's connection: Socket.IO packets in, and the sockets of its namespaces. [compiled]

The layer between a session, which knows nothing of namespaces, and sockets, which know nothing of
transports. A peer that breaks the protocol loses this connection and nothing else.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.counters import Counters
from nuncio.engine.listener import Listener
from nuncio.engine.rates import Bucket
from nuncio.engine.session import Session
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import DisconnectReason, PacketError, RateLimited, rate_limited
from nuncio.ids import new_id
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser, Reader
from nuncio.protocol.socketio import (
    ACK,
    CONNECT,
    DISCONNECT,
    EVENT,
    Packet,
    Pending,
)
from nuncio.server.meter import Meter

if TYPE_CHECKING:
    from nuncio.server.namespace import Namespace
    from nuncio.server.socket import Socket

logger: Final = logging.getLogger("nuncio")

CLIENT_NAMESPACE_DISCONNECT: Final = str(DisconnectReason.CLIENT_NAMESPACE_DISCONNECT)
FORCED_SERVER_CLOSE: Final = str(DisconnectReason.FORCED_SERVER_CLOSE)
RATE_LIMITED: Final = str(DisconnectReason.RATE_LIMITED)

# The event that tells a client why it is disconnected, just before it is.
REASON_EVENT: Final = "disconnect_reason"


class Connection(Listener):
    """One session and the sockets on it.

    Attributes:
        session: the Engine.IO session.
        wheel: the loop's timers.
        counters: the server's.
    """

    __slots__ = (
        "_deadline",
        "_joining",
        "_joins",
        "_left",
        "_main",
        "_meter",
        "_others",
        "_patience",
        "_pauses",
        "_pending",
        "_reader",
        "_server",
        "_tasks",
        "_tasks_pause",
        "_timed",
        "counters",
        "session",
        "wheel",
    )

    def __init__(self, server: Any, session: Session, wheel: TimerWheel) -> None:
        self._server = server
        parser: Parser = server.parser
        limits = server.limits
        self._reader: Reader = parser.reader(
            limits.attachments, limits.attachment_bytes, limits.containers
        )
        self.session = session
        self.wheel = wheel
        self.counters: Counters = server.counters
        self._meter: Meter | None = server.meter(self)
        self._joins: Bucket | None = None
        self._patience: Bucket | None = None
        # Most connections have the default namespace only, and so no dictionary.
        self._main: Socket | None = None
        self._others: dict[str, Socket] | None = None
        self._joining: set[str] | None = None
        # Namespaces that sockets have left in this turn of the loop.
        self._left: set[str] | None = None
        self._pending: Pending | None = None
        self._pauses = 0
        self._tasks = 0
        self._tasks_pause = False
        self._timed = True
        self._deadline: _Deadline | None = _Deadline(self)
        wheel.arm(self._deadline, server.options.connect_timeout)

    @property
    def sockets(self) -> list[Socket]:
        """Its sockets, in the order in which they joined."""
        found: list[Socket] = [] if self._main is None else [self._main]
        if self._others is not None:
            found.extend(self._others.values())
        return sorted(found, key=_issued)

    def _socket(self, nsp: str) -> Socket | None:
        if nsp == "/":
            return self._main
        return None if self._others is None else self._others.get(nsp)

    def heartbeat(self) -> None:
        """See `Listener.heartbeat`."""
        if self._main is not None:
            self._main.confirmed()
        if self._others is not None:
            for socket in self._others.values():
                socket.confirmed()

    # Packets that arrive.

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        if self._meter is not None:
            self._meter.size = len(data)
        try:
            if self._pending is not None:
                raise PacketError("got plaintext data when reconstructing a packet")
            packet = self._reader.text(data)
        except PacketError as error:
            self._undecodable(error)
            return
        if packet is None:
            self._incomplete()
        else:
            self._receive(packet)

    def _receive(self, packet: Packet) -> None:
        if self._timed and self._admitted():
            # Parts of this packet came earlier.
            self._timed = False
        socket = self._main if packet.nsp == "/" else self._socket(packet.nsp)
        if packet.type == CONNECT:
            self._connect(packet, socket)
        elif socket is None:
            self._from_nobody(packet)
        elif packet.attachments:
            self._await_attachments(packet)
        elif packet.type == EVENT and self._meter is None:
            # The everyday packet, a call shorter.
            data: Any = packet.data
            socket.on_event(data, packet.id)
        else:
            self._handle(packet, socket)

    def _from_nobody(self, packet: Packet) -> None:
        """Answer to who is not in that namespace.

        What comes in one piece with the event for which the server disconnected the client, is
        ignored. Anything else is a violation, as in the reference.
        """
        if self._left is None or packet.nsp not in self._left:
            self._violation()
        elif packet.attachments:
            self._await_attachments(packet)

    def _await_attachments(self, packet: Packet) -> None:
        limits = self._server.limits
        self._pending = Pending(packet, limits.attachment_bytes)
        self._arm(limits.attachment_seconds)

    def binary(self, data: bytes) -> None:
        """See `Listener.binary`."""
        if self._meter is not None:
            self._meter.size += len(data)
        pending = self._pending
        packet: Packet | None = None
        complete = False
        try:
            if pending is None:
                packet = self._reader.binary(data)
            else:
                complete = pending.add(data)
        except PacketError as error:
            self._undecodable(error)
            return
        if pending is None:
            if packet is None:
                self._incomplete()
            else:
                self._receive(packet)
        elif complete:
            self._completed(pending.packet)

    def _incomplete(self) -> None:
        # Who has not joined yet is already waited for.
        if not self._timed and self._admitted():
            self._arm(self._server.limits.attachment_seconds)

    def _completed(self, packet: Packet) -> None:
        self._pending = None
        self._timed = False
        socket = self._socket(packet.nsp)
        # It may have left between its packet and the last attachment.
        if socket is not None:
            self._handle(packet, socket)

    def _handle(self, packet: Packet, socket: Socket) -> None:
        kind = packet.type
        data: Any = packet.data
        if kind == EVENT:
            if self._meter is None or self._admits(self._meter, packet, socket):
                socket.on_event(data, packet.id)
        elif kind == ACK:
            socket.on_ack(packet.id, data)
        elif kind == DISCONNECT:
            socket.end(CLIENT_NAMESPACE_DISCONNECT, "")
        else:
            self._violation()

    def _admits(self, meter: Meter, packet: Packet, socket: Socket) -> bool:
        """Whether an event may be handled, as rates go; otherwise it has been refused."""
        wait = meter.admit()
        meter.size = 0
        if wait <= 0.0:
            return True
        payload: Any = packet.data
        error = RateLimited(str(payload[0]), wait)
        if packet.id >= 0 and self.session.is_open:
            nsp = socket.nsp
            self.session.push(nsp.parser.encode_ack(nsp.prefix, packet.id, [error.answer()]))
        if self.session.is_open:
            if meter.tells():
                socket.fire("error", [error])
            self.refused()
        return False

    def refused(self) -> None:
        """A rate refused something to this client, and it was told; who goes on has to go."""
        rate = self._server.limits.refusals_per_connection
        if rate is None or not self.session.is_open:
            return
        patience = self._patience
        if patience is None:
            patience = Bucket(rate)
            self._patience = patience
        now = self.wheel.now()
        if patience.wait(now) <= 0.0:
            patience.take(now)
            return
        self.counters.rate_limited_connections += 1
        for socket in self.sockets:
            socket.tell([REASON_EVENT, RATE_LIMITED])
        self.disconnect(RATE_LIMITED, "too many refusals")

    def dropped(self, message: Message) -> None:
        """See `Listener.dropped`."""
        slow = message.slow
        socket = None if slow is None else self._socket(slow.nsp)
        if slow is not None and socket is not None:
            # Later, as any answer; never while its own emit has not returned.
            self.session.call_soon(socket.lose_ack, slow.ack)

    def _undecodable(self, error: PacketError) -> None:
        self.counters.parse_errors += 1
        logger.debug("undecodable packet: %r", error, exc_info=error.__cause__)
        for socket in self.sockets:
            socket.fire("error", [error])
        self._pending = None
        self.session.close()

    def _violation(self) -> None:
        self.counters.protocol_errors += 1
        session = self.session
        session.close()
        if session.ready_state == "closing":
            # Long-polling without a poll: the goodbye comes later, the sockets end now.
            self._end_all(FORCED_SERVER_CLOSE, "")

    # Namespaces.

    def _connect(self, packet: Packet, socket: Socket | None) -> None:
        name = packet.nsp
        joining = self._joining
        if socket is not None or (joining is not None and name in joining):
            self._violation()
            return
        if self._meter is not None:
            self._meter.size = 0
        if self._admitted() and self._joins_too_often(name):
            return
        server = self._server
        auth: Any = packet.data
        nsp: Namespace | None = server.find_namespace(name)
        if nsp is None and server.parents and not self._full(joining):
            found = server.match_namespace(name, auth)
            if found is not None and hasattr(found, "__await__"):
                self.begin_joining(name)
                server.finish_matching(self, name, auth, found)
                return
            nsp = found
        self.enter(name, nsp, auth)

    def _joins_too_often(self, name: str) -> bool:
        """Count an attempt to join; True when it is one too many, and has been refused."""
        rate = self._server.limits.joins_per_connection
        if rate is None:
            return False
        joins = self._joins
        if joins is None:
            joins = Bucket(rate)
            self._joins = joins
        now = self.wheel.now()
        wait = joins.wait(now)
        if wait <= 0.0:
            joins.take(now)
            return False
        self.counters.refused_joins += 1
        self._refuse(name, "Too many requests", rate_limited(wait))
        self.refused()
        return True

    def enter(self, name: str, nsp: Namespace | None, auth: Any) -> None:
        """Join a namespace, now that it is known; None when there is no such."""
        self.end_joining(name)
        if not self.session.is_open:
            return
        if nsp is None:
            self._refuse(name, "Invalid namespace")
        elif self._full(self._joining):
            self.counters.refused_joins += 1
            self._refuse(name, "Too many namespaces")
        else:
            nsp.admit(self, auth)

    def _full(self, joining: set[str] | None) -> bool:
        count = 0 if self._main is None else 1
        if self._others is not None:
            count += len(self._others)
        if joining is not None:
            count += len(joining)
        return count >= int(self._server.limits.namespaces)

    # What old clients are told otherwise; see `OldConnection`.

    def socket_id(self, nsp: str) -> str:
        """The public id of a new socket."""
        return new_id()

    def greeting(self, parser: Parser, prefix: bytes, id: str) -> Message:
        """What tells the client that it has joined."""
        return parser.encode_connect(prefix, {"sid": id})

    def refusal(self, parser: Parser, prefix: bytes, message: str, data: object) -> Message:
        """What tells the client that it is not let in."""
        return parser.encode_connect_error(prefix, message, data)

    def _refuse(self, nsp: str, message: str, data: object = None) -> None:
        parser: Parser = self._server.parser
        self.session.push(parser.encode_connect_error(parser.prefix(nsp), message, data))

    def begin_joining(self, nsp: str) -> None:
        """A namespace is deciding about this client."""
        if self._joining is None:
            self._joining = set()
        self._joining.add(nsp)

    def end_joining(self, nsp: str) -> None:
        """It has decided."""
        if self._joining is not None:
            self._joining.discard(nsp)

    def joined(self, socket: Socket) -> None:
        """A socket is connected."""
        socket.joined_at = time.monotonic()
        if not self._admitted():
            self._server.handshakes -= 1
            self._disarm()
        name = socket.nsp.name
        if name == "/":
            self._main = socket
        else:
            if self._others is None:
                self._others = {}
            self._others[name] = socket

    def _admitted(self) -> bool:
        """Whether it ever joined a namespace."""
        return self._main is not None or self._others is not None

    def forget(self, socket: Socket) -> None:
        """A socket has ended. The connection stays, for it may join again."""
        if socket is self._main:
            self._main = None
            if self._others is None:
                # An empty table tells that this connection was admitted once.
                self._others = {}
        elif self._others is not None and self._others.get(socket.nsp.name) is socket:
            del self._others[socket.nsp.name]
        if self.session.is_open:
            if self._left is None:
                self._left = set()
                self.session.call_soon(self._all_have_left)
            self._left.add(socket.nsp.name)

    def _all_have_left(self) -> None:
        self._left = None

    # Reading.

    def pause_reading(self) -> None:
        """A socket has too many events waiting."""
        self._pauses += 1
        if self._pauses == 1:
            self.session.pause_reading()

    def resume_reading(self) -> None:
        """It has caught up."""
        self._pauses -= 1
        if self._pauses == 0:
            self.session.resume_reading()

    def task_began(self) -> None:
        """A task runs for this client beside its handlers: a peer must not start them unbounded."""
        self._tasks += 1
        if not self._tasks_pause and self._tasks >= int(self._server.limits.queued_events):
            self._tasks_pause = True
            self.pause_reading()

    def task_ended(self) -> None:
        """It has ended."""
        self._tasks -= 1
        if self._tasks_pause and self._tasks <= int(self._server.limits.queued_events) // 2:
            self._tasks_pause = False
            self.resume_reading()

    # Ending.

    def disconnect(self, reason: str, description: str = "") -> None:
        """Disconnect every socket, then the connection.

        Args:
            reason: for the handlers here; clients see what they see of any disconnect.
            description: the same.
        """
        for socket in self.sockets:
            nsp = socket.nsp
            self.session.push(nsp.parser.encode_disconnect(nsp.prefix))
            socket.end(reason, description)
        self.session.close()

    def closed(self, reason: str, description: str) -> None:
        """See `Listener.closed`."""
        self._disarm()
        if self._meter is not None:
            self._meter.stop()
        self._pending = None
        self._forget_decoder()
        if not self._admitted():
            self._server.handshakes -= 1
            self._others = {}
        self._end_all(reason, description)

    def _forget_decoder(self) -> None:
        try:
            self._reader.destroy()
        except Exception:
            logger.exception("the parser's decoder could not be destroyed")

    def _end_all(self, reason: str, description: str) -> None:
        for socket in self.sockets:
            socket.end(reason, description)

    # Deadlines: to join a namespace, and to complete a packet with attachments.

    def _arm(self, seconds: float) -> None:
        self._timed = True
        deadline = self._deadline
        if deadline is None:
            deadline = _Deadline(self)
            self._deadline = deadline
        self.wheel.arm(deadline, seconds)

    def _disarm(self) -> None:
        self._timed = False
        deadline = self._deadline
        if deadline is not None:
            self._deadline = None
            self.wheel.cancel(deadline)

    def overdue(self) -> None:
        """A deadline has passed."""
        self._deadline = None
        if not self._timed:
            # What was waited for came; the timer stayed, for arming it anew costs less.
            return
        self._timed = False
        if self._admitted():
            self._undecodable(PacketError("attachments did not come in time"))
        else:
            self.session.close()


class _Deadline(Timer):
    """What a connection has to do in time."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def expire(self, now: float) -> None:
        self._connection.overdue()


def _issued(socket: Socket) -> float:
    return socket.joined_at
