"""How long to wait before the next attempt to reconnect, by the reference's formula."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that double with each attempt, up to a limit, and are spread at random.

    Attributes:
        least: the first delay, in seconds.
        most: no delay is longer.
        jitter: how far a delay may be from its mean, as a part of it; 0 for not at all.
        attempts: how many delays were given since `reset`.
    """

    def __init__(
        self,
        least: float,
        most: float,
        jitter: float,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.least = least
        self.most = most
        self.jitter = jitter
        self.attempts = 0
        self._random = rand

    def duration(self) -> float:
        """The next delay, in seconds."""
        # Beyond a hundred doublings nothing changes but the size of the number.
        milliseconds = self.least * 1000 * 2.0 ** min(self.attempts, 100)
        self.attempts += 1
        if 0 < self.jitter <= 1:
            # One number decides how far and in which direction, as in the reference.
            rand = self._random()
            deviation = rand * self.jitter * milliseconds
            deviation = float(int(deviation)) if deviation < 1e15 else deviation
            if int(rand * 10) % 2:
                milliseconds += deviation
            else:
                milliseconds -= deviation
        return int(min(milliseconds, self.most * 1000)) / 1000

    def reset(self) -> None:
        """Begin anew."""
        self.attempts = 0
