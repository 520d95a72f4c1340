"""Connection state recovery over MongoDB: the log is the collection.

Events are read in the order in which MongoDB has them, which is that of the collection as well. So
what a client has missed is read from the end of the collection back to the event that it has. An
event's `_id`, by which Node's servers go, says less: it is made by the clock of who emits.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from nuncio.cluster.logged import GRACE_SECONDS, MOST_MISSED, LoggedAdapter
from nuncio.cluster.messages import ClusterMessage, Kind
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.answers import unreachable
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.member import CollectionAdapter
from nuncio.cluster.mongo.recent import id_at
from nuncio.cluster.mongo.sessions import Sessions
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.session_wire import Session, id_of, position_of

if TYPE_CHECKING:
    from nuncio.cluster.mongo.adapter import MongoAdapter

_ID: Final = re.compile(r"[0-9a-f]{24}")

_PART: Final = 1000

# A server reads what it says itself within this time.
_BEGIN_SECONDS: Final = 1.0

# Events of this server that have not been read yet.
_MOST_UNREAD: Final = 10_000


class RecoveringAdapter(LoggedAdapter, CollectionAdapter):
    """See `MongoAdapter`, with connection state recovery."""

    def __init__(self, nsp: Any, bus: Bus, settings: MongoAdapter) -> None:
        super().__init__(nsp, bus, settings)
        self._sessions = Sessions(bus, self._name, self._duration + GRACE_SECONDS)
        self._numbers: dict[ObjectId, int] = {}

    async def init(self) -> None:
        """See `CollectionAdapter.init`."""
        await super().init()
        # Who comes before the first document would come from nowhere.
        await self.bus.read.begun(_BEGIN_SECONDS)

    async def close(self) -> None:
        """See `Adapter.close`."""
        self.end_log()
        self._numbers.clear()
        await super().close()

    # The log.

    @property
    def reachable(self) -> bool:
        """See `LoggedAdapter.reachable`."""
        return self.bus.healthy

    def append(self, message: ClusterMessage, number: int) -> asyncio.Future[Any]:
        """See `LoggedAdapter.append`."""
        id = ObjectId()
        added = self.bus.call(message, id)
        self._numbers[id] = number
        if len(self._numbers) > _MOST_UNREAD:
            del self._numbers[next(iter(self._numbers))]
        return added

    def arrived(self, document: RawBSONDocument) -> None:
        """See `CollectionAdapter.arrived`."""
        place = self.position()
        if document.get("uid") == self.uid:
            self.mine(place, document, self._numbers.pop(document["_id"], 0))
            return
        handle = super().arrived
        self.others(place, document, lambda: handle(document))

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
        self, told: Session, offset: str
    ) -> tuple[int, list[tuple[int, Any]] | None]:
        """See `LoggedAdapter.read_for`."""
        after = offset or told.since
        marks = {told.since, told.left, *told.joined, *[id for id, _ in told.outbox]}
        try:
            found = await self._after(after, bool(offset), marks)
        except PyMongoError as error:
            raise unreachable(error) from error
        ids = [document["_id"] for document in found or ()]
        places = self.bus.read.places(ids)
        # What has not been read yet stands behind all that has; what is not there, before.
        stands = dict.fromkeys(map(str, ids), self.position())
        stands.update(zip(map(str, ids), places, strict=False))

        def here(id: str) -> str:
            return id_of(stands.get(id, 0))

        told.since, told.left = here(told.since), here(told.left)
        told.joined = [here(id) for id in told.joined]
        told.outbox = [(here(id), payload) for id, payload in told.outbox]
        entries = None if found is None else list(zip(places, found, strict=False))
        return position_of(told.since), entries

    async def _after(
        self, offset: str, known: bool, marks: set[str]
    ) -> list[RawBSONDocument] | None:
        """What stands in the collection after a document; None when that one has been forgotten.

        Args:
            offset: the document.
            known: whether it has to be an event, for a client says that it has it.
            marks: others of which is to be known where they stand.
        """
        if not _ID.fullmatch(offset):
            return None
        after, collection = ObjectId(offset), self.bus.collection()
        wanted: dict[str, Any] = {"_id": after}
        if known:
            wanted["type"] = int(Kind.BROADCAST)
        if await collection.find_one(wanted) is None:
            return None
        named = [after, *[ObjectId(id) for id in marks if _ID.fullmatch(id)]]
        events = {"type": int(Kind.BROADCAST), "nsp": self._name}
        filter = {"$or": [events, {"_id": {"$in": named}}]}
        found: list[RawBSONDocument] = []
        async for document in collection.find(filter).sort("$natural", -1).batch_size(_PART):
            if document["_id"] == after:
                found.reverse()
                return found
            found.append(document)
            if len(found) > MOST_MISSED:
                break
        return None

    # Clients.

    def store(self, told: Session, seconds: float) -> None:
        """See `LoggedAdapter.store`."""
        self._sessions.keep(told)

    async def retrieve(self, pid: str) -> Session | None:
        """See `LoggedAdapter.retrieve`."""
        return await self._sessions.take(pid)

    async def _give_up(self, session: SavedSession) -> None:
        if session.outbox is not None:
            await super()._give_up(session)
        else:
            # Nobody need know whether it came back.
            self._namespace.session_lost(session)
