"""Events that are in the stream twice.

What was promised is added once more when a connection is lost before Redis has answered, since
nobody can tell whether the first time had succeeded. If it had, servers know it by who emitted it
and its number there, and pass it over.
"""

from __future__ import annotations

from typing import Final

from nuncio.cluster.numbered import Origin

# So many are remembered.
_MOST: Final = 10_000


class Repeated:
    """In which entry an event was first."""

    def __init__(self) -> None:
        self._first: dict[Origin, int] = {}

    def clear(self) -> None:
        """Forget all."""
        self._first.clear()

    def is_known(self, position: int, origin: Origin, again: bool) -> bool:
        """Whether an entry's event was in another entry before.

        Args:
            position: the entry's.
            origin: where its event is from.
            again: whether the event may be there already, as its server says.
        """
        if origin.number <= 0:
            return False
        first = self._first.setdefault(origin, position)
        if len(self._first) > _MOST:
            del self._first[next(iter(self._first))]
        return first != position and again
