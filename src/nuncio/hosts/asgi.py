"""Nuncio as an ASGI application: long-polling, and WebSocket where no native path takes it.

`ASGIApp` stands in front of another application: requests on the engine's path are the engine's,
everything else goes on untouched. Several can be nested, one for each server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import Any

from nuncio.engine.dialect import receive_binary
from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.errors import DisconnectReason, OptionError
from nuncio.hosts.asgi_http import Receive, Scope, Send, encoded, request_of, serve_http
from nuncio.protocol.dialects import Dialect
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import BINARY, TEXT

# Bookkeeping of one message, counted beside its bytes so that many tiny ones are bounded.
MESSAGE_OVERHEAD = 100


class ASGIApp:
    """An engine, and another application for everything else.

    Args:
        engine: the engine.
        other: the other application; None answers 404.

    Raises:
        TypeError: when `other` cannot be an application.
        OptionError: when another engine behind would never be reached, because of its path.

    Attributes:
        failure: what kept the engines from starting, when that was last tried.
    """

    def __init__(self, engine: Engine, other: Any = None) -> None:
        if other is not None and not callable(other):
            raise TypeError(f"other must be an ASGI application, not {other!r}")
        if isinstance(other, ASGIApp):
            _check_nested(engine, other)
        self.engine = engine
        self.other = other
        self.failure: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self._mine(scope):
            if kind == "http":
                await serve_http(self.engine, scope, receive, send)
            else:
                await _serve_websocket(self.engine, scope, receive, send)
        elif self.other is not None:
            await self.other(scope, receive, send)
        else:
            await _not_found(scope, receive, send)

    def find(self, path: str) -> Engine | None:
        """The engine that takes a path, here or in the applications behind."""
        app: Any = self
        while isinstance(app, ASGIApp):
            if app.engine.matches(path):
                return app.engine
            app = app.other
        return None

    def engines(self) -> list[Engine]:
        """The engine here, and those of the applications behind."""
        found = []
        app: Any = self
        while isinstance(app, ASGIApp):
            found.append(app.engine)
            app = app.other
        return found

    def _mine(self, scope: Scope) -> bool:
        path = scope["path"]
        if self.engine.matches(path):
            return True
        # Mounted: what is before the mount point is not the engine's business, and an application
        # mounted at the engine's own path takes everything there.
        root = scope.get("root_path", "")
        if not root or not path.startswith(root):
            return False
        return self.engine.matches(path[len(root) :]) or self.engine.matches(path + "/")

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        life = _Life(self, receive, send)
        other = self.other
        while isinstance(other, ASGIApp):
            # Its engine is among those that live here.
            other = other.other
        if other is not None:
            await life.beside(other, scope)
            return
        while True:
            message = await life.receive()
            if message["type"] == "lifespan.startup":
                await life.send({"type": "lifespan.startup.complete"})
            else:
                await life.send({"type": "lifespan.shutdown.complete"})
                return


def _check_nested(engine: Engine, other: ASGIApp) -> None:
    for behind in other.engines():
        if behind is engine:
            raise OptionError("other: the same server cannot stand behind itself")
        if engine.matches(behind.path + "/"):
            raise OptionError(
                f"other: the path {behind.options.path!r} of the server behind would never be "
                f"reached, as the server before it takes {engine.options.path!r}: give one of "
                "them another, such as Server(path='/other')"
            )


class _Life:
    """The lifespan of an `ASGIApp`: its engines begin after the other application, and end before.

    So the other application can still register namespaces, and handlers find what they need of it.
    """

    def __init__(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._answered = False
        app.failure = None

    async def beside(self, other: Any, scope: Scope) -> None:
        """Live as the other application does, or alone where that knows no lifespan."""
        try:
            await other(scope, self.receive, self.send)
        finally:
            if not self._answered:
                await self._start()

    async def receive(self) -> MutableMapping[str, Any]:
        """See the ASGI specification."""
        message = await self._receive()
        if message["type"] == "lifespan.shutdown":
            await _stop(self._app.engines())
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """See the ASGI specification."""
        if self._app.failure is not None:
            # The host was told; frameworks tell it again.
            return
        self._answered = True
        if message["type"] == "lifespan.startup.complete":
            await self._start()
        await self._send(message)

    async def _start(self) -> None:
        try:
            await start(self._app.engines())
        except Exception as error:
            self._app.failure = error
            text = f"{type(error).__name__}: {error}"
            await self._send({"type": "lifespan.startup.failed", "message": text})
            raise


async def start(engines: list[Engine]) -> None:
    """Start all of them, or none.

    Raises:
        Exception: what kept one from starting.
    """
    started: list[Engine] = []
    try:
        for engine in engines:
            started.append(engine)
            await engine.start()
    except BaseException:
        await abandon(started)
        raise


async def abandon(engines: list[Engine]) -> None:
    """The host could not begin to serve: end what only it has started."""
    await _stop([engine for engine in engines if not engine.hosts])


async def _stop(engines: list[Engine]) -> None:
    """End the sessions, wait until clients have what is theirs, and for running handlers."""
    for engine in engines:
        engine.host_stopping()
    await asyncio.gather(
        *(engine.wind_down(engine.options.limits.close_seconds) for engine in engines)
    )


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    body = b"Not Found"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# WebSocket.


class _WebSocketExchange(Exchange):
    """A WebSocket handshake under ASGI."""

    def __init__(self, request: Request, engine: Engine) -> None:
        super().__init__(request)
        self._engine = engine
        self.transport: ASGIWebSocketTransport | None = None
        self.refusal: tuple[int, list[tuple[str, str]], bytes] | None = None

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.refusal = (status, headers, body)

    def accept(self, dialect: Dialect | None = None) -> Transport:
        self.done = True
        self.transport = ASGIWebSocketTransport(self._engine, dialect)
        return self.transport


class ASGIWebSocketTransport(Transport):
    """A WebSocket that an ASGI server handles.

    Args:
        engine: whose limits hold.
        dialect: how frames are written; None for revision 4's plain way.
    """

    def __init__(self, engine: Engine, dialect: Dialect | None = None) -> None:
        super().__init__("websocket")
        self._dialect = dialect
        self.queue: deque[MutableMapping[str, Any]] = deque()
        self.cut = asyncio.Event()
        self.closing = False
        self._waiting = 0
        self._high_water = engine.options.limits.high_water_bytes
        self._limit = engine.options.max_http_buffer_size
        self._wake = asyncio.Event()
        self._read = asyncio.Event()
        self._read.set()

    def send(self, message: Message) -> None:
        if self.closing:
            return
        for opcode, data in self._packets(message):
            if opcode == TEXT:
                self.queue.append({"type": "websocket.send", "text": data.decode()})
            else:
                self.queue.append({"type": "websocket.send", "bytes": data})
        self._wake.set()
        self._waiting += message.size + MESSAGE_OVERHEAD
        if self._waiting > self._high_water:
            # The writer is behind: what comes now waits in the session, where it is counted.
            self.writable = False

    def _packets(self, message: Message) -> list[tuple[int, bytes]]:
        if self._dialect is not None:
            return self._dialect.packets(message)
        packets = [] if message.text is None else [(TEXT, message.text)]
        return packets + [(BINARY, attachment) for attachment in message.attachments or ()]

    def flush(self) -> None:
        self._wake.set()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.writable = False
            self.queue.append({"type": "websocket.close", "code": 1000})
            self._wake.set()
            self._read.set()

    def discard(self) -> None:
        self.sink = None
        self.close()

    def abort(self) -> None:
        self.queue.clear()
        self.discard()
        self.cut.set()

    def pause_reading(self) -> None:
        self._read.clear()

    def resume_reading(self) -> None:
        self._read.set()

    async def write(self, send: Send) -> None:
        """Send what is queued, until the transport is closed."""
        while True:
            while self.queue:
                message = self.queue.popleft()
                await send(message)
                if message["type"] == "websocket.close":
                    return
            self._waiting = 0
            if not self.writable and not self.closing:
                self.writable = True
                if self.sink is not None:
                    self.sink.drained(self)
            if not self.queue:
                self._wake.clear()
                await self._wake.wait()

    async def read(self, receive: Receive) -> None:
        """Hand on what arrives, until the peer is gone."""
        while True:
            await self._read.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                description = f"the peer closed with code {message.get('code', 1005)}"
                self._ended(DisconnectReason.TRANSPORT_CLOSE, description)
                return
            text = message.get("text")
            data = message.get("bytes") if text is None else text.encode("utf-8", "replace")
            sink = self.sink
            if sink is None or data is None:
                continue
            if len(data) > self._limit:
                self.queue.clear()
                self.closing = True
                self.queue.append({"type": "websocket.close", "code": 1009})
                self._wake.set()
                self._ended(DisconnectReason.TRANSPORT_ERROR, "Max payload size exceeded")
            elif text is not None:
                sink.text(self, data)
            elif self._dialect is not None:
                receive_binary(self._dialect, self, sink, bytes(data))
            else:
                sink.binary(self, bytes(data))

    def _ended(self, reason: str, description: str) -> None:
        self.writable = False
        sink = self.sink
        if sink is not None:
            self.sink = None
            sink.ended(self, str(reason), description)


async def _serve_websocket(engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    exchange = _WebSocketExchange(request_of(scope, "GET", ("wss", "https")), engine)
    waiting = engine.handle(exchange, True)
    if waiting is not None:
        await waiting
    transport = exchange.transport
    if transport is None:
        await _deny(exchange, scope, send)
        return
    tasks: list[asyncio.Task[Any]] = []
    try:
        await send({"type": "websocket.accept", "headers": encoded(exchange.headers)})
        reader = asyncio.ensure_future(transport.read(receive))
        writer = asyncio.ensure_future(transport.write(send))
        cut = asyncio.ensure_future(transport.cut.wait())
        tasks = [reader, writer, cut]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if writer.done() and not reader.done():
            # The goodbye is said; the peer's answer ends the reader.
            await asyncio.wait((reader,), timeout=engine.options.limits.close_seconds)
    except Exception as error:  # servers differ in what they raise when the peer is gone
        transport._ended(DisconnectReason.TRANSPORT_ERROR, str(error))
    finally:
        for task in tasks:
            task.cancel()
        transport._ended(DisconnectReason.TRANSPORT_CLOSE, "")


async def _deny(exchange: _WebSocketExchange, scope: Scope, send: Send) -> None:
    refusal = exchange.refusal
    if refusal is None or "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    status, headers, body = refusal
    pairs = encoded([pair for pair in headers if pair[0].lower() != "connection"])
    pairs.append((b"content-length", b"%d" % len(body)))
    start = "websocket.http.response.start"
    await send({"type": start, "status": status, "headers": pairs})
    await send({"type": "websocket.http.response.body", "body": body})
