"""How an emitter's messages travel over MongoDB, in a loop and without one."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from nuncio.cluster import sending
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.answers import unreachable
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.endpoint import Endpoint
from nuncio.cluster.mongo.place import Keeping


class LoopSender(sending.LoopSender[Bus]):
    """Sends over a bus, which is opened when the first message is sent."""

    def prepare(self, message: ClusterMessage) -> Any:
        """See `LoopSender.prepare` of all engines."""
        return self.bus.document(message)

    def give(self, prepared: Any) -> Awaitable[Any]:
        """See `LoopSender.give` of all engines."""
        return self.bus.write(prepared)


class BlockingSender:
    """Sends with a client of pymongo that blocks; it may be used by many threads.

    Args:
        endpoint: where the collection is.
        keeping: how it keeps documents.

    Raises:
        OptionError: for a collection whose client does not block.
    """

    def __init__(self, endpoint: Endpoint, keeping: Keeping) -> None:
        self._endpoint = endpoint
        self._keeping = keeping
        self._opened = endpoint.open_blocking()
        self._pid = os.getpid()

    def _collection(self) -> Any:
        if self._pid != os.getpid():
            # It was forked, and a client cannot be shared with the parent.
            self._opened, self._pid = self._endpoint.open_blocking(), os.getpid()
        return self._opened.collection

    def send(self, message: ClusterMessage) -> None:
        """Send a message.

        Raises:
            ConnectionError: when MongoDB did not take it.
        """
        document = wire.encode(message, ObjectId(), self._keeping.created_at)
        try:
            self._collection().insert_one(document)
        except PyMongoError as error:
            raise unreachable(error) from error

    def close(self) -> None:
        """End the connections."""
        self._opened.close()
