"""One timer wheel for every deadline: heartbeats, acknowledgements, hand-shakes. [compiled]

A loop timer for each connection costs memory and a wake-up each. Here deadlines fall into buckets
of one tick, and the loop holds a single timer, for the first bucket that is not empty.

A deadline that moves later is not moved: the timer stays in its bucket and is put into the right
one when that bucket is due. So a heartbeat costs nothing but an assignment.
"""

from __future__ import annotations

import heapq
from asyncio import AbstractEventLoop
from typing import Any, Final

from mypy_extensions import mypyc_attr

TICK: Final = 0.02
NEVER: Final = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Timer:
    """Something with a deadline. Subclasses say in `expire` what happens then."""

    __slots__ = ("deadline", "tick")

    def __init__(self) -> None:
        self.deadline = 0.0
        self.tick = NEVER

    def expire(self, now: float) -> None:
        """The deadline has passed. The timer is out of the wheel and may be armed again."""
        raise NotImplementedError


class TimerWheel:
    """Deadlines on one event loop.

    Args:
        loop: the loop whose clock and timer are used.
    """

    __slots__ = ("_buckets", "_handle", "_loop", "_next", "_ticks")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, set[Timer]] = {}
        self._ticks: list[int] = []
        self._handle: Any = None
        self._next = NEVER

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def arm(self, timer: Timer, delay: float) -> None:
        """Set the timer's deadline `delay` seconds from now, in place of any earlier one."""
        deadline = self._loop.time() + delay
        timer.deadline = deadline
        tick = int(deadline / TICK) + 1
        if timer.tick != NEVER:
            if timer.tick <= tick:
                return
            self._remove(timer)
        self._insert(timer, tick)

    def cancel(self, timer: Timer) -> None:
        """Forget the timer; it is not kept alive any longer."""
        if timer.tick != NEVER:
            self._remove(timer)

    def close(self) -> None:
        """Forget every timer."""
        for bucket in self._buckets.values():
            for timer in bucket:
                timer.tick = NEVER
        self._buckets.clear()
        self._ticks.clear()
        self._next = NEVER
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _insert(self, timer: Timer, tick: int) -> None:
        timer.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {timer}
            heapq.heappush(self._ticks, tick)
            if self._next == NEVER or tick < self._next:
                self._schedule(tick)
        else:
            bucket.add(timer)

    def _remove(self, timer: Timer) -> None:
        # An emptied bucket stays until its tick: it is in the heap, and may be used again.
        bucket = self._buckets.get(timer.tick)
        if bucket is not None:
            bucket.discard(timer)
        timer.tick = NEVER

    def _schedule(self, tick: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next = tick
        self._handle = self._loop.call_at(tick * TICK, self._run)

    def _run(self) -> None:
        self._handle = None
        self._next = NEVER
        now = self._loop.time()
        # The loop may wake a hair early; what is due within half a tick is due.
        current = int((now + TICK / 2) / TICK)
        while self._ticks and self._ticks[0] <= current:
            bucket = self._buckets.pop(heapq.heappop(self._ticks), None)
            if bucket is not None:
                self._expire(bucket, now)
        # What expired may have armed others, and scheduled for a later tick than the first.
        if self._ticks and self._ticks[0] != self._next:
            self._schedule(self._ticks[0])

    def _expire(self, bucket: set[Timer], now: float) -> None:
        for timer in list(bucket):
            # One that ran before it may have cancelled it.
            if timer.tick == NEVER or timer not in bucket:
                continue
            timer.tick = NEVER
            bucket.discard(timer)
            if timer.deadline > now + TICK / 2:
                self._insert(timer, int(timer.deadline / TICK) + 1)
                continue
            try:
                timer.expire(now)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a Nuncio timer failed", "exception": error}
                )
