"""How the engine says no: the reference's codes and messages, and who is told of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from nuncio.engine.counters import Counters
from nuncio.engine.request import Exchange, Request
from nuncio.events import Emitter

UNKNOWN_TRANSPORT = 0
UNKNOWN_SID = 1
BAD_HANDSHAKE_METHOD = 2
BAD_REQUEST = 3
FORBIDDEN = 4
UNSUPPORTED_PROTOCOL_VERSION = 5

MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)


# Not the reference's: who is refused because of `nuncio.Limits`. The code is the status.
TOO_MANY_REQUESTS = 429
UNAVAILABLE = 503

TOO_MANY = {TOO_MANY_REQUESTS: "Too many requests", UNAVAILABLE: "Too many connections"}


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """What listeners of `connection_error` receive.

    Attributes:
        request: the refused request.
        code: the reference's error code, 0 to 5; or, beyond one of `nuncio.Limits`, the status.
        message: what the code means; what a refused client reads may be in the context.
        context: details, under the reference's keys in snake_case.
    """

    request: Request
    code: int
    message: str
    context: dict[str, object]


class Refusals:
    """Answers requests that are not let in.

    Args:
        events: the engine's, for `connection_error`.
        websockets: whether the engine serves any; where it does not, the reference sees an
            ordinary request in a handshake.
        counters: where refusals are counted.
    """

    def __init__(self, events: Emitter, websockets: bool, counters: Counters) -> None:
        self._events = events
        self._websockets = websockets
        self._counters = counters

    def refuse(
        self,
        exchange: Exchange,
        upgrade: bool,
        code: int,
        context: dict[str, object],
        message: str | None = None,
    ) -> None:
        """Refuse a request.

        Args:
            exchange: the request, which is answered.
            upgrade: whether it is a WebSocket handshake.
            code: the reference's error code.
            context: details for `connection_error`.
            message: what the client reads in place of the code's own.
        """
        text = MESSAGES[code] if message is None else message
        self._counters.refused_requests += 1
        self._tell(exchange, code, MESSAGES[code], context)
        if upgrade and self._websockets:
            headers = [("Connection", "close"), ("Content-type", "text/html")]
            exchange.respond(400, headers, text.encode())
            return
        body = msgspec.json.encode({"code": code, "message": text})
        status = 403 if code == FORBIDDEN else 400
        exchange.respond(status, [("Content-Type", "application/json")], body)

    def _tell(
        self, exchange: Exchange, code: int, message: str, context: dict[str, object]
    ) -> None:
        if self._events.listeners("connection_error"):
            failure = ConnectionFailure(exchange.request, code, message, context)
            self._events.emit("connection_error", failure)

    def too_many(
        self,
        exchange: Exchange,
        upgrade: bool,
        status: int,
        retry_after: float,
        context: dict[str, object],
    ) -> None:
        """Refuse a request beyond one of `nuncio.Limits`.

        Args:
            exchange: the request, which is answered.
            upgrade: whether it is a WebSocket handshake.
            status: `TOO_MANY_REQUESTS` for one address, `UNAVAILABLE` for everybody.
            retry_after: in how many seconds it may be tried again.
            context: details for `connection_error`.
        """
        text = TOO_MANY[status]
        self._tell(exchange, status, text, context)
        headers = [("Retry-After", str(max(math.ceil(retry_after), 1))), ("Connection", "close")]
        if upgrade and self._websockets:
            exchange.respond(status, [*headers, ("Content-Type", "text/plain")], text.encode())
            return
        body = msgspec.json.encode({"code": status, "message": text})
        exchange.respond(status, [*headers, ("Content-Type", "application/json")], body)

    def bad_request(self, exchange: Exchange, upgrade: bool, name: str, **details: object) -> None:
        """Refuse a request with code 3, for the reason `name`."""
        self.refuse(exchange, upgrade, BAD_REQUEST, {"name": name, **details})
