"""Something that drivers take for a MongoDB, as far as adapters need one.

No MongoDB can be had where the tests run. What stands here speaks MongoDB's wire protocol to its
official drivers, pymongo and Node's, unchanged: they connect to it, insert, find and watch. Behind
it are a few collections in memory, and an oplog. It is no MongoDB: it knows the commands and the
operators that adapters use, and of MongoDB's rules those that they may run into.

    with Mongod() as mongod:
        io = nuncio.Server(adapter=MongoAdapter(mongod.url))
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

import bson

from tests.support.aio import DEADLINE
from tests.support.mongod.commands import Command, Commands
from tests.support.mongod.store import OPTIONS, Collection, Refusal, Store
from tests.support.ports import free_port

T = TypeVar("T")

_HEADER = struct.Struct("<iiii")
_MSG, _QUERY, _REPLY = 2013, 2004, 1
_CHECKSUM, _NO_ANSWER = 1, 2

DATABASE = "mydb"
COLLECTION = "socket.io-adapter-events"


class Mongod:
    """One server, in a thread of its own, at the same port as long as it lives."""

    def __init__(self) -> None:
        self.port = free_port()
        self.store = Store()
        self.commands = Commands(self.store, f"127.0.0.1:{self.port}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()

    @property
    def url(self) -> str:
        """Its address."""
        # Drivers look at their servers every ten seconds, which is long for a test.
        options = "directConnection=false&heartbeatFrequencyMS=500"
        return f"mongodb://127.0.0.1:{self.port}/{DATABASE}?{options}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE / 3)
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE / 3)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the server's thread."""

        async def called() -> T:
            return function(*args)

        return self.run(called())

    # What tests do with it.

    def start(self) -> None:
        """Listen; again, after `stop`, with what was there."""
        self.run(self._start())

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def stop(self) -> None:
        """Listen no longer, and cut all connections."""
        self.call(self._stop)

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._thawed.set()
        self._cut()

    def cut(self) -> None:
        """Cut all connections."""
        self.call(self._cut)

    def _cut(self) -> None:
        for writer in list(self._connections):
            writer.transport.abort()
        self.commands.cursors.clear()
        self.store.oplog.wake()

    def freeze(self) -> None:
        """Answer nothing until `thaw`."""
        self.call(self._thawed.clear)

    def thaw(self) -> None:
        """Go on."""
        self.call(self._thawed.set)

    def forget(self) -> None:
        """Forget the oplog: whoever was not there cannot go on where it was."""
        self.call(self.store.oplog.forget)

    def fail(self, name: str, *failures: Any) -> None:
        """Have the next commands of a name fail, or do something first."""
        self.call(self.commands.failures.setdefault(name, []).extend, failures)

    @property
    def collection(self) -> Collection:
        """The adapters' collection."""
        return self.store.collections.get(f"{DATABASE}.{COLLECTION}") or Collection()

    def documents(self) -> list[dict[str, Any]]:
        """The adapters' documents."""
        return self.call(self.collection.documents)

    def insert(self, *documents: dict[str, Any]) -> None:
        """Insert something there, as anybody could."""
        self.call(self._insert, documents)

    def _insert(self, documents: Iterable[dict[str, Any]]) -> None:
        for document in documents:
            self.store.insert(f"{DATABASE}.{COLLECTION}", {"_id": bson.ObjectId(), **document})

    def drop(self) -> None:
        """Drop the adapters' collection."""
        self.call(self.store.drop, f"{DATABASE}.{COLLECTION}")

    def clear(self) -> None:
        """Begin anew, with nothing in it; nobody may be connected."""
        self.call(self._clear)

    def _clear(self) -> None:
        self.store.collections.clear()
        self.commands.failures.clear()
        self.commands.log.clear()

    def given(self, name: str) -> list[Command]:
        """The commands of a name that were given."""
        return [command for one, command in list(self.commands.log) if one == name]

    # The wire protocol.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                size, id, _, kind = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                body = await reader.readexactly(size - _HEADER.size)
                await self._answer(writer, id, kind, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, id: int, kind: int, body: bytes) -> None:
        silent = False
        if kind == _MSG:
            flags, command = _message(body)
            silent = bool(flags & _NO_ANSWER)
        else:
            assert kind == _QUERY, kind
            command = _query(body)
        await self._thawed.wait()
        try:
            answer = await self.commands.run(command)
        except Refusal as error:
            answer = {
                "ok": 0.0,
                "code": error.code,
                "codeName": "Refused",
                "errmsg": str(error),
                "errorLabels": list(error.labels),
            }
        await self._thawed.wait()
        if silent:
            return
        encoded = bson.encode(answer, codec_options=OPTIONS)
        if kind == _MSG:
            head, code = b"\0\0\0\0\0", _MSG
        else:
            head, code = struct.pack("<iqii", 8, 0, 0, 1), _REPLY
        size = _HEADER.size + len(head) + len(encoded)
        writer.write(_HEADER.pack(size, 0, id, code) + head + encoded)
        await writer.drain()


def _message(body: bytes) -> tuple[int, Command]:
    """The flags of a message, and its command with all its documents."""
    (flags,) = struct.unpack_from("<I", body)
    end = len(body) - (4 if flags & _CHECKSUM else 0)
    command: Command = {}
    place = 4
    while place < end:
        kind = body[place]
        place += 1
        (size,) = struct.unpack_from("<i", body, place)
        if kind == 0:
            command = {**bson.decode(body[place : place + size], OPTIONS), **command}
        else:
            name, documents = _sequence(body[place + 4 : place + size])
            command[name] = documents
        place += size
    return flags, command


def _sequence(data: bytes) -> tuple[str, list[Any]]:
    name, _, rest = data.partition(b"\0")
    return name.decode(), bson.decode_all(rest, OPTIONS)


def _query(body: bytes) -> Command:
    """The command of a query, as drivers say hello."""
    end = body.index(b"\0", 4)
    (size,) = struct.unpack_from("<i", body, end + 9)
    return bson.decode(body[end + 9 : end + 9 + size], OPTIONS)
