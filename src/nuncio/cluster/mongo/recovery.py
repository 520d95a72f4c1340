"""Connection state recovery over MongoDB: the log is the collection.

Events are read in the order in which MongoDB has them, which is that of the collection as well. So
what a client has missed is read from the end of the collection back to the event that it has. An
event's `_id`, by which Node's servers go, says less: it is made by the clock of who emits.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from nuncio.cluster.logged import GRACE_SECONDS, MOST_MISSED, LoggedAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.answers import unreachable
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.member import CollectionAdapter
from nuncio.cluster.mongo.recent import id_at
from nuncio.cluster.mongo.sessions import Sessions
from nuncio.cluster.numbered import Origin
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.session_wire import Session, id_of, position_of

if TYPE_CHECKING:
    from nuncio.cluster.mongo.adapter import MongoAdapter

_ID: Final = re.compile(r"[0-9a-f]{24}")

_PART: Final = 1000

# A server reads what it says itself within this time.
_BEGIN_SECONDS: Final = 1.0

# Who comes back waits so long for what this server's clients have been given before it was read.
_EARLY_SECONDS: Final = 2.0


class RecoveringAdapter(LoggedAdapter, CollectionAdapter):
    """See `MongoAdapter`, with connection state recovery."""

    def __init__(self, nsp: Any, bus: Bus, settings: MongoAdapter) -> None:
        super().__init__(nsp, bus, settings)
        self._sessions = Sessions(bus, self._name, self._duration + GRACE_SECONDS)

    async def init(self) -> None:
        """See `CollectionAdapter.init`."""
        await super().init()
        # Who comes before the first document would come from nowhere.
        await self.bus.read.begun(_BEGIN_SECONDS)

    async def close(self) -> None:
        """See `Adapter.close`."""
        self.end_log()
        await super().close()

    # The log.

    @property
    def reachable(self) -> bool:
        """See `LoggedAdapter.reachable`."""
        return self.bus.healthy

    def append(
        self, message: ClusterMessage, number: int, promised: bool = False
    ) -> asyncio.Future[Any]:
        """See `LoggedAdapter.append`."""
        message.data.number = number
        return self.bus.call(message)

    def _answered(self, number: int, answer: asyncio.Future[Any]) -> None:
        super()._answered(number, answer)
        if answer.cancelled() or answer.exception() is not None:
            # MongoDB will not have it: what is not refused is tried again until it is there.
            self._numbered.lost(number)

    def arrived(self, document: RawBSONDocument) -> None:
        """See `CollectionAdapter.arrived`."""
        place = self.position()
        origin = self.origin_of(document)
        if origin.uid == self.uid:
            self.mine(place, document, origin.number)
            return
        handle = super().arrived
        self.others(place, document, lambda: handle(document))

    def origin_of(self, entry: Any) -> Origin:
        """See `LoggedAdapter.origin_of`."""
        uid, data = entry.get("uid"), entry.get("data")
        number = data.get("number") if isinstance(data, Mapping) else 0
        return Origin(uid if isinstance(uid, str) else "", number if isinstance(number, int) else 0)

    def message_of(self, entry: Any) -> ClusterMessage:
        """See `LoggedAdapter.message_of`."""
        return wire.decode(entry)

    def position(self) -> int:
        """See `LoggedAdapter.position`."""
        return self.bus.read.place

    def offset_at(self, position: int) -> str:
        """See `LoggedAdapter.offset_at`."""
        return id_at(position)

    def may_be_offset(self, offset: str) -> bool:
        """See `LoggedAdapter.may_be_offset`."""
        return _ID.fullmatch(offset) is not None

    async def read_for(
        self, told: Session, offset: str, known: bool
    ) -> tuple[int, list[tuple[int, Any]] | None]:
        """See `LoggedAdapter.read_for`."""
        # Where that stands is known only then, and nobody is given it any more.
        await self._numbered.caught_up(_EARLY_SECONDS)
        read, after = self.bus.read, offset or told.since
        found = None
        if _ID.fullmatch(after):
            found = read.after(ObjectId(after), self._name, known)
            if found is None:
                marks = {told.since, told.left, *told.joined, *[id for id, _ in told.outbox]}
                found = await self._asked(ObjectId(after), known, marks)
        ids = [document["_id"] for document in found or ()]
        places = read.places(ids)
        # What has not been read yet stands behind all that has; what is not there, before.
        stands = dict.fromkeys(map(str, ids), self.position())
        stands.update(zip(map(str, ids), places, strict=False))

        def here(id: str) -> str:
            known = stands.get(id, 0)
            if not known and _ID.fullmatch(id):
                known = read.place_of(ObjectId(id))
            return id_of(known)

        told.since, told.left = here(told.since), here(told.left)
        told.joined = [here(id) for id in told.joined]
        told.outbox = [(here(id), payload) for id, payload in told.outbox]
        entries = None if found is None else list(zip(places, found, strict=False))
        return position_of(told.since), entries

    async def _asked(
        self, after: ObjectId, known: bool, marks: set[str]
    ) -> list[RawBSONDocument] | None:
        """What stands in the collection after a document; None when that one has been forgotten.

        Args:
            after: the document.
            known: whether it has to be an event, for a client says that it has it.
            marks: others of which is to be known where they stand.

        Raises:
            ConnectionError: when MongoDB cannot be asked.
        """
        collection = self.bus.collection()
        wanted: dict[str, Any] = {"_id": after}
        if known:
            wanted["type"] = Kind.BROADCAST
        named = [after, *[ObjectId(id) for id in marks if _ID.fullmatch(id)]]
        events = {"type": Kind.BROADCAST, "nsp": self._name}
        filter = {"$or": [events, {"_id": {"$in": named}}]}
        found: list[RawBSONDocument] = []
        try:
            if await collection.find_one(wanted) is None:
                return None
            async for document in collection.find(filter).sort("$natural", -1).batch_size(_PART):
                if document["_id"] == after:
                    found.reverse()
                    return found
                found.append(document)
                if len(found) > MOST_MISSED:
                    break
        except PyMongoError as error:
            raise unreachable(error) from error
        return None

    # Clients.

    def store(self, told: Session, seconds: float) -> asyncio.Future[Any]:
        """See `LoggedAdapter.store`."""
        return self._sessions.keep(told)

    async def retrieve(self, pid: str, by: str = "") -> Session | None:
        """See `LoggedAdapter.retrieve`."""
        return await self._sessions.take(pid, by)

    async def _give_up(self, session: SavedSession, by: str) -> None:
        if session.outbox is not None:
            await super()._give_up(session, by)
        else:
            # Nobody need know whether it came back.
            self._namespace.session_lost(session)
