"""A loop whose clock stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from nuncio import Server
from nuncio.engine.wheel import TimerWheel


class FakeHandle:
    """A callback that waits for its time, or for its turn."""

    def __init__(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        """See `asyncio.Handle.cancel`."""
        self.cancelled = True


class FakeLoop(asyncio.BaseEventLoop):
    """As much of a loop as the engine's timers and transports use.

    Attributes:
        early: how many seconds before their time timers are called, as real loops may.
        failures: what was given to the exception handler.
    """

    def __init__(self, now: float = 1000.0) -> None:
        # Nothing of the real loop is set up, so there is nothing to be closed.
        self.now = now
        self.early = 0.0
        self.failures: list[dict[str, Any]] = []
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeHandle]] = []
        self._soon: list[FakeHandle] = []

    def is_closed(self) -> bool:
        """See `asyncio.loop.is_closed`."""
        return True

    def time(self) -> float:
        """The clock."""
        return self.now

    def call_at(  # type: ignore[override]  # as much of it as is needed
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """See `asyncio.loop.call_at`."""
        handle = FakeHandle(when, callback, args)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_soon(  # type: ignore[override]  # as much of it as is needed
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """See `asyncio.loop.call_soon`."""
        handle = FakeHandle(self.now, callback, args)
        self._soon.append(handle)
        return handle

    def call_exception_handler(self, context: Any) -> None:
        """See `asyncio.loop.call_exception_handler`."""
        self.failures.append(context)

    def create_future(self) -> asyncio.Future[Any]:
        """See `asyncio.loop.create_future`."""
        return asyncio.Future(loop=self)

    def get_debug(self) -> bool:
        """See `asyncio.loop.get_debug`."""
        return False

    def turn(self) -> None:
        """One turn: what was to be called soon."""
        soon, self._soon = self._soon, []
        for handle in soon:
            if not handle.cancelled:
                handle.callback(*handle.args)

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that is due in it."""
        end = self.now + seconds
        self.turn()
        while self._timers and self._timers[0][0] - self.early <= end:
            when, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled:
                self.now = max(self.now, when - self.early)
                handle.callback(*handle.args)
                self.turn()
        self.now = end
        self.turn()

    def stall(self, seconds: float) -> None:
        """Let time pass while nothing can be called, as under a handler that blocks."""
        self.now += seconds

    @property
    def scheduled(self) -> list[float]:
        """When timers are due, those cancelled left out."""
        return sorted(when for when, _, handle in self._timers if not handle.cancelled)


def stopped(io: Server) -> FakeLoop:
    """Have a server's deadlines follow a clock that the test moves; before any client connects.

    There are no heartbeats, which clients in tests do not answer.
    """
    loop = FakeLoop()
    config = io.engine.config()
    config.wheel = TimerWheel(loop)
    config.ping_interval = 1e9
    return loop
