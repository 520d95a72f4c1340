"""Servers of WebTransport in tests, and the raw side of a client that does as it likes.

The recipe: `listen_with(server)` listens with a certificate made for the test, whose hash is
`listening.certificate_hash`. Pages in Chromium need no flag with that among their options, as
`transportOptions: {webtransport: {serverCertificateHashes: [{algorithm: "sha-256", value}]}}`, and
our own client's transport asks the server for it. The host is `127.0.0.1`, never `localhost`, which
Chromium looks for at `::1`, too.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    ProtocolNegotiated,
    QuicEvent,
    StreamDataReceived,
    StreamReset,
)

from nuncio import Server
from nuncio.engine import Engine
from nuncio.hosts.serve import Listening
from nuncio.protocol.bytestream import Packet, StreamReader, encode_packet
from nuncio.webtransport.capsules import CapsuleReader
from tests.support.aio import eventually, within

ALL = ("polling", "websocket", "webtransport")

# For `listen` and `run`: a certificate that is made for the occasion.
DEV: dict[str, Any] = {"webtransport": {"dev": True}}


async def listen_with(server: Server | Engine, port: int = 0, **options: Any) -> Listening:
    """Listen for TCP and UDP at the same port of 127.0.0.1."""
    listening: Listening = await server.listen(port, **{**DEV, **options})
    return listening


def listener_of(listening: Listening) -> Any:
    """The listener for UDP below a server."""
    quic = listening._server.quic
    assert quic is not None
    return quic.listener


class RawClient(QuicConnectionProtocol):
    """A client of WebTransport made of aioquic alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.http: Any = None
        self.ready = asyncio.get_running_loop().create_future()
        self.statuses: dict[int, int] = {}
        self.headers: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ends: dict[int, CapsuleReader] = {}
        self.readers: dict[int, StreamReader] = {}
        self.packets: dict[int, list[Packet]] = {}
        self.reset: set[int] = set()
        self.ended: set[int] = set()
        self.terminated: ConnectionTerminated | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        """See aioquic."""
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic, enable_webtransport=True)
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, ConnectionTerminated):
            self.terminated = event
        elif isinstance(event, StreamReset):
            self.reset.add(event.stream_id)
        if isinstance(event, StreamDataReceived) and event.stream_id in self.readers:
            self.packets[event.stream_id] += self.readers[event.stream_id].feed(event.data)
            if event.end_stream:
                self.ended.add(event.stream_id)
            return
        if self.http is None:
            return
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                found = dict(one.headers)
                self.headers[one.stream_id] = found
                self.statuses[one.stream_id] = int(found[b":status"])
            elif isinstance(one, DataReceived):
                if self.statuses.get(one.stream_id) == 200:
                    self.ends.setdefault(one.stream_id, CapsuleReader()).feed(one.data)
                else:
                    self.bodies[one.stream_id] = self.bodies.get(one.stream_id, b"") + one.data
                if one.stream_ended:
                    self.ended.add(one.stream_id)

    async def ask(
        self, path: str = "/socket.io/", headers: dict[str, str] | None = None, **pseudo: str
    ) -> int:
        """Send a CONNECT request, as the official client's; returns the session's id."""
        session: int = self._quic.get_next_available_stream_id()
        head = {"method": "CONNECT", "scheme": "https", "authority": "127.0.0.1", "path": path}
        head |= {"protocol": "webtransport", **pseudo}
        lines = [(f":{name}".encode(), value.encode()) for name, value in head.items()]
        lines.append((b"sec-webtransport-http3-draft02", b"1"))
        for name, value in (headers or {}).items():
            lines.append((name.encode(), value.encode()))
        self.http.send_headers(session, lines)
        self.transmit()
        await eventually(lambda: session in self.statuses or self.terminated, "an answer")
        return session

    def stream(self, session: int) -> int:
        """Open a stream of a session."""
        stream: int = self.http.create_webtransport_stream(session)
        self.readers[stream] = StreamReader(2**40)
        self.packets[stream] = []
        return stream

    def write(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send any bytes."""
        self._quic.send_stream_data(stream, data, end)
        self.transmit()

    def send(self, stream: int, *packets: str | bytes) -> None:
        """Send packets."""
        parts = []
        for packet in packets:
            text = packet.encode() if isinstance(packet, str) else packet
            parts.append(encode_packet(text, not isinstance(packet, str)))
        self.write(stream, b"".join(parts))

    async def next(self, stream: int) -> str | bytes:
        """The earliest packet not yet taken."""
        await eventually(lambda: self.packets[stream], "a packet")
        packet = self.packets[stream].pop(0)
        return packet.data if packet.binary else packet.data.decode()

    async def closed(self, session: int) -> tuple[int, str]:
        """Wait until the server has ended a session; returns its code and reason."""

        def over() -> bool:
            end = self.ends.get(session)
            return (end is not None and end.closed is not None) or self.terminated is not None

        await eventually(over, "the session's end")
        end = self.ends.get(session)
        return (-1, "") if end is None or end.closed is None else end.closed

    async def enter(self, first: str = "0", path: str = "/socket.io/") -> tuple[int, int]:
        """Ask, open a stream and say what for; returns the session and the stream."""
        session = await self.ask(path)
        assert self.statuses[session] == 200, self.bodies
        stream = self.stream(session)
        self.send(stream, first)
        return session, stream


@asynccontextmanager
async def raw(port: int, **settings: Any) -> AsyncIterator[RawClient]:
    """A raw client, connected."""
    config = QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3"],
        max_datagram_frame_size=65536,
        verify_mode=ssl.CERT_NONE,
    )
    for name, value in settings.items():
        setattr(config, name, value)
    async with connect(
        "127.0.0.1", port, configuration=config, create_protocol=RawClient
    ) as client:
        assert isinstance(client, RawClient)
        await within(client.ready)
        yield client
