"""WebSockets of clients that do not speak revision 4's plain way. [compiled]"""

from __future__ import annotations

from typing import Any

from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.websocket import OPEN, WebSocketTransport
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol import engineio3
from nuncio.protocol.dialects import Dialect
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import FrameReader


class DialectWebSocketTransport(WebSocketTransport):
    """One WebSocket in a dialect of its own.

    Args:
        io: see `WebSocketTransport`, as all the others.
        dialect: how packets stand in frames.
    """

    __slots__ = ("_dialect",)

    def __init__(
        self,
        io: Any,
        head: bytes,
        flusher: Flusher,
        wheel: TimerWheel,
        reader: FrameReader,
        close_seconds: float,
        deflate: Any,
        threshold: int,
        connections: Any,
        dialect: Dialect,
    ) -> None:
        super().__init__(
            io, head, flusher, wheel, reader, close_seconds, deflate, threshold, connections
        )
        self._dialect = dialect

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._state != OPEN:
            return
        if self._deflate is not None and self._to_compress(message):
            self._write(self._compressed(message))
        else:
            self._write(self._dialect.frames(message))

    def _compressed(self, message: Message) -> bytes:
        parts: list[bytes] = []
        for opcode, data in self._dialect.packets(message):
            parts.append(self._frame(opcode, data))
        return b"".join(parts)

    def _binary(self, sink: PacketSink, data: bytes) -> None:
        receive_binary(self._dialect, self, sink, data)


def receive_binary(dialect: Dialect, transport: Transport, sink: PacketSink, data: bytes) -> None:
    """Hand on what came in a binary frame."""
    if dialect.revision == 4:
        sink.binary(transport, data)
    elif data and data[0] == engineio3.MESSAGE_BYTE:
        sink.binary(transport, data[1:])
    else:
        sink.text(transport, engineio3.as_text(data))
