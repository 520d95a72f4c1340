"""One session on a connection, and the asyncio protocol that both sides build on.

A session is a CONNECT request whose stream stays open, and one more stream, which carries the
packets. All sessions of a connection end with it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.events import H3Event
from aioquic.quic.events import (
    ConnectionTerminated,
    ProtocolNegotiated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from nuncio.webtransport.capsules import CapsuleReader, close_capsule
from nuncio.webtransport.quic import HTTP3, Connection
from nuncio.webtransport.transport import WebTransportTransport

logger = logging.getLogger("nuncio.webtransport")

# Codes of HTTP/3 (RFC 9114, section 8.1), and of WebTransport for a session that is gone.
NO_ERROR: Final = 0x100
EXCESSIVE_LOAD: Final = 0x107
REQUEST_REJECTED: Final = 0x10B
SESSION_GONE: Final = 0x170D7B68

# The response's header that says which draft is spoken, and what the client said before.
DRAFT: Final = (b"sec-webtransport-http3-draft", b"draft02")


class WebTransportSession:
    """One session; the `Link` of its transport.

    Args:
        peer: the connection.
        id: of the stream of its CONNECT request, which is the session's.

    Attributes:
        transport: once there is a stream for packets.
        over: whether it has ended.
    """

    def __init__(self, peer: Peer, id: int) -> None:
        self.peer = peer
        self.id = id
        self.stream = -1
        self.transport: WebTransportTransport | None = None
        self.over = False
        self._capsules = CapsuleReader()

    # `Link`.

    def write(self, data: bytes, end: bool) -> None:
        """See `Link.write`."""
        quic = self.peer.quic
        if quic.can_write(self.stream):
            quic.send_stream_data(self.stream, data, end)
            self.peer.transmit_soon()

    @property
    def unsent(self) -> int:
        """See `Link.unsent`."""
        return self.peer.quic.unsent(self.stream)

    @property
    def delivered(self) -> bool:
        """See `Link.delivered`."""
        return self.peer.quic.delivered(self.stream)

    def used(self, held: int) -> None:
        """See `Link.used`."""
        self.peer.quic.hold(self.stream, held)
        if not held:
            # The window may move on.
            self.peer.transmit_soon()

    def close(self, code: int, reason: str) -> None:
        """See `Link.close`."""
        if self.over:
            return
        quic = self.peer.quic
        if quic.can_write(self.id) and self.peer.http is not None:
            self.peer.http.send_data(self.id, close_capsule(code, reason), end_stream=True)
        self._end()
        self.peer.transmit_soon()

    def _end(self) -> None:
        self.over = True
        if self.stream >= 0:
            self.peer.quic.drop_stream(self.stream, SESSION_GONE)
        self.peer.forget(self)

    # What the connection calls.

    def told(self, data: bytes, ended: bool) -> None:
        """The peer said something on the session's own stream, or ended it."""
        self._capsules.feed(data)
        closed = self._capsules.closed
        if closed is not None or ended:
            self.gone(*(closed or (0, "")))

    def gone(self, code: int, reason: str) -> None:
        """The peer has ended the session, or the connection is lost."""
        if self.over:
            return
        quic = self.peer.quic
        if quic.can_write(self.id):
            # The other half of the stream ends with it.
            quic.send_stream_data(self.id, b"", True)
        self._end()
        transport = self.transport
        if transport is not None:
            transport.lost(reason if not code else f"the peer closed with code {code}: {reason}")

    def stream_ended(self) -> None:
        """The stream of packets has come to its end, or was reset."""
        transport = self.transport
        if transport is not None and not self.over:
            self.close(0, "")
            transport.lost("the peer ended the stream")


