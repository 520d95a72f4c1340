"""When an event loop has nothing to do, and what may still make it do something.

asyncio's loops ask a selector to wait when no callback is ready. `LoopPulse` stands before that
selector, so it knows this moment exactly, and a `Clock` can decide there what time it is. Other
loops, uvloop's, are only watched from outside: many turns in which nothing happened count as rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Final

from nuncio.testing.here import Here, here

if TYPE_CHECKING:
    from nuncio.testing.clock import Clock

# How long threads, or whatever handlers wait for outside of the loop, may take to make the loop go
# on: real seconds. Who takes longer counts as waiting for something that the test has yet to do.
PATIENCE: Final = 1.0

# Turns in which nothing happens, until a loop that cannot be asked counts as resting.
QUIET_TURNS: Final = 50
LOOK_SECONDS: Final = 0.002


class Pulse:
    """What `settle` and clocks need of a loop."""

    clock: Clock | None = None

    async def idle(self) -> None:
        """Wait until no callback is ready, and no thread works for the loop."""
        raise NotImplementedError

    async def stir(self, seconds: float) -> None:
        """Wait until anything makes the loop go on, for so many real seconds at most."""
        raise NotImplementedError


class LoopPulse(Pulse):
    """That of asyncio's own loops.

    Args:
        loop: the running loop. It is changed for as long as it lives: its selector asks here, and
            what it gives to threads is counted.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._selector = loop._selector
        self._run_in_executor = loop.run_in_executor
        self._idle: list[asyncio.Future[None]] = []
        self._stir: asyncio.Future[None] | None = None
        self._stir_until = 0.0
        self._working: set[asyncio.Future[Any]] = set()
        self._working_since = math.inf
        loop._selector = _Selector(self, self._selector)
        loop.run_in_executor = self._in_thread

    # Threads.

    def _in_thread(self, executor: Any, function: Any, *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._run_in_executor(executor, function, *args)
        self._working.add(future)
        future.add_done_callback(self._working.discard)
        return future

    # What tests await.

    async def idle(self) -> None:
        """See `Pulse.idle`."""
        future = self._loop.create_future()
        self._idle.append(future)
        await future

    async def stir(self, seconds: float) -> None:
        """See `Pulse.stir`."""
        self._stir = self._loop.create_future()
        self._stir_until = time.monotonic() + seconds
        try:
            await self._stir
        finally:
            self._stir = None

    # What the loop calls.

    def select(self, timeout: float | None) -> list[Any]:
        """Wait for the operating system, as `selectors.BaseSelector.select`."""
        found = self._ready(0.0) if timeout is None or timeout > 0 else self._ready(timeout)
        if found or (timeout is not None and timeout <= 0):
            return found
        if self._working:
            return self._wait_for_threads(timeout)
        self._working_since = math.inf
        if self._idle:
            resting, self._idle = self._idle, []
            _tell(resting)
            return []
        if self._stir is not None:
            return self._wait_to_stir(timeout)
        if self.clock is not None:
            return self.clock.rest(self._ready, timeout)
        return self._ready(timeout)

    def _ready(self, timeout: float | None) -> list[Any]:
        found: list[Any] = self._selector.select(timeout)
        return found

    def _wait_for_threads(self, timeout: float | None) -> list[Any]:
        now = time.monotonic()
        self._working_since = min(self._working_since, now)
        left = self._working_since + PATIENCE - now
        if left <= 0.0:
            # Threads like these wait for something themselves.
            self._working.clear()
            return []
        found = self._ready(self._shorter(timeout, left))
        if found:
            self._working_since = math.inf
        return found

    def _wait_to_stir(self, timeout: float | None) -> list[Any]:
        assert self._stir is not None
        left = max(0.0, self._stir_until - time.monotonic())
        found = self._ready(self._shorter(timeout, left))
        _tell([self._stir])
        return found

    def _shorter(self, timeout: float | None, left: float) -> float:
        """The shorter time; a clock's own does not pass by waiting."""
        return left if timeout is None or self.clock is not None else min(timeout, left)


class _Selector:
    """Stands in for a loop's selector."""

    def __init__(self, pulse: LoopPulse, selector: Any) -> None:
        self._pulse = pulse
        self._selector = selector

    def select(self, timeout: float | None = None) -> list[Any]:
        """See `LoopPulse.select`."""
        return self._pulse.select(timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


def _tell(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class TurnPulse(Pulse):
    """That of loops which cannot be asked.

    Args:
        of: what is going on in the loop.
    """

    def __init__(self, of: Here) -> None:
        self._here = of

    async def idle(self) -> None:
        """See `Pulse.idle`: for all that can be seen from outside."""
        quiet, before = 0, -1
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            count = self._here.count
            quiet = quiet + 1 if count == before else 0
            before = count

    async def stir(self, seconds: float) -> None:
        """See `Pulse.stir`."""
        await asyncio.sleep(min(seconds, LOOK_SECONDS))


def pulse() -> Pulse:
    """That of the running loop."""
    at = here()
    if at.pulse is None:
        loop: Any = asyncio.get_running_loop()
        known = isinstance(loop, asyncio.BaseEventLoop) and hasattr(loop, "_selector")
        at.pulse = LoopPulse(loop) if known else TurnPulse(at)
    return at.pulse
