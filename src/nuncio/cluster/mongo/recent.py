"""Where documents stand: the order in which this server has read them.

A document's `_id` says when it was made, by a clock that may be wrong, and within a second nothing
at all. So documents are numbered as they are read. A place is such a number with the document's
`_id` behind it: it grows, and tells which document it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from bson import ObjectId

# So many documents are known by their places. They are those about which it may be unclear whether
# they have been read when others of the collection are looked at.
_MOST: Final = 1000

_BITS: Final = 96

# There is room for those that were there before the first that is read.
_FIRST: Final = 1 << 40


class Recent:
    """The last documents that were read.

    Attributes:
        place: of the last one; 0 before there is one.
    """

    def __init__(self) -> None:
        self._number = _FIRST
        self._numbers: dict[ObjectId, int] = {}
        self._begun = asyncio.Event()
        self.place = 0

    async def begun(self, seconds: float) -> None:
        """Wait until something has been read, but not for longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._begun.wait()

    def add(self, id: object) -> None:
        """One more was read."""
        self._number += 1
        self._begun.set()
        if not isinstance(id, ObjectId):
            # Nobody can come back to it.
            self.place = self._number << _BITS
            return
        self.place = _place(self._number, id)
        self._numbers[id] = self._number
        if len(self._numbers) > _MOST:
            del self._numbers[next(iter(self._numbers))]

    def places(self, ids: list[ObjectId]) -> list[int]:
        """The places of documents, as far as they have been read.

        Args:
            ids: in the order in which they stand in the collection.

        Returns:
            The places of the first ones. What follows is not read before this.
        """
        read = len(ids)
        while read and ids[read - 1] not in self._numbers:
            read -= 1
        places: list[int] = []
        number = self._number + 1
        for id in reversed(ids[:read]):
            number = self._numbers.get(id, number - 1)
            places.append(_place(number, id))
        places.reverse()
        return places


def _place(number: int, id: ObjectId) -> int:
    return number << _BITS | int.from_bytes(id.binary)


def id_at(place: int) -> str:
    """The document that stands at a place; empty for none."""
    id = place & ((1 << _BITS) - 1)
    return f"{id:024x}" if id else ""
