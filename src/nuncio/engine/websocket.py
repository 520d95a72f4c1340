"""The WebSocket transport on a raw asyncio transport. [compiled]

It is the asyncio protocol itself: bytes are parsed where they arrive, and what is written while
they are handled leaves in one write when they have been. What is written at other times leaves at
the end of the loop's turn.
"""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import DisconnectReason
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import (
    BINARY,
    CLOSE,
    NEED_DATA,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    encode,
    encode_close,
)

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

OPEN: Final = 0
CLOSING: Final = 1
CLOSED: Final = 2

# What may gather in one turn before it is written without waiting for the turn's end.
WRITE_THROUGH: Final = 65536


class WebSocketTransport(Transport):
    """One WebSocket, after its handshake.

    Args:
        io: the asyncio transport, connected.
        head: the response that completes the handshake; written with the first flush.
        flusher: of the loop.
        wheel: of the loop, for the closing time-out.
        reader: the frame reader, with its limits.
        close_seconds: how long the closing handshake may take.
        deflate: the negotiated permessage-deflate, or None.
        threshold: texts and attachments of fewer bytes are not compressed.
        connections: the host's set of connections, which this one joins, or None.
    """

    __slots__ = (
        "_busy",
        "_close_seconds",
        "_connections",
        "_deflate",
        "_flusher",
        "_held",
        "_io",
        "_out",
        "_out_size",
        "_reader",
        "_state",
        "_threshold",
        "_timer",
        "_wheel",
    )

    def __init__(
        self,
        io: Any,
        head: bytes,
        flusher: Flusher,
        wheel: TimerWheel,
        reader: FrameReader,
        close_seconds: float,
        deflate: Any = None,
        threshold: int = 0,
        connections: Any = None,
    ) -> None:
        super().__init__("websocket")
        self._io = io
        self._flusher = flusher
        self._wheel = wheel
        self._reader = reader
        self._close_seconds = close_seconds
        self._deflate = deflate
        self._threshold = threshold
        self._connections = connections
        self._out: list[bytes] | None = [head] if head else None
        self._out_size = len(head)
        self._busy = False
        self._held = False
        self._state = OPEN
        self._timer: _CloseTimer | None = None
        if connections is not None:
            connections.add(self)

    # What asyncio calls.

    def connection_made(self, io: Any) -> None:
        """asyncio: never called, the host made the connection."""

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        self._reader.feed(data)
        self._pump()

    def _pump(self) -> None:
        """Hand on what the reader holds, until reading is paused."""
        reader = self._reader
        self._busy = True
        try:
            while reader.more and not self._held:
                opcode = reader.next()
                if opcode == NEED_DATA:
                    break
                sink = self.sink
                if opcode == TEXT:
                    if sink is not None:
                        sink.text(self, reader.payload)
                elif opcode == BINARY:
                    if sink is not None:
                        self._binary(sink, reader.payload)
                elif opcode == PING:
                    # A peer that sends pings and does not read gets no heap of pongs.
                    if self.writable and self._state == OPEN:
                        self._write(self._control(PONG, reader.payload))
                elif opcode == CLOSE:
                    self._peer_closed(reader.close_code, reader.payload)
                    break
        except FrameError as error:
            self._fail(error.code, error.reason)
        finally:
            self._busy = False
            # An idle connection keeps nothing.
            reader.payload = b""
        if self._out is not None:
            self.flush()

    def _binary(self, sink: PacketSink, data: bytes) -> None:
        sink.binary(self, data)

    def eof_received(self) -> bool:
        """asyncio: the peer will send no more; there is no half-closed WebSocket."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._state = CLOSED
        self._out = None
        if self._timer is not None:
            self._wheel.cancel(self._timer)
            self._timer = None
        if self._connections is not None:
            self._connections.discard(self)
        self.writable = False
        self._end(TRANSPORT_CLOSE, "" if error is None else str(error))

    def pause_writing(self) -> None:
        """asyncio: the peer is behind."""
        self.writable = False

    def resume_writing(self) -> None:
        """asyncio: the peer has caught up."""
        if self._state == OPEN:
            self.writable = True
            sink = self.sink
            if sink is not None:
                sink.drained(self)

    # What the host calls.

    def shutdown(self) -> None:
        """uvicorn: the server stops."""
        sink = self.sink
        if sink is not None:
            sink.host_stopping()
        else:
            self.close()

    # What the session calls.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._state != OPEN:
            return
        if self._deflate is not None and self._to_compress(message):
            self._write(self._compressed(message))
        else:
            self._write(message.frames())

    def _to_compress(self, message: Message) -> bool:
        return message.size >= self._threshold and message.compress and not message.control

    def _compressed(self, message: Message) -> bytes:
        shared: int = self._deflate.shared
        if not shared:
            return self._compress(message)
        frames = message.deflated(shared)
        if frames is None:
            frames = self._compress(message)
            message.keep_deflated(shared, frames)
        return frames

    def _compress(self, message: Message) -> bytes:
        text = message.text
        attachments = message.attachments
        if attachments is None:
            return self._frame(TEXT, b"" if text is None else text)
        parts = [] if text is None else [self._frame(TEXT, text)]
        for attachment in attachments:
            parts.append(self._frame(BINARY, attachment))
        return b"".join(parts)

    def _frame(self, opcode: int, data: bytes) -> bytes:
        if len(data) < self._threshold:
            return encode(opcode, data)
        deflate = self._deflate
        compressed: bytes = deflate.compress(data)
        # With context, what was compressed has to be sent: the next message may refer to it.
        if deflate.shared and len(compressed) >= len(data):
            return encode(opcode, data)
        return encode(opcode, compressed, True)

    def _control(self, opcode: int, payload: bytes) -> bytes:
        return encode(opcode, payload)

    def _write(self, data: bytes) -> None:
        out = self._out
        if out is None:
            self._out = [data]
            self._out_size = len(data)
            if not self._busy and not self.dirty:
                self._flusher.mark(self)
        else:
            out.append(data)
            self._out_size += len(data)
        if self._out_size > WRITE_THROUGH:
            self.flush()

    def flush(self) -> None:
        """See `Transport.flush`."""
        out = self._out
        if out is None:
            return
        self._out = None
        self._io.write(out[0] if len(out) == 1 else b"".join(out))

    def close(self) -> None:
        """See `Transport.close`: a close frame without a status, as the reference sends."""
        self._close_with(1005, "")

    def discard(self) -> None:
        """See `Transport.discard`: the closing handshake goes on without a session."""
        self.sink = None
        self.close()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        if self._state != CLOSED:
            self._state = CLOSED
            self._out = None
            self._io.abort()

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`; frames that have arrived wait, too."""
        if self._state == OPEN:
            self._held = True
            self._io.pause_reading()

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if self._held:
            self._held = False
            # Later, for this may be called from within the handling of a frame.
            self._flusher.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._held or self._state == CLOSED:
            return
        if not self._busy:
            self._pump()
        if not self._held and self._state != CLOSED:
            self._io.resume_reading()

    # Closing.

    def _close_with(self, code: int, reason: str) -> None:
        if self._state != OPEN:
            return
        self._write(self._control(CLOSE, encode_close(code, reason)))
        self._state = CLOSING
        self.flush()
        # A session that closes while its reader is paused must still see the peer's answer.
        self.resume_reading()
        self._limit_closing()

    def _limit_closing(self) -> None:
        timer = _CloseTimer(self._io)
        self._timer = timer
        self._wheel.arm(timer, self._close_seconds)

    def _peer_closed(self, code: int, payload: bytes) -> None:
        if self._state == OPEN:
            # The peer is told its own code and words, as other servers do.
            self._write(self._control(CLOSE, payload))
            self._state = CLOSING
            self.flush()
            self._limit_closing()
        self._io.close()
        description = f"the peer closed with code {code}"
        reason = self._reader.close_reason
        if reason:
            description += f": {reason!r}"
        self._end(TRANSPORT_CLOSE, description)

    def _fail(self, code: int, reason: str) -> None:
        self._close_with(code, "")
        self._io.close()
        self._end(TRANSPORT_ERROR, reason)

    def _end(self, reason: str, description: str) -> None:
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)


class _CloseTimer(Timer):
    """Ends a connection whose peer does not answer the close frame."""

    __slots__ = ("_io",)

    def __init__(self, io: Any) -> None:
        super().__init__()
        self._io = io

    def expire(self, now: float) -> None:
        self._io.abort()
