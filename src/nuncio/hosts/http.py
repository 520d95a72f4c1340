"""The native HTTP path under uvicorn, which `io.run` and `io.listen` use.

uvicorn's own protocol, except that requests on a Nuncio path go to the engine by plain calls: no
ASGI scope, no task and no event for each of them. A poll is two requests a message, so that is
most of what long-polling costs. Everything else goes uvicorn's usual way.
"""

from __future__ import annotations

import logging
import sys
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from nuncio.engine.engine import Engine
from nuncio.engine.request import Request
from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.hosts.exchange import STATUS_LINES, HTTPExchange
from nuncio.hosts.upgrade import UpgradeExchange, forwarded, unwrap

_TOO_LARGE = STATUS_LINES[431] + b"connection: close\r\ncontent-length: 0\r\n\r\n"


class _PeersLog(logging.LoggerAdapter[logging.Logger]):
    """uvicorn's log, where it is no warning that a peer sends nonsense: peers must not fill it."""

    @property
    def level(self) -> int:
        """uvicorn compares it."""
        return self.logger.level

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """What uvicorn says of malformed requests."""
        self.debug(msg, *args, **kwargs)


_LOG = _PeersLog(logging.getLogger("uvicorn.error"))


class NuncioHTTPProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a short way to the engine.

    HTTP pipelining on the engine's path ends the connection after the first response, as RFC 9112
    section 9.3.2 allows: a response that waits would hold up all behind it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _LOG  # type: ignore[assignment]  # as good as a logger to uvicorn
        self._nuncio, self._proxies = unwrap(self.config)
        app = self._nuncio
        self._header_bytes = sys.maxsize if app is None else app.engine.options.limits.header_bytes
        self._engine: Engine | None = None
        self._exchange: HTTPExchange | None = None
        self.pipelined = False
        self._idle: _IdleTimer | None = None
        self._behind_proxy = False
        self.old: bool | None = None
        self._in_head = True
        self._head_size = 0
        self._read_size = 0
        self._shared_read = False
        self._refused = False

    # What the parser calls.

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        if self._exchange is not None:
            self.pipelined = True
        elif self.flow.write_paused and self._nuncio is not None:
            # It asks for more without reading what it was given.
            self.pipelined = True
            self._end_connection()
        self._in_head = True
        if self._shared_read:
            # What came before it in this read is not its head.
            self._head_size = -self._read_size
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """httptools: its head is there."""
        self._in_head = False
        # Only a head that came with much else, or is long, has to be measured.
        suspect = self._read_size
        if self._head_size:
            suspect += max(self._head_size, 0)
            self._head_size = 0
        if self.pipelined or self._refused:
            return
        if suspect > self._header_bytes and self._head_bytes() > self._header_bytes:
            self._refuse_head()
            return
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        if "%" in path:
            path = unquote(path)
        app = self._nuncio
        self._engine = None if app is None else app.find(path)
        if self._engine is None or self._busy():
            self._others()
        elif not (self.parser.should_upgrade() and self._should_upgrade()):
            self._begin(self._engine, self._request(path, query))

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        self._refused = True
        self.transport.write(_TOO_LARGE)
        self._end_connection()

    def _busy(self) -> bool:
        """Whether uvicorn itself still answers an earlier request on this connection."""
        return self.cycle is not None and not self.cycle.response_complete

    def _others(self) -> None:
        self._engine = None
        self._stop_idle()
        self.server = get_local_addr(self.transport)
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = expects
        super().on_headers_complete()

    def _request(self, path: str, query: bytes) -> Request:
        client, secure = self.client, self.scheme == "https"
        if self._behind_proxy and any(name[:12] == b"x-forwarded-" for name, _ in self.headers):
            client, secure = forwarded(self._proxies, self.headers, client, secure)
        method = self.parser.get_method().decode("ascii")
        return Request(method, path, query.decode("latin-1"), self.headers, client, secure)

    def _begin(self, engine: Engine, request: Request) -> None:
        if self.old is None:
            # Of a connection, not of each request: no peer changes its version.
            self.old = self.parser.get_http_version() == "1.0"
        keep_alive = not self.old and self.parser.should_keep_alive()
        exchange = HTTPExchange(request, self, keep_alive)
        self._exchange = exchange
        if self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        waiting = engine.handle(exchange, False)
        if waiting is not None:
            # The body is kept from arriving before it is known who takes it.
            self.flow.pause_reading()
            task = engine.spawn(waiting)
            task.add_done_callback(exchange.settled)

    def on_body(self, body: bytes) -> None:
        """httptools: some of a body."""
        if self._refused:
            return
        if self._engine is None:
            super().on_body(body)
        elif self._exchange is not None and not self.pipelined:
            self._exchange.body_chunk(body)

    def on_message_complete(self) -> None:
        """httptools: the request is complete."""
        self._shared_read = True
        if self._refused:
            return
        if self._engine is None:
            super().on_message_complete()
        elif self._exchange is not None and not self.pipelined:
            self._exchange.body_end()

    def handle_websocket_upgrade(self) -> None:
        """uvicorn: the request is a WebSocket handshake."""
        if self._refused:
            return
        engine = self._engine
        self._stop_idle()
        if self.pipelined or self._exchange is not None:
            # It came behind a request that is not answered: the two cannot share the connection.
            self._end_connection()
            return
        if engine is None:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        target, _, query = self.url.partition(b"?")
        request = self._request(unquote(target.decode("latin-1")), query)
        exchange = UpgradeExchange(
            request, engine, self.transport, self.connections, self._handed_on
        )
        exchange.shake_hands(self.parser.get_http_version())

    def _handed_on(self, successor: Any) -> None:
        self._stop_idle()

    def _stop_idle(self) -> None:
        idle = self._idle
        if idle is not None:
            self._idle = None
            idle.stop()

    # What asyncio and uvicorn call.

    def connection_made(self, transport: Any) -> None:
        """asyncio: somebody connected."""
        # As uvicorn does, but for the server's own address, which only its own requests need.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.client = client = get_remote_addr(transport)
        host = None if client is None else client[0]
        self._behind_proxy = any(host in proxy.trusted_hosts for proxy in self._proxies)
        app = self._nuncio
        if app is not None:
            self._wait_for_next(app.engine, app.engine.options.limits.header_seconds)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        if self._refused:
            return
        self._read_size = len(data)
        self._shared_read = False
        super().data_received(data)
        if self._in_head and not self._refused:
            # The parser itself would gather a head of any size.
            self._head_size += len(data)
            if self._head_size > self._header_bytes:
                self._refuse_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        self._stop_idle()
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            exchange.lost()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """asyncio: the peer has caught up."""
        super().resume_writing()
        exchange = self._exchange
        if exchange is not None:
            exchange.caught_up()

    def shutdown(self) -> None:
        """uvicorn: the server stops."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        else:
            super().shutdown()

    # What the exchange calls.

    def answered(self, response: bytes, keep_alive: bool) -> None:
        """Write a response and make ready for the next request."""
        self.server_state.total_requests += 1
        self._exchange = None
        self.transport.write(response)
        if not keep_alive:
            self._end_connection()
        elif self._engine is not None:
            self._wait_for_next(self._engine, self.timeout_keep_alive)

    def started(self, head: bytes) -> None:
        """Write the head of a response whose body comes in pieces."""
        if self._engine is not None:
            limits = self._engine.options.limits
            self.transport.set_write_buffer_limits(high=limits.high_water_bytes)
        self.transport.write(head)

    def _end_connection(self) -> None:
        """Close, and cut the connection when the peer does not take what is left for it."""
        self.transport.close()
        app = self._nuncio
        if app is not None:
            self._wait_for_next(app.engine, app.engine.options.limits.close_seconds)

    def out_of_time(self) -> None:
        """The idle timer: nothing came, or nothing was taken."""
        if self.transport.is_closing():
            self.transport.abort()
        elif self.idle:
            self._end_connection()

    def _wait_for_next(self, engine: Engine, seconds: float) -> None:
        idle = self._idle
        if idle is None:
            idle = _IdleTimer(self, engine.config().wheel)
            self._idle = idle
        idle.wheel.arm(idle, seconds)

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._exchange is None and not self._busy()


class _IdleTimer(Timer):
    """Closes a connection that is kept alive for nothing."""

    __slots__ = ("_protocol", "wheel")

    def __init__(self, protocol: NuncioHTTPProtocol, wheel: TimerWheel) -> None:
        super().__init__()
        self._protocol = protocol
        self.wheel = wheel

    def expire(self, now: float) -> None:
        self._protocol.out_of_time()

    def stop(self) -> None:
        """The connection ended or became a WebSocket."""
        self.wheel.cancel(self)
