"""The events by which applications change a response's headers: `initial_headers`, `headers`."""

from __future__ import annotations

import logging

from nuncio.engine.request import Exchange
from nuncio.events import Emitter

logger = logging.getLogger("nuncio.engine")


class HeaderEvents:
    """Lets listeners change the headers of the engine's responses.

    Args:
        events: the engine's.
    """

    def __init__(self, events: Emitter) -> None:
        self._events = events

    @property
    def watched(self) -> bool:
        """Whether anybody listens."""
        events = self._events
        return events.heard("headers") or events.heard("initial_headers")

    def emit(self, exchange: Exchange, *, initial: bool) -> None:
        """Tell the listeners of a response that is about to leave.

        They get a mapping from names to values, and the request. A value may also be a list: then
        the header is sent once for each, as `Set-Cookie` must be.

        Args:
            exchange: whose headers may be changed.
            initial: whether it is the first of its session.
        """
        if not self.watched:
            return
        before = exchange.headers.copy()
        headers: dict[str, str | list[str]] = dict(before)
        if initial:
            self._events.emit("initial_headers", headers, exchange.request)
        self._events.emit("headers", headers, exchange.request)
        exchange.headers.clear()
        for name, value in headers.items():
            # One that came several times, such as Set-Cookie, stays so unless it was changed.
            several = [old for known, old in before if known == name]
            if not several or several[-1] != value:
                several = value if isinstance(value, list) else [value]
            try:
                for one in several:
                    exchange.set_header(name, one)
            except (TypeError, ValueError):
                logger.exception("a listener of headers set a wrong one, which is left out")


class Decorator:
    """What is done with each response of one long-polling session.

    Args:
        headers: tells listeners.
        legacy: whether the client is an old Internet Explorer.
    """

    def __init__(self, headers: HeaderEvents, legacy: bool) -> None:
        self._headers = headers
        self._legacy = legacy

    def __call__(self, exchange: Exchange) -> None:
        if self._legacy:
            exchange.headers.append(("X-XSS-Protection", "0"))
        self._headers.emit(exchange, initial="sid" not in exchange.request.query)
