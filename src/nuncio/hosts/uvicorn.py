"""The native WebSocket path under uvicorn: `uvicorn --ws nuncio.hosts.uvicorn:NuncioProtocol`.

uvicorn parses the HTTP request; for a WebSocket handshake on a Nuncio path it hands over the raw
transport, and frames go between it and the engine with nothing in between. Other WebSocket
requests go on to uvicorn's own implementation, and so to the application's routes.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from uvicorn.config import WS_PROTOCOLS
from uvicorn.importer import import_from_string

from nuncio.engine.request import Request, header_list
from nuncio.hosts.upgrade import UpgradeExchange, forwarded, unwrap


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

    def _handshake(self, data: bytes) -> None:
        head, _, block = data.partition(b"\r\n")
        method, _, rest = head.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        path, _, query = target.partition("?")
        path = unquote(path)
        app, proxies = unwrap(self._config)
        engine = None if app is None else app.find(path)
        if engine is None:
            self._delegate(data)
            return
        peer = self._io.get_extra_info("peername")
        headers = header_list(block)
        client, secure = forwarded(
            proxies,
            headers,
            (peer[0], peer[1]) if isinstance(peer, tuple) else None,
            self._io.get_extra_info("sslcontext") is not None,
        )
        request = Request(method, path, query, headers, client, secure)
        connections = self._server_state.connections
        exchange = UpgradeExchange(request, engine, self._io, connections, self._succeed)
        if len(data) > engine.options.limits.header_bytes:
            exchange.respond(431, [("Connection", "close")], b"")
        else:
            exchange.shake_hands(version[5:])

    def _succeed(self, successor: Any) -> None:
        self._successor = successor
        # uvicorn sets this object as the protocol when it returns from the handshake.
        asyncio.get_running_loop().call_soon(self._io.set_protocol, successor)

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
        self._succeed(successor)
        successor.connection_made(self._io)
        successor.data_received(data)
