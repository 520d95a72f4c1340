"""WebSocket handshakes on a raw connection: what both of uvicorn's seams share."""

from __future__ import annotations

import http
import socket
from typing import Any

from uvicorn.middleware.message_logger import MessageLoggerMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nuncio.engine.dialect import DialectWebSocketTransport
from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.engine.websocket import WebSocketTransport
from nuncio.hosts.asgi import ASGIApp
from nuncio.protocol import handshake
from nuncio.protocol.deflate import Deflate, negotiate_server
from nuncio.protocol.dialects import Dialect
from nuncio.protocol.frames import FrameReader


class UpgradeExchange(Exchange):
    """A WebSocket handshake on a raw connection.

    Args:
        request: the handshake request.
        engine: whose path it is on.
        io: the asyncio transport.
        connections: uvicorn's set of connections, which the WebSocket joins.
        handed_on: called with the WebSocket, which from now on is the connection's protocol.
    """

    def __init__(
        self, request: Request, engine: Engine, io: Any, connections: Any, handed_on: Any
    ) -> None:
        super().__init__(request)
        self._engine = engine
        self._io = io
        self._connections = connections
        self._handed_on = handed_on
        self._key = ""
        self._compression: tuple[Deflate, str] | None = None
        self._paused = False

    def shake_hands(self, version: str) -> None:
        """Check the handshake and ask the engine.

        Args:
            version: HTTP's, as `1.1`.
        """
        request = self.request
        try:
            self._key = handshake.check_request(request.method, version, request.headers)
            self._negotiate()
        except handshake.HandshakeError as error:
            headers = [("Connection", "close"), ("Content-Type", "text/plain"), *error.headers]
            self.respond(error.status, headers, str(error).encode())
            return
        waiting = self._engine.handle(self, True)
        if waiting is not None:
            # Nothing may be read before it is known who reads.
            self._io.pause_reading()
            self._paused = True
            self._engine.spawn(waiting)

    def _negotiate(self) -> None:
        deflate = self._engine.deflate
        offered = None if deflate is None else self.request.header(b"sec-websocket-extensions")
        if deflate is not None and offered:
            self._compression = negotiate_server(offered, deflate)

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""
        lines = [f"HTTP/1.1 {status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append(f"Content-Length: {len(body)}")
        self._io.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        self._io.close()

    @property
    def alive(self) -> bool:
        """See `Exchange.alive`."""
        return not self._io.is_closing()

    def accept(self, dialect: Dialect | None = None) -> Transport:
        """See `Exchange.accept`."""
        self.done = True
        engine = self._engine
        limits = engine.options.limits
        headers = list(self.headers)
        deflate = None
        if self._compression is not None:
            deflate, value = self._compression
            headers.append(("Sec-WebSocket-Extensions", value))
        config = engine.config()
        _no_delay(self._io)
        self._io.set_write_buffer_limits(high=limits.high_water_bytes)
        reader = FrameReader(engine.options.max_http_buffer_size, True, limits.fragments, deflate)
        # The head leaves in one write with what the engine sends first.
        head = handshake.response(self._key, headers)
        threshold = 0 if engine.deflate is None else engine.deflate.threshold
        transport: WebSocketTransport
        if dialect is None:
            transport = WebSocketTransport(
                self._io,
                head,
                config.flusher,
                config.wheel,
                reader,
                limits.close_seconds,
                deflate,
                threshold,
                self._connections,
            )
        else:
            transport = DialectWebSocketTransport(
                self._io,
                head,
                config.flusher,
                config.wheel,
                reader,
                limits.close_seconds,
                deflate,
                threshold,
                self._connections,
                dialect,
            )
        # Now, not soon: uvloop may read before it calls what is to be called soon.
        self._io.set_protocol(transport)
        self._handed_on(transport)
        if self._paused:
            self._io.resume_reading()
        return transport


def _no_delay(io: Any) -> None:
    """Switch Nagle's algorithm off where nobody did: it would delay every second small frame.

    asyncio does so only for sockets that were made with their protocol named, uvloop for all, and
    there it would cost as much as much else of a handshake.
    """
    if type(io).__module__.startswith("uvloop"):
        return
    sock = io.get_extra_info("socket")
    if sock is not None and sock.proto == 0 and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def unwrap(config: Any) -> tuple[ASGIApp | None, list[Any]]:
    """The Nuncio application inside uvicorn's own wrappers, and those that know proxies.

    Args:
        config: uvicorn's configuration, loaded; it keeps what was found.
    """
    found: tuple[ASGIApp | None, list[Any]] | None = getattr(config, "nuncio", None)
    if found is None:
        found = _unwrap(config.loaded_app)
        config.nuncio = found
    return found


def _unwrap(app: Any) -> tuple[ASGIApp | None, list[Any]]:
    proxies = []
    # Uvicorn's own only: what the application has put in front, a guard perhaps, is not passed by.
    while isinstance(app, (ProxyHeadersMiddleware, MessageLoggerMiddleware)):
        if isinstance(app, ProxyHeadersMiddleware):
            proxies.append(app)
        app = app.app
    return (app if isinstance(app, ASGIApp) else None), proxies


def forwarded(
    proxies: list[Any],
    headers: list[tuple[bytes, bytes]],
    client: tuple[str, int] | None,
    secure: bool,
) -> tuple[tuple[str, int] | None, bool]:
    """What trusted proxies say of the client, as uvicorn's own middleware reads it."""
    for proxy in proxies:
        # On a Unix socket there is no address, and only who trusts everybody trusts the peer.
        if (None if client is None else client[0]) not in proxy.trusted_hosts:
            return client, secure
        chain = b", ".join([value for name, value in headers if name == b"x-forwarded-for"])
        schemes = [value.strip() for name, value in headers if name == b"x-forwarded-proto"]
        if schemes and schemes[-1] in (b"http", b"https", b"ws", b"wss"):
            secure = schemes[-1] in (b"https", b"wss")
        if chain:
            host, port = proxy.trusted_hosts.get_trusted_client_address(chain.decode("latin-1"))
            if host:
                client = (host, port)
    return client, secure
