"""The commands that drivers give, and what they are answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bson import Int64, Timestamp

from tests.support.mongod.query import matches
from tests.support.mongod.store import (
    MOST_BYTES,
    TOO_DEEP,
    Refusal,
    Store,
    depth,
    number_of,
    token,
)

Command = dict[str, Any]

# What clients are told at once; what is more they ask for.
_BATCH = 101
_DEEPEST = 200


class Cursor:
    """What a client has not been told yet.

    Attributes:
        name: the collection's.
        left: documents.
    """

    def __init__(self, name: str, left: list[Any]) -> None:
        self.name = name
        self.left = left


class Stream(Cursor):
    """A change stream.

    Attributes:
        position: how much of the oplog it has seen.
        filter: what is told.
        ended: whether there is nothing to come.
    """

    def __init__(self, name: str, position: int, pipeline: list[Any]) -> None:
        super().__init__(name, [])
        self.position = position
        self.filter = [stage["$match"] for stage in pipeline]
        self.ended = False


class Commands:
    """Carries out commands.

    Args:
        store: on this.
        address: where the server says it is.

    Attributes:
        failures: what the next commands of a name fail with, or do.
        log: the names of the commands that were given, and the commands.
    """

    def __init__(self, store: Store, address: str) -> None:
        self.store = store
        self.address = address
        self.failures: dict[str, list[Any]] = {}
        self.log: list[tuple[str, Command]] = []
        self.cursors: dict[int, Cursor] = {}
        self._number = 0

    async def run(self, command: Command) -> Command:
        """Carry out a command."""
        name = next(iter(command))
        self.log.append((name, command))
        known: Callable[[Command], Any] | None = getattr(self, "do_" + name.lower(), None)
        if known is None:
            raise Refusal(59, f"no such command: '{name}'")
        waiting = self.failures.get(name)
        if waiting:
            failure = waiting.pop(0)
            if isinstance(failure, Exception):
                raise failure
            failure()
        answer = known(command)
        found: Command = await answer if hasattr(answer, "__await__") else answer
        return {
            **found,
            "ok": 1.0,
            "operationTime": Timestamp(self.store.oplog.end + 1, 1),
        }

    def _collection(self, command: Command) -> str:
        return f"{command['$db']}.{next(iter(command.values()))}"

    # What drivers ask for by themselves.

    def do_hello(self, command: Command) -> Command:
        return {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "setName": "rs0",
            "setVersion": 1,
            "hosts": [self.address],
            "primary": self.address,
            "me": self.address,
            "maxBsonObjectSize": MOST_BYTES,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": 1,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": False,
        }

    do_ismaster = do_hello

    def do_ping(self, command: Command) -> Command:
        return {}

    def do_buildinfo(self, command: Command) -> Command:
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0]}

    def do_endsessions(self, command: Command) -> Command:
        return {}

    # Collections.

    def do_create(self, command: Command) -> Command:
        capped = int(command["size"]) if command.get("capped") else 0
        self.store.create(self._collection(command), capped)
        return {}

    def do_listcollections(self, command: Command) -> Command:
        prefix = command["$db"] + "."
        names = [one.removeprefix(prefix) for one in self.store.collections if prefix in one]
        found = [{"name": name, "type": "collection"} for name in names]
        wanted = command.get("filter", {})
        batch = [one for one in found if matches(one, wanted)]
        return {
            "cursor": {"id": Int64(0), "ns": prefix + "$cmd.listCollections", "firstBatch": batch}
        }

    def do_createindexes(self, command: Command) -> Command:
        collection = self.store.collection(self._collection(command))
        for index in command["indexes"]:
            collection.indexes.append(index)
            if "expireAfterSeconds" in index:
                collection.expire_after = index["expireAfterSeconds"]
        return {}

    # Documents.

    def do_insert(self, command: Command) -> Command:
        # The message as a whole is read before any of its documents is looked at.
        for document in command["documents"]:
            if depth(document) > _DEEPEST:
                raise Refusal(TOO_DEEP, "BSONObj exceeds maximum nested object depth: 200")
        name, written = self._collection(command), 0
        for index, document in enumerate(command["documents"]):
            try:
                self.store.insert(name, document)
            except Refusal as error:
                wrong = {"index": index, "code": error.code, "errmsg": str(error)}
                return {"n": written, "writeErrors": [wrong]}
            written += 1
        return {"n": written}

    def do_find(self, command: Command) -> Command:
        name = self._collection(command)
        collection = self.store.collection(name)
        found = collection.find(command.get("filter", {}), command.get("sort", {}))
        limit = command.get("limit", 0)
        if limit:
            found = found[: abs(limit)]
        size = command.get("batchSize", _BATCH)
        cursor = Cursor(name, found[size:])
        open_ = bool(cursor.left) and not command.get("singleBatch")
        id = self._keep(cursor) if open_ else 0
        return {"cursor": {"id": Int64(id), "ns": name, "firstBatch": found[:size]}}

    def do_findandmodify(self, command: Command) -> Command:
        name = self._collection(command)
        found = self.store.collection(name).find(command["query"], command.get("sort", {}))
        if not found:
            return {"value": None, "lastErrorObject": {"n": 0}}
        self.store.remove(name, found[0])
        return {"value": found[0], "lastErrorObject": {"n": 1}}

    # Cursors.

    def _keep(self, cursor: Cursor) -> int:
        self._number += 1
        self.cursors[self._number] = cursor
        return self._number

    def do_killcursors(self, command: Command) -> Command:
        for id in command["cursors"]:
            self.cursors.pop(id, None)
        return {"cursorsKilled": command["cursors"]}

    def do_aggregate(self, command: Command) -> Command:
        first, *pipeline = command["pipeline"]
        name, oplog = self._collection(command), self.store.oplog
        told = first["$changeStream"]
        resume = told.get("resumeAfter") or told.get("startAfter")
        position = oplog.end if resume is None else number_of(resume)
        oplog.after(position)
        stream = Stream(name, position, pipeline)
        cursor = {
            "id": Int64(self._keep(stream)),
            "ns": name,
            "firstBatch": [],
            "postBatchResumeToken": token(position),
        }
        return {"cursor": cursor}

    async def do_getmore(self, command: Command) -> Command:
        id = command["getMore"]
        cursor = self.cursors.get(id)
        if cursor is None:
            raise Refusal(43, f"cursor id {id} not found", ("ResumableChangeStreamError",))
        if isinstance(cursor, Stream):
            return await self._changes(id, cursor, command.get("maxTimeMS", 1000) / 1000)
        size = command.get("batchSize", 1000)
        batch, cursor.left = cursor.left[:size], cursor.left[size:]
        if not cursor.left:
            del self.cursors[id]
        left = id if cursor.left else 0
        return {"cursor": {"id": Int64(left), "ns": cursor.name, "nextBatch": batch}}

    async def _changes(self, id: int, stream: Stream, seconds: float) -> Command:
        batch = self._new(stream)
        if not batch and not stream.ended:
            await self.store.oplog.grown(seconds)
            batch = self._new(stream)
        if stream.ended:
            self.cursors.pop(id, None)
        cursor = {
            "id": Int64(0 if stream.ended else id),
            "ns": stream.name,
            "nextBatch": batch,
            "postBatchResumeToken": token(stream.position),
        }
        return {"cursor": cursor}

    def _new(self, stream: Stream) -> list[Any]:
        batch = []
        for name, event in self.store.oplog.after(stream.position):
            stream.position += 1
            if name != stream.name:
                continue
            if event["operationType"] == "invalidate":
                stream.ended = True
            if all(matches(event, wanted) for wanted in stream.filter):
                batch.append(event)
        return batch
