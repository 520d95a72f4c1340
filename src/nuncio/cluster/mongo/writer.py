"""Writing documents: in the order in which they are given, many at a time, and each once.

Who gives a document never waits. While MongoDB is away documents wait, up to a bound. What was sent
and not answered is sent again: a document that is there already is known by its `_id`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)

from nuncio.cluster.line import PULSE_SECONDS, Changed, Line
from nuncio.cluster.mongo import answers
from nuncio.cluster.mongo.answers import answered, unreachable
from nuncio.cluster.order import Order

_MOST_BYTES: Final = 4 << 20
_MOST_DOCUMENTS: Final = 500

# What a document costs beside its bytes.
_OVERHEAD: Final = 200

# MongoDB's codes: it has the document already; and it does not know us, which may pass.
_DUPLICATE: Final = 11000
_STRANGERS: Final = (13, 18, 8000)


class Insertion(Order):
    """A document that is to be written.

    Attributes:
        document: it.
    """

    __slots__ = ("document",)

    def __init__(
        self, document: RawBSONDocument, answer: asyncio.Future[None] | None = None
    ) -> None:
        self.document = document
        self.answer = answer
        self.size = len(document.raw) + _OVERHEAD

    def fail(self, error: Exception) -> None:
        """See `Order.fail`."""
        super().fail(unreachable(error) if isinstance(error, PyMongoError) else error)


class Writer(Line):
    """Writes documents.

    Args:
        collection: pymongo's.
        changed: see `Line`.
        failed: told of each document that MongoDB refused, and why.
        most_bytes: how much may wait.
    """

    engine = "MongoDB"

    def __init__(
        self,
        collection: Any,
        changed: Changed,
        failed: Callable[[Exception], None],
        most_bytes: int,
    ) -> None:
        super().__init__(changed)
        self._collection = collection
        self._failed = failed
        self._most_bytes = most_bytes
        self._queue: deque[Insertion] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def push(self, order: Insertion) -> bool:
        """Have a document written; False when too much waits already."""
        if self._queue and self._queued_bytes + order.size > self._most_bytes:
            order.fail(ConnectionError("too much waits for MongoDB"))
            return False
        self._queue.append(order)
        self._queued_bytes += order.size
        self._wake.set()
        self._empty.clear()
        return True

    async def settle(self, seconds: float) -> None:
        """Wait until everything is written, but not for longer than that."""
        waiting = asyncio.ensure_future(self._empty.wait())
        await asyncio.wait((waiting,), timeout=seconds)
        waiting.cancel()

    async def connect(self) -> Any:
        """See `Line.connect`: pymongo has the connections, if there are any."""
        await self._ping()
        return None

    async def _ping(self) -> None:
        try:
            await answered(self._collection.database.command("ping"), answers.ANSWER_SECONDS)
        except PyMongoError as error:
            raise unreachable(error) from error

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        while True:
            if not self._queue:
                self._wake.clear()
                try:
                    async with asyncio.timeout(PULSE_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    # Or nobody would notice before there is something to be written.
                    await self._ping()
                    continue
            await self._write(self._batch())

    def _batch(self) -> list[Insertion]:
        batch: list[Insertion] = []
        size = 0
        for order in self._queue:
            if batch and (size + order.size > _MOST_BYTES or len(batch) >= _MOST_DOCUMENTS):
                break
            size += order.size
            batch.append(order)
        return batch

    async def _write(self, batch: list[Insertion]) -> None:
        """Write what comes first in the queue; what succeeded, or cannot, leaves it."""
        documents = [order.document for order in batch]
        try:
            await answered(self._insert(documents), answers.ANSWER_SECONDS)
        except BulkWriteError as error:
            self._partly(batch, error)
        except (ConnectionFailure, ExecutionTimeout) as error:
            raise unreachable(error) from error
        except OperationFailure as error:
            if error.code in _STRANGERS or error.has_error_label("RetryableWriteError"):
                raise unreachable(error) from error
            await self._refused(batch, error)
        except PyMongoError as error:
            await self._refused(batch, error)
        else:
            for _ in batch:
                self._done(None)

    async def _insert(self, documents: list[RawBSONDocument]) -> None:
        await self._collection.insert_many(documents, ordered=True)

    def _partly(self, batch: list[Insertion], error: BulkWriteError) -> None:
        """Those before one that was not written are; those behind it wait for the next time."""
        details: Any = error.details or {}
        wrong = details.get("writeErrors") or ()
        written = wrong[0]["index"] if wrong else len(batch)
        for _ in range(written):
            self._done(None)
        if wrong:
            known = wrong[0].get("code") == _DUPLICATE
            refusal = OperationFailure(str(wrong[0].get("errmsg")), wrong[0].get("code"))
            self._done(None if known else refusal)

    async def _refused(self, batch: list[Insertion], error: Exception) -> None:
        """MongoDB takes none of them; it is said of each by itself which it means."""
        if len(batch) == 1:
            self._done(error)
            return
        for order in batch:
            await self._write([order])

    def _done(self, error: Exception | None) -> None:
        order = self._queue.popleft()
        self._queued_bytes -= order.size
        if not self._queue:
            self._empty.set()
        if error is None:
            order.succeed()
        else:
            order.fail(error)
            self._failed(error)

    async def close(self) -> None:
        """See `Line.close`; what was not written is lost."""
        await super().close()
        ended = ConnectionError("the server has left the cluster")
        while self._queue:
            self._queue[0].fail(ended)
            self._queue.popleft()
        self._queued_bytes = 0
        self._empty.set()
