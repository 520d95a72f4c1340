"""The client's side of WebTransport: finds the server, shakes hands, asks for a session."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
)

from nuncio.client.dial import SHOWN_BODY, Dial
from nuncio.client.options import ManagerOptions
from nuncio.engine.transport import Transport
from nuncio.errors import OptionError, TransportError
from nuncio.protocol.bytestream import encode_packet
from nuncio.webtransport.certificates import parse_hash
from nuncio.webtransport.link import NO_ERROR, Peer, WebTransportSession
from nuncio.webtransport.quic import Connection, configuration
from nuncio.webtransport.transport import WebTransportTransport

logger = logging.getLogger("nuncio.client")

NAME: Final = "webtransport"

# Silence after which the connection is given up; the session's heartbeat notices most ends before.
IDLE_SECONDS: Final = 60.0

# While there are other addresses, how long one may take to answer.
NEXT_ADDRESS_SECONDS: Final = 0.5

# How long the server may take to get the last of what was sent, and the goodbye to leave.
CLOSE_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 1.0

# What TLS has against a certificate: codes of QUIC are those of TLS's alerts and this.
_CRYPTO_ERROR: Final = 0x100


async def connect(dial: Dial) -> Transport:
    """Connect to the server that a dial is for.

    Raises:
        TransportError: when that is not possible.
    """
    options = dial.options_of(NAME)
    target = dial.target
    host = target.host.strip("[]")
    hashes = frozenset(map(parse_hash, options.server_certificate_hashes))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, target.port, type=socket.SOCK_DGRAM
        )
    except OSError as error:
        raise TransportError(f"webtransport: {host}: {error.strerror}", NAME) from error
    failure: TransportError | None = None
    for index, (family, _, _, _, address) in enumerate(found):
        last = index == len(found) - 1
        settings = _settings(options, options.server_hostname or host, hashes)
        try:
            async with asyncio.timeout(None if last else NEXT_ADDRESS_SECONDS):
                peer = await _reach(family, address, settings, hashes)
        except TimeoutError:
            failure = TransportError(f"webtransport: {address[0]} does not answer", NAME)
        except TransportError as error:
            failure = error
        else:
            return await _ask(peer, dial)
    raise failure or TransportError(f"webtransport: {host} has no address", NAME)


def _settings(options: ManagerOptions, name: str, hashes: frozenset[bytes]) -> QuicConfiguration:
    settings = configuration(client=True, idle=IDLE_SECONDS)
    settings.server_name = name
    if hashes or not options.reject_unauthorized:
        # With hashes it is checked as soon as it is there: see `ClientPeer`.
        settings.verify_mode = ssl.CERT_NONE
    try:
        if options.ca is not None:
            with open(options.ca, "rb") as file:
                settings.load_verify_locations(cadata=file.read())
        if options.cert is not None:
            settings.load_cert_chain(options.cert, options.key, options.passphrase)
    except (OSError, ValueError, TypeError) as error:
        files = ", ".join(str(one) for one in (options.ca, options.cert, options.key) if one)
        raise OptionError(f"ca, cert, key: {files} cannot be used: {error}") from error
    return settings


async def _reach(
    family: int, address: Any, settings: QuicConfiguration, hashes: frozenset[bytes]
) -> ClientPeer:
    """Shake hands with the server at one address."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        # Connected, so that a port where nobody listens is told of at once.
        sock.connect(address)
        _, peer = await loop.create_datagram_endpoint(
            lambda: ClientPeer(Connection(configuration=settings), sock.getpeername(), hashes),
            sock=sock,
        )
    except OSError as error:
        sock.close()
        raise TransportError(f"webtransport: {address[0]}: {error.strerror}", NAME) from error
    try:
        await peer.shaken
    except BaseException:
        peer.leave()
        raise
    return peer


async def _ask(peer: ClientPeer, dial: Dial) -> Transport:
    """Ask for a session, and open its stream."""
    try:
        parts = urlsplit(dial.url(NAME))
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        status, body = await peer.ask(parts.netloc, path, dial.headers(NAME))
        if status != 200:
            text = body[:SHOWN_BODY].decode("utf-8", "replace")
            raise TransportError(
                f"webtransport: the server answered with status {status}"
                f"{': ' + text if text else ''}",
                NAME,
                status,
                text,
            )
        return peer.begin(dial)
    except BaseException:
        peer.leave()
        raise


class _Connected:
    """A UDP socket that has only one peer, for those who say each time whom they mean."""

    def __init__(self, io: Any) -> None:
        self._io = io

    def sendto(self, data: bytes, address: object) -> None:
        self._io.sendto(data)

    def is_closing(self) -> bool:
        return bool(self._io.is_closing())

    def close(self) -> None:
        self._io.close()


