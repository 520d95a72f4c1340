"""The HTTP long-polling transport. [compiled]

The server's packets answer a GET that waits for them; the client's come as the body of a POST. At
most one of each may be under way (Engine.IO protocol v4, "HTTP long-polling").
"""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.request import Exchange, Receiver
from nuncio.engine.transport import Flusher, PacketSink, Transport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.engineio import (
    BINARY_MARK,
    CLOSE,
    CLOSE_PACKET,
    MESSAGE,
    NOOP_PACKET,
    SEPARATOR,
    Message,
    decode_binary,
    split_payload,
)
from nuncio.protocol.jsonp import unwrap, wrap

TRANSPORT_CLOSE: Final = str(DisconnectReason.TRANSPORT_CLOSE)
TRANSPORT_ERROR: Final = str(DisconnectReason.TRANSPORT_ERROR)

NOOP: Final = Message(NOOP_PACKET, control=True)
CLOSE_MESSAGE: Final = Message(CLOSE_PACKET, control=True)

OCTET_STREAM: Final = "application/octet-stream"
PLAIN_TEXT: Final = "text/plain;charset=UTF-8"

_TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")
_HTML: Final = ("Content-Type", "text/html")
_NO_STORE: Final = ("cache-control", "no-store")
_OK: Final = b"ok"

# What may gather in one turn for one poll.
WRITE_THROUGH: Final = 65536

# How long a client may take to fetch the goodbye of a session that is already closed.
CLOSE_SECONDS: Final = 30.0


