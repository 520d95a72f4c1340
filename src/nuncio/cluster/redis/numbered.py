"""Events by the numbers that they have at the server that emitted them.

An entry of the stream carries the number. By it a server knows its own, and what it has given its
clients before the stream had it; and everybody knows an event that was added twice, since nobody
could tell whether the first time had succeeded.
"""

from __future__ import annotations

from typing import Final

from nuncio.cluster.redis.reader import Fields

# The field with the number, and the mark of an entry whose event may be there already.
NUMBER: Final = "n"
AGAIN: Final = "again"

# So many are remembered.
_MOST: Final = 10_000

_LONGEST: Final = 18

# A server, and the first and last of some of its numbers.
Early = tuple[str, int, int]


def number_of(fields: Fields) -> int:
    """The number of an entry's event; -1 when it has none."""
    text = fields.get(NUMBER.encode(), b"")
    return int(text) if text.isdigit() and len(text) <= _LONGEST else -1


class Numbered:
    """What one server remembers of them.

    Args:
        uid: its name.
    """

    def __init__(self, uid: str) -> None:
        self._uid = uid
        # What was given to its own clients and is not known to be in the stream.
        self._early: dict[int, None] = {}
        # In which entry an event was first.
        self._first: dict[tuple[bytes, int], str] = {}

    def clear(self) -> None:
        """Forget all."""
        self._early.clear()
        self._first.clear()

    def given_early(self, number: int) -> None:
        """This server's clients have been given one of its events, without the stream."""
        self._early[number] = None
        if len(self._early) > _MOST:
            del self._early[next(iter(self._early))]

    def came(self, fields: Fields) -> int:
        """The stream has one of this server's events, and so all that it will have before it.

        Returns:
            Its number.
        """
        number = number_of(fields)
        if self._early:
            self._early = {one: None for one in self._early if one > number}
        return number

    def early(self) -> list[Early]:
        """What was given early."""
        found: list[Early] = []
        for number in sorted(self._early):
            if found and found[-1][2] == number - 1:
                found[-1] = (self._uid, found[-1][1], number)
            else:
                found.append((self._uid, number, number))
        return found

    def is_known(self, id: str, fields: Fields) -> bool:
        """Whether an entry's event was in another entry before.

        Args:
            id: the entry's.
            fields: what is in it.
        """
        number = number_of(fields)
        if number < 0:
            return False
        first = self._first.setdefault((fields.get(b"uid", b""), number), id)
        if len(self._first) > _MOST:
            del self._first[next(iter(self._first))]
        return first != id and AGAIN.encode() in fields
