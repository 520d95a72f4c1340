"""Long-polling with clients of revision 3. [compiled]"""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.polling import PollingTransport
from nuncio.engine.request import Exchange
from nuncio.engine.transport import Flusher, PacketSink
from nuncio.engine.upload import OCTET_STREAM, as_utf8
from nuncio.engine.wheel import TimerWheel
from nuncio.protocol import engineio3
from nuncio.protocol.engineio import BINARY_MARK, Message

_OCTETS: Final = ("Content-Type", OCTET_STREAM)


class PollingTransport3(PollingTransport):
    """One session's long-polling, with the payloads of revision 3.

    Args:
        flusher: see `PollingTransport`, as all the others.
        text_only: whether the client reads no binary payloads.
    """

    __slots__ = ("_binary_post", "_text_only")

    def __init__(
        self,
        flusher: Flusher,
        wheel: TimerWheel,
        max_size: int,
        max_packets: int,
        compression: Any,
        decorate: Any,
        callback: bytes | None,
        text_only: bool,
    ) -> None:
        super().__init__(flusher, wheel, max_size, max_packets, compression, decorate, callback)
        # A script holds text.
        self._text_only = text_only or callback is not None
        self._binary_post = False

    def _takes(self, binary: bool) -> bool:
        self._binary_post = binary
        return True

    def _split(self, body: bytes) -> list[bytes]:
        if self._binary_post:
            return engineio3.split_binary(body, self._max_packets)
        return engineio3.split_text(as_utf8(body), self._max_packets)

    def _packet(self, sink: PacketSink, packet: bytes) -> None:
        kind = packet[0]
        if kind == engineio3.MESSAGE_BYTE:
            sink.binary(self, packet[1:])
        elif kind < engineio3.MESSAGE_BYTE or kind in (5, 6):
            super()._packet(sink, engineio3.as_text(packet))
        elif kind == BINARY_MARK:
            # The session reads it, as it does on a WebSocket.
            sink.text(self, packet)
        else:
            super()._packet(sink, packet)

    def _respond(self, poll: Exchange, out: list[Message], compress: bool) -> None:
        binary = False
        if not self._text_only:
            for message in out:
                binary = binary or message.attachments is not None
        if binary:
            body = b"".join([engineio3.binary_payload(message) for message in out])
            self._answer(poll, body, _OCTETS, compress)
        else:
            body = b"".join([engineio3.text_payload(message) for message in out])
            self._answer_text(poll, body, compress)
