"""Stand-ins for what surrounds a session: the engine, a transport, the layer above, requests."""

from __future__ import annotations

from typing import Any

from nuncio.engine.counters import Counters
from nuncio.engine.event_names import SESSION_EVENTS
from nuncio.engine.listener import Listener
from nuncio.engine.request import Exchange, Request
from nuncio.engine.session import Session
from nuncio.engine.settings import SessionConfig
from nuncio.engine.transport import Flusher, Transport
from nuncio.engine.wheel import NEVER, TimerWheel
from nuncio.protocol.engineio import Message
from tests.support.clock import FakeLoop

PING_INTERVAL = 25.0
PING_TIMEOUT = 20.0
UPGRADE_TIMEOUT = 10.0
OUTGOING_BYTES = 10_000
DROPPABLE_BYTES = 2_000


def a_request(
    query: str = "EIO=4&transport=polling",
    method: str = "GET",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> Request:
    """A request as a host would make it."""
    return Request(method, "/engine.io/", query, headers or [], ("192.0.2.1", 4711), False)


class FakeExchange(Exchange):
    """A request whose answer is written down."""

    def __init__(self, request: Request | None = None) -> None:
        super().__init__(a_request() if request is None else request)
        self.status = 0
        self.sent: list[tuple[str, str]] = []
        self.body = b""
        self.ended = ""
        self.slow = False

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        assert self.status == 0, "answered twice"
        self.status = status
        self.sent = headers
        self.body = body

    @property
    def answer(self) -> tuple[int, bytes] | None:
        """Status and body, None while there is no answer."""
        return (self.status, self.body) if self.done else None

    def deliver(self, *chunks: bytes) -> None:
        """Let the body arrive and end."""
        for chunk in chunks:
            if not self.done:
                assert self.receiver is not None
                self.receiver.body_chunk(self, chunk)
        if not self.done:
            assert self.receiver is not None
            self.receiver.body_end(self)

    # An answer whose body comes in pieces.

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """See `Exchange.start`."""
        self.write(status, headers, b"")

    def put(self, data: bytes) -> None:
        """See `Exchange.put`."""
        assert not self.ended
        self.body += data

    def complete(self) -> None:
        """See `Exchange.complete`."""
        self.ended = "complete"

    def sever(self) -> None:
        """See `Exchange.sever`."""
        self.ended = "cut"

    @property
    def behind(self) -> bool:
        """See `Exchange.behind`."""
        return self.slow

    def catch_up(self) -> None:
        """Let the peer read what was written."""
        self.slow = False
        assert self.receiver is not None
        self.receiver.caught_up(self)

    def lose(self) -> None:
        """Let the peer go away."""
        receiver = self.receiver
        self.done = True
        self.streaming = False
        if receiver is not None:
            receiver.aborted(self)


class FakeTransport(Transport):
    """A frame transport whose peer is the test."""

    def __init__(self, name: str = "websocket") -> None:
        super().__init__(name)
        self.sent: list[Message] = []
        self.full_after: int | None = None
        self.ending: list[str] = []
        self.reading = True

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        self.sent.append(message)
        if self.full_after is not None:
            self.full_after -= 1
            if self.full_after <= 0:
                self.writable = False
                self.full_after = None

    def flush(self) -> None:
        """See `Transport.flush`."""

    def close(self) -> None:
        """See `Transport.close`."""
        self.ending.append("close")

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self.ending.append("discard")

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self.ending.append("abort")

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`."""
        self.reading = False

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        self.reading = True

    # What the peer does.

    def receive(self, data: bytes) -> None:
        """A text packet arrives."""
        if self.sink is not None:
            self.sink.text(self, data)

    def receive_binary(self, data: bytes) -> None:
        """A binary packet arrives."""
        if self.sink is not None:
            self.sink.binary(self, data)

    def drain(self) -> None:
        """The peer has read what was sent."""
        self.writable = True
        if self.sink is not None:
            self.sink.drained(self)

    def lose(self, reason: str = "transport close", description: str = "") -> None:
        """The connection is gone."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.ended(self, reason, description)

    def take(self) -> list[bytes]:
        """The packets sent since the last call, as long-polling would write them."""
        sent, self.sent = self.sent, []
        return [message.payload() for message in sent]


class FakeEngine:
    """What a session asks of its engine."""

    session_events = SESSION_EVENTS

    def __init__(self) -> None:
        self.closed: list[Session] = []
        self.stopping = 0

    def session_closed(self, session: Session) -> None:
        """See `Engine.session_closed`."""
        self.closed.append(session)

    def host_stopping(self) -> None:
        """See `Engine.host_stopping`."""
        self.stopping += 1

    def spawn(self, awaitable: Any) -> None:
        """See `Engine.spawn`; no test here has async listeners."""
        raise AssertionError(awaitable)


class Recorder(Listener):
    """The layer above: writes down what it is given."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends: list[tuple[str, str]] = []
        self.beats = 0

    def heartbeat(self) -> None:
        """See `Listener.heartbeat`."""
        self.beats += 1

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        self.heard.append(data)

    def binary(self, data: bytes) -> None:
        """See `Listener.binary`."""
        self.heard.append(data)

    def closed(self, reason: str, description: str) -> None:
        """See `Listener.closed`."""
        self.ends.append((reason, description))


class Bench:
    """A session with everything around it, on a loop whose clock the test moves.

    Args:
        transport: what it begins with.
        overrides: of the session's settings.
    """

    def __init__(self, transport: Transport | None = None, **overrides: float) -> None:
        self.loop = FakeLoop()
        self.wheel = TimerWheel(self.loop)
        self.flusher = Flusher(self.loop)
        self.engine = FakeEngine()
        self.config = SessionConfig(
            self.loop,
            self.wheel,
            self.flusher,
            overrides.get("ping_interval", PING_INTERVAL),
            overrides.get("ping_timeout", PING_TIMEOUT),
            overrides.get("upgrade_timeout", UPGRADE_TIMEOUT),
            int(overrides.get("outgoing_bytes", OUTGOING_BYTES)),
            int(overrides.get("droppable_bytes", DROPPABLE_BYTES)),
            Counters(),
        )
        self.above = Recorder()
        if transport is not None:
            self.begin(transport)

    def begin(self, transport: Transport) -> None:
        """Start the session."""
        self.session = Session(self.engine, self.config, "sid", transport, a_request())
        self.session.start([Message(b"0{}", control=True)])
        self.session.listener = self.above

    def no_timer_is_left(self) -> None:
        """Nothing of the session waits for a time any more."""
        assert self.session.tick == NEVER
        # Emptied buckets go when they are due.
        self.loop.advance(1000)
        assert self.loop.scheduled == []
        assert self.loop.failures == []


class Wire(Bench):
    """A session on a frame transport; the open packet is read already."""

    def __init__(self, **overrides: float) -> None:
        self.wire = FakeTransport()
        super().__init__(self.wire, **overrides)
        assert self.wire.take() == [b"0{}"]

    @property
    def ended(self) -> str | None:
        """Why the session ended."""
        assert len(self.above.ends) <= 1
        return self.above.ends[0][0] if self.above.ends else None
