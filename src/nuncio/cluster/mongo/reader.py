"""Reading a collection as it grows: a change stream, which is opened again where it broke off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ConnectionFailure, CursorNotFound, OperationFailure, PyMongoError

from nuncio.cluster.line import Changed, Line
from nuncio.cluster.mongo import answers
from nuncio.cluster.mongo.answers import answered, closed, unreachable

logger = logging.getLogger("nuncio.cluster")

# So long MongoDB waits for something to tell, unless the application says otherwise.
AWAIT_MS: Final = 1000

Receiver = Callable[[RawBSONDocument], None]


class Reader(Line):
    """Reads what is inserted.

    What `Line` knows as a connection is a change stream.

    Args:
        collection: pymongo's, which gives raw documents.
        changed: see `Line`.
        pipeline: of the change stream.
        options: more of `watch`.
        prepare: called before it is opened.
        receiver: called with each document.
        gap: called when it cannot go on where it was, so that something may be missing.
    """

    engine = "MongoDB"

    def __init__(
        self,
        collection: Any,
        changed: Changed,
        pipeline: list[dict[str, Any]],
        options: dict[str, Any],
        prepare: Callable[[], Coroutine[Any, Any, None]],
        receiver: Receiver,
        gap: Callable[[], None],
    ) -> None:
        super().__init__(changed)
        self._collection = collection
        self._pipeline = pipeline
        self._options = {"max_await_time_ms": AWAIT_MS, **options}
        self._prepare = prepare
        self._receiver = receiver
        self._token: dict[str, Any] | None = None
        self._gap = gap

    async def connect(self) -> Any:
        """See `Line.connect`: it begins now at first, then where the last one ended."""
        await self._ask(self._prepare())
        options = self._options
        if self._token is not None:
            options = {**options, "resume_after": self._token}
            options.pop("start_after", None)
            options.pop("start_at_operation_time", None)
        stream = await self._ask(self._collection.watch(self._pipeline, **options))
        self._remember(stream)
        return stream

    async def disconnect(self, connection: Any) -> None:
        """See `Line.disconnect`."""
        await closed(connection.close())

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        stream = connection
        while True:
            change = await self._ask(stream.try_next())
            if change is not None:
                self._take(change)
            elif not stream.alive:
                # The collection was dropped or renamed; there is nothing to go on with.
                self._forget("the change stream ended")
                raise ConnectionError("the change stream ended")
            self._remember(stream)

    async def _ask(self, asked: Any) -> Any:
        patience = self._options["max_await_time_ms"] / 1000 + answers.ANSWER_SECONDS
        try:
            return await answered(asked, patience)
        except OperationFailure as error:
            self._consider(error)
            raise unreachable(error) from error
        except PyMongoError as error:
            raise unreachable(error) from error

    def _take(self, change: Any) -> None:
        try:
            document = change.get("fullDocument")
            if change.get("operationType") == "insert" and isinstance(document, RawBSONDocument):
                self._receiver(document)
        except BSONError as error:
            logger.debug("a document that is none: %s", error)
        except Exception:
            # The stream goes on, whatever an application's listener does.
            logger.exception("a document of the cluster could not be handled")

    def _remember(self, stream: Any) -> None:
        token = stream.resume_token
        if token is not None:
            raw = token.raw if isinstance(token, RawBSONDocument) else bson.encode(token)
            self._token = bson.decode(bytes(raw))

    def _consider(self, error: OperationFailure) -> None:
        """What MongoDB refuses to go on with is no place to go on from."""
        lost = isinstance(error, (ConnectionFailure, CursorNotFound))
        if not lost and not error.has_error_label("ResumableChangeStreamError"):
            self._forget(str(unreachable(error)))

    def _forget(self, why: str) -> None:
        if self._token is not None:
            self._token = None
            self._gap()
            logger.warning("what other servers said meanwhile is lost: %s", why)
