"""Passes on what came to the wrong worker: requests of long-polling, and attempts to upgrade.

The worker here answers the client with what the session's own worker says. Of a WebSocket, only
packets are passed on: the connection stays here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.request import Exchange, Receiver, Request
from nuncio.engine.transport import PacketSink, Transport
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.bytestream import StreamReader, encode_packet
from nuncio.protocol.engineio import Message
from nuncio.workers.link import Link
from nuncio.workers.mesh import Mesh
from nuncio.workers.messages import (
    Answered,
    Arrived,
    Asked,
    Attempted,
    Begun,
    Close,
    Ended,
    Granted,
    Left,
    Piece,
    Reading,
    Sent,
    Told,
    Writable,
)
from nuncio.workers.rendezvous import TAG_LENGTH

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

logger = logging.getLogger("nuncio.workers")

# How long another worker may think about an attempt to upgrade.
ATTEMPT_SECONDS: Final = 5.0

# What the server sends to its clients is not limited here.
_ANY_SIZE: Final = 2**60


class Forwarder:
    """What this worker holds for sessions of others.

    Args:
        engine: whose requests they are.
        mesh: the workers.
    """

    def __init__(self, engine: Engine, mesh: Mesh) -> None:
        self._engine = engine
        self._mesh = mesh
        self._last = 0
        self._exchanges: dict[int, _Forwarded] = {}
        self._attempts: dict[int, tuple[Link, asyncio.Future[Any]]] = {}
        self._tunnels: dict[int, _TunnelEnd] = {}

    def link_of(self, sid: str) -> Link | None:
        """The worker that holds a session, if it is another one that is there."""
        tag = sid[:TAG_LENGTH]
        return None if tag == self._mesh.tag else self._mesh.find(tag)

    # Requests.

    def take(self, exchange: Exchange, sid: str) -> bool:
        """Pass on a request of a session that is not here.

        Returns:
            False when no other worker holds it.
        """
        link = self.link_of(sid)
        if link is None:
            return False
        forwarded = _Forwarded(self, self._next(), exchange, sid, link)
        exchange.receiver = forwarded
        if exchange.request.method != "POST":
            self._ask(forwarded, b"")
        return True

    def pass_on(self, exchange: Exchange) -> bool:
        """Let another worker open the session that a client asks for, since this one will not.

        Returns:
            False when there is no other.
        """
        others = self._mesh.others
        if not others or exchange.request.method == "POST":
            return False
        forwarded = _Forwarded(self, self._next(), exchange, "", random.choice(others))
        exchange.receiver = forwarded
        self._ask(forwarded, b"")
        return True

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _ask(self, forwarded: _Forwarded, body: bytes) -> None:
        self._exchanges[forwarded.id] = forwarded
        request = told(forwarded.exchange.request)
        forwarded.link.send(Asked(forwarded.id, forwarded.sid, request, body))

    @property
    def _limit(self) -> int:
        return self._engine.options.max_http_buffer_size

    # Attempts to upgrade.

    async def attempt(self, exchange: Exchange, sid: str) -> bool:
        """Pass on the handshake of a WebSocket for a session that is not here.

        Returns:
            False when no other worker holds it.
        """
        link = self.link_of(sid)
        if link is None:
            return False
        id = self._next()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._attempts[id] = (link, answer)
        link.send(Attempted(id, sid, told(exchange.request)))
        try:
            verdict = await asyncio.wait_for(answer, ATTEMPT_SECONDS)
        except TimeoutError:
            verdict = None
        finally:
            del self._attempts[id]
        if exchange.done:
            return True
        if isinstance(verdict, Granted):
            self._open(exchange, link, id)
        elif isinstance(verdict, Answered):
            exchange.respond(verdict.status, verdict.headers, verdict.body)
        else:
            self._engine.unknown_session(exchange, True, sid)
        return True

    def _open(self, exchange: Exchange, link: Link, id: int) -> None:
        transport = self._engine.accept_attempt(exchange)
        if transport is None:
            link.send(Ended(id, str(DisconnectReason.TRANSPORT_ERROR), ""))
            return
        self._tunnels[id] = _TunnelEnd(self, id, link, transport)
        # The handshake's answer leaves with what is sent first, and here nothing is.
        transport.flush()

    # What the other workers say.

    def received(self, link: Link, message: Any) -> None:
        """A message for what this worker holds."""
        if isinstance(message, Sent):
            tunnel = self._tunnels.get(message.id)
            if tunnel is not None and tunnel.link is link:
                tunnel.send(message)
        elif isinstance(message, Answered):
            self._answered(link, message)
        elif isinstance(message, (Begun, Piece)):
            forwarded = self._exchanges.get(message.id)
            if forwarded is not None and forwarded.link is link:
                self._stream(forwarded, message)
        elif isinstance(message, Granted):
            self._decided(link, message)
        elif isinstance(message, (Reading, Close)):
            tunnel = self._tunnels.get(message.id)
            if tunnel is not None and tunnel.link is link:
                tunnel.told(message)

    def _answered(self, link: Link, message: Answered) -> None:
        forwarded = self._exchanges.get(message.id)
        if forwarded is None:
            self._decided(link, message)
        elif forwarded.link is link:
            del self._exchanges[message.id]
            forwarded.exchange.respond(message.status, message.headers, message.body)

    def _stream(self, forwarded: _Forwarded, message: Begun | Piece) -> None:
        """A response that comes in pieces goes on."""
        exchange = forwarded.exchange
        if isinstance(message, Begun):
            exchange.begin(message.status, message.headers)
            return
        exchange.chunk(message.data)
        if message.last or message.cut:
            del self._exchanges[forwarded.id]
            if message.cut:
                exchange.abort()
            else:
                exchange.finish()
        else:
            forwarded.watch()

    def _decided(self, link: Link, message: Answered | Granted) -> None:
        attempt = self._attempts.get(message.id)
        if attempt is not None and attempt[0] is link and not attempt[1].done():
            attempt[1].set_result(message)

    def lost(self, link: Link) -> None:
        """A worker is gone, and its sessions with it: their clients are told, and come again."""
        for id, forwarded in list(self._exchanges.items()):
            if forwarded.link is link:
                del self._exchanges[id]
                if forwarded.exchange.streaming:
                    forwarded.exchange.abort()
                else:
                    self._engine.unknown_session(forwarded.exchange, False, forwarded.sid)
        for other, answer in list(self._attempts.values()):
            if other is link and not answer.done():
                answer.set_result(None)
        for tunnel in list(self._tunnels.values()):
            if tunnel.link is link:
                tunnel.cut()

    # What exchanges and tunnels call.

    def complete(self, forwarded: _Forwarded, body: bytes) -> None:
        """The body of a request is there."""
        self._ask(forwarded, body)

    def left(self, forwarded: _Forwarded) -> None:
        """The client went away before it was answered."""
        if self._exchanges.pop(forwarded.id, None) is not None:
            forwarded.link.send(Left(forwarded.id))

    def over(self, tunnel: _TunnelEnd) -> None:
        """A tunnel has ended."""
        self._tunnels.pop(tunnel.id, None)

    def too_large(self, exchange: Exchange) -> None:
        """A body is larger than any that the session's worker would take."""
        exchange.respond(413, [("Connection", "close")], b"")

    @property
    def count(self) -> int:
        """How many requests and tunnels are passed on just now."""
        return len(self._exchanges) + len(self._tunnels)


