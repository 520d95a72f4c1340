"""What a client sends over transports made of requests: packets in the bodies of POSTs. [compiled]

At most one of them may be under way (Engine.IO protocol v4, "HTTP long-polling"). A body is counted
as it comes; its packets are handed on when it is complete, and then it is answered.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from nuncio.engine.request import Exchange, Receiver
from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.engineio import BINARY_MARK, CLOSE, MESSAGE, decode_binary, split_payload

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

OCTET_STREAM: Final = "application/octet-stream"
PLAIN_TEXT: Final = "text/plain;charset=UTF-8"

HTML: Final = ("Content-Type", "text/html")
NO_STORE: Final = ("cache-control", "no-store")
OK: Final = b"ok"


@mypyc_attr(allow_interpreted_subclasses=True)
class UploadTransport(Transport):
    """One session's transport, as far as the client's packets go.

    Args:
        name: the transport's.
        flusher: of the loop.
        max_size: bytes of one body.
        max_packets: packets in one body.
        decorate: called with each exchange before it is answered, for the `headers` events; None
            when nobody listens.
    """

    __slots__ = (
        "_body",
        "_decorate",
        "_emptied",
        "_flusher",
        "_max_packets",
        "_max_size",
        "_paused",
        "_post",
        "_receiver",
        "_waiting",
        "_waiting_packets",
    )

    def __init__(
        self, name: str, flusher: Flusher, max_size: int, max_packets: int, decorate: Any
    ) -> None:
        super().__init__(name, True)
        self.writable = False
        self._flusher = flusher
        self._max_size = max_size
        self._max_packets = max_packets
        self._decorate = decorate
        self._post: Exchange | None = None
        self._body: bytes | bytearray = b""
        self._paused = False
        self._waiting: Any = None
        self._waiting_packets: list[bytes] | None = None
        self._emptied: Any = None
        self._receiver = _UploadReceiver(self)

    def post(self, exchange: Exchange) -> None:
        """A request with packets arrived; its body follows through the receiver."""
        if self._post is not None:
            first = self._post
            self._post = None
            first.respond(400, [], b"")
            self._overlap(exchange, "data request overlap from client")
            return
        content_type = exchange.request.header(b"content-type")
        binary = False
        # What official clients send needs no closer look.
        if content_type is not None and content_type != PLAIN_TEXT:
            binary = content_type.partition(";")[0].strip().lower() == OCTET_STREAM
        if not self._takes(binary):
            exchange.respond(400, [("Connection", "close")], b"")
            self._end(TRANSPORT_ERROR, "invalid content")
            return
        self._post = exchange
        exchange.receiver = self._receiver

    def _takes(self, binary: bool) -> bool:
        """Whether such a body may come: in revision 4 there are no binary ones."""
        return not binary

    def _overlap(self, exchange: Exchange, description: str) -> None:
        exchange.respond(400, [], b"")
        self._end(TRANSPORT_ERROR, description)

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """Some of a POST's body; see `Receiver`."""
        body = self._body
        if len(body) + len(data) > self._max_size:
            # The session lives on; only this request is refused.
            self._post = None
            self._body = b""
            exchange.respond(413, [("Connection", "close")], b"")
        elif not body:
            self._body = data
        else:
            if not isinstance(body, bytearray):
                body = bytearray(body)
                self._body = body
            body += data

    def body_end(self, exchange: Exchange) -> None:
        """A POST's body is complete: its packets are handled before it is answered."""
        body = bytes(self._body)
        self._body = b""
        # No longer under way: what ends the session must not answer it.
        self._post = None
        self._packets(body)
        self._confirm(exchange)

    def _confirm(self, exchange: Exchange) -> None:
        """Say that a body was handled."""
        if self._decorate is not None:
            self._decorate(exchange)
        exchange.respond(200, [HTML, NO_STORE], OK)

    def aborted(self, exchange: Exchange) -> None:
        """The peer went away during a request."""
        if exchange is self._post:
            self._post = None
            self._body = b""
            self._end(TRANSPORT_ERROR, "data request connection closed prematurely")

    def caught_up(self, exchange: Exchange) -> None:
        """The peer reads again; see `Receiver.caught_up`."""

    def _packets(self, body: bytes) -> None:
        try:
            packets = self._split(body)
        except PacketError:
            packets = [b""]
        self._handle(packets)

    def _split(self, body: bytes) -> list[bytes]:
        return split_payload(body if body.isascii() else as_utf8(body), self._max_packets)

    def _handle(self, packets: list[bytes]) -> None:
        if self._waiting_packets is not None:
            self._waiting_packets += packets
            return
        for index in range(len(packets)):
            packet = packets[index]
            sink = self.sink
            if sink is None:
                return
            if self._paused:
                self._waiting_packets = packets[index:]
                return
            if not packet:
                sink.text(self, packet)
                return
            if packet[0] == MESSAGE:
                sink.text(self, packet)
            else:
                self._packet(sink, packet)

    def _packet(self, sink: PacketSink, packet: bytes) -> None:
        kind = packet[0]
        if kind == BINARY_MARK:
            self._binary(sink, packet)
        elif kind == CLOSE:
            self._end(TRANSPORT_CLOSE, "")
            self._left()
        else:
            sink.text(self, packet)

    def _binary(self, sink: PacketSink, packet: bytes) -> None:
        try:
            data = decode_binary(packet)
        except PacketError:
            sink.text(self, b"")
            return
        sink.binary(self, data)

    def _left(self) -> None:
        """The client has said goodbye."""

    def _end(self, reason: str, description: str) -> None:
        """The transport is of no more use."""
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)

    # Reading is paused by leaving bodies unread, and their packets where they are.

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`: the next body waits."""
        self._paused = True

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        if not self._paused:
            return
        self._paused = False
        # Later, for this may be called from within the handling of a packet.
        self._flusher.call_soon(self._go_on)

    def _go_on(self) -> None:
        packets = self._waiting_packets
        if packets is not None and not self._paused:
            self._waiting_packets = None
            self._handle(packets)
        if self._paused:
            return
        emptied = self._emptied
        if emptied is not None:
            self._emptied = None
            emptied()
        waiting = self._waiting
        if waiting is not None:
            self._waiting = None
            waiting()

    @property
    def holds_packets(self) -> bool:
        """See `Transport.holds_packets`."""
        return self._waiting_packets is not None

    def when_emptied(self, callback: Any) -> None:
        """See `Transport.when_emptied`."""
        self._emptied = callback

    def when_ready(self, callback: Any) -> bool:
        """See `Receiver.when_ready`."""
        if self._paused or self._waiting_packets is not None:
            self._waiting = callback
            return False
        return True


def as_utf8(body: bytes) -> bytes:
    """What is not UTF-8 is replaced, as the reference does, and not refused."""
    return body if body.isascii() else body.decode("utf-8", "replace").encode()


class _UploadReceiver(Receiver):
    """Hands the bodies of the requests to their transport."""

    __slots__ = ("_transport",)

    def __init__(self, transport: UploadTransport) -> None:
        self._transport = transport

    def when_ready(self, callback: Any) -> bool:
        return self._transport.when_ready(callback)

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        self._transport.body_chunk(exchange, data)

    def body_end(self, exchange: Exchange) -> None:
        self._transport.body_end(exchange)

    def aborted(self, exchange: Exchange) -> None:
        self._transport.aborted(exchange)

    def caught_up(self, exchange: Exchange) -> None:
        self._transport.caught_up(exchange)
