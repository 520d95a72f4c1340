"""How requests of `stream`, `sse` and `forever` are taken."""

from __future__ import annotations

import re
import secrets
from typing import Final

from nuncio.engine.downstream import DownSettings, DownTransport
from nuncio.engine.engine import Engine
from nuncio.engine.forever import ForeverFraming
from nuncio.engine.framing import SSE, STREAM, Framing
from nuncio.engine.headers import Decorator
from nuncio.engine.request import Exchange, Request
from nuncio.engine.transport import Transport
from nuncio.engine.ways import Way, revision_of

# No number that counts anything is longer.
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_KEY: Final = re.compile(r"[0-9]{1,9}")

WRONG: Final = -1


def number_of(request: Request, name: str, absent: int = 0) -> int:
    """A parameter that is a number; `WRONG` when it is none."""
    value = request.query.get(name)
    if value is None:
        return absent
    return int(value) if _NUMBER.fullmatch(value) else WRONG


class DownWay(Way):
    """What the three have in common."""

    better = ("websocket", "webtransport")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        options = engine.options
        limits = options.limits
        self._settings = DownSettings(
            options.max_http_buffer_size,
            limits.payload_packets,
            limits.unconfirmed_bytes,
            limits.response_bytes,
            limits.response_seconds,
            limits.heartbeat_seconds,
            options.ping_timeout,
        )

    def open(self, exchange: Exchange, id: str) -> Transport | None:
        """See `Way.open`."""
        transport = self._begin(exchange, False)
        if transport is not None and self.engine.cookie is not None:
            exchange.set_header("Set-Cookie", self.engine.cookie.header(id))
        return transport

    def attempt(self, exchange: Exchange) -> Transport | None:
        """See `Way.attempt`."""
        if exchange.request.method != "GET":
            self.engine.refuse(exchange, "TRANSPORT_HANDSHAKE_ERROR")
            return None
        return self._begin(exchange, True)

    def _begin(self, exchange: Exchange, trying: bool) -> DownTransport | None:
        engine = self.engine
        seconds = self._seconds(exchange)
        if seconds is None:
            return None
        if revision_of(exchange.request) != 4:
            engine.refuse(exchange, "TRANSPORT_HANDSHAKE_ERROR")
            return None
        framing = self._framing(exchange)
        if framing is None:
            return None
        config = engine.config()
        events = engine.header_events
        decorate = Decorator(events, False) if events.watched else None
        transport = DownTransport(
            self.name, config.flusher, config.wheel, self._settings, decorate, trying
        )
        transport.open(exchange, framing, seconds)
        return transport

    def follow(self, exchange: Exchange, transport: Transport) -> bool:
        """See `Way.follow`."""
        if not isinstance(transport, DownTransport):
            return False
        request = exchange.request
        if request.method == "GET":
            self._get(exchange, transport)
        elif request.method == "POST":
            ack = number_of(request, "ack")
            seq = number_of(request, "seq")
            wrong = ack == WRONG or seq == WRONG or (seq == 0 and "seq" in request.query)
            if wrong or not transport.upload(exchange, ack, seq):
                self.engine.refuse(exchange, "INVALID_NUMBER")
        else:
            self.engine.refuse(exchange, "INVALID_METHOD")
        return True

    def _get(self, exchange: Exchange, transport: DownTransport) -> None:
        seconds = self._seconds(exchange)
        if seconds is None:
            return
        ack = number_of(exchange.request, "ack")
        framing = self._framing(exchange)
        if framing is None:
            return
        if ack == WRONG or not transport.get(exchange, framing, ack, seconds):
            self.engine.refuse(exchange, "INVALID_NUMBER")

    def _seconds(self, exchange: Exchange) -> float | None:
        """How long the response may stay open; None when what is asked for is no time."""
        seconds = self._settings.response_seconds
        asked = number_of(exchange.request, "max", -2)
        if asked in (WRONG, 0):
            self.engine.refuse(exchange, "INVALID_NUMBER")
            return None
        return seconds if asked < 0 else min(seconds, asked)

    def _framing(self, exchange: Exchange) -> Framing | None:
        """How the response is written; None when the request was answered instead."""
        raise NotImplementedError


class StreamWay(DownWay):
    """A response that is a stream of packets."""

    name = "stream"

    def _framing(self, exchange: Exchange) -> Framing | None:
        return STREAM


class SSEWay(DownWay):
    """A response that is an event stream."""

    name = "sse"

    def _framing(self, exchange: Exchange) -> Framing | None:
        return SSE


class ForeverWay(DownWay):
    """A response that is a document whose scripts call the page around it."""

    name = "forever"

    def _framing(self, exchange: Exchange) -> Framing | None:
        request = exchange.request
        site = request.header(b"sec-fetch-site")
        if site is not None and site != "same-origin":
            # Documents are loaded without `Origin`, so that other checks have nothing to go by.
            self.engine.forbid(exchange, "FOREIGN_FRAME")
            return None
        key = request.query.get("k", "")
        if _KEY.fullmatch(key) is None:
            self.engine.refuse(exchange, "INVALID_NUMBER")
            return None
        nonce = secrets.token_urlsafe(16)
        return ForeverFraming(int(key), nonce, self._settings.heartbeat_seconds)
