"""The client's end of an Engine.IO session, once it is open. [compiled]

    OPENING ──handshake──▶ OPEN ──close()──▶ CLOSING ──buffer empty──▶ CLOSED
                            └────transport lost, silence, garbage──────▲

It owns the buffer for what the transport cannot take, the heartbeat's deadline, and the move to
another transport. How transports are opened is `nuncio.client.engine`'s business.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from typing import Any, Final, final

from nuncio.client.clock import awake_clock
from nuncio.engine.backlog import NO_ROOM, Backlog
from nuncio.engine.listener import Listener
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.transport import PacketSink, Transport
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import DisconnectReason, LimitExceeded, PacketError
from nuncio.protocol.engineio import (
    BINARY_MARK,
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG_PACKET,
    UPGRADE_PACKET,
    Message,
    decode_binary,
)
from nuncio.protocol.engineio import OPEN as OPEN_DIGIT

OPENING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3

STATE_NAMES: Final = ("opening", "open", "closing", "closed")

FORCED_CLOSE: Final = str(DisconnectReason.FORCED_CLOSE)
PING_TIMEOUT: Final = str(DisconnectReason.PING_TIMEOUT)
TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

_PONG: Final = Message(PONG_PACKET, control=True)
_UPGRADE: Final = Message(UPGRADE_PACKET, control=True)


@final
class ClientSession(PacketSink):
    """One session with a server.

    Args:
        owner: is told `handshake(data)`, `pinged()`, `packet(data)` where it watches, `drained()`
            and `ended(reason, description)`.
        loop: whose it is.
        wheel: its timers.
        outgoing_bytes: what may wait for a server that is behind.

    Attributes:
        listener: takes messages.
        transport: what carries packets; None until one is open.
        watched: whether the owner wants to see every packet.
        dropped: how many messages were dropped because the server was not ready to receive.
        lingering: whether it has ended and its transport still says goodbye; then the owner is
            told `gone()`.
    """

    __slots__ = (
        "_buffer",
        "_expires",
        "_loop",
        "_mark",
        "_moving",
        "_outgoing_bytes",
        "_owner",
        "_reading",
        "_silence",
        "_state",
        "_waiters",
        "_wheel",
        "dropped",
        "lingering",
        "listener",
        "transport",
        "watched",
    )

    def __init__(
        self, owner: Any, loop: AbstractEventLoop, wheel: TimerWheel, outgoing_bytes: int
    ) -> None:
        super().__init__()
        self._owner = owner
        self._loop = loop
        self._wheel = wheel
        self._outgoing_bytes = outgoing_bytes
        self._state = OPENING
        self._buffer: Backlog | None = None
        self._moving = False
        # Waits for the server's last packet over a transport that is about to be left.
        self._mark: Future[None] | None = None
        self._reading = True
        self._silence = 0.0
        self._expires = 0.0
        self._waiters: list[Future[None]] | None = None
        self.dropped = 0
        self.lingering = False
        self.listener: Listener | None = None
        self.transport: Transport | None = None
        self.watched = False

    @property
    def ready_state(self) -> str:
        """`opening`, `open`, `closing` or `closed`."""
        return STATE_NAMES[self._state]

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._state == OPEN

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop it lives on."""
        return self._loop

    @property
    def writable(self) -> bool:
        """Whether what is sent now leaves without waiting."""
        transport = self.transport
        return (
            self._state == OPEN
            and transport is not None
            and transport.writable
            and self._buffer is None
            and not self._moving
        )

    @property
    def buffered_bytes(self) -> int:
        """How much waits here for a server that is behind."""
        return 0 if self._buffer is None else self._buffer.size

    @property
    def congested(self) -> bool:
        """Whether the server is behind, or nothing can leave for another reason."""
        if self._state == CLOSED:
            return False
        transport = self.transport
        return (
            self._buffer is not None or transport is None or self._moving or not transport.writable
        )

    # Opening.

    def attach(self, transport: Transport) -> None:
        """Take a transport that was opened; packets come from now on."""
        self.transport = transport
        transport.sink = self
        transport.resume_reading()

    def detach(self) -> None:
        """Give up a transport that brought no session."""
        transport = self.transport
        self.transport = None
        if transport is not None:
            transport.sink = None
            transport.abort()

    def begin(self, silence: float) -> None:
        """The handshake is there.

        Args:
            silence: seconds without a ping after which the server is given up; 0 for never.
        """
        self._state = OPEN
        self._silence = silence
        self._rearm()

    def _rearm(self) -> None:
        if self._silence > 0.0:
            self._wheel.arm(self, self._silence)
            self._expires = awake_clock() + self._silence

    @property
    def expired(self) -> bool:
        """Whether the server must have given it up, though nothing here has noticed yet.

        So it is after the machine slept, or the loop was blocked. What is sent now would be lost.
        """
        return self._silence > 0.0 and awake_clock() > self._expires

    # Sending.

    def push(self, message: Message, volatile: bool = False) -> Sent:
        """Hand a message to the transport, or to the buffer while it is not ready.

        Raises:
            LimitExceeded: when there is no room for it, and its policy is to wait.
        """
        transport = self.transport
        if (
            transport is not None
            and transport.writable
            and self._buffer is None
            and not self._moving
            and self._state == OPEN
        ):
            transport.send(message)
            return TAKEN if transport.writable else Sent(self)
        if self._state >= CLOSING:
            return TAKEN
        if volatile:
            self.dropped += 1
            return TAKEN
        buffer = self._buffer
        if buffer is None:
            buffer = Backlog(self._outgoing_bytes, self._outgoing_bytes)
        verdict = buffer.offer(message)
        if len(buffer) > 0:
            self._buffer = buffer
        if buffer.lost is not None:
            self._lose(buffer)
        if verdict == NO_ROOM:
            raise LimitExceeded(
                f"{buffer.size} bytes wait for a server that does not read: await what emit "
                "returns, or raise ClientLimits(outgoing_bytes=…)"
            )
        return Sent(self)

    def push_kept(self, message: Message) -> None:
        """Hand over what is not lost for want of room.

        It waited for the connection, where there was room for it, or the protocol needs it.
        """
        if self.writable:
            assert self.transport is not None
            self.transport.send(message)
        elif self._state < CLOSING:
            self._keep(message)

    def _lose(self, buffer: Backlog) -> None:
        lost = buffer.lost
        assert lost is not None
        buffer.lost = None
        self.dropped += len(lost)
        listener = self.listener
        for message in lost:
            slow = message.slow
            if slow is not None and slow.ack >= 0 and listener is not None:
                listener.dropped(message)

    def drain(self) -> Future[None]:
        """Wait until the server has taken what is buffered, or the session has ended."""
        future: Future[None] = self._loop.create_future()
        if self.congested:
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(future)
        else:
            future.set_result(None)
        return future

    def pause_reading(self) -> None:
        """Take no more from the server until `resume_reading`."""
        if self._reading:
            self._reading = False
            if self.transport is not None:
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        if not self._reading:
            self._reading = True
            if self.transport is not None:
                self.transport.resume_reading()

    # Moving to another transport.

    def expect_mark(self) -> Future[None]:
        """Watch for the server's last packet over this transport, a noop.

        It comes when another transport is probed. The future also ends when the session does.
        """
        mark: Future[None] = self._loop.create_future()
        self._mark = mark
        return mark

    def _marked(self) -> None:
        mark = self._mark
        if mark is not None:
            self._mark = None
            if not mark.done():
                mark.set_result(None)

    def hold_back(self) -> None:
        """Let messages wait: the transport is about to be left."""
        self._moving = True

    def stay(self) -> None:
        """The move failed; go on as before."""
        self._moving = False
        transport = self.transport
        if transport is not None:
            self.drained(transport)

    def move_to(self, transport: Transport, unsent: list[Message]) -> None:
        """Leave the transport for another.

        Args:
            transport: was probed, and does not read meanwhile.
            unsent: what the old one had taken and not sent; it leaves first.
        """
        old = self.transport
        self.transport = transport
        transport.sink = self
        if old is not None:
            old.sink = None
        self._moving = False
        transport.send(_UPGRADE)
        if unsent:
            buffer = Backlog(self._outgoing_bytes, self._outgoing_bytes)
            for message in unsent:
                buffer.append(message)
            if self._buffer is not None:
                for message in self._buffer.take():
                    buffer.append(message)
            self._buffer = buffer

    def go_on(self) -> None:
        """The move was told: send what waits, and read."""
        transport = self.transport
        if transport is not None:
            self.drained(transport)
            if self._reading:
                transport.resume_reading()

    # What transports call.

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        if transport is not self.transport or self._state == CLOSED:
            return
        kind = data[0] if data else 0
        if self._state == OPENING and (CLOSE < kind <= NOOP or kind == BINARY_MARK):
            self._no_handshake()
            return
        if self.watched and kind != BINARY_MARK:
            self._owner.packet(data)
        if kind == MESSAGE and self._state == OPEN:
            listener = self.listener
            if listener is not None:
                listener.text(data)
        elif kind == PING:
            if self._state != OPENING:
                self._pinged()
        elif kind == OPEN_DIGIT:
            if self._state == OPENING:
                self._owner.handshake(data)
        elif kind == BINARY_MARK:
            try:
                self.binary(transport, decode_binary(data))
            except PacketError:
                self._garbage()
        elif kind == CLOSE:
            # On frame transports the reference ignores it: they close by themselves.
            if transport.name != "websocket":
                self.ended(transport, TRANSPORT_CLOSE, "transport closed by the server")
                transport.abort()
        elif kind == NOOP:
            self._marked()
        elif kind < OPEN_DIGIT or kind > NOOP:
            self._garbage()

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        if transport is not self.transport or self._state != OPEN:
            if transport is self.transport and self._state == OPENING:
                self._no_handshake()
            return
        if self.watched:
            self._owner.packet(data)
        listener = self.listener
        if listener is not None:
            listener.binary(data)

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""
        if transport is not self.transport or self._moving:
            return
        buffer = self._buffer
        if buffer is not None:
            self._buffer = None
            messages = buffer.take()
            for index in range(len(messages)):
                if not transport.writable:
                    self._rebuffer(messages[index:])
                    return
                transport.send(messages[index])
        if self._state == CLOSING:
            self._part(FORCED_CLOSE, "")
        elif self.watched:
            self._owner.drained()
        self._release_waiters()

    def _rebuffer(self, messages: list[Message]) -> None:
        buffer = Backlog(self._outgoing_bytes, self._outgoing_bytes)
        for message in messages:
            buffer.append(message)
        self._buffer = buffer

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`."""
        if transport is not self.transport:
            return
        if self._state == CLOSED:
            self.transport = None
            self.lingering = False
            self._owner.gone()
            return
        if self._state == CLOSING:
            reason = FORCED_CLOSE
        self._finish(reason, description)

    def host_stopping(self) -> None:
        """See `PacketSink.host_stopping`: a client has no host."""

    # The heartbeat.

    def _pinged(self) -> None:
        # Only a ping of the server's tells that it still expects ours.
        self._rearm()
        if self._state == OPEN:
            transport = self.transport
            if transport is not None and transport.writable and not self._moving:
                transport.send(_PONG)
            else:
                self._keep(_PONG)
        self._owner.pinged()

    def _keep(self, message: Message) -> None:
        buffer = self._buffer
        if buffer is None:
            buffer = Backlog(self._outgoing_bytes, self._outgoing_bytes)
            self._buffer = buffer
        buffer.append(message)

    def expire(self, now: float) -> None:
        """The wheel: the server has been silent for too long."""
        self._give_up("")

    def slept(self, seconds: float) -> None:
        """The machine slept for so long, by which the silence is longer than the wheel knows."""
        if self._state in (OPEN, CLOSING) and self._silence > 0.0:
            left = self.deadline - self._wheel.now() - seconds
            if left <= 0.0:
                self._give_up("the machine slept")
            else:
                self._wheel.cancel(self)
                self._wheel.arm(self, left)

    # Ending.

    def close(self) -> None:
        """End the session; what is buffered is sent first, as far as the server takes it."""
        if self._state == OPEN:
            self._state = CLOSING
            if self._buffer is None and not self._moving:
                self._part(FORCED_CLOSE, "")

    def cut(self, reason: str, description: str) -> None:
        """End the session at once, whatever is buffered; the server is told, if it is there."""
        if self._state == OPENING or reason == PING_TIMEOUT:
            self._abort(reason, description)
        elif self._state != CLOSED:
            self._part(reason, description)

    def _no_handshake(self) -> None:
        self._abort(TRANSPORT_ERROR, "what the server sent first is no handshake")

    def _garbage(self) -> None:
        self.cut(TRANSPORT_ERROR, "the server sent what is no Engine.IO packet")

    def _give_up(self, description: str) -> None:
        # Whoever has been silent for so long does not hear a goodbye.
        self._abort(PING_TIMEOUT if self._state == OPEN else FORCED_CLOSE, description)

    def _abort(self, reason: str, description: str) -> None:
        transport = self.transport
        self._finish(reason, description)
        if transport is not None:
            transport.abort()

    def _part(self, reason: str, description: str) -> None:
        """End it, and let the transport say goodbye."""
        transport = self.transport
        self.lingering = transport is not None
        self._finish(reason, description)
        if transport is not None:
            self.transport = transport
            transport.sink = self
            transport.close()

    def _finish(self, reason: str, description: str) -> None:
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self._marked()
        self._wheel.cancel(self)
        transport = self.transport
        self.transport = None
        if transport is not None:
            transport.sink = None
        self._buffer = None
        listener = self.listener
        self.listener = None
        self._owner.ended(reason, description)
        if listener is not None:
            listener.closed(reason, description)
        self._release_waiters()

    def _release_waiters(self) -> None:
        waiters = self._waiters
        if waiters is not None and not self.congested:
            self._waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
