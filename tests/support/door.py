"""An engine without a host, and requests that knock at it."""

from __future__ import annotations

import json
from typing import Any

from nuncio.engine import Engine, Session
from nuncio.engine.refusal import ConnectionFailure
from nuncio.engine.request import Request
from nuncio.engine.transport import Transport
from nuncio.protocol.dialects import Dialect
from tests.support.fakes import FakeExchange, FakeTransport, a_request

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"
HERE = (b"host", b"here.example")


class Handshake(FakeExchange):
    """A WebSocket handshake; `transport` is what came of it."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.transport: FakeTransport | None = None

    def accept(self, dialect: Dialect | None = None) -> Transport:
        """See `Exchange.accept`."""
        self.done = True
        self.sent = list(self.headers)
        self.transport = FakeTransport()
        return self.transport


class Door:
    """An engine, and requests that knock at it."""

    def __init__(self, **options: Any) -> None:
        self.engine = Engine(**options)
        self.sessions: list[Session] = []
        self.failures: list[ConnectionFailure] = []
        self.engine.on("connection", self.sessions.append)
        self.engine.on("connection_error", self.failures.append)

    async def knock(
        self,
        query: str = POLLING,
        method: str = "GET",
        *,
        upgrade: bool = False,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Any:
        """Hand in a request and return its exchange."""
        request = a_request(query, method, [HERE, *(headers or [])])
        exchange = Handshake(request) if upgrade else FakeExchange(request)
        waiting = self.engine.handle(exchange, upgrade)
        if waiting is not None:
            await waiting
        return exchange

    async def open(self) -> str:
        """Open a session over polling and return its id."""
        return str(packet(await self.knock())["sid"])


def packet(exchange: FakeExchange) -> dict[str, Any]:
    """The content of an open packet."""
    assert exchange.status == 200, exchange.answer
    body = exchange.body.partition(b"\x1e")[0]
    assert body.startswith(b"0")
    opened: dict[str, Any] = json.loads(body[1:])
    return opened


def header(exchange: FakeExchange, name: str) -> str | None:
    values = [value for key, value in exchange.sent if key.lower() == name]
    assert len(values) < 2
    return values[0] if values else None
