"""The transport over a data channel, of servers and clients."""

from __future__ import annotations

from typing import Final

from nuncio.engine.transport import Flusher, Transport
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.bytestream import StreamReader, message_stream
from nuncio.protocol.engineio import Message
from nuncio.webrtc.link import Link, Owner

TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

# What may gather in one turn before it is written without waiting for the turn's end.
WRITE_THROUGH: Final = 65536


class WebRTCTransport(Transport):
    """Packets over a link. It does not read until `resume_reading` is called.

    Args:
        link: is open.
        flusher: of the loop.
        limit: bytes of the longest packet that is taken.
        high_water: how many bytes the peer may be behind before nothing more is taken.
    """

    def __init__(self, link: Link, flusher: Flusher, limit: int, high_water: int) -> None:
        super().__init__("webrtc")
        self._link = link
        self._flusher = flusher
        self._high_water = high_water
        self._reader = StreamReader(limit)
        self._out: list[bytes] = []
        self._size = 0
        self._closed = False
        # Packets that wait, the next one last.
        self._waiting: list[tuple[bytes, bool]] = []
        self._held = True
        link.owner = _Listener(self)

    # Receiving.

    def arrived(self, data: bytes) -> None:
        """Some more of the stream."""
        try:
            packets = self._reader.feed(data)
        except PacketError as error:
            self.lost_by(str(error))
            return
        self._waiting = [(packet.data, packet.binary) for packet in reversed(packets)]
        self._hand_on()

    def _hand_on(self) -> None:
        waiting = self._waiting
        while waiting and not self._held:
            sink = self.sink
            if sink is None:
                waiting.clear()
                return
            data, binary = waiting.pop()
            if binary:
                sink.binary(self, data)
            elif data.isascii() or _is_text(data):
                sink.text(self, data)
            else:
                self.lost_by("a text packet is not UTF-8")
                return

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`; packets that have arrived wait, too."""
        self._held = True
        self._link.pause()

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if self._held:
            self._held = False
            # Later, for this may be called from within the handling of a packet.
            self._flusher.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._held:
            self._hand_on()
        if not self._held and not self._waiting:
            self._link.resume()

    # Sending.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._closed:
            return
        data = message_stream(message)
        self._out.append(data)
        self._size += len(data)
        if self._size > WRITE_THROUGH:
            self.flush()
        elif not self.dirty:
            self._flusher.mark(self)

    def flush(self) -> None:
        """See `Transport.flush`: what was taken is one message, or as few as it fits in."""
        out, self._out, self._size = self._out, [], 0
        if out:
            self._link.send(out[0] if len(out) == 1 else b"".join(out))
            if self._link.waiting > self._high_water:
                self.writable = False

    def room(self) -> None:
        """The peer has caught up."""
        if not self.writable and not self._closed:
            self.writable = True
            if self.sink is not None:
                self.sink.drained(self)

    # Ending.

    def close(self) -> None:
        """See `Transport.close`: the channel is closed behind what was taken."""
        if not self._closed:
            self.flush()
            self._closed = True
            self.writable = False
            self._link.close()

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self.close()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self._closed = True
        self.writable = False
        self._out = []
        self._link.abort()

    def lost_by(self, words: str) -> None:
        """The peer has sent what cannot be."""
        sink = self.sink
        self.abort()
        if sink is not None:
            sink.ended(self, TRANSPORT_ERROR, words)

    def lost(self, reason: str, words: str) -> None:
        """The link has ended."""
        self._closed = True
        self.writable = False
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.ended(self, reason, words)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Listener(Owner):
    """A transport, as its link sees it: compiled classes have no second base."""

    def __init__(self, transport: WebRTCTransport) -> None:
        self._transport = transport

    def arrived(self, data: bytes) -> None:
        self._transport.arrived(data)

    def room(self) -> None:
        self._transport.room()

    def lost(self, reason: str, words: str) -> None:
        self._transport.lost(reason, words)
