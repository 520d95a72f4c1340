"""The server's side of one connection: who knocks, is let in, and says what for.

A client that passed the first half of the engine's gate (see `Engine.knock`) has its CONNECT
request accepted. It opens a stream and says in its first packet whether it wants a new session or
to move one there; then follows the second half, `Engine.adopt`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from aioquic.h3.events import (
    DataReceived,
    H3Event,
    HeadersReceived,
    WebTransportStreamDataReceived,
)
from aioquic.quic.events import StreamDataReceived

from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request, parse_query
from nuncio.engine.transport import PacketSink, Transport
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.protocol.engineio import OPEN
from nuncio.webtransport.link import (
    DRAFT,
    EXCESSIVE_LOAD,
    NO_ERROR,
    REQUEST_REJECTED,
    SESSION_GONE,
    Peer,
    WebTransportSession,
)
from nuncio.webtransport.quic import SMALL_WINDOW, STREAMS, Connection
from nuncio.webtransport.transport import WebTransportTransport

# Sessions of one connection at once; browsers make a connection for each.
SESSIONS: Final = 4

# How long a connection stays without a session, after the last has ended.
LINGER_SECONDS: Final = 2.0

# What an intermediary or a browser that has gone to sleep forgets after some thirty seconds.
KEEP_ALIVE_SECONDS: Final = 15.0

_FORBIDDEN_HEADERS: Final = ("connection", "content-length", "transfer-encoding", "keep-alive")

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

Find = Callable[[str], Engine | None]


class ServerExchange(Exchange):
    """A CONNECT request, which is answered once: by a status, or once accepted by an end."""

    def __init__(self, request: Request, session: ServerSession) -> None:
        super().__init__(request)
        self._session = session

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        self._session.refuse(status, headers, body)

    @property
    def alive(self) -> bool:
        """See `Exchange.alive`."""
        return not self._session.over


class ServerSession(WebTransportSession):
    """One session, from its request on.

    Args:
        peer: the connection.
        id: of the request's stream.
        engine: whose path was asked for.
        request: as the engine sees it.
    """

    def __init__(self, peer: ServerPeer, id: int, engine: Engine, request: Request) -> None:
        super().__init__(peer, id)
        self.engine = engine
        self.exchange = ServerExchange(request, self)
        self.accepted = False
        self.entered = False
        self._limit = _Deadline(self)
        engine.config().wheel.arm(self._limit, engine.options.upgrade_timeout)

    def knock(self) -> None:
        """Ask the engine whether it is accepted."""
        self._run(self._knock())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self.engine.arrivals.may_wait:
            self.engine.spawn(coroutine)
            return
        # Nobody has to be waited for, so that no task is needed.
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()
        raise RuntimeError("the engine waited for somebody who is not there")

    async def _knock(self) -> None:
        let_in = await self.engine.arrivals.knock(self.exchange)
        if let_in and not self.over and not self.exchange.done:
            self.accepted = True
            self._respond(200, [DRAFT], self.exchange.headers, end=False)

    def _respond(
        self,
        status: int,
        more: list[tuple[bytes, bytes]],
        headers: list[tuple[str, str]],
        end: bool,
    ) -> None:
        http = self.peer.http
        if http is None or not self.peer.quic.can_write(self.id):
            return
        answer = [(b":status", b"%d" % status), *more]
        for name, value in headers:
            if name.lower() not in _FORBIDDEN_HEADERS:
                answer.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        http.send_headers(self.id, answer, end_stream=end)
        self.peer.transmit_soon()

    def refuse(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer the request, or end what was accepted with the status as its code."""
        if self.over:
            return
        if self.accepted:
            transport = self.transport
            text = body.decode("utf-8", "replace")
            if transport is not None:
                transport.refuse(status, text)
            else:
                self.close(status, text)
            return
        self._respond(status, [], headers, end=not body)
        http = self.peer.http
        if body and http is not None and self.peer.quic.can_write(self.id):
            http.send_data(self.id, body, end_stream=True)
        self.peer.quic.stop(self.id, REQUEST_REJECTED)
        self._end()

    def opened(self, stream_id: int) -> None:
        """The client opened the stream of packets."""
        engine = self.engine
        config = engine.config()
        limits = engine.options.limits
        self.peer.attach(self, stream_id)
        transport = WebTransportTransport(
            self,
            config.flusher,
            config.wheel,
            engine.options.max_http_buffer_size,
            limits.high_water_bytes,
            limits.close_seconds,
        )
        self.transport = transport
        transport.sink = _Doorstep(self)
        transport.resume_reading()

    def entering(self, transport: Transport, first: bytes | None) -> None:
        """The first packet is there; None for what can be none.

        Nothing else is read before it is known who takes it.
        """
        transport.pause_reading()
        valid, sid = _read_open(first)
        if not valid:
            self.engine.arrivals.refuse_garbage(self.exchange)
            return
        self._wheel().cancel(self._limit)
        self.entered = True
        self._run(self._enter(transport, sid or self.exchange.request.query.get("sid") or None))

    async def _enter(self, transport: Transport, sid: str | None) -> None:
        await self.engine.arrivals.adopt(self.exchange, transport, sid)
        if not self.over and transport.sink is not None:
            if isinstance(transport.sink, _Doorstep):
                # Nobody took it, as when a session that has ended meanwhile was to move.
                transport.discard()
                return
            self.peer.quic.widen(self.stream)
            transport.resume_reading()

    def expire(self) -> None:
        """The client took too long."""
        if self.accepted:
            self.engine.arrivals.refuse_garbage(self.exchange)
        elif not self.over:
            self.exchange.respond(408, [], b"")

    def _wheel(self) -> TimerWheel:
        return self.engine.config().wheel

    def _end(self) -> None:
        self._wheel().cancel(self._limit)
        super()._end()


