"""The last entries of the log, as a server has read them anyway.

When a server dies, all its clients come back at once, and most have missed little. To read that
from the stream for each of them would be much to ask.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# What an entry costs beside its bytes.
_OVERHEAD: Final = 200


class Recent:
    """The last entries.

    Args:
        most: how many.
        most_bytes: how many bytes they may have together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._entries: deque[tuple[int, bytes, bytes]] = deque()
        self._bytes = 0
        # The place after which all of them are here, and the last.
        self._after = 0
        self._last = 0

    def begin(self, position: int) -> None:
        """Forget all; what comes next comes after this place."""
        self._entries.clear()
        self._bytes = 0
        self._after = self._last = position

    def add(self, position: int, subject: bytes, data: bytes) -> None:
        """An entry was read."""
        self._entries.append((position, subject, data))
        self._bytes += len(data) + _OVERHEAD
        self._last = position
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self._after, _, oldest = self._entries.popleft()
            self._bytes -= len(oldest) + _OVERHEAD

    def after(self, position: int, subject: bytes) -> list[tuple[int, bytes]] | None:
        """What a subject has had after a place; None when that is not known here."""
        if not self._after <= position <= self._last:
            return None
        found: list[tuple[int, bytes]] = []
        for place, about, data in reversed(self._entries):
            if place <= position:
                break
            if about == subject:
                found.append((place, data))
        found.reverse()
        return found
