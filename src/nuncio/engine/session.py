"""A session: one peer's connection, whatever transports carry it. [compiled]

States (Engine.IO protocol v4, "Session"):

    OPEN ──close()──▶ CLOSING ──buffer empty, goodbye said──▶ CLOSED
      └──────────────transport lost, time-out, garbage────────▲

A session owns the buffer for what its transport cannot take yet, the heartbeat, and the upgrade
from one transport to another.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from nuncio.engine.backlog import NO_ROOM, Backlog
from nuncio.engine.listener import Listener
from nuncio.engine.probe import Probe
from nuncio.engine.request import Request
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.settings import SessionConfig
from nuncio.engine.transport import PacketSink, Transport
from nuncio.engine.wheel import TICK
from nuncio.errors import DisconnectReason, LimitExceeded, PacketError
from nuncio.events import Emitter
from nuncio.protocol.engineio import (
    BINARY_MARK,
    CLOSE,
    MESSAGE,
    NOOP,
    NOOP_PACKET,
    PING,
    PING_PACKET,
    PONG,
    Message,
    decode_binary,
)

L = TypeVar("L", bound=Callable[..., Any])

OPENING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3

STATE_NAMES: Final = ("opening", "open", "closing", "closed")

# How many pongs may be missing while reading is paused by our own side.
MOST_OVERDUE: Final = 4

# Transports whose packets are joined by the record separator.
_JOINED: Final = ("polling", "sse", "forever")

_PING: Final = Message(PING_PACKET, control=True)
_NOOP: Final = Message(NOOP_PACKET, control=True)

FORCED_CLOSE: Final = str(DisconnectReason.FORCED_CLOSE)
PING_TIMEOUT: Final = str(DisconnectReason.PING_TIMEOUT)
PARSE_ERROR: Final = str(DisconnectReason.PARSE_ERROR)
TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)
SLOW_CONSUMER: Final = str(DisconnectReason.SLOW_CONSUMER)
RATE_LIMITED: Final = str(DisconnectReason.RATE_LIMITED)


class Session(PacketSink):
    """One peer. Made by the engine; applications meet it as `socket.conn`.

    Attributes:
        id: secret, unguessable; only the peer knows it.
        protocol: the Engine.IO revision.
        request: the request that opened it.
        transport: what carries it now; `transport.name` is its name, as `polling` or `websocket`.
        upgraded: whether it has left its first transport.
        dropped: how many messages were dropped because the peer was not ready to receive.
    """

    __slots__ = (
        "_awaiting_pong",
        "_buffer",
        "_config",
        "_engine",
        "_events",
        "_frozen",
        "_gone",
        "_left",
        "_marked",
        "_overdue",
        "_probe",
        "_reading",
        "_refreshed",
        "_state",
        "_waiters",
        "dropped",
        "id",
        "listener",
        "protocol",
        "request",
        "transport",
        "upgraded",
    )

    def __init__(
        self, engine: Any, config: SessionConfig, id: str, transport: Transport, request: Request
    ) -> None:
        super().__init__()
        self._engine = engine
        self._config = config
        self.id = id
        self.protocol = 4
        self.request = request
        self.transport = transport
        self.upgraded = False
        self.listener: Listener | None = None
        self._state = OPENING
        self._buffer: Backlog | None = None
        self.dropped = 0
        self._awaiting_pong = False
        self._refreshed = False
        self._overdue = 0
        self._reading = True
        self._probe: Probe | None = None
        # The transport it moved from, while packets wait there that go before all others.
        self._left: Transport | None = None
        # Whether nothing leaves while the peer moves to another transport, whether it has sent its
        # last packet over this one, and whether it has closed it behind that.
        self._frozen = False
        self._marked = False
        self._gone = False
        self._events: Emitter | None = None
        self._waiters: list[Future[None]] | None = None
        transport.sink = self

    def __repr__(self) -> str:
        # The id is a secret: it does not belong into logs.
        return f"<Session {STATE_NAMES[self._state]} over {self.transport.name}>"

    # What applications use.

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
        return self._config.loop

    @property
    def remote_address(self) -> str:
        """The peer's address; empty when there is none."""
        client = self.request.client
        return "" if client is None else client[0]

    @property
    def congested(self) -> bool:
        """Whether the peer is behind: messages wait in the buffer."""
        if self._state == CLOSED:
            return False
        transport = self.transport
        return self._buffer is not None or (
            not transport.writable and (not transport.asked or transport.behind)
        )

    @property
    def buffered_bytes(self) -> int:
        """How many bytes wait in the buffer."""
        return 0 if self._buffer is None else self._buffer.size

    @property
    def events(self) -> Emitter:
        """The session's listeners; made when first used."""
        events = self._events
        if events is None:
            events = Emitter(self._engine.spawn, self._engine.session_events)
            self._events = events
        return events

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Any = None) -> Any:
        """Listen to an event: `on(event, listener)`, or `@on(event)`.

        Args:
            event: `message(data)`, of an engine that stands alone; `upgrading(transport)` and
                `upgrade(transport)`; `heartbeat()`; `drain()`, when the peer has caught up;
                `close(reason, description)`.
            listener: a function, which may be async.

        Raises:
            TypeError: when it cannot be called.
            OptionError: when there is no such event.
        """
        return self.events.on(event, listener)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Any = None) -> Any:
        """Listen to the next such event only; see `on`."""
        return self.events.once(event, listener)

    def off(self, event: str | None = None, listener: Any = None) -> None:
        """Remove one listener, all of an event, or all."""
        self.events.off(event, listener)

    @overload
    def send(self, data: str, compress: bool = True) -> Sent: ...

    @overload
    def send(self, data: bytes | bytearray | memoryview, compress: bool = True) -> Sent: ...

    def send(self, data: Any, compress: bool = True) -> Sent:
        """Send a message; await the result for back-pressure.

        Args:
            data: text or bytes.
            compress: whether the transport may compress it.

        Raises:
            TypeError: for anything but text or bytes.
            ValueError: for text with U+001E in it over `polling`, `sse` or `forever`, where it
                separates packets.
        """
        if isinstance(data, str):
            text = data.encode()
            if b"\x1e" in text and self.transport.name in _JOINED and self.protocol == 4:
                name = self.transport.name
                raise ValueError(f"data: a text message over {name} cannot hold U+001E")
            return self.push(Message(b"4" + text, None, compress))
        if isinstance(data, (bytes, bytearray, memoryview)):
            return self.push(Message(None, [bytes(data)], compress))
        raise TypeError(f"data must be str or bytes, not {type(data).__name__}")

    def close(self, discard: bool = False) -> None:
        """End the session with the reason `forced close`.

        Args:
            discard: drop what is buffered; otherwise it is sent first.
        """
        if self._state == OPEN:
            self._state = CLOSING
            if self._buffer is None or discard:
                self._close_transport(discard)
        elif self._state == CLOSING and discard:
            self._close_transport(True)

    def drain(self) -> Future[None]:
        """Wait until the peer has taken what is buffered, or is gone."""
        future: Future[None] = self._config.loop.create_future()
        if self.congested:
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(future)
        else:
            future.set_result(None)
        return future

    # What the layer above uses.

    def push(self, message: Message, volatile: bool = False) -> Sent:
        """Hand a message to the transport, or to the buffer while it is not ready.

        Args:
            message: shared by all its recipients.
            volatile: drop it rather than let it wait.

        Raises:
            LimitExceeded: when there is no room for it, and its policy is to wait.
        """
        transport = self.transport
        if transport.writable and self._buffer is None:
            if self._state == OPEN:
                transport.send(message)
                if transport.writable:
                    return TAKEN
                return Sent(self)
            return TAKEN
        if self._state != OPEN:
            return TAKEN
        if volatile:
            self.dropped += 1
            self._config.counters.dropped_volatile += 1
            return TAKEN
        return self._hold(message)

    def _hold(self, message: Message) -> Sent:
        buffer = self._buffer
        if buffer is None:
            buffer = self._new_backlog()
        verdict = buffer.offer(message)
        if len(buffer) > 0:
            self._buffer = buffer
        if buffer.lost is not None:
            self._lose(buffer)
        if verdict == NO_ROOM:
            self._no_room(message)
            return TAKEN
        # Whoever awaits what was dropped waits as long as for what was kept.
        return Sent(self)

    def _new_backlog(self) -> Backlog:
        config = self._config
        return Backlog(config.outgoing_bytes, config.droppable_bytes)

    def _lose(self, buffer: Backlog) -> None:
        """Tell what was dropped, now that the buffer is in order again."""
        lost = buffer.lost
        assert lost is not None
        buffer.lost = None
        self.dropped += len(lost)
        self._config.counters.dropped_events += len(lost)
        listener = self.listener
        for message in lost:
            slow = message.slow
            if slow is not None and slow.ack >= 0 and listener is not None:
                listener.dropped(message)

    def _no_room(self, message: Message) -> None:
        config = self._config
        if message.slow is not None:
            config.counters.limits_exceeded += 1
            raise LimitExceeded(
                f"{config.outgoing_bytes} bytes wait for a client that does not read: await what "
                "emit returns, or raise Limits(outgoing_bytes=…)"
            )
        config.counters.slow_consumers += 1
        self.transport.abort()
        self._finish(SLOW_CONSUMER, "the peer does not read")

    def call_soon(self, function: Any, *args: Any) -> None:
        """Call a function in the loop's next turn."""
        self._config.loop.call_soon(function, *args)

    def pause_reading(self) -> None:
        """Take no more from the peer until `resume_reading`."""
        if self._reading:
            self._reading = False
            left = self._left
            if left is None:
                self.transport.pause_reading()
            else:
                left.pause_reading()

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        if not self._reading:
            self._reading = True
            left = self._left
            if left is None:
                self.transport.resume_reading()
            else:
                left.resume_reading()

    # What the engine uses.

    def start(self, packets: list[Message]) -> None:
        """Send the open packet and what goes with it, and begin the heartbeat."""
        self._state = OPEN
        for packet in packets:
            self.transport.send(packet)
        self._begin_heartbeat()

    @property
    def upgrading(self) -> bool:
        """Whether the peer is trying another transport."""
        return self._probe is not None

    def probe(self, transport: Transport) -> None:
        """The peer opened another transport and may move to it."""
        self._probe = Probe(self, transport, self._config)

    # What the probe calls.

    def probed(self, transport: Transport) -> None:
        """The peer asked whether the other transport works."""
        self._freeze()
        if self._events is not None:
            self._events.emit("upgrading", transport)

    def probe_ended(self) -> None:
        """The attempt failed."""
        self._probe = None
        if self._frozen:
            self._frozen = False
            if self._gone:
                self._finish(TRANSPORT_CLOSE, "it was left for another, which failed")
            elif self.transport.writable:
                self.drained(self.transport)

    def _freeze(self) -> None:
        """Send the last packet over a transport that the peer is about to leave: a noop.

        Who leaves long-polling has no request under way, and nothing in it. A WebSocket always may
        have something under way, on both sides. So what is sent from now on waits here, and the
        peer does the same: it goes when it has seen our noop, with a noop of its own.
        """
        transport = self.transport
        if transport.asked or self._frozen:
            return
        transport.send(_NOOP)
        transport.flush()
        self._frozen = True
        self._marked = False
        if self._buffer is None:
            self._buffer = self._new_backlog()

    def move_to(self, transport: Transport) -> None:
        """The peer has left the old transport for the other."""
        self._probe = None
        old = self.transport
        self.transport = transport
        self.upgraded = True
        transport.sink = self
        frozen = self._frozen
        self._frozen = False
        if old.holds_packets:
            self._left = old
            transport.pause_reading()
            old.when_emptied(self._let_go)
        elif frozen and not self._marked:
            # Its last packets are still under way there, and go before all others.
            self._left = old
            transport.pause_reading()
        else:
            old.discard()
            if not self._reading:
                transport.pause_reading()
        if self._state == CLOSING and self._buffer is None:
            self._close_transport(False)
            return
        if self._events is not None:
            self._events.emit("upgrade", transport)
        self.drained(transport)

    def _let_go(self) -> None:
        """The transport it moved from has handed on what waited there."""
        left = self._left
        if left is not None:
            self._left = None
            left.discard()
            if self._reading and self._state != CLOSED:
                self.transport.resume_reading()

    def trying(self, name: str) -> Transport | None:
        """The transport of this name that the peer is trying."""
        probe = self._probe
        return None if probe is None or probe.transport.name != name else probe.transport

    # What transports call.

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        if transport is not self.transport and transport is not self._left:
            return
        # While it is closing only the heartbeat matters, and that as long as there is a rest to
        # send.
        if self._state != OPEN and (self._state == CLOSED or self._buffer is None):
            return
        if not data:
            self._parse_error()
            return
        kind = data[0]
        if self._awaiting_pong and not self._refreshed and kind != PONG:
            self._refresh()
        if kind == MESSAGE:
            listener = self.listener
            if listener is not None and self._state == OPEN:
                listener.text(data)
        elif kind == PONG:
            self._pong()
        elif kind == PING:
            self._ping()
        elif kind == BINARY_MARK:
            self._binary_text(transport, data)
        elif kind == NOOP:
            if self._frozen:
                self._marked = True
            elif transport is self._left and not transport.asked:
                self._let_go()
        elif kind < 48 or kind > 54:
            self._parse_error()
        elif kind == CLOSE and not transport.asked:
            pass  # The reference ignores it on frame transports, which close by themselves.

    def _binary_text(self, transport: Transport, data: bytes) -> None:
        try:
            self.binary(transport, decode_binary(data))
        except PacketError:
            self._parse_error()

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        if self._state != OPEN:
            return
        if transport is not self.transport and transport is not self._left:
            return
        if self._awaiting_pong and not self._refreshed:
            self._refresh()
        listener = self.listener
        if listener is not None:
            listener.binary(data)

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""
        if transport is not self.transport or self._frozen:
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
            if transport.asked:
                transport.flush()
        if self._state == CLOSING:
            self._close_transport(False)
        elif self._events is not None:
            self._events.emit("drain")
        self._release_waiters()

    def _rebuffer(self, messages: list[Message]) -> None:
        buffer = self._new_backlog()
        for message in messages:
            buffer.append(message)
        self._buffer = buffer

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`."""
        if transport is self._left and not transport.asked:
            # What was under way there is lost.
            self._abort_transport(TRANSPORT_CLOSE, "the transport was cut while it was left")
            return
        if transport is not self.transport:
            return
        if self._frozen and self._marked:
            # The peer is already over there, and says so in a moment.
            self._gone = True
            return
        if reason == TRANSPORT_ERROR:
            transport.discard()
        if self._state == CLOSING:
            reason = FORCED_CLOSE
        self._finish(reason, description)

    def host_stopping(self) -> None:
        """See `PacketSink.host_stopping`."""
        self._engine.host_stopping()

    # The heartbeat: ours is the ping, the peer's the pong.

    def _begin_heartbeat(self) -> None:
        self._config.wheel.arm(self, self._config.ping_interval)

    def _ping(self) -> None:
        self._wrong_heartbeat()

    def _wrong_heartbeat(self) -> None:
        self._abort_transport(TRANSPORT_ERROR, "invalid heartbeat direction")

    def expire(self, now: float) -> None:
        """The wheel: a ping is due, or a pong overdue."""
        config = self._config
        if not self._awaiting_pong:
            self._awaiting_pong = True
            self._refreshed = False
            self._overdue = 0
            # Counted from when the ping was due, so that silence ends a session after the interval
            # and the time-out together, not up to two ticks of the wheel later.
            # What is later than that is our own delay, which the peer must not pay for.
            late = min(now - self.deadline, TICK)
            config.wheel.arm(self, max(config.ping_timeout - late - TICK, TICK))
            self.push_control(_PING)
        elif not self._reading and self._overdue < MOST_OVERDUE:
            # The pong may be waiting behind what we ourselves refuse to read. Writing on tells
            # whether the connection is still there.
            self._overdue += 1
            self.push_control(_PING)
            config.wheel.arm(self, config.ping_timeout)
        else:
            self._abort_transport(PING_TIMEOUT, "")

    def push_control(self, message: Message) -> None:
        """Send a packet of the session's own."""
        transport = self.transport
        if transport.writable and self._buffer is None:
            transport.send(message)
        elif self._state == OPEN:
            self._hold(message)

    def _pong(self) -> None:
        # Of several pings nobody knows which one is answered.
        certain = self._awaiting_pong and self._overdue == 0
        self._awaiting_pong = False
        self._config.wheel.arm(self, self._config.ping_interval)
        if self._events is not None:
            self._events.emit("heartbeat")
        if certain and self.listener is not None:
            self.listener.heartbeat()

    def _refresh(self) -> None:
        # Once in a cycle, the first sign of life moves the deadline (engine.io 6.6.11).
        self._refreshed = True
        self._config.wheel.arm(self, self._config.ping_timeout)

    # Ending.

    def _parse_error(self) -> None:
        self._config.counters.parse_errors += 1
        self._abort_transport(PARSE_ERROR, "")

    def _abort_transport(self, reason: str, description: str) -> None:
        transport = self.transport
        self._finish(reason, description)
        transport.discard()

    def _close_transport(self, discard: bool) -> None:
        transport = self.transport
        if discard:
            transport.discard()
            self._finish(FORCED_CLOSE, "")
            return
        transport.close()
        if transport.lingering:
            # The close is told with the next poll, and is complete then.
            self._config.wheel.cancel(self)
            return
        self._finish(FORCED_CLOSE, "")

    def lose(self, description: str) -> None:
        """End as if the link had been cut: the peer is known to be elsewhere."""
        self._abort_transport(TRANSPORT_CLOSE, description)

    def give_up(self) -> None:
        """End now: the peer had its time to take what waits for it."""
        if self._state != CLOSED:
            self.transport.abort()
            self._finish(FORCED_CLOSE, "")

    def rate_limit(self, description: str) -> None:
        """End because the peer sent more than it may."""
        self._abort_transport(RATE_LIMITED, description)

    def abandon(self) -> None:
        """End without touching the transport, whose event loop is gone."""
        if self._state != CLOSED:
            self._probe = None
            self._waiters = None
            self._finish(FORCED_CLOSE, "the event loop ended")

    def _finish(self, reason: str, description: str) -> None:
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self._config.wheel.cancel(self)
        self.transport.sink = None
        probe = self._probe
        if probe is not None:
            self._probe = None
            probe.cancel()
        left = self._left
        if left is not None:
            self._left = None
            left.discard()
        self._engine.session_closed(self)
        listener = self.listener
        self.listener = None
        if listener is not None:
            listener.closed(reason, description)
        if self._events is not None:
            self._events.emit("close", reason, description)
        self._buffer = None
        self._release_waiters()

    def _release_waiters(self) -> None:
        waiters = self._waiters
        if waiters is not None and not self.congested:
            self._waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