def _read_open(first: bytes | None) -> tuple[bool, str | None]:
    """Whether a first packet is an open packet, and the session that it names."""
    if not first or first[0] != OPEN:
        return False, None
    if len(first) == 1:
        return True, None
    try:
        sid = _decode(first[1:]).get("sid")
    except (msgspec.DecodeError, RecursionError):
        return False, None
    return (True, sid) if isinstance(sid, str) and sid else (False, None)


class _Doorstep(PacketSink):
    """Takes the first packet of a session."""

    def __init__(self, session: ServerSession) -> None:
        super().__init__()
        self._session = session

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        self._session.entering(transport, data)

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        self._session.entering(transport, None)

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`: it went away, or what it sent is too long."""
        session = self._session
        if reason == "transport error" and not session.exchange.done:
            session.engine.arrivals.refuse_garbage(session.exchange)


class _Deadline(Timer):
    """A client that was accepted must say soon what it wants."""

    def __init__(self, owner: ServerSession | ServerPeer) -> None:
        super().__init__()
        self._owner = owner

    def expire(self, now: float) -> None:
        self._owner.expire()


class ServerPeer(Peer):
    """The server's side of a connection.

    Args:
        quic: the connection.
        listener: it came to.
    """

    def __init__(self, quic: Connection, listener: Any) -> None:
        super().__init__(quic)
        self._listener = listener
        self._wheel: TimerWheel = listener.wheel
        # Bytes of streams that are no session's packets.
        self._other: dict[int, int] = {}
        self._limit = _Deadline(self)
        self._wheel.arm(self._limit, listener.pending_seconds)

    # Waiting for a session.

    def expire(self) -> None:
        """There has been no session for too long, or a long silence."""
        if self.sessions:
            self.quic.send_ping(id(self))
            self.transmit_soon()
            self._wheel.arm(self._limit, KEEP_ALIVE_SECONDS)
        else:
            self.end(NO_ERROR, "")

    def forget(self, session: WebTransportSession) -> None:
        """See `Peer.forget`: without a session, a connection does not stay for long."""
        super().forget(session)
        if not self.sessions and not self.quic.over:
            self._wheel.cancel(self._limit)
            self._wheel.arm(self._limit, LINGER_SECONDS)
            self._listener.idle(self)

    def stop(self) -> None:
        """The listener stops: let what was sent leave, and begin nothing."""
        for session in list(self.sessions.values()):
            transport = session.transport
            if transport is None or isinstance(transport.sink, _Doorstep):
                session.close(0, "")
            else:
                transport.stop()

    @property
    def stopping(self) -> bool:
        """Whether a client is still to get the last of what was sent to it."""
        return any(
            session.transport is not None and session.transport.closing
            for session in self.sessions.values()
        )

    def lost(self, reason: str) -> None:
        """See `Peer.lost`."""
        self._wheel.cancel(self._limit)
        super().lost(reason)
        self._wheel.cancel(self._limit)

    # What QUIC and HTTP/3 tell.

    def _stream_data(self, event: StreamDataReceived) -> None:
        if event.stream_id not in self.streams:
            # Headers, settings, capsules: whoever sends much of these means no good.
            brought = self._other.get(event.stream_id, 0) + len(event.data)
            self._other[event.stream_id] = brought
            if brought > SMALL_WINDOW:
                self.end(EXCESSIVE_LOAD, "")
                return
            if event.end_stream and event.stream_id not in self.sessions:
                del self._other[event.stream_id]
            elif len(self._other) > 4 * STREAMS:
                self._other = {id: n for id, n in self._other.items() if not self._is_gone(id)}
        super()._stream_data(event)

    def _is_gone(self, stream_id: int) -> bool:
        return self.quic.delivered(stream_id) and stream_id not in self.sessions

    def http_event_received(self, event: H3Event) -> None:
        """See `Peer.http_event_received`."""
        if isinstance(event, HeadersReceived):
            if event.stream_id in self.sessions:
                return  # Trailers, which mean nothing here.
            self._asked(event)
        elif isinstance(event, WebTransportStreamDataReceived):
            self._stream_opened(event)
        elif isinstance(event, DataReceived):
            session = self.sessions.get(event.stream_id)
            if session is not None:
                session.told(event.data, event.stream_ended)

    def _stream_opened(self, event: WebTransportStreamDataReceived) -> None:
        session = self.sessions.get(event.session_id)
        bidirectional = not event.stream_id & 2
        if (
            not isinstance(session, ServerSession)
            or not session.accepted
            or session.stream >= 0
            or not bidirectional
        ):
            self.quic.drop_stream(event.stream_id, SESSION_GONE)
            return
        self._other.pop(event.stream_id, None)
        session.opened(event.stream_id)
        if session.transport is not None and event.data:
            session.transport.received(event.data)
        if event.stream_ended:
            session.stream_ended()

    def _asked(self, event: HeadersReceived) -> None:
        """A request: one for a session is let in or refused, all others are refused."""
        head: dict[bytes, bytes] = {}
        headers: list[tuple[bytes, bytes]] = []
        for name, value in event.headers:
            if name.startswith(b":"):
                head[name] = value
            else:
                headers.append((name, value))
        target, _, query = head.get(b":path", b"").decode("latin-1").partition("?")
        path = unquote(target)
        protocol = head.get(b":protocol", b"")
        engine: Engine | None = None
        if head.get(b":method") == b"CONNECT" and protocol.startswith(b"webtransport"):
            engine = self._listener.find(path)
        if engine is None or event.stream_ended:
            self._turn_away(event.stream_id, b"404")
            return
        if len(self.sessions) >= SESSIONS:
            self._turn_away(event.stream_id, b"429")
            return
        headers.insert(0, (b"host", head.get(b":authority", b"")))
        request = Request("CONNECT", path, _complete(query), headers, self._client(), True)
        session = ServerSession(self, event.stream_id, engine, request)
        self.sessions[event.stream_id] = session
        self._wheel.cancel(self._limit)
        if self._listener.keeps_alive:
            self._wheel.arm(self._limit, KEEP_ALIVE_SECONDS)
        self._listener.busy(self)
        session.knock()

    def _client(self) -> tuple[str, int] | None:
        address: Any = self.quic.get_peer_address()
        if address is None:
            return None
        # On a socket of both families.
        return address[0].removeprefix("::ffff:"), address[1]

    def _turn_away(self, stream_id: int, status: bytes) -> None:
        if self.http is not None and self.quic.can_write(stream_id):
            self.http.send_headers(stream_id, [(b":status", status)], end_stream=True)
            self.quic.stop(stream_id, REQUEST_REJECTED)
            self.transmit_soon()


def _complete(query: str) -> str:
    """A query in which stands what other transports have there; official clients send none."""
    given = parse_query(query)
    parts = [query] if query else []
    if "EIO" not in given:
        parts.append("EIO=4")
    if "transport" not in given:
        parts.append("transport=webtransport")
    return "&".join(parts)
