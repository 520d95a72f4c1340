"""HTTP requests on the engine's path, as any ASGI server hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def request_of(scope: Scope, method: str, secure: tuple[str, ...]) -> Request:
    """The request that a scope tells of.

    Args:
        scope: ASGI's.
        method: the request's.
        secure: the schemes that mean TLS.
    """
    client = scope.get("client")
    return Request(
        method,
        scope["path"],
        scope["query_string"].decode("latin-1"),
        # Servers differ: pairs may be lists, and a port may be text.
        [(name, value) for name, value in scope["headers"]],
        None if client is None else (client[0], int(client[1] or 0)),
        scope.get("scheme", "http") in secure,
    )


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


class HTTPExchange(Exchange):
    """A request under ASGI: the response is kept until the application's task sends it.

    Args:
        request: the request.
        high_water: how many bytes of a body in pieces may wait before the peer is behind.

    Attributes:
        status: of the response.
        response: its headers.
        body: its body, if that is there at once.
        pieces: what is to be sent of a body in pieces.
        waiting: how many bytes of it the server has not taken.
        whole: whether nothing will be added to it.
        answered: set once there is a response, and whenever there is more of it.
        cut: set when the connection is to be cut.
    """

    def __init__(self, request: Request, high_water: int) -> None:
        super().__init__(request)
        self._high_water = high_water
        self.status = 0
        self.response: list[tuple[str, str]] = []
        self.body = b""
        self.pieces: list[bytes] = []
        self.waiting = 0
        self.whole = False
        self.cut: asyncio.Event | None = None
        self.answered: asyncio.Event | None = None

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.response = headers
        self.body = body
        self._tell()

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        self.response = headers
        self.cut = asyncio.Event()
        self._tell()

    def put(self, data: bytes) -> None:
        self.pieces.append(data)
        self.waiting += len(data)
        self._tell()

    def complete(self) -> None:
        self.whole = True
        self._tell()

    def sever(self) -> None:
        self.pieces.clear()
        if self.cut is not None:
            self.cut.set()

    @property
    def behind(self) -> bool:
        return self.waiting > self._high_water

    def sent(self, size: int) -> None:
        """The server has taken so much."""
        was_behind = self.behind
        self.waiting -= size
        receiver = self.receiver
        if was_behind and not self.behind and self.streaming and receiver is not None:
            receiver.caught_up(self)

    def lost(self) -> None:
        """The peer is gone, or the server has cancelled the request."""
        receiver = self.receiver
        if receiver is not None and (self.streaming or not self.done):
            self.streaming = False
            self.receiver = None
            receiver.aborted(self)

    def _tell(self) -> None:
        if self.answered is not None:
            self.answered.set()


async def serve_http(engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    """Take a request on the engine's path."""
    request = request_of(scope, scope["method"], ("https",))
    exchange = HTTPExchange(request, engine.options.limits.high_water_bytes)
    waiting = engine.handle(exchange, False)
    if waiting is not None:
        await waiting
    try:
        complete = scope["method"] != "POST"
        if not complete and not exchange.done:
            complete = await _read_body(exchange, receive)
        if complete and not exchange.done:
            await _wait_for_answer(exchange, receive)
        if exchange.cut is not None:
            await _send_pieces(exchange, exchange.cut, scope, receive, send)
            return
    finally:
        # The peer went away, or the server cancelled the request.
        exchange.lost()
    if exchange.done:
        headers = _head(exchange, scope)
        if exchange.status != 304:
            # There it would be the length of what is not sent (RFC 9110, section 8.6).
            headers.append((b"content-length", b"%d" % len(exchange.body)))
        await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else exchange.body
        await send({"type": "http.response.body", "body": body})


def _head(exchange: HTTPExchange, scope: Scope) -> list[tuple[bytes, bytes]]:
    response = exchange.response
    if not scope.get("http_version", "1.1").startswith("1"):
        # Later versions forbid the headers of a connection.
        response = [pair for pair in response if pair[0].lower() != "connection"]
    return encoded(response)


async def _send_pieces(
    exchange: HTTPExchange, cut: asyncio.Event, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send a body that comes in pieces, until it is complete, cut, or the peer has gone."""
    tasks = [
        asyncio.ensure_future(_write_pieces(exchange, scope, send)),
        asyncio.ensure_future(_disconnected(receive)),
        asyncio.ensure_future(cut.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # Servers differ in what they raise when the peer is gone; here that is no failure.
        await asyncio.gather(*tasks, return_exceptions=True)


async def _write_pieces(exchange: HTTPExchange, scope: Scope, send: Send) -> None:
    more = asyncio.Event()
    exchange.answered = more
    headers = _head(exchange, scope)
    await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
    silent = scope["method"] == "HEAD"
    while True:
        more.clear()
        pieces = exchange.pieces
        if pieces:
            exchange.pieces = []
            body = b"".join(pieces)
            if not silent:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            exchange.sent(len(body))
        elif exchange.whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        else:
            await more.wait()


async def _read_body(exchange: HTTPExchange, receive: Receive) -> bool:
    """Hand on the body; whether all of it came."""
    while not exchange.done:
        receiver = exchange.receiver
        assert receiver is not None
        ready = asyncio.Event()
        if not receiver.when_ready(ready.set):
            await ready.wait()
            continue
        message = await receive()
        if exchange.done or message["type"] == "http.disconnect":
            return False
        body = message.get("body", b"")
        if body:
            receiver.body_chunk(exchange, body)
        if not message.get("more_body", False):
            if not exchange.done:
                receiver.body_end(exchange)
            return True
    return False


async def _wait_for_answer(exchange: HTTPExchange, receive: Receive) -> None:
    """Wait until a poll is answered, or its client goes away."""
    answered = asyncio.Event()
    exchange.answered = answered
    watcher = asyncio.ensure_future(_disconnected(receive))
    watcher.add_done_callback(lambda _: answered.set())
    try:
        await answered.wait()
    finally:
        watcher.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
