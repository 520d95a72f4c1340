"""One server's part in a cluster over MongoDB, for one namespace."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bson.raw_bson import RawBSONDocument

from nuncio.cluster.heartbeats import HeartbeatAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.values import well_formed
from nuncio.errors import OptionError, PacketError

if TYPE_CHECKING:
    from nuncio.cluster.mongo.adapter import MongoAdapter

logger = logging.getLogger("nuncio.cluster")


class CollectionAdapter(HeartbeatAdapter):
    """See `MongoAdapter`.

    Args:
        nsp: see `Adapter`.
        bus: the server's connections.
        settings: the options.
    """

    def __init__(self, nsp: Any, bus: Bus, settings: MongoAdapter) -> None:
        super().__init__(nsp, settings.pace)
        self.bus = bus
        # One for all namespaces of a server, as Node has it.
        self.uid = bus.uid
        self.request_seconds = settings.requests_timeout
        self._name = well_formed(nsp.name)
        # What others call so is another thing here.
        del self._handlers[Kind.ADAPTER_CLOSE]
        self._handlers[wire.SESSION] = self._on_session

    async def init(self) -> None:
        """See `Adapter.init`.

        Raises:
            ConnectionError: when MongoDB cannot be reached, or has no change streams.
        """
        self.bus.listen(self._name, self.arrived)
        await self.bus.enter(self)
        self.say_hello()
        self.bus_changed(None)

    async def close(self) -> None:
        """See `Adapter.close`."""
        self.say_goodbye()
        self.bus.forget(self._name)
        await self.bus.leave(self)

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`; numbers of MongoDB's connections are all namespaces'."""
        return {**super().stats(), **self.bus.stats()}

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        if message.type == Kind.ADAPTER_CLOSE:
            message = wire.farewell(self.uid, self.nsp.name)
        self.bus.publish(message)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`: all read it, and one knows what it asked."""
        try:
            self.bus.publish(message)
        except OptionError as error:
            # It was another server that asked, which waits in vain.
            logger.warning("an answer is too large for MongoDB: %s", error)

    def arrived(self, document: RawBSONDocument) -> None:
        """A document of this namespace."""
        if document.get("uid") == self.uid:
            return
        try:
            message = wire.decode(document)
        except PacketError as error:
            self.drop(str(error))
        else:
            self.received(message)

    def _on_heartbeat(self, message: ClusterMessage) -> None:
        self._gone(wire.gone(message))

    def _on_session(self, message: ClusterMessage) -> None:
        """Read when a client comes back."""
