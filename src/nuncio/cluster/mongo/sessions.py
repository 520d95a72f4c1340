"""Clients that lost their connection, as documents: they are kept, and taken once.

A capped collection takes nothing away. There a tombstone says that a client is back, and the newest
document of a client tells which holds. So the documents of one client have to follow each other by
their `_id`, whatever the clocks of the servers that write them say.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import PyMongoError

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.answers import unreachable
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.session_wire import Session
from nuncio.cluster.values import converted
from nuncio.errors import PacketError

_MOST_DOCUMENTS: Final = 1000


class Sessions:
    """The lost clients of one namespace.

    Args:
        bus: the server's connections.
        nsp: the namespace's name.
        seconds: for how long a client may be away.
    """

    def __init__(self, bus: Bus, nsp: str, seconds: float) -> None:
        self._bus = bus
        self._nsp = nsp
        self._seconds = seconds
        self._least = 0

    def keep(self, session: Session) -> asyncio.Future[None]:
        """A client lost its connection.

        Returns:
            What is done once MongoDB has it, or does not take it.
        """
        return self._bus.call(self._message(session), self._new_id())

    async def take(self, pid: str, by: str = "") -> Session | None:
        """A client is back: nobody else can have its session then.

        Args:
            pid: its secret.
            by: the name of the loss that it must be of; empty for any.

        Raises:
            ConnectionError: when MongoDB cannot be asked.
            PacketError: when it is no session.
        """
        try:
            document = await self._taken({"type": wire.SESSION, "data.pid": pid}, by)
        except PyMongoError as error:
            raise unreachable(error) from error
        if document is None:
            return None
        told = wire.native(document)
        born = document["_id"].generation_time.timestamp()
        if told.get("nsp") != self._nsp or time.time() - born > self._seconds:
            return None
        return converted(told.get("data"), Session)

    async def _taken(self, wanted: dict[str, Any], by: str) -> Any:
        collection = self._bus.collection()
        newest = {"sort": [("_id", -1)]}
        if self._bus.keeping.created_at:
            chosen = {**wanted, "data.by": by} if by else wanted
            return await collection.find_one_and_delete(chosen, **newest)
        document = await collection.find_one(wanted, **newest)
        if document is None or _is_tombstone(document):
            return None
        if by and document["data"].get("by") != by:
            return None
        pid = wanted["data.pid"]
        tombstone = self._new_id(document["_id"])
        message = self._message({"pid": pid, "tombstone": True})
        await self._bus.call(message, tombstone)
        later = {**wanted, "_id": {"$gt": document["_id"]}}
        others = await collection.find(later).to_list(_MOST_DOCUMENTS)
        # Of several servers that looked at the same time one at most has seen no other.
        alone = all(one["_id"] == tombstone for one in others)
        return document if alone else None

    def _message(self, data: Any) -> ClusterMessage:
        return ClusterMessage(self._bus.uid, self._nsp, wire.SESSION, data)

    def _new_id(self, above: ObjectId | None = None) -> ObjectId:
        """An id that is above another, and above all that were made here before."""
        if above is not None:
            self._least = max(self._least, _second(above) + 1)
        id = ObjectId()
        if _second(id) >= self._least:
            return id
        return ObjectId(self._least.to_bytes(4) + id.binary[4:])


def _is_tombstone(document: Any) -> bool:
    data = document.get("data")
    try:
        return not data.get("sid")
    except AttributeError as error:
        raise PacketError("a session that is none") from error


def _second(id: ObjectId) -> int:
    return int.from_bytes(id.binary[:4])
