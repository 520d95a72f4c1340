"""All of one server's business with MongoDB: what it writes and what it reads, for all namespaces.

The bus knows no adapters. It writes what they say, hands them what was said in their namespaces,
and tells them when the other servers cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from nuncio.cluster.bus import LAST_SECONDS, LineBus
from nuncio.cluster.line import Line, outcome
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.endpoint import Endpoint, Opened
from nuncio.cluster.mongo.place import Keeping, make, reading
from nuncio.cluster.mongo.reader import Reader
from nuncio.cluster.mongo.recent import Recent
from nuncio.cluster.mongo.writer import Insertion, Writer

logger = logging.getLogger("nuncio.cluster")

Receiver = Callable[[RawBSONDocument], None]


class Bus(LineBus):
    """One server's connections to MongoDB.

    Args:
        endpoint: where the collection is.
        keeping: how it keeps documents.
        most_bytes: how much may wait to be written.
        watching: the options of the change stream; None where nothing is read.
        own: whether what this server writes is read, too.

    Attributes:
        uid: the server, in messages.
        read: the documents that have been read last, where what it writes is read, too.
        gaps: how often it could not be read on where it was.
    """

    engine = Writer.engine

    def __init__(
        self,
        endpoint: Endpoint,
        keeping: Keeping,
        most_bytes: int,
        watching: dict[str, Any] | None = None,
        own: bool = False,
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self.keeping = keeping
        self._most_bytes = most_bytes
        self._watching = watching
        self._own = own
        self._opened: Opened | None = None
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._receivers: dict[str, Receiver] = {}
        self.gaps = 0
        self.uid = secrets.token_hex(8)
        self.read = Recent()

    # Life.

    async def _connect(self) -> None:
        """See `LineBus._connect`; others than a replica set have no change streams."""
        self._opened = self._endpoint.open()
        collection = self._opened.collection.with_options(codec_options=wire.RAW)
        self._writer = Writer(collection, self._changed, self._refused, self._most_bytes)
        await self._writer.open()
        if self._watching is not None:
            self._reader = self._new_reader(collection, self._watching)
            await self._reader.open()

    def _new_reader(self, collection: Any, options: dict[str, Any]) -> Reader:
        wanted: dict[str, Any] = {"operationType": "insert"}
        if not self._own:
            wanted["fullDocument.uid"] = {"$ne": self.uid}
        pipeline = [{"$match": wanted}]
        told = self._arrived, self._interrupted
        return Reader(collection, self._changed, pipeline, options, self._prepare, *told)

    def _interrupted(self) -> None:
        self.gaps += 1
        self.read.interrupted()

    async def _prepare(self) -> None:
        if self._opened is not None:
            await make(self._opened.collection, self.keeping)

    async def _settle(self) -> None:
        """See `LineBus._settle`."""
        if self._writer is not None and self._writer.connected:
            await self._writer.settle(LAST_SECONDS)

    async def _close_lines(self) -> None:
        """See `LineBus._close_lines`."""
        for line in self._lines():
            await self._discard(line)
        opened = self._opened
        self._forget_lines()
        if opened is not None:
            await opened.end()

    def _forget_lines(self) -> None:
        """See `LineBus._forget_lines`."""
        self.read.interrupted()
        self._reader = self._writer = self._opened = None

    def _lines(self) -> list[Line]:
        return [line for line in (self._reader, self._writer) if line is not None]

    # Health.

    def stats(self) -> dict[str, int]:
        """See `LineBus.stats`."""
        return {**super().stats(), "gaps": self.gaps}

    def _refused(self, error: Exception) -> None:
        self.failed += 1
        logger.debug("MongoDB refused a document: %s", error)

    # What is written.

    def publish(self, message: ClusterMessage, id: ObjectId | None = None) -> None:
        """Write a message, without waiting for that.

        Args:
            message: the message.
            id: the document's; None for a new one.

        Raises:
            OptionError: for what is larger than MongoDB takes.
            TypeError: for what cannot be sent.
        """
        try:
            document = self.document(message, id)
        except wire.Refused as error:
            self.published += 1
            self._refused(error)
        else:
            self._push(Insertion(document))

    def call(self, message: ClusterMessage, id: ObjectId | None = None) -> asyncio.Future[None]:
        """Write a message; see `publish`.

        Returns:
            What is done once MongoDB has it, or raises ConnectionError.
        """
        try:
            return self.write(self.document(message, id))
        except wire.Refused as error:
            self.published += 1
            self._refused(error)
            answer = outcome()
            answer.set_exception(ConnectionError(str(error)))
            return answer

    def document(self, message: ClusterMessage, id: ObjectId | None = None) -> RawBSONDocument:
        """The document of a message.

        Raises:
            Refused: see `wire.encode`.
            OptionError: see `publish`.
            TypeError: see `publish`.
        """
        return wire.encode(message, id or ObjectId(), self.keeping.created_at)

    def write(self, document: RawBSONDocument) -> asyncio.Future[None]:
        """Write a document; see `call`."""
        answer = outcome()
        self._push(Insertion(document, answer))
        return answer

    def _push(self, order: Insertion) -> None:
        self.published += 1
        if self._writer is None:
            order.fail(ConnectionError("this server takes no part in the cluster"))
            self.dropped += 1
        elif not self._writer.push(order):
            self.dropped += 1

    # What is read.

    def listen(self, nsp: str, receiver: Receiver) -> None:
        """Receive what is said in a namespace."""
        self._receivers[nsp] = receiver

    def forget(self, nsp: str) -> None:
        """Receive it no longer."""
        self._receivers.pop(nsp, None)

    def _arrived(self, document: RawBSONDocument) -> None:
        nsp = document.get("nsp")
        if self._own:
            self.read.add(document)
        receiver = self._receivers.get(nsp) if isinstance(nsp, str) else None
        if receiver is not None:
            receiver(document)

    def collection(self) -> Any:
        """The collection, as it is read for clients that come back.

        Raises:
            ConnectionError: when it is out of reach; nobody waits until it is not.
        """
        if self._opened is None or self._down:
            raise ConnectionError("MongoDB is out of reach")
        return reading(self._opened.collection)
