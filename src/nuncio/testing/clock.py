"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final

from nuncio.engine.wheel import TICK
from nuncio.options import seconds as checked_seconds
from nuncio.testing.pulse import LoopPulse, pulse

logger = logging.getLogger("nuncio.testing")

# Timers of Nuncio's fire up to one tick late, and what is due at a time is to happen by then.
GRAIN: Final = TICK + 1e-6

# Real seconds of a loop that has nothing to do, until it is said that its time stands still.
STALL_SECONDS: Final = 10.0


class Clock:
    """Virtual time for the running event loop.

        async with nuncio.testing.Clock() as clock:
            ada = await nuncio.testing.connect(io)
            ada.network.hold()
            await clock.advance(45)
            await ada.expect("disconnect", "ping timeout")

    Everything that is timed by the loop follows it: heartbeats, time-outs, reconnection, recovery,
    `asyncio.sleep` and `asyncio.timeout`. `time.time` and other clocks go on as ever. What threads
    do for the loop is waited for, in real time. Who waits for a network has to say so: see below.

    Args:
        autojump: whether time jumps to the next timer whenever nothing else is to be done, so that
            it need not be told to. A number is for how many real seconds nothing may happen before
            it does, or before `advance` takes its next step.

    Raises:
        OptionError: for another value.
    """

    def __init__(self, *, autojump: bool | float = False) -> None:
        self._loop: Any = None
        self._pulse: LoopPulse | None = None
        self._real: Callable[[], float] = float
        self._time = self._start = 0.0
        self._target: float | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._warned = False
        self.autojump = autojump

    def __repr__(self) -> str:
        return f"<Clock at {self.now:g} s>"

    @property
    def autojump(self) -> bool | float:
        """See the argument; may be set at any time."""
        return self._autojump

    @autojump.setter
    def autojump(self, value: bool | float) -> None:
        if not isinstance(value, bool):
            checked_seconds("autojump", value, zero=True)
        self._autojump = value

    @property
    def jumps(self) -> bool:
        """Whether time passes by itself."""
        return self._autojump is not False

    @property
    def now(self) -> float:
        """Seconds that have passed since it was entered."""
        return self._time - self._start

    async def __aenter__(self) -> Clock:
        beat = pulse()
        if not isinstance(beat, LoopPulse):
            raise RuntimeError(
                f"the time of {asyncio.get_running_loop()!r} cannot be changed: a Clock needs one "
                "of asyncio's own loops, such as asyncio.SelectorEventLoop"
            )
        if beat.clock is not None:
            raise RuntimeError("another Clock is in force in this event loop")
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.time
        self._time = self._start = self._real()
        self._loop.time = self._read
        self._pulse = beat
        beat.clock = self
        return self

    async def __aexit__(self, *_: object) -> None:
        real, shift = self._real, self._time - self._real()
        # Time does not go back: what is due would be late by all that has passed.
        self._loop.time = lambda: real() + shift
        assert self._pulse is not None
        self._pulse.clock = None
        self._pulse = None

    def _read(self) -> float:
        return self._time

    async def advance(self, seconds: float) -> None:
        """Let time pass, with everything that is due in it, and all that follows.

        Timers of Nuncio's have a grain of 20 ms: what is due at the very end has happened, and the
        time may be that much later than was asked for.

        Args:
            seconds: how much; 0 to let happen what is due now.

        Raises:
            OptionError: for what is no such number.
            RuntimeError: where it is not in force, or is advanced already.
        """
        length = checked_seconds("seconds", seconds, zero=True)
        if self._pulse is None:
            raise RuntimeError("the clock is not in force: async with clock: …")
        if self._target is not None:
            raise RuntimeError("the clock is being advanced already, by another task")
        self._arrived = self._loop.create_future()
        self._target = self._time + length
        try:
            await self._arrived
        finally:
            self._target = self._arrived = None

    def rest(self, wait: Callable[[float | None], list[Any]], timeout: float | None) -> list[Any]:
        """The loop has nothing to do.

        Args:
            wait: waits for the operating system.
            timeout: seconds until the next timer.

        Returns:
            what the system has.
        """
        if self._target is None and (timeout is None or not self.jumps):
            return self._stand_still(wait, timeout)
        if not isinstance(self._autojump, bool):
            found = wait(float(self._autojump))
            if found:
                return found
        if self._target is not None:
            self._step(timeout, self._target)
        elif timeout is not None:
            self._time += timeout
        return []

    def _step(self, timeout: float | None, target: float) -> None:
        due = math.inf if timeout is None else self._time + timeout
        if due <= target + GRAIN:
            self._time = due
            return
        self._time = max(self._time, target)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        self._target = self._arrived = None

    def _stand_still(
        self, wait: Callable[[float | None], list[Any]], timeout: float | None
    ) -> list[Any]:
        if timeout is None or self._warned:
            return wait(None)
        found = wait(STALL_SECONDS)
        if not found:
            self._warned = True
            logger.warning(
                "time stands still, and nothing has happened for %g real seconds; the next timer "
                "is due in %.3g: await clock.advance(…), or use Clock(autojump=True)",
                STALL_SECONDS,
                timeout,
            )
        return found
