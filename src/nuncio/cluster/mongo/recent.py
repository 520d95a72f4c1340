"""The last documents that this server has read, and the order in which it has read them.

A document's `_id` says when it was made, by a clock that may be wrong, and within a second nothing
at all. So documents are numbered as they are read. A place is such a number with the document's
`_id` behind it: it grows, and tells which document it is.

When a server dies, all its clients come back at once, and most have missed little. What has been
read lately MongoDB need not be asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from nuncio.cluster.messages import Kind

# So many documents are known by their places, and have so many bytes together.
_MOST: Final = 10_000
_MOST_BYTES: Final = 16 * 1024 * 1024

# What one costs beside its bytes.
_OVERHEAD: Final = 400

_BITS: Final = 96

# There is room for those that were there before the first that is read.
_FIRST: Final = 1 << 40


class _Read:
    """A document that was read, and its number; kept only where it is an event."""

    __slots__ = ("document", "number", "size")

    def __init__(self, number: int, document: RawBSONDocument) -> None:
        self.number = number
        self.document = document if document.get("type") == Kind.BROADCAST else None
        self.size = _OVERHEAD + (0 if self.document is None else len(self.document.raw))


class Recent:
    """The last documents that were read.

    Attributes:
        place: of the last one; 0 before there is one.
    """

    def __init__(self) -> None:
        self._number = _FIRST
        self._read: dict[ObjectId, _Read] = {}
        self._bytes = 0
        # From this number on nothing is missing.
        self._whole = _FIRST + 1
        self._begun = asyncio.Event()
        self.place = 0

    async def begun(self, seconds: float) -> None:
        """Wait until something has been read, but not for longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._begun.wait()

    def add(self, document: RawBSONDocument) -> None:
        """One more was read."""
        id = document.get("_id")
        self._number += 1
        self._begun.set()
        if not isinstance(id, ObjectId):
            # Nobody can come back to it.
            self.place = self._number << _BITS
            return
        self.place = _place(self._number, id)
        read = _Read(self._number, document)
        self._read[id] = read
        self._bytes += read.size
        while len(self._read) > _MOST or self._bytes > _MOST_BYTES:
            self._bytes -= self._read.pop(next(iter(self._read))).size

    def interrupted(self) -> None:
        """What comes next does not follow what was read last."""
        self._whole = self._number + 1

    def after(self, id: ObjectId, nsp: str, known: bool) -> list[RawBSONDocument] | None:
        """The events of a namespace that were read after a document; None when that is not known.

        Args:
            id: the document's.
            nsp: the namespace's name.
            known: whether the document has to be an event itself.
        """
        first = self._read.get(id)
        if first is None or first.number < self._whole or (known and first.document is None):
            return None
        found: list[RawBSONDocument] = []
        for read in reversed(self._read.values()):
            if read.number <= first.number:
                break
            if read.document is not None and read.document.get("nsp") == nsp:
                found.append(read.document)
        found.reverse()
        return found

    def place_of(self, id: ObjectId) -> int:
        """Where a document stands; 0 when that is not known."""
        read = self._read.get(id)
        return 0 if read is None else _place(read.number, id)

    def places(self, ids: list[ObjectId]) -> list[int]:
        """The places of documents, as far as they have been read.

        Args:
            ids: in the order in which they stand in the collection.

        Returns:
            The places of the first ones. What follows is not read before this.
        """
        count = len(ids)
        while count and ids[count - 1] not in self._read:
            count -= 1
        places: list[int] = []
        number = self._number + 1
        for id in reversed(ids[:count]):
            read = self._read.get(id)
            number = number - 1 if read is None else read.number
            places.append(_place(number, id))
        places.reverse()
        return places


def _place(number: int, id: ObjectId) -> int:
    return number << _BITS | int.from_bytes(id.binary)


def id_at(place: int) -> str:
    """The document that stands at a place; empty for none."""
    id = place & ((1 << _BITS) - 1)
    return f"{id:024x}" if id else ""
