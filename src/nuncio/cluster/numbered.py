"""Events by the numbers that they have at the server that emitted them.

An entry of the log carries the number, or is known by it. So a server knows its own entries, and
what it has given its clients before the log had it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NamedTuple

# So many are remembered.
_MOST: Final = 10_000

# A server, and the first and last of some of its numbers.
Early = tuple[str, int, int]


class Origin(NamedTuple):
    """Where an event is from: the server's name, and its number there; 0 for none."""

    uid: str
    number: int


class Numbered:
    """What one server has given its own clients, and is not known to be in the log.

    Args:
        uid: its name.
    """

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self._early: dict[int, None] = {}
        self._none = asyncio.Event()
        self._none.set()

    def __bool__(self) -> bool:
        return bool(self._early)

    def clear(self) -> None:
        """Forget all."""
        self._early.clear()
        self._none.set()

    def given_early(self, number: int) -> None:
        """This server's clients have been given one of its events, without the log."""
        self._early[number] = None
        self._none.clear()
        if len(self._early) > _MOST:
            del self._early[next(iter(self._early))]

    def came(self, number: int) -> None:
        """The log has one of this server's events, and so all that it will have before it."""
        if self._early:
            self._early = {one: None for one in self._early if one > number}
            self._look()

    def lost(self, number: int) -> None:
        """The log will never have one of this server's events."""
        self._early.pop(number, None)
        self._look()

    def _look(self) -> None:
        if not self._early:
            self._none.set()

    async def caught_up(self, seconds: float) -> None:
        """Wait until the log has all that was given early, but not for longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()

    def early(self) -> list[Early]:
        """What was given early."""
        found: list[Early] = []
        for number in sorted(self._early):
            if found and found[-1][2] == number - 1:
                found[-1] = (self._uid, found[-1][1], number)
            else:
                found.append((self._uid, number, number))
        return found