class Peer(QuicConnectionProtocol):
    """One connection of QUIC that speaks HTTP/3.

    Attributes:
        quic: the connection below.
        http: the layer above it, once the protocol is agreed upon.
        sessions: those that have not ended, by the ids of their streams.
    """

    def __init__(self, quic: Connection, stream_handler: Any = None) -> None:
        super().__init__(quic)
        self.quic = quic
        self.http: HTTP3 | None = None
        self.sessions: dict[int, WebTransportSession] = {}
        self.streams: dict[int, WebTransportSession] = {}

    # What asyncio calls.

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """asyncio: a datagram came. What it leads to leaves at the end of the loop's turn."""
        try:
            self.quic.receive_datagram(data, addr, now=self._loop.time())  # type: ignore[arg-type]  # bytes
        except Exception as error:
            # A peer must not be able to fill the log with what aioquic does not expect.
            self.broke(error)
            return
        self._process_events()
        end = self.quic.end
        if end is not None:
            self.lost(end.reason_phrase)
        self.acknowledged()
        self.transmit_soon()

    def _handle_timer(self) -> None:
        super()._handle_timer()
        self.acknowledged()

    def transmit_soon(self) -> None:
        """Let what is to be sent leave at the end of the loop's turn."""
        self._transmit_soon()

    def transmit(self) -> None:
        """Send what is to be sent."""
        transport: Any = self._transport
        if transport is None or transport.is_closing() or not self.quic.addressed:
            return
        super().transmit()

    def acknowledged(self) -> None:
        """Something came, perhaps acknowledgements."""
        for session in list(self.streams.values()):
            if session.transport is not None:
                session.transport.acknowledged()

    def broke(self, error: Exception) -> None:
        """aioquic failed over what the peer sent: the connection ends."""
        logger.debug("a connection ends, for it sent what aioquic does not expect: %r", error)
        self.end(EXCESSIVE_LOAD, "")

    def end(self, code: int, reason: str) -> None:
        """End the connection, and all on it."""
        self.close(code, reason)
        self.lost(reason)

    def abandon(self) -> None:
        """Forget the connection; its socket is about to be closed."""
        self.lost("the server stops")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transmit_task is not None:
            self._transmit_task.cancel()
            self._transmit_task = None

    # What QUIC tells.

    def quic_event_received(self, event: QuicEvent) -> None:
        """aioquic: something has happened."""
        if isinstance(event, StreamDataReceived):
            self._stream_data(event)
        elif isinstance(event, ProtocolNegotiated):
            self.http = HTTP3(self.quic)
        elif isinstance(event, (StreamReset, StopSendingReceived)):
            self._stream_reset(event)
        elif isinstance(event, ConnectionTerminated):
            self.lost(event.reason_phrase)

    def _stream_data(self, event: StreamDataReceived) -> None:
        session = self.streams.get(event.stream_id)
        if session is None:
            self._http_event(event)
            return
        transport = session.transport
        if transport is not None and event.data:
            transport.received(event.data)
        if event.end_stream:
            session.stream_ended()

    def _stream_reset(self, event: StreamReset | StopSendingReceived) -> None:
        self._http_event(event)
        session = self.streams.get(event.stream_id)
        if session is not None:
            session.stream_ended()
            return
        session = self.sessions.get(event.stream_id)
        if session is not None:
            session.gone(0, "")

    def _http_event(self, event: QuicEvent) -> None:
        http = self.http
        if http is None:
            return
        try:
            found = http.handle_event(event)
        except Exception as error:
            self.broke(error)
            return
        for one in found:
            self.http_event_received(one)
        if http.broken:
            self.lost("the peer broke the rules of HTTP/3")

    def http_event_received(self, event: H3Event) -> None:
        """HTTP/3: something has happened."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """The connection has ended."""
        for session in list(self.sessions.values()):
            session.gone(0, reason)

    def forget(self, session: WebTransportSession) -> None:
        """A session has ended."""
        self.sessions.pop(session.id, None)
        if session.stream >= 0:
            self.streams.pop(session.stream, None)
            self.quic.forget(session.stream)

    def attach(self, session: WebTransportSession, stream_id: int) -> None:
        """A stream carries the packets of a session from now on."""
        session.stream = stream_id
        self.streams[stream_id] = session
