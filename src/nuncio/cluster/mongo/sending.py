"""How an emitter's messages travel over MongoDB, in a loop and without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from bson import ObjectId
from pymongo.errors import PyMongoError

from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.answers import unreachable
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.endpoint import Endpoint
from nuncio.cluster.mongo.place import Keeping

logger = logging.getLogger("nuncio.cluster")


class LoopSender:
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connections.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sending: set[asyncio.Future[None]] = set()

    def bus_changed(self, why: Exception | None) -> None:
        """See `Member`: what is sent waits by itself."""

    def send(self, message: ClusterMessage) -> Awaitable[None]:
        """Send a message.

        Returns:
            What raises ConnectionError when MongoDB did not take it.
        """
        sending = asyncio.ensure_future(self._send(message))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return sending

    async def _send(self, message: ClusterMessage) -> None:
        # Who waits for the same task goes on in the order in which it came.
        await self._bus.enter(self)
        await self._bus.call(message)

    def _sent(self, sending: asyncio.Future[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            logger.warning("what an emitter sent is lost: %s", error)

    def close(self) -> Awaitable[None]:
        """Wait for what is being sent, then end the connections."""
        return self._close()

    async def _close(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending)
        await self._bus.leave(self)


class BlockingSender:
    """Sends with a client of pymongo that blocks; it may be used by many threads.

    Args:
        endpoint: where the collection is.
        keeping: how it keeps documents.

    Raises:
        OptionError: for a collection whose client does not block.
    """

    def __init__(self, endpoint: Endpoint, keeping: Keeping) -> None:
        self._opened = endpoint.open_blocking()
        self._keeping = keeping

    def send(self, message: ClusterMessage) -> None:
        """Send a message.

        Raises:
            ConnectionError: when MongoDB did not take it.
        """
        document = wire.encode(message, ObjectId(), self._keeping.created_at)
        try:
            self._opened.collection.insert_one(document)
        except PyMongoError as error:
            raise unreachable(error) from error

    def close(self) -> None:
        """End the connections."""
        self._opened.close()