class _Forwarded(Receiver):
    """A request that was passed on, and its body while it comes."""

    def __init__(
        self, forwarder: Forwarder, id: int, exchange: Exchange, sid: str, link: Link
    ) -> None:
        self._forwarder = forwarder
        self.id = id
        self.exchange = exchange
        self.sid = sid
        self.link = link
        self._body = bytearray()
        self._behind = False

    def when_ready(self, callback: Any) -> bool:
        """See `Receiver.when_ready`: as long as the other worker keeps up."""
        if self.link.behind:
            self.link.when_ready(callback)
            return False
        return True

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """See `Receiver.body_chunk`."""
        if len(self._body) + len(data) > self._forwarder._limit:
            self._body.clear()
            self._forwarder.too_large(exchange)
        else:
            self._body += data

    def body_end(self, exchange: Exchange) -> None:
        """See `Receiver.body_end`."""
        self._forwarder.complete(self, bytes(self._body))

    def aborted(self, exchange: Exchange) -> None:
        """See `Receiver.aborted`."""
        self._forwarder.left(self)

    def watch(self) -> None:
        """Tell the other worker when the client falls behind with the response."""
        if self.exchange.behind and not self._behind:
            self._behind = True
            self.link.send(Writable(self.id, False))

    def caught_up(self, exchange: Exchange) -> None:
        """See `Receiver.caught_up`."""
        if self._behind:
            self._behind = False
            self.link.send(Writable(self.id, True))


class _TunnelEnd(PacketSink):
    """The end of a tunnel where the client is: the sink of its transport."""

    def __init__(self, forwarder: Forwarder, id: int, link: Link, transport: Transport) -> None:
        super().__init__()
        self._forwarder = forwarder
        self.id = id
        self.link = link
        self._transport = transport
        self._reader = StreamReader(_ANY_SIZE)
        self._paused = False
        self._writable = True
        transport.sink = self

    # From the client.

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        self._forward(encode_packet(data, False))

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        self._forward(encode_packet(data, True))

    def _forward(self, packets: bytes) -> None:
        self.link.send(Arrived(self.id, packets))
        if self.link.behind and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self.link.when_ready(self._go_on)

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""
        if not self._writable:
            self._writable = True
            self.link.send(Writable(self.id, True))

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`."""
        self._forwarder.over(self)
        self.link.send(Ended(self.id, reason, description))

    def host_stopping(self) -> None:
        """See `PacketSink.host_stopping`."""
        self._forwarder._engine.host_stopping()

    def expire(self, now: float) -> None:
        """No deadline of its own: the session's worker keeps the time."""

    # From the session's worker.

    def send(self, packets: Sent) -> None:
        """Packets for the client."""
        transport = self._transport
        try:
            found = self._reader.feed(packets.data)
        except PacketError:
            logger.exception("a worker sent what is no packet")
            self.cut()
            return
        for packet in found:
            if packet.binary:
                transport.send(Message(None, [packet.data], packets.compress))
            else:
                control = packet.data[:1] != b"4"
                transport.send(Message(packet.data, None, packets.compress, control))
        if not transport.writable and self._writable:
            self._writable = False
            self.link.send(Writable(self.id, False))

    def told(self, message: Reading | Close) -> None:
        """What the session wants of the transport."""
        transport = self._transport
        if isinstance(message, Reading):
            if message.yes:
                transport.resume_reading()
            else:
                transport.pause_reading()
            return
        self._forwarder.over(self)
        if message.how == "abort":
            transport.abort()
        elif message.how == "discard":
            transport.discard()
        else:
            transport.flush()
            transport.close()

    def cut(self) -> None:
        """The session is gone with its worker."""
        self._forwarder.over(self)
        self._transport.discard()


def told(request: Request) -> Told:
    """A request, as another worker is told of it."""
    return Told(
        request.method,
        request.path,
        request.query_string,
        request.header_list(),
        request.client,
        request.secure,
    )