class ClientPeer(Peer):
    """The client's side of a connection, which has one session.

    Args:
        quic: the connection.
        address: the server's.
        hashes: of the certificates that are trusted; empty where authorities are.

    Attributes:
        shaken: done when the server is known to be the right one.
    """

    def __init__(self, quic: Connection, address: Any, hashes: frozenset[bytes]) -> None:
        super().__init__(quic)
        self._address = address
        self._hashes = hashes
        self.shaken: asyncio.Future[None] = self._loop.create_future()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._status = 0
        self._body = b""
        self._session = -1
        self._leaving: asyncio.TimerHandle | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is there."""
        io: Any = _Connected(transport)
        super().connection_made(io)
        self.connect(self._address)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """asyncio: a datagram came; the socket takes none but the server's."""
        super().datagram_received(data, self._address)
        end = self.quic.end
        if end is not None:
            # aioquic tells of it when the goodbye has had its time.
            self._failed(_words(end))

    def error_received(self, error: Exception) -> None:
        """asyncio: nobody listens there, or no longer."""
        self._failed(f"nobody listens for UDP at {self._address[0]}:{self._address[1]}")
        self.lost("nobody listens there any longer")

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the socket is closed."""
        self.abandon()

    # Shaking hands.

    def quic_event_received(self, event: QuicEvent) -> None:
        """See `Peer.quic_event_received`."""
        if isinstance(event, HandshakeCompleted):
            self._shaken()
        elif isinstance(event, ConnectionTerminated):
            self._failed(_words(event))
        super().quic_event_received(event)
        if isinstance(event, ConnectionTerminated):
            self._close_socket()

    def _shaken(self) -> None:
        if self._hashes and self.quic.certificate_hash not in self._hashes:
            self._failed("the server's certificate is none of server_certificate_hashes")
            self.leave()
        elif not self.shaken.done():
            self.shaken.set_result(None)

    def _failed(self, words: str) -> None:
        error = TransportError(f"webtransport: {words}", NAME)
        for waiting in (self.shaken, self._answer):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                # It may be that nobody waits any longer.
                waiting.exception()

    # Asking.

    async def ask(self, authority: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Ask for a session.

        Returns:
            the answer's status, and its body where that is an error.
        """
        if self.http is None:
            raise TransportError("webtransport: the server speaks another protocol", NAME)
        self._answer = self._loop.create_future()
        self._session = self.quic.get_next_available_stream_id()
        head = [
            (b":method", b"CONNECT"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
            (b":protocol", b"webtransport"),
            (b"sec-webtransport-http3-draft02", b"1"),
        ]
        for name, value in headers.items():
            if name.lower() not in ("host", "connection"):
                head.append((name.lower().encode(), value.encode("latin-1", "replace")))
        self.http.send_headers(self._session, head)
        self.transmit_soon()
        return await self._answer

    def http_event_received(self, event: H3Event) -> None:
        """See `Peer.http_event_received`."""
        if isinstance(event, HeadersReceived) and event.stream_id == self._session:
            self._status = int(dict(event.headers).get(b":status", b"0"))
            if self._status == 200 or event.stream_ended:
                self._answered()
        elif isinstance(event, DataReceived) and event.stream_id == self._session:
            session = self.sessions.get(event.stream_id)
            if session is not None:
                session.told(event.data, event.stream_ended)
                return
            if len(self._body) < SHOWN_BODY:
                self._body += event.data
            if event.stream_ended:
                self._answered()

    def _answered(self) -> None:
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_result((self._status, self._body))

    def begin(self, dial: Dial) -> Transport:
        """Open the stream for packets; the first says what for."""
        assert self.http is not None
        session = WebTransportSession(self, self._session)
        self.sessions[self._session] = session
        self.attach(session, self.http.create_webtransport_stream(self._session))
        self.quic.widen(session.stream)
        tools, limits = dial.tools, dial.options.limits
        transport = WebTransportTransport(
            session,
            tools.flusher,
            tools.wheel,
            limits.message_bytes,
            limits.high_water_bytes,
            CLOSE_SECONDS,
        )
        session.transport = transport
        named = b'0{"sid":"%s"}' % dial.sid.encode() if dial.sid else b"0"
        session.write(encode_packet(named, False), False)
        return transport

    # Ending.

    def forget(self, session: WebTransportSession) -> None:
        """See `Peer.forget`: the connection ends with its session."""
        super().forget(session)
        if self._leaving is None:
            # Behind what the session still has to say.
            self._leaving = self._loop.call_later(0.0, self.leave)

    def leave(self) -> None:
        """Say goodbye, and close the socket."""
        self.lost("")
        if self._transport is None or self._transport.is_closing():
            return
        self.transmit()
        self.close(NO_ERROR)
        self._close_socket()

    def _close_socket(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        if self._transport is not None:
            self._transport.close()


def _words(event: ConnectionTerminated) -> str:
    """Why a connection could not be made."""
    code = event.error_code - _CRYPTO_ERROR
    if 0 <= code < _CRYPTO_ERROR:
        return f"the server cannot be trusted, or does not trust: {event.reason_phrase}"
    return f"the connection ended: {event.reason_phrase or hex(event.error_code)}"
