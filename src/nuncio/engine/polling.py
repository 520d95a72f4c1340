"""The HTTP long-polling transport. [compiled]

The server's packets answer a GET that waits for them; the client's come as the body of a POST. At
most one of each may be under way (Engine.IO protocol v4, "HTTP long-polling").
"""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.request import Exchange
from nuncio.engine.transport import Flusher
from nuncio.engine.upload import NO_STORE, TRANSPORT_CLOSE, TRANSPORT_ERROR, UploadTransport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.protocol.engineio import CLOSE_PACKET, NOOP_PACKET, SEPARATOR, Message
from nuncio.protocol.jsonp import unwrap, wrap

NOOP: Final = Message(NOOP_PACKET, control=True)
CLOSE_MESSAGE: Final = Message(CLOSE_PACKET, control=True)

_TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")

# What may gather in one turn for one poll.
WRITE_THROUGH: Final = 65536

# How long a client may take to fetch the goodbye of a session that is already closed.
CLOSE_SECONDS: Final = 30.0


class PollingTransport(UploadTransport):
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
        "_callback",
        "_compression",
        "_linger",
        "_out",
        "_out_size",
        "_poll",
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
        super().__init__("polling", flusher, max_size, max_packets, decorate)
        self._wheel = wheel
        self._compression = compression
        self._callback = callback
        self._out: list[Message] = []
        self._out_size = 0
        self._poll: Exchange | None = None
        self._linger: _Linger | None = None

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

    def aborted(self, exchange: Exchange) -> None:
        """The peer went away during a request."""
        if exchange is self._poll:
            self._poll = None
            self.writable = False
            self._end(TRANSPORT_ERROR, "poll connection closed prematurely")
        else:
            super().aborted(exchange)

    def _packets(self, body: bytes) -> None:
        if self._callback is not None:
            form = unwrap(body)
            if form is None:
                return
            body = form
        super()._packets(body)

    def _left(self) -> None:
        self._release(NOOP)

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
        headers = [content_type, NO_STORE]
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
        super()._end(reason, description)

    def _stop_lingering(self) -> None:
        linger = self._linger
        if linger is not None:
            self._linger = None
            self._wheel.cancel(linger)


class _Linger(Timer):
    """Ends a closed session whose client never polls again."""

    __slots__ = ("_transport",)

    def __init__(self, transport: PollingTransport) -> None:
        super().__init__()
        self._transport = transport

    def expire(self, now: float) -> None:
        self._transport.expire()
