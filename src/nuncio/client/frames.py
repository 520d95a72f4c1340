"""The client's side of a WebSocket: what it sends is masked. [compiled]"""

from __future__ import annotations

from typing import Any, final

from nuncio.client.keys import Keys
from nuncio.engine.transport import Flusher
from nuncio.engine.websocket import OPEN, WebSocketTransport
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import BINARY, TEXT, FrameReader, encode_masked


@final
class ClientWebSocket(WebSocketTransport):
    """One WebSocket, after its handshake.

    Nothing is read until `resume_reading` is called: before that nobody is there to take it.

    Args:
        io: see `WebSocketTransport`, as all but the last.
        keys: give the masks.
    """

    __slots__ = ("_keys",)

    def __init__(
        self,
        io: Any,
        flusher: Flusher,
        wheel: TimerWheel,
        reader: FrameReader,
        close_seconds: float,
        deflate: Any,
        threshold: int,
        keys: Keys,
    ) -> None:
        super().__init__(io, b"", flusher, wheel, reader, close_seconds, deflate, threshold)
        self._keys = keys
        self._held = True

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._state != OPEN:
            return
        if self._deflate is not None and self._to_compress(message):
            self._write(self._compress(message))
            return
        text = message.text
        attachments = message.attachments
        if attachments is None:
            self._write(encode_masked(TEXT, b"" if text is None else text, self._keys.next()))
            return
        parts: list[bytes] = []
        if text is not None:
            parts.append(encode_masked(TEXT, text, self._keys.next()))
        for attachment in attachments:
            parts.append(encode_masked(BINARY, attachment, self._keys.next()))
        self._write(b"".join(parts))

    def _frame(self, opcode: int, data: bytes) -> bytes:
        if len(data) >= self._threshold:
            compressed: bytes = self._deflate.compress(data)
            # With context, what was compressed has to be sent: the next message may refer to it.
            if not self._deflate.shared or len(compressed) < len(data):
                return encode_masked(opcode, compressed, self._keys.next(), True)
        return encode_masked(opcode, data, self._keys.next())

    def _control(self, opcode: int, payload: bytes) -> bytes:
        return encode_masked(opcode, payload, self._keys.next())
