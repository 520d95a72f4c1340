"""How many events one client sends, where `nuncio.Limits` has a rate for them. [compiled]

A connection has a meter only when there is such a rate. An event that comes in several parts is
counted when it is complete, so that no pause makes its attachments late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from nuncio.engine.counters import Counters
from nuncio.engine.rates import Bucket, Buckets
from nuncio.engine.wheel import Timer, TimerWheel

if TYPE_CHECKING:
    from nuncio.server.connection import Connection

# How often the application is told of one client, at most.
TELL_SECONDS: Final = 1.0

PAUSE: Final = "pause"
DISCONNECT: Final = "disconnect"


@final
class Meter(Timer):
    """The buckets of one connection.

    Args:
        connection: whose events are counted.
        limits: the server's `nuncio.Limits`.
        addresses: the buckets that all clients of an address share, or None.
        address: this client's; empty when it has none.
        counters: the server's.

    Attributes:
        size: the bytes of the packet that is arriving.
    """

    __slots__ = (
        "_address",
        "_addresses",
        "_bytes",
        "_connection",
        "_counters",
        "_disconnects",
        "_events",
        "_paused",
        "_pauses",
        "_tell_at",
        "_wheel",
        "size",
    )

    def __init__(
        self,
        connection: Connection,
        limits: Any,
        addresses: Buckets | None,
        address: str,
        counters: Counters,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._wheel: TimerWheel = connection.wheel
        self._events: Bucket | None = None
        if limits.events_per_connection is not None:
            self._events = Bucket(limits.events_per_connection)
        self._bytes: Bucket | None = None
        if limits.event_bytes_per_connection is not None:
            self._bytes = Bucket(limits.event_bytes_per_connection)
        self._addresses = addresses if address else None
        self._address = address
        self._counters = counters
        self._pauses: bool = limits.on_event_rate == PAUSE
        self._disconnects: bool = limits.on_event_rate == DISCONNECT
        self._paused = False
        self._tell_at = 0.0
        self.size = 0

    def admit(self) -> float:
        """Count an event that is complete.

        Returns:
            0 when it may be handled; otherwise the seconds until it might have been.
        """
        now = self._wheel.now()
        if self._pauses:
            self._take(now)
            self._pause(self._owed(now))
            return 0.0
        wait = self._wait(now)
        if wait <= 0.0:
            self._take(now)
            return 0.0
        self._counters.rate_limited_events += 1
        if self._disconnects:
            self._counters.rate_limited_connections += 1
            self._connection.session.rate_limit(f"too many events, {wait:.3g} seconds too early")
        return wait

    def tells(self) -> bool:
        """Whether the application is to be told of what was refused now."""
        now = self._wheel.now()
        if now < self._tell_at:
            return False
        self._tell_at = now + TELL_SECONDS
        return True

    def _take(self, now: float) -> None:
        if self._events is not None:
            self._events.take(now)
        if self._bytes is not None:
            self._bytes.take(now, self.size)
        if self._addresses is not None:
            self._addresses.take(self._address, now)

    def _wait(self, now: float) -> float:
        wait = 0.0
        if self._events is not None:
            wait = self._events.wait(now)
        if self._bytes is not None:
            wait = max(wait, self._bytes.wait(now, self.size))
        if self._addresses is not None:
            wait = max(wait, self._addresses.wait(self._address, now))
        return wait

    def _owed(self, now: float) -> float:
        owed = 0.0
        if self._events is not None:
            owed = self._events.owed(now)
        if self._bytes is not None:
            owed = max(owed, self._bytes.owed(now))
        if self._addresses is not None:
            owed = max(owed, self._addresses.owed(self._address, now))
        return owed

    def _pause(self, seconds: float) -> None:
        if seconds <= 0.0:
            return
        self._wheel.arm(self, seconds)
        if not self._paused:
            self._paused = True
            self._counters.rate_pauses += 1
            self._connection.pause_reading()

    def expire(self, now: float) -> None:
        """The wheel: nothing is owed any longer."""
        self._paused = False
        self._connection.resume_reading()

    def stop(self) -> None:
        """The connection has ended."""
        self._wheel.cancel(self)
