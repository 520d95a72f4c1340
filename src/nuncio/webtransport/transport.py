"""The transport itself: packets in the one stream of a session, the same on both sides."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.bytestream import Packet, StreamReader, message_stream
from nuncio.protocol.engineio import Message

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

OPEN: Final = 0
CLOSING: Final = 1
CLOSED: Final = 2

# What may gather in one turn before it is written without waiting for the turn's end.
WRITE_THROUGH: Final = 65536


class Link(Protocol):
    """The session below, as the transport sees it."""

    def write(self, data: bytes, end: bool) -> None:
        """Hand bytes to QUIC; they leave at the end of the loop's turn.

        Args:
            data: what to send.
            end: whether nothing follows.
        """

    @property
    def unsent(self) -> int:
        """How many bytes the peer has not acknowledged."""

    @property
    def delivered(self) -> bool:
        """Whether it has acknowledged everything, after the end was written."""

    def used(self, held: int) -> None:
        """Tell QUIC how many of the bytes that came wait here, which narrows the window."""

    def close(self, code: int, reason: str) -> None:
        """End the session, and tell the peer."""


class WebTransportTransport(Transport):
    """One session of WebTransport.

    Args:
        link: the session.
        flusher: of the loop.
        wheel: of the loop, for the time that closing may take.
        limit: bytes of the longest packet.
        high_water: bytes that may be under way before the peer counts as behind.
        close_seconds: how long the peer may take to get what was sent before the end.
    """

    def __init__(
        self,
        link: Link,
        flusher: Flusher,
        wheel: TimerWheel,
        limit: int,
        high_water: int,
        close_seconds: float,
    ) -> None:
        super().__init__("webtransport")
        self._link = link
        self._flusher = flusher
        self._wheel = wheel
        self._reader = StreamReader(limit)
        self._high_water = high_water
        self._close_seconds = close_seconds
        self._out: list[bytes] = []
        self._out_size = 0
        self._arrived: deque[Packet] = deque()
        self._raw: list[bytes] = []
        # How many bytes these two are.
        self._waiting = 0
        self._held = True
        self._busy = False
        self._state = OPEN
        self._timer: _CloseTimer | None = None

    # What the session below calls.

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._state != OPEN:
            return
        self._raw.append(data)
        self._waiting += len(data)
        if self._held:
            self._link.used(self._waiting)
        elif not self._busy:
            self._pump()

    def acknowledged(self) -> None:
        """The peer has acknowledged something."""
        if self._state == OPEN:
            if not self.writable and self._link.unsent + self._out_size <= self._high_water // 2:
                self.writable = True
                if self.sink is not None:
                    self.sink.drained(self)
        elif self._state == CLOSING and self._link.delivered:
            self._finish()

    def lost(self, description: str, *, error: bool = False) -> None:
        """The session, or the connection below, has ended."""
        self._over()
        self._tell(TRANSPORT_ERROR if error else TRANSPORT_CLOSE, description)

    # Receiving.

    def _pump(self) -> None:
        """Hand on what has arrived, until reading is paused."""
        arrived = self._arrived
        self._busy = True
        try:
            while not self._held:
                while arrived and not self._held:
                    self._deliver(arrived.popleft())
                if self._held or not self._raw:
                    break
                raw = self._raw
                data = raw[0] if len(raw) == 1 else b"".join(raw)
                raw.clear()
                arrived.extend(self._reader.feed(data))
        except PacketError as error:
            self._fail(str(error))
        finally:
            self._busy = False
        if self._state != CLOSED:
            self._waiting = sum(map(len, self._raw))
            for packet in arrived:
                self._waiting += len(packet.data)
            self._link.used(self._waiting)
            if self._out:
                self.flush()

    def _deliver(self, packet: Packet) -> None:
        sink = self.sink
        if sink is None:
            return
        data = packet.data
        if packet.binary:
            sink.binary(self, data)
            return
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError as error:
                raise PacketError("a text packet is not UTF-8") from error
        sink.text(self, data)

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`; packets that have arrived wait, too."""
        self._held = True

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if self._held:
            self._held = False
            # Later, for this may be called from within the handling of a packet.
            self._flusher.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._held and not self._busy and self._state != CLOSED:
            self._pump()

    # Sending.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._state != OPEN:
            return
        data = message_stream(message)
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size + self._link.unsent > self._high_water:
            self.writable = False
        if self._out_size > WRITE_THROUGH:
            self.flush()
        elif not self._busy and not self.dirty:
            self._flusher.mark(self)

    def flush(self) -> None:
        """See `Transport.flush`."""
        out = self._out
        if out and self._state != CLOSED:
            self._out = []
            self._out_size = 0
            self._link.write(out[0] if len(out) == 1 else b"".join(out), False)

    # Ending.

    def close(self) -> None:
        """See `Transport.close`.

        The stream ends first, and the session once the peer has got all of it: a session that ends
        takes with it what is still under way.
        """
        if self._state != OPEN:
            return
        self.flush()
        self._state = CLOSING
        self.writable = False
        self._link.write(b"", True)
        self._timer = _CloseTimer(self)
        self._wheel.arm(self._timer, self._close_seconds)

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        if self._state == OPEN:
            self._drop_arrived()
            self._link.used(0)
        self.close()

    def stop(self) -> None:
        """The listener stops: the session ends, and what was sent still leaves."""
        self._tell(TRANSPORT_CLOSE, "the listener has stopped")
        self.close()

    @property
    def closing(self) -> bool:
        """Whether it waits for the peer to get the last of what was sent."""
        return self._state == CLOSING

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        if self._state != CLOSED:
            self._over()
            self._link.close(0, "")

    def refuse(self, code: int, reason: str) -> None:
        """End the session at once, and tell the peer why."""
        self.sink = None
        if self._state != CLOSED:
            self._over()
            self._link.close(code, reason)

    def _finish(self) -> None:
        """The goodbye has arrived, or has had its time."""
        self._over()
        self._link.close(0, "")
        self._tell(TRANSPORT_CLOSE, "")

    def _fail(self, description: str) -> None:
        self._over()
        self._link.close(0, description)
        self._tell(TRANSPORT_ERROR, description)

    def _over(self) -> None:
        self._state = CLOSED
        self.writable = False
        self._out.clear()
        self._drop_arrived()
        if self._timer is not None:
            self._wheel.cancel(self._timer)
            self._timer = None

    def _drop_arrived(self) -> None:
        self._arrived.clear()
        self._raw.clear()
        self._waiting = 0

    def _tell(self, reason: str, description: str) -> None:
        sink: PacketSink | None = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)


class _CloseTimer(Timer):
    """Ends a session whose peer does not acknowledge the end."""

    def __init__(self, transport: Any) -> None:
        super().__init__()
        self._transport = transport

    def expire(self, now: float) -> None:
        self._transport._finish()
