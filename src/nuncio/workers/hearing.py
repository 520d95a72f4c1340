"""Up to which number a worker has heard each other one.

What a worker says to another arrives in order, so who has heard one number has heard all before it
that were meant for him. Not everything is said to everybody: numbers are compared, never counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from nuncio.workers.rendezvous import TAG_LENGTH


class Hearing:
    """What one worker has heard.

    Args:
        is_there: says of an adapter's uid whether its worker can be reached, and has the namespace.
        seconds: how long those are remembered that cannot: as long as anybody may still have
            something that they said.

    Attributes:
        numbers: the last number of each other worker, by its adapter's uid.
    """

    def __init__(self, is_there: Callable[[str], bool], seconds: float) -> None:
        self._is_there = is_there
        self._seconds = seconds
        self.numbers: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        # The latest of each worker, by its tag: a namespace may come and go there.
        self._latest: dict[str, str] = {}
        self._gone: dict[str, float] = {}

    def heard(self, uid: str, number: int) -> None:
        """A worker has said a number."""
        self.numbers[uid] = max(number, self.numbers.get(uid, 0))

    def began(self, uid: str, number: int) -> None:
        """A worker has just joined, with this number."""
        self._starts[uid] = number
        self._latest[uid[:TAG_LENGTH]] = uid
        self.heard(uid, number)

    def _may_speak(self, uid: str) -> bool:
        return self._is_there(uid) and self._latest.get(uid[:TAG_LENGTH], uid) == uid

    def learn(self, numbers: dict[str, int]) -> None:
        """What another worker has heard of those that are gone: they say no more to anybody."""
        for uid, number in numbers.items():
            if not self._may_speak(uid):
                self.heard(uid, number)

    def forget(self) -> None:
        """Forget those that have been gone for a while."""
        now = time.monotonic()
        for uid in list(self.numbers):
            if self._may_speak(uid):
                self._gone.pop(uid, None)
            elif now - self._gone.setdefault(uid, now) > self._seconds:
                del self.numbers[uid], self._gone[uid]
                self._starts.pop(uid, None)
                if self._latest.get(uid[:TAG_LENGTH]) == uid:
                    del self._latest[uid[:TAG_LENGTH]]

    def before(self, uid: str) -> float:
        """After which number somebody who has never heard of a worker has heard nothing of it."""
        return self._starts.get(uid, 0) if self._may_speak(uid) else inf
