"""Collections in memory, and the oplog: what happened, in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion

from tests.support.mongod.query import matches

# Whatever it is, it comes back as it was.
OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    tzinfo=UTC,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)

DUPLICATE = 11000
EXISTS = 48
HISTORY_LOST = 286
TOO_DEEP = 15
MOST_BYTES = 16 * 1024 * 1024


class Refusal(Exception):
    """A command that fails.

    Args:
        code: MongoDB's.
        text: why.
        labels: what the driver is told about it.
    """

    def __init__(self, code: int, text: str, labels: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.labels = labels


def depth(value: Any) -> int:
    """How deep something is nested."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


class Collection:
    """Documents, in the order in which they were inserted.

    Attributes:
        capped: how many bytes there may be; 0 for any number.
        expire_after: seconds after which documents are forgotten, by their field; 0 for never.
        indexes: those that were made.
    """

    def __init__(self, capped: int = 0) -> None:
        self.capped = capped
        self.expire_after = 0.0
        self.indexes: list[dict[str, Any]] = []
        self._raw: dict[Any, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._raw)

    def documents(self) -> list[dict[str, Any]]:
        """All of them, decoded."""
        return [bson.decode(raw, OPTIONS) for raw in self._raw.values()]

    def insert(self, document: dict[str, Any]) -> None:
        """One more.

        Raises:
            Refusal: when MongoDB would not take it.
        """
        id = document["_id"]
        raw = bson.encode(document, codec_options=OPTIONS)
        if id in self._raw:
            raise Refusal(DUPLICATE, f"E11000 duplicate key error: {id}")
        if self.capped and len(raw) > self.capped:
            raise Refusal(10003, "object to insert exceeds cappedMaxSize")
        self._raw[id] = raw
        self._bytes += len(raw)
        while self.capped and self._bytes > self.capped:
            self.remove(next(iter(self._raw)))

    def remove(self, id: Any) -> None:
        """One less."""
        self._bytes -= len(self._raw.pop(id))

    def find(self, wanted: dict[str, Any], sort: dict[str, int]) -> list[dict[str, Any]]:
        """The documents that a filter means, in the order in which they are wanted."""
        found = [one for one in self.documents() if matches(one, wanted)]
        for name, direction in sort.items():
            if name != "$natural":
                found.sort(key=lambda one, field=name: one[field])  # type: ignore[misc]
            if direction < 0:
                found.reverse()
        return found


class Oplog:
    """What happened, for change streams.

    Attributes:
        begin: the number of the first event that is still known.
    """

    def __init__(self) -> None:
        self.begin = 0
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._grown = asyncio.Event()

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self.begin + len(self._events)

    def add(self, name: str, event: dict[str, Any]) -> None:
        """Something happened to a collection."""
        number = self.end + 1
        event = {"_id": token(number), "clusterTime": Timestamp(number, 1), **event}
        self._events.append((name, event))
        self._grown.set()
        self._grown = asyncio.Event()

    def after(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """What happened after so many events.

        Raises:
            Refusal: when some of it has been forgotten.
        """
        if number < self.begin:
            raise Refusal(HISTORY_LOST, "the resume point may no longer be in the oplog")
        return self._events[number - self.begin :]

    def forget(self) -> None:
        """Everything until now is forgotten."""
        self.begin = self.end
        self._events.clear()

    def wake(self) -> None:
        """Whoever waits is to look again."""
        self._grown.set()
        self._grown = asyncio.Event()

    async def grown(self, seconds: float) -> None:
        """Wait for something to happen."""
        try:
            async with asyncio.timeout(seconds):
                await self._grown.wait()
        except TimeoutError:
            return


def token(number: int) -> dict[str, str]:
    """The resume token after so many events."""
    return {"_data": f"{number:016X}"}


def number_of(resume: dict[str, Any]) -> int:
    """After how many events a resume token stands.

    Raises:
        Refusal: when it is none of ours.
    """
    try:
        return int(resume["_data"], 16)
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(50811, "the resume token is none") from error


class Store:
    """All collections, by the names of their databases and their own."""

    def __init__(self) -> None:
        self.collections: dict[str, Collection] = {}
        self.oplog = Oplog()

    def collection(self, name: str) -> Collection:
        """A collection, which need not have been made."""
        return self.collections.setdefault(name, Collection())

    def create(self, name: str, capped: int) -> None:
        """Make a collection.

        Raises:
            Refusal: when it is there.
        """
        if name in self.collections:
            raise Refusal(EXISTS, f"Collection {name} already exists")
        self.collections[name] = Collection(capped)

    def insert(self, name: str, document: dict[str, Any]) -> None:
        """Insert a document; who watches sees it.

        Raises:
            Refusal: when MongoDB would not take it.
        """
        self.collection(name).insert(document)
        event = {
            "operationType": "insert",
            "fullDocument": document,
            "documentKey": {"_id": document["_id"]},
        }
        self.oplog.add(name, event)

    def remove(self, name: str, document: dict[str, Any]) -> None:
        """Take a document away; who watches sees that, too."""
        self.collection(name).remove(document["_id"])
        event = {"operationType": "delete", "documentKey": {"_id": document["_id"]}}
        self.oplog.add(name, event)

    def drop(self, name: str) -> None:
        """Take a collection away: change streams end."""
        self.collections.pop(name, None)
        self.oplog.add(name, {"operationType": "drop"})
        self.oplog.add(name, {"operationType": "invalidate"})

    def expire(self) -> None:
        """Forget what is too old."""
        for name, collection in self.collections.items():
            if not collection.expire_after:
                continue
            limit = datetime.now(UTC) - timedelta(seconds=collection.expire_after)
            for document in collection.documents():
                if "createdAt" in document and document["createdAt"] < limit:
                    self.remove(name, document)
