"""What lies between a client and a server in memory: a link of two ends and two pipes.

An end is a transport as a WebSocket is, without frames: packets go in as bytes and come out at the
other end as bytes, in order, in a later turn of the loop. Closing has its handshake, and what waits
is bounded, so that sessions on both sides meet what they meet over a network.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.transport import Transport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import DisconnectReason
from nuncio.protocol.engineio import Message

if TYPE_CHECKING:
    from nuncio.testing.network import Network

SERVER: Final = "server"
CLIENT: Final = "client"

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

# What travels.
TEXT: Final = 0
BINARY: Final = 1
CLOSE: Final = 2
RESET: Final = 3

OPEN: Final = 0
CLOSING: Final = 1
CLOSED: Final = 2

# Close codes (RFC 6455, section 7.4.1): none given, and too big.
NO_STATUS: Final = 1005
TOO_BIG: Final = 1009

# Bookkeeping of one packet, counted beside its bytes so that many tiny ones are bounded.
OVERHEAD: Final = 100

# What an operating system takes at once of who writes much in one turn, beside the high-water mark.
AT_ONCE: Final = 1024 * 1024

# A loop may call a hair early.
EARLY: Final = 0.001


class Pipe:
    """One direction of a link.

    Args:
        link: whose it is.
        to: who receives, `server` or `client`.
        loop: the running loop.
        context: in which what arrives is handled.

    Attributes:
        to: see above.
        context: see above.
        sender: the end that writes.
        receiver: the end that reads; None until there is one.
        waiting: bytes that are on their way.
    """

    def __init__(
        self, link: Link, to: str, loop: asyncio.AbstractEventLoop, context: Context
    ) -> None:
        self._link = link
        self._loop = loop
        self.context = context
        self._items: deque[tuple[float, int, bytes]] = deque()
        self._handle: asyncio.Handle | None = None
        self.to = to
        self.sender: End | None = None
        self.receiver: End | None = None
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def flows(self) -> bool:
        """Whether what is sent arrives, sooner or later."""
        receiver = self.receiver
        held = self._link.network.holds(self.to)
        return receiver is not None and receiver.reading and not held and not self._link.is_cut

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call something of the receiver's in a later turn."""
        self._loop.call_soon(function, *args, context=self.context)

    def put(self, kind: int, data: bytes) -> None:
        """Send something."""
        if self._link.is_cut:
            return
        delay = self._link.network.delay
        self._items.append((self._loop.time() + delay if delay else 0.0, kind, data))
        self.waiting += len(data) + OVERHEAD
        self.go_on()

    def clear(self) -> None:
        """Lose what is on its way."""
        self._items.clear()
        self.waiting = 0

    def go_on(self) -> None:
        """Deliver, if anything stands in the way no longer."""
        if self._handle is not None or not self._items or not self.flows:
            return
        due = self._items[0][0]
        if due > self._loop.time() + EARLY:
            self._handle = self._loop.call_at(due, self._deliver, context=self.context)
        else:
            self._handle = self._loop.call_soon(self._deliver, context=self.context)

    def _deliver(self) -> None:
        self._handle = None
        now = self._loop.time() + EARLY
        try:
            while self._items and self.flows and self._items[0][0] <= now:
                _, kind, data = self._items.popleft()
                self.waiting -= len(data) + OVERHEAD
                receiver = self.receiver
                assert receiver is not None
                self._link.network.carried()
                receiver.take(kind, data)
        finally:
            self.go_on()
        sender = self.sender
        if sender is not None and not sender.writable:
            self._link.opposite(self).soon(sender.relieve)


