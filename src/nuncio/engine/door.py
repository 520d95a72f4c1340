"""How many may come in: sessions all together, and sessions and handshakes of one address.

By address nothing is counted unless a limit for it is set.
"""

from __future__ import annotations

from collections.abc import Callable, Sized

from nuncio.engine.counters import Counters
from nuncio.engine.rates import Buckets, address_of
from nuncio.engine.refusal import TOO_MANY_REQUESTS, UNAVAILABLE, Refusals
from nuncio.engine.request import Exchange, Request
from nuncio.engine.wheel import TimerWheel
from nuncio.limits import Limits

# When to try again, where nobody knows.
RETRY_SECONDS = 5.0


class Door:
    """Counts who comes in and goes.

    Args:
        limits: how many may be there.
        sessions: those that are there.
        refusals: answers who is not let in.
        counters: where that is counted.
        wheel: the running loop's timers.
    """

    def __init__(
        self,
        limits: Limits,
        sessions: Sized,
        refusals: Refusals,
        counters: Counters,
        wheel: Callable[[], TimerWheel],
    ) -> None:
        self._limits = limits
        self._sessions = sessions
        self._refusals = refusals
        self._counters = counters
        self._wheel = wheel
        self._of_address: dict[str, int] | None = None
        if limits.connections_per_address is not None:
            self._of_address = {}
        self._handshakes: Buckets | None = None

    def has_room(
        self, exchange: Exchange, upgrade: bool, may_open: Callable[[], bool] | None
    ) -> bool:
        """Whether another session may be opened now; otherwise the request is answered.

        Args:
            exchange: the request for it.
            upgrade: whether it is a WebSocket handshake.
            may_open: whether the layer above takes it.
        """
        context: dict[str, object]
        limits = self._limits
        if len(self._sessions) >= limits.connections:
            context = {"name": "TOO_MANY_CONNECTIONS", "limit": limits.connections}
        elif may_open is not None and not may_open():
            context = {"name": "TOO_MANY_HANDSHAKES", "limit": limits.handshakes}
        else:
            return self._has_room_for(exchange, upgrade)
        self._counters.refused_connections += 1
        self._refusals.too_many(exchange, upgrade, UNAVAILABLE, RETRY_SECONDS, context)
        return False

    def _has_room_for(self, exchange: Exchange, upgrade: bool) -> bool:
        counts = self._of_address
        most = self._limits.connections_per_address
        if counts is None or most is None:
            return True
        address = address_of(exchange.request.client)
        if not address or counts.get(address, 0) < most:
            return True
        self._counters.refused_connections += 1
        context: dict[str, object] = {
            "name": "TOO_MANY_CONNECTIONS_OF_ADDRESS",
            "address": address,
            "limit": most,
        }
        self._refusals.too_many(exchange, upgrade, TOO_MANY_REQUESTS, RETRY_SECONDS, context)
        return False

    def is_full(self, request: Request, may_open: Callable[[], bool] | None) -> bool:
        """Whether a session that was let in a while ago cannot be opened now after all."""
        limits = self._limits
        full = len(self._sessions) >= limits.connections
        if not full and may_open is not None:
            full = not may_open()
        counts = self._of_address
        most = limits.connections_per_address
        address = address_of(request.client)
        if not full and counts is not None and most is not None and address:
            full = counts.get(address, 0) >= most
        if full:
            self._counters.refused_connections += 1
        return full

    def knocked(self, exchange: Exchange, upgrade: bool) -> bool:
        """Count a handshake; False when its address has made too many, and it is answered."""
        rate = self._limits.handshakes_per_address
        if rate is None:
            return True
        address = address_of(exchange.request.client)
        if not address:
            return True
        wheel = self._wheel()
        buckets = self._handshakes
        if buckets is None or buckets.wheel is not wheel:
            buckets = self._handshakes = Buckets(rate, self._limits.addresses, wheel)
        now = wheel.now()
        wait = buckets.wait(address, now)
        if wait <= 0:
            buckets.take(address, now)
            return True
        self._counters.refused_handshakes += 1
        context: dict[str, object] = {
            "name": "TOO_MANY_HANDSHAKES_OF_ADDRESS",
            "address": address,
            "retry_after": wait,
        }
        self._refusals.too_many(exchange, upgrade, TOO_MANY_REQUESTS, wait, context)
        return False

    def opened(self, request: Request) -> None:
        """A session begins."""
        counts = self._of_address
        if counts is not None:
            address = address_of(request.client)
            counts[address] = counts.get(address, 0) + 1

    def closed(self, request: Request) -> None:
        """It has ended."""
        counts = self._of_address
        if counts is not None:
            address = address_of(request.client)
            left = counts.get(address, 0) - 1
            if left > 0:
                counts[address] = left
            else:
                counts.pop(address, None)
