"""Responses that stay open: `stream`, `sse`, `forever`, which differ in their framing. [compiled]

The server's packets come as the body of one GET, the client's as the bodies of POSTs. A response
may end at any time: the client lost it, a proxy cut it, or it has become long. So packets are
numbered from 1, and kept until the client says that it has them (`ack`): in its next GET, which
goes on behind that number, or in any POST. Nothing is lost, repeated or put in another order.

A response that is complete ends with a mark. The client may then leave for another transport;
without the mark it has to ask again first.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from nuncio.engine.backlog import MESSAGE_OVERHEAD
from nuncio.engine.framing import Framing
from nuncio.engine.polling import CLOSE_MESSAGE, CLOSE_SECONDS, WRITE_THROUGH
from nuncio.engine.request import Exchange
from nuncio.engine.transport import Flusher, PacketSink
from nuncio.engine.upload import TRANSPORT_CLOSE, UploadTransport, as_utf8
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.protocol.bytestream import split_frames
from nuncio.protocol.engineio import Message

# From this size messages are not written as one piece, of which all or nothing arrives.
PIECE_BYTES: Final = 8192

# What a binary packet begins with once it is taken out of a body; no text in UTF-8 does.
_BINARY: Final = 0xFF
_BINARY_MARK: Final = b"\xff"

_JSON: Final = ("Content-Type", "application/json")
_BAD_REQUEST: Final = b'{"code":3,"message":"Bad request"}'


class DownSettings:
    """What all sessions of an engine share.

    Args:
        max_size: bytes of one POST body.
        max_packets: packets in one POST body.
        unconfirmed_bytes: what may be sent and not be acknowledged.
        response_bytes: after how many bytes a response ends, and the client asks for the next.
        response_seconds: after which time.
        heartbeat_seconds: how long nothing may be written.
        absent_seconds: how long a client may have no response open.
    """

    __slots__ = (
        "absent_seconds",
        "heartbeat_seconds",
        "max_packets",
        "max_size",
        "response_bytes",
        "response_seconds",
        "unconfirmed_bytes",
    )

    def __init__(
        self,
        max_size: int,
        max_packets: int,
        unconfirmed_bytes: int,
        response_bytes: int,
        response_seconds: float,
        heartbeat_seconds: float,
        absent_seconds: float,
    ) -> None:
        self.max_size = max_size
        self.max_packets = max_packets
        self.unconfirmed_bytes = unconfirmed_bytes
        self.response_bytes = response_bytes
        self.response_seconds = response_seconds
        self.heartbeat_seconds = heartbeat_seconds
        self.absent_seconds = absent_seconds


class DownTransport(UploadTransport):
    """One session's responses that stay open.

    Args:
        name: `stream`, `sse` or `forever`.
        flusher: of the loop.
        wheel: of the loop.
        settings: the engine's.
        decorate: called with each exchange before it is answered, for the `headers` events; None
            when nobody listens.
        trying: whether a session that has another transport tries this one.
    """

    __slots__ = (
        "_acked",
        "_down",
        "_framed",
        "_framing",
        "_held",
        "_last",
        "_lingers",
        "_out",
        "_out_size",
        "_post_seq",
        "_sent",
        "_seq",
        "_settings",
        "_trying",
        "_until",
        "_watch",
        "_wheel",
        "_written",
    )

    def __init__(
        self,
        name: str,
        flusher: Flusher,
        wheel: TimerWheel,
        settings: DownSettings,
        decorate: Any,
        trying: bool = False,
    ) -> None:
        super().__init__(name, flusher, settings.max_size, settings.max_packets, decorate)
        self._wheel = wheel
        self._settings = settings
        self._trying = trying
        self._watch = _Watch(self)
        self._lingers = False
        # The response that is open, how it is written, when it ends, and how long it is already.
        self._down: Exchange | None = None
        self._framing: Framing | None = None
        self._until = 0.0
        self._written = 0
        # What is to be written in this turn.
        self._out: list[Message] = []
        self._out_size = 0
        # What was sent and may have to be sent again: its bytes, the number before its first
        # packet, and that of its last.
        self._sent: deque[Message] = deque()
        self._held = 0
        self._acked = 0
        self._last = 0
        # The POST that was handled last, the one that is under way, and what is in it.
        self._seq = 0
        self._post_seq = 0
        self._framed = False

    # Responses begin.

    def open(self, exchange: Exchange, framing: Framing, seconds: float) -> None:
        """Take the first request. It is answered with the first flush.

        Args:
            exchange: the request.
            framing: how its answer is written.
            seconds: how long it may stay open.
        """
        self._down = exchange
        self._framing = framing
        self._until = self._wheel.now() + seconds
        exchange.receiver = self._receiver
        self.writable = True

    def _begin(self, exchange: Exchange, framing: Framing) -> None:
        if self._decorate is not None:
            self._decorate(exchange)
        exchange.begin(200, framing.headers)
        self._written = 0
        prologue = framing.prologue
        if self._trying:
            # The client waits for a sign that nothing on the way holds back what is sent.
            self._trying = False
            prologue += framing.noop
        self._write(exchange, prologue)

    def get(self, exchange: Exchange, framing: Framing, ack: int, seconds: float) -> bool:
        """A client comes back; see `open`.

        Args:
            exchange: the request.
            framing: how its answer is written.
            ack: the last packet that it has.
            seconds: how long the answer may stay open.

        Returns:
            False when the number cannot be right; nothing has been done then.
        """
        if ack < self._acked or not self._acknowledge(ack):
            return False
        before = self._down
        self._down = None
        if before is not None:
            # The client knows better whether it still has that one.
            self._drop(before)
        self._out = []
        self._out_size = 0
        self.asked = True
        self.open(exchange, framing, seconds)
        self._begin(exchange, framing)
        self._repeat(exchange, framing)
        if self._lingers:
            self._say_goodbye(exchange, framing)
            self._end(TRANSPORT_CLOSE, "")
            return True
        self._look(exchange)
        sink = self.sink
        if self.writable and sink is not None:
            sink.drained(self)
        self.flush()
        return True

    def _drop(self, exchange: Exchange) -> None:
        if exchange.streaming:
            exchange.finish()
        else:
            exchange.respond(400, [_JSON], _BAD_REQUEST)

    def _repeat(self, exchange: Exchange, framing: Framing) -> None:
        """Send everything again that the client may not have."""
        number = self._acked
        some: list[Message] = []
        size = 0
        for message in self._sent:
            some.append(message)
            size += message.size
            number += packets_of(message)
            if size > WRITE_THROUGH:
                self._write(exchange, pieces(framing, some, number))
                some = []
                size = 0
        if some:
            self._write(exchange, pieces(framing, some, number))

    # Packets leave.

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        size = message.size
        self._sent.append(message)
        self._held += size + MESSAGE_OVERHEAD
        self._last += packets_of(message)
        self._out.append(message)
        self._out_size += size
        if self._out_size > WRITE_THROUGH or self._held > self._settings.unconfirmed_bytes:
            self.flush()
        elif not self.dirty:
            self._flusher.mark(self)

    def flush(self) -> None:
        """See `Transport.flush`."""
        exchange = self._down
        framing = self._framing
        if exchange is None or framing is None:
            return
        if not exchange.done:
            self._begin(exchange, framing)
        out = self._out
        if out:
            size = self._out_size
            self._out = []
            self._out_size = 0
            if size > PIECE_BYTES:
                self._write(exchange, pieces(framing, out, self._last))
            else:
                self._write(exchange, framing.packets(out, self._last))
            self._look(exchange)

    def _write(self, exchange: Exchange, data: bytes) -> None:
        exchange.chunk(data)
        self._written += len(data)
        wheel = self._wheel
        quiet = self._settings.heartbeat_seconds
        wheel.arm(self._watch, max(min(quiet, self._until - wheel.now()), 0.0))

    def _look(self, exchange: Exchange) -> None:
        """See what has become of a response, now that more was written to it."""
        settings = self._settings
        if self._held > settings.unconfirmed_bytes or self._written > settings.response_bytes:
            self._end_response()
        elif exchange.behind:
            self.writable = False
            # It is the peer that has to be waited for.
            self.asked = False

    def caught_up(self, exchange: Exchange) -> None:
        """The client reads again; see `Receiver.caught_up`."""
        if exchange is not self._down or self.writable:
            return
        self.asked = True
        self.writable = True
        sink = self.sink
        if sink is not None:
            sink.drained(self)
        self.flush()

    def _acknowledge(self, number: int) -> bool:
        """Forget what the client has; False when it cannot have that."""
        if number > self._last:
            return False
        sent = self._sent
        while self._acked < number:
            message = sent.popleft()
            self._held -= message.size + MESSAGE_OVERHEAD
            behind = number - self._acked
            count = packets_of(message)
            if behind < count:
                message = without(message, behind)
                sent.appendleft(message)
                self._held += message.size + MESSAGE_OVERHEAD
                count = behind
            self._acked += count
        return True

    # Responses end.

    def _end_response(self) -> None:
        """End the response, complete as it is: the client asks for the next."""
        exchange = self._down
        framing = self._framing
        if exchange is None or framing is None or not exchange.streaming:
            return
        exchange.chunk(framing.end)
        exchange.finish()
        self._absent()

    def _absent(self) -> None:
        """There is no response."""
        self._down = None
        self._out = []
        self._out_size = 0
        self.writable = False
        self.asked = True
        if not self._lingers and self.sink is not None:
            self._wheel.arm(self._watch, self._settings.absent_seconds)

    def release(self) -> None:
        """See `Transport.release`: everything later waits in the session."""
        self.flush()
        self._end_response()

    def aborted(self, exchange: Exchange) -> None:
        """The peer went away during a request, or something between it and us did."""
        if exchange is self._down:
            self._absent()
        elif exchange is self._post and self._post_seq:
            # It comes again.
            self._post = None
            self._body = b""
        else:
            super().aborted(exchange)

    def expired(self, now: float) -> None:
        """The timer: something was due."""
        exchange = self._down
        framing = self._framing
        if exchange is None or framing is None:
            if self._lingers:
                self._end(TRANSPORT_CLOSE, "")
            else:
                self._end(TRANSPORT_CLOSE, "the client did not ask for more")
            self.discard()
        elif exchange.behind:
            self._wheel.arm(self._watch, self._settings.heartbeat_seconds)
        elif now >= self._until:
            self.release()
        else:
            self._write(exchange, framing.beat)
            self._look(exchange)

    # The client's packets.

    def upload(self, exchange: Exchange, ack: int, seq: int) -> bool:
        """A request with packets arrived; its body follows through the receiver.

        Args:
            exchange: the request.
            ack: the last packet that the client has.
            seq: the number of the request, by which one that comes twice is known; 0 for none.

        Returns:
            False when one of the numbers cannot be right; nothing has been done then.
        """
        if ack > self._last or seq > self._seq + 1:
            return False
        self._acknowledge(ack)
        if seq and seq <= self._seq:
            self._confirm(exchange)
            return True
        first = self._post
        if first is not None and seq and seq == self._post_seq:
            # The client has given that one up.
            self._post = None
            self._body = b""
            first.respond(400, [("Connection", "close")], b"")
        self._post_seq = seq
        self.post(exchange)
        return True

    def _takes(self, binary: bool) -> bool:
        self._framed = binary
        return True

    def body_end(self, exchange: Exchange) -> None:
        """A POST's body is complete."""
        if self._post_seq:
            self._seq = self._post_seq
        super().body_end(exchange)

    def _split(self, body: bytes) -> list[bytes]:
        if not body:
            # It only acknowledges.
            return []
        if not self._framed:
            return super()._split(body)
        return [
            _BINARY_MARK + packet.data if packet.binary else as_utf8(packet.data)
            for packet in split_frames(body, self._max_packets)
        ]

    def _packet(self, sink: PacketSink, packet: bytes) -> None:
        if packet[0] == _BINARY:
            sink.binary(self, packet[1:])
        else:
            super()._packet(sink, packet)

    def _left(self) -> None:
        self._wheel.cancel(self._watch)
        self.release()

    # Closing.

    def close(self) -> None:
        """Tell the client: at once when a response is open, otherwise in the next one."""
        self.flush()
        exchange = self._down
        framing = self._framing
        if exchange is not None and framing is not None:
            self._say_goodbye(exchange, framing)
        elif not self._lingers:
            self._lingers = True
            self._wheel.arm(self._watch, CLOSE_SECONDS)

    def _say_goodbye(self, exchange: Exchange, framing: Framing) -> None:
        self._last += 1
        exchange.chunk(framing.packets([CLOSE_MESSAGE], self._last))
        exchange.finish()
        self._absent()
        self._wheel.cancel(self._watch)

    @property
    def lingering(self) -> bool:
        """See `Transport.lingering`."""
        return self._lingers

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        exchange = self._down
        framing = self._framing
        if exchange is not None and framing is not None:
            if exchange.streaming:
                self.flush()
            if exchange.streaming:
                self._say_goodbye(exchange, framing)
            else:
                self._drop(exchange)
        self._forget()

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        exchange = self._down
        if exchange is not None:
            exchange.abort()
        self._forget()

    def _forget(self) -> None:
        self._absent()
        self._wheel.cancel(self._watch)
        self._lingers = False
        self._sent.clear()
        self._held = 0
        self._acked = self._last
        self.resume_reading()
        post = self._post
        if post is not None:
            self._post = None
            post.respond(400, [], b"")

    def _end(self, reason: str, description: str) -> None:
        self._lingers = False
        self._wheel.cancel(self._watch)
        super()._end(reason, description)


