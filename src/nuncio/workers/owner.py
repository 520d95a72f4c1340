"""Takes what other workers pass on for the sessions that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.errors import DisconnectReason, PacketError
from nuncio.protocol.bytestream import StreamReader, message_stream
from nuncio.protocol.engineio import Message
from nuncio.workers.link import Link
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

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

_LOST: Final = "the worker that had the client's connection is gone"


class Owner:
    """Requests and transports of this worker's sessions that are at other workers.

    Args:
        engine: which has the sessions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._exchanges: dict[tuple[Link, int], RemoteExchange] = {}
        self._transports: dict[tuple[Link, int], RemoteTransport] = {}

    def received(self, link: Link, message: Any) -> None:
        """A message of the worker where a client is."""
        if isinstance(message, Arrived):
            transport = self._transports.get((link, message.id))
            if transport is not None:
                transport.arrived(message.data)
        elif isinstance(message, Asked):
            self._asked(link, message)
        elif isinstance(message, Attempted):
            self._attempted(link, message)
        elif isinstance(message, Left):
            exchange = self._exchanges.get((link, message.id))
            if exchange is not None:
                exchange.lost()
        elif isinstance(message, Writable):
            transport = self._transports.get((link, message.id))
            exchange = self._exchanges.get((link, message.id))
            if transport is not None:
                transport.set_writable(message.yes)
            elif exchange is not None:
                exchange.set_behind(not message.yes)
        elif isinstance(message, Ended):
            transport = self._transports.get((link, message.id))
            if transport is not None:
                transport.end(message.reason, message.description)

    def _asked(self, link: Link, message: Asked) -> None:
        exchange = RemoteExchange(self, link, message.id, _request(message.request))
        self._exchanges[link, message.id] = exchange
        self._engine.follow(exchange, message.sid)
        exchange.give(message.body)

    def _attempted(self, link: Link, message: Attempted) -> None:
        exchange = RemoteExchange(self, link, message.id, _request(message.request))
        self._engine.follow(exchange, message.sid, upgrade=True)

    def transport(self, link: Link, id: int) -> RemoteTransport:
        """The transport of a client that opened it at another worker."""
        link.send(Granted(id))
        engine = self._engine
        transport = RemoteTransport(self, link, id, engine.options.max_http_buffer_size)
        self._transports[link, id] = transport
        return transport

    def forget(self, link: Link, id: int) -> None:
        """An exchange or a transport is over."""
        self._exchanges.pop((link, id), None)
        self._transports.pop((link, id), None)

    def lost(self, link: Link) -> None:
        """A worker is gone, and with it the connections of its clients."""
        for place, exchange in list(self._exchanges.items()):
            if place[0] is link:
                exchange.lost()
        for place, transport in list(self._transports.items()):
            if place[0] is link:
                transport.end(str(DisconnectReason.TRANSPORT_CLOSE), _LOST)


