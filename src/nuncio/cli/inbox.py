"""Events that came and that nobody has waited for yet.

A script that sends something and then waits for the reply may be slower than the reply. So what
comes is kept: whoever waits gets the first event that fits and that nobody was given before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from nuncio.cli import text
from nuncio.cli.happenings import Happening, Received
from nuncio.cli.problems import TimedOut

# More than any script waits for; the oldest are forgotten.
KEPT: Final = 10_000

Fits = Callable[[Received], bool]


class Inbox:
    """The events of one connection; a listener of the journal."""

    def __init__(self) -> None:
        self._kept: deque[Received] = deque(maxlen=KEPT)
        self._waiting: list[tuple[Fits, asyncio.Future[Received]]] = []

    def __call__(self, happening: Happening) -> None:
        """Something has happened."""
        if not isinstance(happening, Received):
            return
        for fits, future in self._waiting:
            if not future.done() and fits(happening):
                future.set_result(happening)
                return
        self._kept.append(happening)

    async def next(self, fits: Fits, what: str, timeout: float | None) -> Received:
        """The first event that fits, now or later.

        Args:
            fits: which one.
            what: what is waited for, for the message.
            timeout: seconds; None for no limit.

        Raises:
            TimedOut: when none came in time.
        """
        for kept in self._kept:
            if fits(kept):
                self._kept.remove(kept)
                return kept
        future: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        entry = (fits, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise TimedOut(f"{what} did not come within {text.seconds(timeout or 0)}") from None
        finally:
            self._waiting.remove(entry)

    def take(self) -> list[Received]:
        """All that is kept, which nobody else is given then."""
        kept = list(self._kept)
        self._kept.clear()
        return kept
