"""What one client has missed that is being let in: it is read while more goes on arriving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.numbered import Early, Origin

# Between being asked for and being let in a client may not take longer.
_ADMISSION_SECONDS: Final = 60.0


class Replay:
    """What a client has missed that is being let in: as the log said, and what was read since.

    Args:
        loop: the running loop.
        forget: called when it is of no use any longer.
        most: of so many entries it is told at most.

    Attributes:
        left: the place at which the client was lost.
        early: what it had been given by then before the log had it.
        ended: set once the client is in, or will never be.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, forget: Callable[[], object], most: int
    ) -> None:
        self._forget = forget
        self._most = most
        self._after = 0
        # What it was promised before is in its outbox, or acknowledged.
        self.left = 0
        self.early: list[Early] = []
        self.ended = asyncio.Event()
        self._entries: dict[int, Any] = {}
        self._timer = loop.call_later(_ADMISSION_SECONDS, self.end)

    def begin(
        self, after: int, left: int, entries: list[tuple[int, Any]], early: list[Early]
    ) -> None:
        """What the log holds after a place, and when the client was lost, with what."""
        self._after = after
        self.left = left
        self.early = early
        self._entries = {**dict(entries), **self._entries}

    def arrived(self, position: int, entry: Any) -> None:
        """An entry was read while the client was being let in."""
        self._entries[position] = entry
        if len(self._entries) > self._most:
            # Too much to be told at once.
            self.end()

    def had(self, origin: Origin) -> bool:
        """Whether the client was given an event before the log had it."""
        uid, number = origin
        return any(uid == one and first <= number <= last for one, first, last in self.early)

    def until(self, position: int, given: Callable[[Any], bool]) -> list[tuple[int, Any]]:
        """What the client has missed until a place; what comes after that it will be sent.

        Args:
            position: what was read last.
            given: whether an entry's event was given to clients before it was read, and so will
                not be given to anybody when it is.
        """
        return [
            (place, entry)
            for place, entry in self._entries.items()
            if self._after < place and (place <= position or given(entry))
        ]

    def end(self) -> None:
        """The client is in, or will never be."""
        self._timer.cancel()
        self.ended.set()
        self._forget()