class End(Transport):
    """One end of a link; to its session it is a WebSocket.

    Args:
        out: the pipe to write to.
        into: the pipe to read from.
        wheel: times the closing handshake.
        high_water: bytes that a peer may be behind before nothing more is taken.
        max_bytes: the largest packet that is taken.
        close_seconds: how long the closing handshake may take.
        reading: whether it reads from the beginning.

    Attributes:
        reading: whether it reads.
    """

    def __init__(
        self,
        out: Pipe,
        into: Pipe,
        wheel: TimerWheel,
        high_water: int,
        max_bytes: int,
        close_seconds: float,
        *,
        reading: bool,
    ) -> None:
        super().__init__("websocket")
        self._out = out
        self._wheel = wheel
        self._into = into
        self._high_water = high_water
        self._max_bytes = max_bytes
        self._close_seconds = close_seconds
        self._state = OPEN
        self._timer: Timer | None = None
        self.reading = reading
        out.sender = self
        into.receiver = self
        into.go_on()

    @property
    def closed(self) -> bool:
        """Whether nothing comes of it any more."""
        return self._state == CLOSED

    # What the session calls.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._state != OPEN:
            return
        attachments = message.attachments or ()
        if message.text is not None or not attachments:
            self._out.put(TEXT, message.text or b"")
        for attachment in attachments:
            self._out.put(BINARY, bytes(attachment))
        if self._behind(self._high_water):
            self.writable = False

    def _behind(self, limit: int) -> bool:
        return self._out.waiting > (limit + AT_ONCE if self._out.flows else limit)

    def relieve(self) -> None:
        """The pipe has carried something."""
        # Not at once when it is no longer full, as operating systems do it.
        if self._state == OPEN and not self.writable and not self._behind(self._high_water // 4):
            self.writable = True
            if self.sink is not None:
                self.sink.drained(self)

    def flush(self) -> None:
        """See `Transport.flush`: nothing is kept back."""

    def close(self) -> None:
        """See `Transport.close`."""
        self._close_with(NO_STATUS)

    def discard(self) -> None:
        """See `Transport.discard`: the closing handshake goes on without a session."""
        self.sink = None
        self.close()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self._break_off()

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`."""
        if self._state == OPEN:
            self.reading = False

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        self.reading = True
        self._into.go_on()

    # What arrives.

    def take(self, kind: int, data: bytes) -> None:
        """Something arrived."""
        sink = self.sink
        if self._state == CLOSED:
            return
        if kind == CLOSE:
            self._peer_closed(int(data))
        elif kind == RESET:
            self.lost("")
        elif sink is None:
            return
        elif len(data) > self._max_bytes:
            self._close_with(TOO_BIG)
            self._end(TRANSPORT_ERROR, "message too big")
        elif kind == TEXT:
            sink.text(self, data)
        else:
            sink.binary(self, data)

    def lost(self, description: str) -> None:
        """The link is gone."""
        if self._state != CLOSED:
            self._shut()
            self._end(TRANSPORT_CLOSE, description)

    # Closing, as WebSockets do it (RFC 6455, section 7.1).

    def _close_with(self, code: int) -> None:
        if self._state != OPEN:
            return
        self._out.put(CLOSE, str(code).encode())
        self._state = CLOSING
        self.writable = False
        # A session that closes while it does not read must still see the peer's answer.
        self.resume_reading()
        self._timer = _CloseTimer(self)
        self._wheel.arm(self._timer, self._close_seconds)

    def _peer_closed(self, code: int) -> None:
        if self._state == OPEN:
            self._out.put(CLOSE, str(code).encode())
        self._shut()
        self._end(TRANSPORT_CLOSE, f"the peer closed with code {code}")

    def give_up(self) -> None:
        """The peer does not answer."""
        self._break_off()
        self._end(TRANSPORT_CLOSE, "")

    def _break_off(self) -> None:
        if self._state != CLOSED:
            self._shut()
            self._out.clear()
            self._out.put(RESET, b"")

    def _shut(self) -> None:
        self._state = CLOSED
        self.writable = False
        if self._timer is not None:
            self._wheel.cancel(self._timer)
            self._timer = None

    def _end(self, reason: str, description: str) -> None:
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)


class _CloseTimer(Timer):
    """Ends a link whose other end does not answer that it closes."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self._of = end

    def expire(self, now: float) -> None:
        self._of.give_up()


class Link:
    """One connection, from the attempt to its end.

    Args:
        network: what it runs through.
        loop: the running loop.
        client: the context of whoever connects.
        server: the server's, which has nothing of the client's in it.

    Attributes:
        network: see above.
        up: the pipe to the server.
        down: the pipe to the client.
        is_cut: whether nothing is carried any more.
        broken: done when it is cut.
    """

    def __init__(
        self, network: Network, loop: asyncio.AbstractEventLoop, client: Context, server: Context
    ) -> None:
        self.network = network
        self.up = Pipe(self, SERVER, loop, server)
        self.down = Pipe(self, CLIENT, loop, client)
        self.is_cut = False
        self.broken: asyncio.Future[None] = loop.create_future()

    def opposite(self, pipe: Pipe) -> Pipe:
        """The other pipe."""
        return self.down if pipe is self.up else self.up

    @property
    def over(self) -> bool:
        """Whether both ends are done with it."""
        ends = (self.up.receiver, self.down.receiver)
        return self.is_cut or all(end is not None and end.closed for end in ends)

    @property
    def moves(self) -> bool:
        """Whether something is on its way and will arrive."""
        return any(len(pipe) and pipe.flows for pipe in (self.up, self.down))

    def go_on(self) -> None:
        """What stood in the way may have gone."""
        self.up.go_on()
        self.down.go_on()

    def cut(self) -> None:
        """Lose what is on its way, and have both ends see it."""
        if self.is_cut:
            return
        self.is_cut = True
        for pipe in (self.up, self.down):
            if pipe.receiver is not None:
                pipe.soon(pipe.receiver.lost, "")
        if not self.broken.done():
            self.broken.set_result(None)

    async def unless_cut(self, awaited: asyncio.Future[Any]) -> bool:
        """Wait for something; False when the link was cut before."""
        await asyncio.wait((awaited, self.broken), return_when=asyncio.FIRST_COMPLETED)
        return not self.is_cut
