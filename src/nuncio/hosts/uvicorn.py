"""The native WebSocket path under uvicorn: `uvicorn --ws nuncio.hosts.uvicorn:NuncioProtocol`.

uvicorn parses the HTTP request; for a WebSocket handshake on a Nuncio path it hands over the raw
transport, and frames go between it and the engine with nothing in between. Other WebSocket
requests go on to uvicorn's own implementation, and so to the application's routes.
"""

from __future__ import annotations

import asyncio
import http
from typing import Any
from urllib.parse import unquote

from uvicorn.config import WS_PROTOCOLS
from uvicorn.importer import import_from_string

from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request, parse_headers
from nuncio.engine.transport import Transport
from nuncio.engine.websocket import WebSocketTransport
from nuncio.hosts.asgi import ASGIApp
from nuncio.protocol import handshake
from nuncio.protocol.deflate import negotiate_server
from nuncio.protocol.frames import FrameReader


class NuncioProtocol(asyncio.Protocol):
    """What uvicorn makes for each WebSocket handshake.

    Args:
        config: uvicorn's configuration.
        server_state: uvicorn's shared state.
        app_state: the lifespan's state.
    """

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._io: Any = None
        self._successor: Any = None

    def connection_made(self, transport: Any) -> None:
        """uvicorn: here is the connection."""
        self._io = transport

    def data_received(self, data: bytes) -> None:
        """uvicorn: first the request, as one block; then what follows, until it is handed on."""
        if self._successor is not None:
            self._successor.data_received(data)
        else:
            self._handshake(data)

    def eof_received(self) -> Any:
        """asyncio: the peer sends no more."""
        return self._successor.eof_received() if self._successor is not None else None

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the connection is gone."""
        if self._successor is not None:
            self._successor.connection_lost(error)

    def pause_writing(self) -> None:
        """asyncio: the peer is behind."""
        if self._successor is not None:
            self._successor.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: the peer has caught up."""
        if self._successor is not None:
            self._successor.resume_writing()

    def shutdown(self) -> None:
        """uvicorn: the server stops."""
        if self._successor is not None:
            self._successor.shutdown()
        else:
            self._io.close()

    def succeed(self, successor: Any) -> None:
        """Hand the connection on."""
        self._successor = successor
        # uvicorn itself sets this object as the protocol when `data_received` returns.
        asyncio.get_running_loop().call_soon(self._io.set_protocol, successor)

    def _handshake(self, data: bytes) -> None:
        head, _, block = data.partition(b"\r\n")
        method, _, rest = head.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        path, _, query = target.partition("?")
        path = unquote(path)
        app, proxies = _unwrap(self._config.loaded_app)
        engine = None if app is None else app.find(path)
        if engine is None:
            self._delegate(data)
            return
        secure = self._io.get_extra_info("sslcontext") is not None
        client = self._io.get_extra_info("peername")
        client = (client[0], client[1]) if isinstance(client, tuple) else None
        for proxy in proxies:
            client, secure = _forwarded(proxy, block, client, secure)
        request = Request(method, path, query, block, client, secure)
        exchange = _UpgradeExchange(request, engine, self, self._io, self._server_state)
        try:
            exchange.key = handshake.check_request(method, version[5:], request.headers)
        except handshake.HandshakeError as error:
            headers = [("Connection", "close"), ("Content-Type", "text/plain"), *error.headers]
            exchange.respond(error.status, headers, str(error).encode())
            return
        if len(data) > engine.options.limits.header_bytes:
            exchange.respond(431, [("Connection", "close")], b"")
            return
        waiting = engine.handle(exchange, True)
        if waiting is not None:
            # Nothing may be read before it is known who reads.
            self._io.pause_reading()
            exchange.paused = True
            engine.spawn(waiting)

    def _delegate(self, data: bytes) -> None:
        protocol: Any = import_from_string(WS_PROTOCOLS["auto"])
        if protocol is None:
            self._io.write(
                b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self._io.close()
            return
        successor = protocol(
            config=self._config, server_state=self._server_state, app_state=self._app_state
        )
        self.succeed(successor)
        successor.connection_made(self._io)
        successor.data_received(data)


class _UpgradeExchange(Exchange):
    """A WebSocket handshake on a raw connection."""

    def __init__(
        self, request: Request, engine: Engine, protocol: NuncioProtocol, io: Any, state: Any
    ) -> None:
        super().__init__(request)
        self.key = ""
        self.paused = False
        self._engine = engine
        self._protocol = protocol
        self._io = io
        self._state = state

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        phrase = http.HTTPStatus(status).phrase
        lines = [f"HTTP/1.1 {status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines.append(f"Content-Length: {len(body)}")
        self._io.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        self._io.close()

    def accept(self) -> Transport:
        self.done = True
        engine = self._engine
        limits = engine.options.limits
        headers = list(self.headers)
        deflate = None
        offered = self.request.headers.get("sec-websocket-extensions")
        if engine.deflate is not None and offered:
            negotiated = negotiate_server(offered, engine.deflate)
            if negotiated is not None:
                deflate, value = negotiated
                headers.append(("Sec-WebSocket-Extensions", value))
        config = engine.config()
        self._io.set_write_buffer_limits(high=limits.high_water_bytes)
        self._io.write(handshake.response(self.key, headers))
        transport = WebSocketTransport(
            self._io,
            config.flusher,
            config.wheel,
            FrameReader(engine.options.max_http_buffer_size, True, limits.fragments, deflate),
            limits.close_seconds,
            deflate,
            0 if engine.deflate is None else engine.deflate.threshold,
            self._state.connections,
        )
        self._protocol.succeed(transport)
        if self.paused:
            self._io.resume_reading()
        return transport


def _unwrap(app: Any) -> tuple[ASGIApp | None, list[Any]]:
    """The Nuncio application inside uvicorn's own wrappers, and those that know proxies."""
    proxies = []
    while app is not None and not isinstance(app, ASGIApp):
        if hasattr(app, "trusted_hosts"):
            proxies.append(app)
        app = getattr(app, "app", None)
    return app, proxies


def _forwarded(proxy: Any, block: bytes, client: Any, secure: bool) -> tuple[Any, bool]:
    """What a trusted proxy says of the client, as uvicorn's own middleware reads it."""
    if client is None or client[0] not in proxy.trusted_hosts:
        return client, secure
    headers = parse_headers(block)
    scheme = headers.get("x-forwarded-proto")
    if scheme in ("https", "wss", "http", "ws"):
        secure = scheme in ("https", "wss")
    chain = headers.get("x-forwarded-for")
    if chain:
        host, port = proxy.trusted_hosts.get_trusted_client_address(chain)
        if host:
            client = (host, port)
    return client, secure
