"""The ways to reach a server: for each transport's name, how its requests are taken.

The engine checks every request in the same order, whatever its transport (see `Engine.handle`),
and then asks the way of its transport to open a session, to go on with one, or to try another
transport for it. A transport that needs more than HTTP requests also has a host of its own, which
hands the engine what it accepted; see `Engine.knock` and `Engine.adopt`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Final

from nuncio.engine.headers import Decorator
from nuncio.engine.polling import PollingTransport
from nuncio.engine.polling3 import PollingTransport3
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.protocol.dialects import Dialect, dialect_of
from nuncio.protocol.jsonp import callback_of

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine


class Way:
    """How the requests of one transport are taken.

    Args:
        engine: which serves it.

    Attributes:
        name: the transport's.
        method: of the request that opens a session.
        upgrade: whether its requests are WebSocket handshakes.
        better: the transports that a client is told to try once it has a session over this one:
            those that are strictly better, the best first.
        probes: whether a session of another transport may try this one.
        requests: whether it is asked for by HTTP requests at all; the others' hosts hand what they
            accept to `Engine.knock` and `Engine.adopt`.
    """

    name: ClassVar[str] = ""
    method: ClassVar[str] = "GET"
    upgrade: ClassVar[bool] = False
    better: ClassVar[tuple[str, ...]] = ()
    probes: ClassVar[bool] = True
    requests: ClassVar[bool] = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def open(self, exchange: Exchange, id: str) -> Transport | None:
        """The transport of a new session; its packets answer the exchange.

        Returns:
            None when the request is no good, and answered; or when it takes some time, and the way
            itself will answer it and then call `Engine.begin_later`.
        """
        raise NotImplementedError

    def follow(self, exchange: Exchange, transport: Transport) -> bool:
        """Take a further request of a session, or of an attempt, that has such a transport.

        Returns:
            False when there is no such request.
        """
        return False

    def attempt(self, exchange: Exchange) -> Transport | None:
        """The transport that a session over another one tries.

        Returns:
            None when the request is no good, and answered; or when it takes some time, and the way
            itself will answer it and then call `Engine.probe`.
        """
        raise NotImplementedError

    async def settle(self, seconds: float) -> None:
        """The engine has come to rest: end what sessions have left, within a time."""


class PollingWay(Way):
    """Long-polling, of both revisions."""

    name = "polling"
    better = ("websocket", "webtransport", "stream", "sse", "forever", "webrtc")
    probes = False

    def open(self, exchange: Exchange, id: str) -> Transport | None:
        """See `Way.open`."""
        engine = self.engine
        config = engine.config()
        limits = engine.options.limits
        request = exchange.request
        query = request.query
        callback = callback_of(query["j"]) if engine.scripted(request) else None
        transport: PollingTransport
        if revision_of(request) == 4:
            transport = PollingTransport(
                config.flusher,
                config.wheel,
                engine.options.max_http_buffer_size,
                limits.payload_packets,
                engine.compression,
                self._decorator(request),
                callback,
            )
        else:
            transport = PollingTransport3(
                config.flusher,
                config.wheel,
                engine.options.max_http_buffer_size,
                limits.payload_packets,
                engine.compression,
                self._decorator(request),
                callback,
                bool(query.get("b64")),
            )
        if engine.cookie is not None:
            exchange.set_header("Set-Cookie", engine.cookie.header(id))
        transport.open(exchange)
        return transport

    def _decorator(self, request: Request) -> Decorator | None:
        agent = request.header(b"user-agent") or ""
        legacy = ";MSIE" in agent or "Trident/" in agent
        headers = self.engine.header_events
        return Decorator(headers, legacy) if legacy or headers.watched else None

    def follow(self, exchange: Exchange, transport: Transport) -> bool:
        """See `Way.follow`."""
        if not isinstance(transport, PollingTransport):
            return False
        method = exchange.request.method
        if method == "GET":
            transport.get(exchange)
        elif method == "POST":
            transport.post(exchange)
        else:
            exchange.respond(500, [], b"")
        return True


class WebSocketWay(Way):
    """WebSocket, in every dialect."""

    name = "websocket"
    upgrade = True
    better = ("webrtc",)

    def open(self, exchange: Exchange, id: str) -> Transport | None:
        """See `Way.open`."""
        self.engine.header_events.emit(exchange, initial=True)
        return self._accept(exchange)

    def attempt(self, exchange: Exchange) -> Transport | None:
        """See `Way.attempt`."""
        self.engine.header_events.emit(exchange, initial=False)
        return self._accept(exchange)

    def _accept(self, exchange: Exchange) -> Transport:
        transport: Transport = exchange.accept(_dialect(exchange.request))
        return transport


# Where the class of each is; what is not asked for is not imported.
_CLASSES: Final[dict[str, tuple[str, str]]] = {
    "polling": ("nuncio.engine.ways", "PollingWay"),
    "websocket": ("nuncio.engine.ways", "WebSocketWay"),
    "webtransport": ("nuncio.webtransport.way", "WebTransportWay"),
    "stream": ("nuncio.engine.downstream_ways", "StreamWay"),
    "sse": ("nuncio.engine.downstream_ways", "SSEWay"),
    "forever": ("nuncio.engine.downstream_ways", "ForeverWay"),
    "webrtc": ("nuncio.webrtc.way", "WebRTCWay"),
}


def ways_of(engine: Engine) -> dict[str, Way]:
    """The ways that an engine serves, by name."""
    ways: dict[str, Way] = {}
    for name in engine.options.transports:
        module, cls = _CLASSES[name]
        ways[name] = getattr(import_module(module), cls)(engine)
    return ways


def revision_of(request: Request) -> int:
    """The revision of Engine.IO's protocol that a client speaks."""
    return 4 if request.query.get("EIO") == "4" else 3


def _dialect(request: Request) -> Dialect | None:
    return dialect_of(revision_of(request), bool(request.query.get("b64")))
