"""Where clients came back last: of two workers that have a client, that one keeps it.

When a link is lost while a client is given to another worker, both may have it. So each return has
a stamp, which is later than any that the client had before. Workers tell each other of returns, and
when a link is made anew, of all recent ones. Who has a client that has returned elsewhere since
then forgets it. Clocks need not agree: they only decide between returns that knew nothing of each
other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Final

import msgspec

# Microseconds since the epoch, in what JavaScript could count, too.
MOST_STAMP: Final = 2**53 - 1

# So many are kept at most, and told in one message.
MOST_CLAIMS: Final = 100_000
MOST_TOLD: Final = 1_000

Stamp = Annotated[int, msgspec.Meta(ge=0, le=MOST_STAMP)]


class Claims:
    """The latest return of each client that another worker may have, too.

    Args:
        seconds: after which nobody has a client any more who has not come back.
        holds: says of a client whether this worker has it. Then its stamp is kept, for another one
            may keep it, too.
    """

    def __init__(self, seconds: float, holds: Callable[[str], bool]) -> None:
        self._seconds = seconds
        self._holds = holds
        # Stamps, and when they were noted, the latest last.
        self._noted: dict[str, tuple[int, float]] = {}

    def stamp(self, pid: str) -> int:
        """That of a client's latest return; 0 where none is known."""
        noted = self._noted.get(pid)
        return 0 if noted is None else noted[0]

    def knows(self, pid: str) -> bool:
        """Whether another worker may have a client, too."""
        return pid in self._noted

    def note(self, pid: str, stamp: int) -> None:
        """A client has returned somewhere, or may be at two workers since then."""
        now = time.monotonic()
        noted = self._noted
        known = noted.pop(pid, (0, now))
        noted[pid] = (max(stamp, known[0]), now)
        for first in list(islice(noted, 2)):
            if noted[first][1] < now - self._seconds or len(noted) > MOST_CLAIMS:
                old, _ = noted.pop(first)
                if self._holds(first):
                    noted[first] = (old, now)

    def renew(self, pid: str) -> int:
        """A client returns here, now.

        Returns:
            The stamp.
        """
        now = time.time_ns() // 1000
        stamp = min(max(now, self.stamp(pid) + 1), MOST_STAMP)
        self.note(pid, stamp)
        return stamp

    def all(self) -> Iterator[dict[str, int]]:
        """All that are known, as they are told."""
        told = iter([(pid, stamp) for pid, (stamp, _) in self._noted.items() if stamp])
        while some := dict(islice(told, MOST_TOLD)):
            yield some