def packets_of(message: Message) -> int:
    """How many packets a message is."""
    attachments = message.attachments
    count = 0 if message.text is None else 1
    return count if attachments is None else count + len(attachments)


def pieces(framing: Framing, messages: list[Message], last: int) -> bytes:
    """Messages in several pieces, so that some are there when the response is cut.

    Args:
        framing: how each piece is written.
        messages: at least one.
        last: the number of their last packet.
    """
    number = last
    for message in messages:
        number -= packets_of(message)
    parts: list[bytes] = []
    piece: list[Message] = []
    size = 0
    for message in messages:
        piece.append(message)
        size += message.size
        number += packets_of(message)
        if size > PIECE_BYTES:
            parts.append(framing.packets(piece, number))
            piece = []
            size = 0
    if piece:
        parts.append(framing.packets(piece, number))
    return b"".join(parts)


def without(message: Message, count: int) -> Message:
    """What is left of a message without its first packets; there is something left."""
    attachments = message.attachments
    assert attachments is not None
    first = count if message.text is None else count - 1
    return Message(None, attachments[first:], message.compress)


class _Watch(Timer):
    """Everything that one such transport waits for, one thing at a time."""

    __slots__ = ("_transport",)

    def __init__(self, transport: DownTransport) -> None:
        super().__init__()
        self._transport = transport

    def expire(self, now: float) -> None:
        self._transport.expired(now)