class RemoteExchange(Exchange):
    """A request that came to another worker.

    Args:
        owner: which keeps it.
        link: to that worker.
        id: its number there.
        request: the request.
    """

    __slots__ = ("_behind", "_body", "_given", "_id", "_link", "_owner", "_there")

    def __init__(self, owner: Owner, link: Link, id: int, request: Request) -> None:
        super().__init__(request)
        self._owner = owner
        self._link = link
        self._id = id
        self._body = b""
        self._given = False
        self._there = True
        self._behind = False

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        self._owner.forget(self._link, self._id)
        self._link.send(Answered(self._id, status, headers, body))

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """See `Exchange.start`."""
        self._link.send(Begun(self._id, status, headers))

    def put(self, data: bytes) -> None:
        """See `Exchange.put`."""
        self._link.send(Piece(self._id, data))
        if self._link.behind and not self._behind:
            self._behind = True
            self._link.when_ready(self._caught_up)

    def _caught_up(self) -> None:
        self.set_behind(False)

    def complete(self) -> None:
        """See `Exchange.complete`."""
        self._owner.forget(self._link, self._id)
        self._link.send(Piece(self._id, b"", last=True))

    def sever(self) -> None:
        """See `Exchange.sever`."""
        self._owner.forget(self._link, self._id)
        self._link.send(Piece(self._id, b"", cut=True))

    @property
    def behind(self) -> bool:
        """See `Exchange.behind`."""
        return self._behind

    def set_behind(self, behind: bool) -> None:
        """Whether the client does not read as fast as is written."""
        if self._behind is behind:
            return
        self._behind = behind
        receiver = self.receiver
        if not behind and self.streaming and receiver is not None:
            receiver.caught_up(self)

    @property
    def alive(self) -> bool:
        """See `Exchange.alive`."""
        return self._there

    def accept(self, dialect: Any = None) -> Transport:
        """See `Exchange.accept`: packets come and go, whatever their dialect there."""
        self.done = True
        return self._owner.transport(self._link, self._id)

    def give(self, body: bytes) -> None:
        """Hand the body to whoever takes it, now or when it can be taken."""
        self._body = body
        receiver = self.receiver
        if self.request.method != "POST" or receiver is None or self.done:
            return
        if receiver.when_ready(self._go_on):
            self._go_on()

    def _go_on(self) -> None:
        receiver = self.receiver
        if receiver is None or self._given:
            return
        self._given = True
        if self._body:
            receiver.body_chunk(self, self._body)
        if not self.done:
            receiver.body_end(self)

    def lost(self) -> None:
        """The client is gone."""
        self._there = False
        self._owner.forget(self._link, self._id)
        receiver = self.receiver
        if not self.done or self.streaming:
            self.done = True
            self.streaming = False
            if receiver is not None:
                receiver.aborted(self)


class RemoteTransport(Transport):
    """A WebSocket that ends at another worker.

    Args:
        owner: which keeps it.
        link: to that worker.
        id: its number there.
        limit: bytes of the longest packet.
    """

    __slots__ = ("_id", "_link", "_over", "_owner", "_reader")

    def __init__(self, owner: Owner, link: Link, id: int, limit: int) -> None:
        super().__init__("websocket")
        self._owner = owner
        self._link = link
        self._id = id
        self._over = False
        self._reader = StreamReader(limit)

    def send(self, message: Message) -> None:
        """See `Transport.send`."""
        if self._over:
            return
        compress = message.compress and not message.control
        self._link.send(Sent(self._id, message_stream(message), compress))
        if self._link.behind and self.writable:
            self.writable = False
            self._link.when_ready(self._caught_up)

    def _caught_up(self) -> None:
        self.set_writable(True)

    def flush(self) -> None:
        """See `Transport.flush`: links write at the end of each turn."""

    def close(self) -> None:
        """See `Transport.close`."""
        self._close("close")

    def discard(self) -> None:
        """See `Transport.discard`."""
        self.sink = None
        self._close("discard")

    def abort(self) -> None:
        """See `Transport.abort`."""
        self.sink = None
        self._close("abort")

    def _close(self, how: str) -> None:
        if not self._over:
            self._over = True
            self.writable = False
            self._owner.forget(self._link, self._id)
            self._link.send(Close(self._id, how))

    def pause_reading(self) -> None:
        """See `Transport.pause_reading`."""
        self._link.send(Reading(self._id, False))

    def resume_reading(self) -> None:
        """See `Transport.resume_reading`."""
        self._link.send(Reading(self._id, True))

    # From the worker where the client is.

    def arrived(self, data: bytes) -> None:
        """Packets of the client."""
        try:
            packets = self._reader.feed(data)
        except PacketError as error:
            self.end(str(DisconnectReason.TRANSPORT_ERROR), str(error))
            return
        for packet in packets:
            sink = self.sink
            if sink is None:
                return
            if packet.binary:
                sink.binary(self, packet.data)
            else:
                sink.text(self, packet.data)

    def set_writable(self, writable: bool) -> None:
        """Whether the client takes what is sent."""
        if self._over or self.writable is writable:
            return
        self.writable = writable
        if writable and self.sink is not None:
            self.sink.drained(self)

    def end(self, reason: str, description: str) -> None:
        """The client's connection is gone."""
        self._over = True
        self.writable = False
        self._owner.forget(self._link, self._id)
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, reason, description)


def _request(told: Told) -> Request:
    return Request(told.method, told.path, told.query, told.headers, told.client, told.secure)