class PollingTransport(Transport):
    """One session's long-polling.

    Args:
        flusher: of the loop.
        wheel: of the loop.
        max_size: bytes of one POST body.
        max_packets: packets in one POST body.
        compression: the engine's `HttpCompression`.
        decorate: called with each exchange before it is answered, for the `headers` events; None
            when nobody listens.
        callback: the function that JSONP answers call; None without JSONP.
    """

    __slots__ = (
        "_body",
        "_callback",
        "_compression",
        "_decorate",
        "_emptied",
        "_flusher",
        "_linger",
        "_max_packets",
        "_max_size",
        "_out",
        "_out_size",
        "_paused",
        "_poll",
        "_post",
        "_receiver",
        "_waiting",
        "_waiting_packets",
        "_wheel",
    )

    def __init__(
        self,
        flusher: Flusher,
        wheel: TimerWheel,
        max_size: int,
        max_packets: int,
        compression: Any,
        decorate: Any,
        callback: bytes | None = None,
    ) -> None:
        super().__init__("polling", True)
        self.writable = False
        self._flusher = flusher
        self._wheel = wheel
        self._max_size = max_size
        self._max_packets = max_packets
        self._compression = compression
        self._decorate = decorate
        self._callback = callback
        self._out: list[Message] = []
        self._out_size = 0
        self._poll: Exchange | None = None
        self._post: Exchange | None = None
        self._body: bytes | bytearray = b""
        self._linger: _Linger | None = None
        self._paused = False
        self._waiting: Any = None
        self._waiting_packets: list[bytes] | None = None
        self._emptied: Any = None
        self._receiver = _PollingReceiver(self)

    # Requests.

    def open(self, exchange: Exchange) -> None:
        """Take the handshake request; the open packet will answer it."""
        self._poll = exchange
        exchange.receiver = self._receiver
        self.writable = True

    def get(self, exchange: Exchange) -> None:
        """A poll arrived."""
        if self._poll is not None:
            self._overlap(exchange, "overlap from client")
            return
        self._poll = exchange
        exchange.receiver = self._receiver
        if self._linger is not None:
            self._finish()
            return
        self.writable = True
        sink = self.sink
        if sink is not None:
            sink.drained(self)
        if self._out:
            self.flush()

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
        self._answer(exchange, _OK, _HTML, False)

    def aborted(self, exchange: Exchange) -> None:
        """The peer went away during a request."""
        if exchange is self._post:
            self._post = None
            self._body = b""
            self._end(TRANSPORT_ERROR, "data request connection closed prematurely")
        elif exchange is self._poll:
            self._poll = None
            self.writable = False
            self._end(TRANSPORT_ERROR, "poll connection closed prematurely")

    def _packets(self, body: bytes) -> None:
        if self._callback is not None:
            form = unwrap(body)
            if form is None:
                return
            body = form
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
            self._release(NOOP)
        else:
            sink.text(self, packet)

    def _binary(self, sink: PacketSink, packet: bytes) -> None:
        try:
            data = decode_binary(packet)
        except PacketError:
            sink.text(self, b"")
            return
        sink.binary(self, data)

    # Responses.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        self._out.append(message)
        self._out_size += message.size
        if self._out_size > WRITE_THROUGH:
            # What comes now waits in the session, where it is counted.
            self.flush()
        elif not self.dirty:
            self._flusher.mark(self)

    def flush(self) -> None:
        """Answer the waiting poll with everything there is."""
        out = self._out
        poll = self._poll
        if poll is None or not out:
            return
        self._out = []
        self._out_size = 0
        self._poll = None
        self.writable = False
        compress = False
        if self._compression is not None:
            for message in out:
                compress = compress or (message.compress and not message.control)
        self._respond(poll, out, compress)

    def _respond(self, poll: Exchange, out: list[Message], compress: bool) -> None:
        if len(out) == 1:
            body = out[0].payload()
        else:
            body = SEPARATOR.join([message.payload() for message in out])
        self._answer_text(poll, body, compress)

    def _answer_text(self, poll: Exchange, body: bytes, compress: bool) -> None:
        if self._callback is not None:
            body = wrap(self._callback, body)
        self._answer(poll, body, _TEXT, compress)

    def release(self) -> None:
        """See `Transport.release`: a waiting poll goes with a noop."""
        self._release(NOOP)

    @property
    def idle(self) -> bool:
        """Whether a poll waits with nothing to answer it."""
        return self._poll is not None and not self._out

    def _release(self, message: Message) -> None:
        if self._poll is not None:
            self._out.append(message)
            self.flush()

    def _answer(
        self, exchange: Exchange, body: bytes, content_type: tuple[str, str], compress: bool
    ) -> None:
        headers = [content_type, _NO_STORE]
        compression = self._compression
        if compress and compression is not None and len(body) >= compression.threshold:
            accepted = exchange.request.header(b"accept-encoding") or ""
            body, encoding = compression.encode(accepted, body, True)
            if encoding is not None:
                headers.append(("Content-Encoding", encoding))
        if self._decorate is not None:
            self._decorate(exchange)
        exchange.respond(200, headers, body)

    # Closing.

    def close(self) -> None:
        """Tell the client: at once when a poll waits, otherwise with the next one."""
        if self._out:
            # On its own: beside a close packet, official clients end before they have handled it.
            self.flush()
        if self._poll is not None:
            self._release(CLOSE_MESSAGE)
        elif self._linger is None:
            self._linger = _Linger(self)
            self._wheel.arm(self._linger, CLOSE_SECONDS)

    @property
    def lingering(self) -> bool:
        """See `Transport.lingering`."""
        return self._linger is not None

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self._stop_lingering()
        if self._out:
            # On its own, as in `close`; the next poll finds no session any more.
            self.flush()
        self._release(CLOSE_MESSAGE)
        self.resume_reading()
        post = self._post
        if post is not None:
            self._post = None
            post.respond(400, [], b"")

    def abort(self) -> None:
        """See `Transport.abort`."""
        self._out = []
        self.discard()

    def _finish(self) -> None:
        self._out.append(NOOP)
        self._release(CLOSE_MESSAGE)
        self._end(TRANSPORT_CLOSE, "")

    def expire(self) -> None:
        """The client did not come for its goodbye."""
        self._linger = None
        self._end(TRANSPORT_CLOSE, "")
        self.discard()

    def _end(self, reason: str, description: str) -> None:
        self._stop_lingering()
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)

    def _stop_lingering(self) -> None:
        linger = self._linger
        if linger is not None:
            self._linger = None
            self._wheel.cancel(linger)

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


class _PollingReceiver(Receiver):
    """Hands the bodies of the requests to their transport."""

    __slots__ = ("_transport",)

    def __init__(self, transport: PollingTransport) -> None:
        self._transport = transport

    def when_ready(self, callback: Any) -> bool:
        return self._transport.when_ready(callback)

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        self._transport.body_chunk(exchange, data)

    def body_end(self, exchange: Exchange) -> None:
        self._transport.body_end(exchange)

    def aborted(self, exchange: Exchange) -> None:
        self._transport.aborted(exchange)


class _Linger(Timer):
    """Ends a closed session whose client never polls again."""

    __slots__ = ("_transport",)

    def __init__(self, transport: PollingTransport) -> None:
        super().__init__()
        self._transport = transport

    def expire(self, now: float) -> None:
        self._transport.expire()
