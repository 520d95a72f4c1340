"""Values that were shortened, so that `show` can bring the rest; not without a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from nuncio.cli.problems import WrongUse

MOST: Final = 100
MOST_WEIGHT: Final = 64 * 1024 * 1024


class Kept:
    """The latest of them, numbered from 1."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, int, str, Sequence[Any]]] = deque()
        self._weight = 0
        self._number = 0

    def keep(self, name: str, values: Sequence[Any]) -> int:
        """Remember values under a new number.

        Args:
            name: the event's.
            values: its arguments.
        """
        weight = _weight(values)
        self._number += 1
        self._items.append((self._number, weight, name, values))
        self._weight += weight
        while len(self._items) > MOST or (self._weight > MOST_WEIGHT and len(self._items) > 1):
            self._weight -= self._items.popleft()[1]
        return self._number

    def find(self, number: int | None) -> tuple[str, Sequence[Any]]:
        """The name and the values of a number; None is the latest.

        Raises:
            WrongUse: when there is none, or it is too long ago.
        """
        if not self._items:
            raise WrongUse("nothing was shortened so far")
        for known, _, name, values in reversed(self._items):
            if number is None or known == number:
                return name, values
        first, last = self._items[0][0], self._items[-1][0]
        raise WrongUse(f"there is no number {number}; there are {first} to {last}")


def _weight(value: Any) -> int:
    """About how many bytes a value holds."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return len(value)
    if isinstance(value, dict):
        return sum(len(str(key)) + _weight(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(map(_weight, value)) + 8 * len(value)
    return 8
