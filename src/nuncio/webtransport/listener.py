"""The UDP socket: datagrams become connections, within bounds.

Anybody can send datagrams, and with a false address. So what a datagram makes us hold is bounded:
from some number of connections without a session on, who comes has to prove its address first
(RFC 9000, section 8.1.2), and above another number nobody is answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from functools import partial
from typing import Any, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

from nuncio.engine.engine import Engine
from nuncio.engine.wheel import TimerWheel
from nuncio.webtransport.certificates import Certificate
from nuncio.webtransport.link import NO_ERROR
from nuncio.webtransport.quic import Connection, configuration
from nuncio.webtransport.server import KEEP_ALIVE_SECONDS, ServerPeer

logger = logging.getLogger("nuncio.webtransport")

# From so many connections without a session, addresses must be proved.
PROVE_FROM: Final = 64

# And for so long after there were as many.
PROVE_SECONDS: Final = 30.0

# How long the last datagrams may take to leave and be answered when the server stops.
GOODBYE_SECONDS: Final = 1.0

# So much may wait in the system until this process comes to it.
RECEIVE_BUFFER: Final = 1024 * 1024


class Listener(asyncio.DatagramProtocol):
    """Accepts connections for some engines.

    Args:
        engines: those that serve WebTransport.
        quic: certificate and settings.
        pending: see `WebTransportOptions`.

    Attributes:
        pending_seconds: how long a connection may be without a session at first.
        keeps_alive: whether heartbeats alone would leave connections silent for too long.
    """

    def __init__(self, engines: list[Engine], quic: QuicConfiguration, pending: int) -> None:
        self._engines = engines
        self._quic = quic
        self._most = pending
        self._prover = QuicRetryTokenHandler()
        self._prove_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._io: Any = None
        self._by_id: dict[bytes, ServerPeer] = {}
        self._ids: dict[ServerPeer, set[bytes]] = {}
        self._idle: set[ServerPeer] = set()
        self._closing: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        options = [engine.options for engine in engines]
        self.pending_seconds = min(float(option.upgrade_timeout) for option in options)
        self.keeps_alive = any(option.ping_interval > KEEP_ALIVE_SECONDS for option in options)

    @property
    def wheel(self) -> TimerWheel:
        """The loop's timers."""
        return self._engines[0].config().wheel

    @property
    def port(self) -> int:
        """The port of UDP."""
        return int(self._io.get_extra_info("sockname")[1])

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._ids)

    @property
    def idling(self) -> int:
        """How many of them have no session."""
        return len(self._idle)

    def find(self, path: str) -> Engine | None:
        """The engine that takes a path."""
        for engine in self._engines:
            if engine.matches(path):
                return engine
        return None

    async def close(self, seconds: float = GOODBYE_SECONDS) -> None:
        """End all sessions and connections.

        Args:
            seconds: how long clients may take to get the last of what was sent to them.
        """
        if self._closing is None:
            self._closing = self._loop.create_future()
            for peer in list(self._ids):
                peer.stop()
        await self._wait(seconds)
        for peer in list(self._ids):
            peer.end(NO_ERROR, "")
            self._forget(peer)
        self._io.close()
        # Whoever listens next may want the same port.
        await self._closed

    async def _wait(self, seconds: float) -> None:
        """Wait until there are no connections, or none that anybody waits for."""
        limit = self._loop.time() + seconds
        while self._ids and self._loop.time() < limit:
            if not any(peer.stopping for peer in self._ids):
                return
            self._closing = self._loop.create_future()
            await asyncio.wait((self._closing,), timeout=limit - self._loop.time())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is there."""
        self._io = transport

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the socket is closed."""
        if not self._closed.done():
            self._closed.set_result(None)

    def error_received(self, error: Exception) -> None:
        """asyncio: a datagram could not be sent. Whom it was for will be given up in time."""

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """asyncio: a datagram came, perhaps from a stranger."""
        assert isinstance(data, bytes)
        try:
            buffer = Buffer(data=data)
            header = pull_quic_header(buffer, self._quic.connection_id_length)
            peer = self._by_id.get(header.destination_cid)
            new = None
            if peer is None:
                peer = new = self._stranger(header, len(data), addr)
        except Exception as error:
            # Whatever aioquic does not expect, a stranger shall not fill the log with it.
            logger.debug("a datagram is not answered: %r", error)
            return
        if peer is not None:
            peer.datagram_received(data, addr)
        if new is not None and not new.quic.heard:
            # It only looked like the beginning of a connection.
            self._forget(new)

    def _forget(self, peer: ServerPeer) -> None:
        peer.abandon()
        self._terminated(peer)

    # Strangers.

    def _stranger(self, header: QuicHeader, size: int, addr: Any) -> ServerPeer | None:
        """A new connection, for the first datagram of one."""
        version = header.version
        if version is None or header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if size < SMALLEST_MAX_DATAGRAM_SIZE or self._closing is not None:
            # An answer must not be larger than the question, whose address may be false.
            return None
        versions = self._quic.supported_versions
        if version not in versions:
            answer = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=versions,
            )
            self._io.sendto(answer, addr)
            return None
        if header.packet_type != QuicPacketType.INITIAL or len(self._idle) >= self._most:
            return None
        if self._must_prove(header):
            self._ask_for_proof(header, version, addr)
            return None
        original, retry = header.destination_cid, None
        if header.token and self._prove_until:
            original, retry = self._proved(header, addr)
        return self._accept(original, retry)

    def _must_prove(self, header: QuicHeader) -> bool:
        now = self._loop.time()
        if len(self._idle) >= PROVE_FROM:
            self._prove_until = now + PROVE_SECONDS
        return not header.token and now < self._prove_until

    def _ask_for_proof(self, header: QuicHeader, version: int, addr: Any) -> None:
        source = os.urandom(8)
        token = self._prover.create_token(
            address=addr,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self._loop.time(),
        )
        answer = encode_quic_retry(
            version=version,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._io.sendto(answer, addr)

    def _proved(self, header: QuicHeader, addr: Any) -> tuple[bytes, bytes]:
        """The ids of a client that has proved its address; raises for a false proof."""
        original = self._prover.validate_token(
            address=addr,
            destination_cid=header.destination_cid,
            token=header.token,
            now=self._loop.time(),
        )
        return original, header.destination_cid

    def _accept(self, original: bytes, retry: bytes | None) -> ServerPeer:
        quic = Connection(
            configuration=self._quic,
            original_destination_connection_id=original,
            retry_source_connection_id=retry,
        )
        peer = ServerPeer(quic, self)
        peer.connection_made(self._io)
        ids = quic.keys
        self._ids[peer] = ids
        self._idle.add(peer)
        for id in ids:
            self._by_id[id] = peer
        peer._connection_id_issued_handler = partial(self._id_issued, peer)
        peer._connection_id_retired_handler = partial(self._id_retired, peer)
        peer._connection_terminated_handler = partial(self._terminated, peer)
        return peer

    # What connections tell.

    def _id_issued(self, peer: ServerPeer, id: bytes) -> None:
        ids = self._ids.get(peer)
        if ids is not None:
            ids.add(id)
            self._by_id[id] = peer

    def _id_retired(self, peer: ServerPeer, id: bytes) -> None:
        self._by_id.pop(id, None)
        ids = self._ids.get(peer)
        if ids is not None:
            ids.discard(id)

    def _terminated(self, peer: ServerPeer) -> None:
        for id in self._ids.pop(peer, ()):
            self._by_id.pop(id, None)
        self._idle.discard(peer)
        self._look()

    def _look(self) -> None:
        """Let `close` look again."""
        closing = self._closing
        if closing is not None and not closing.done():
            closing.set_result(None)

    def busy(self, peer: ServerPeer) -> None:
        """It has a session."""
        self._idle.discard(peer)

    def idle(self, peer: ServerPeer) -> None:
        """It has none any longer."""
        if peer in self._ids:
            self._idle.add(peer)
            self._look()


def settings(certificate: Certificate, engines: list[Engine]) -> QuicConfiguration:
    """How connections are made.

    Args:
        certificate: the server's.
        engines: that are served.
    """
    silence = max(engine.options.ping_interval + engine.options.ping_timeout for engine in engines)
    quic = configuration(client=False, idle=max(30.0, float(silence)))
    chain = load_pem_x509_certificates(certificate.pem)
    quic.certificate, quic.certificate_chain = chain[0], chain[1:]
    quic.private_key = load_pem_private_key(certificate.key)
    return quic


def bind(host: str, port: int) -> socket.socket:
    """A UDP socket.

    Raises:
        OSError: with the system's own error number, and what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind((host, port))
        sock.setblocking(False)
        return sock
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno,
            f"cannot listen on UDP {host}:{port}, for WebTransport: {error.strerror}; "
            "choose another port: webtransport={'port': …}",
        ) from error


async def start(
    engines: list[Engine], sock: socket.socket, certificate: Certificate, pending: int
) -> Listener:
    """Listen.

    Args:
        engines: those that serve WebTransport.
        sock: bound; the listener's own from now on.
        certificate: the server's.
        pending: see `WebTransportOptions`.
    """
    quic = settings(certificate, engines)
    _, listener = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Listener(engines, quic, pending), sock=sock
    )
    return listener
