"""MongoDB goes away and comes back, refuses, says nonsense; servers keep serving their clients."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pymongo
import pytest
from bson import Binary, Code, DBRef, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from nuncio import ClusterTimeout, OptionError, Server
from nuncio.cluster import MongoAdapter
from nuncio.cluster.mongo import answers
from tests.support.aio import eventually, run_async, until
from tests.support.mongod.server import COLLECTION, DATABASE, Mongod
from tests.support.mongod.store import Refusal
from tests.support.ports import free_port
from tests.support.two import Two, joined


@pytest.fixture(autouse=True)
def empty(mongod: Mongod) -> Iterator[None]:
    """Begin with nothing, and end with a server that answers."""
    mongod.clear()
    yield
    mongod.thaw()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have nobody wait for long from now on; to begin with, a busy machine may take its time."""
    return lambda: monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)


def two(mongod: Mongod, **options: Any) -> AbstractAsyncContextManager[Two]:
    """Two servers, which end with the block."""
    return joined(*[MongoAdapter(mongod.url, **options) for _ in range(2)])


def messages(client: Any, count: int) -> bool:
    """Whether a client has received so many."""
    return len(client.wire.messages) >= count


@run_async
async def test_mongodb_is_restarted(mongod: Mongod, impatient: Callable[[], None]) -> None:
    async with two(mongod) as pair:
        told = pair.health()
        await pair.reaches("before")
        impatient()
        mongod.stop()
        pair.one.emit("e", 1)
        assert pair.ada.take() == ['2["e",1]']
        await pair.is_alone()
        mongod.start()
        await pair.back()
        # What was said meanwhile was written, and is read.
        await eventually(lambda: '2["e",1]' in pair.bob.wire.messages)
        await pair.reaches("after")
        assert told[0] == "ConnectionError"
        assert told[-1] == "healthy"
        assert pair.adapter().stats()["losses"] > 0


@run_async
async def test_connections_to_mongodb_are_cut(mongod: Mongod) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        for number in range(20):
            pair.one.emit("e", number)
            if number % 5 == 0:
                mongod.cut()
                await asyncio.sleep(0)
        # In order, each once, whatever was answered.
        await eventually(lambda: messages(pair.bob, 20))
        assert pair.bob.take() == [f'2["e",{number}]' for number in range(20)]
        await pair.back()
        await pair.reaches("after")


@run_async
async def test_mongodb_says_nothing_for_a_while(
    mongod: Mongod, impatient: Callable[[], None]
) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        impatient()
        mongod.freeze()
        pair.one.emit("e", 1)
        assert pair.ada.take() == ['2["e",1]']
        await eventually(lambda: not pair.adapter().healthy)
        mongod.thaw()
        await pair.back()
        await eventually(lambda: '2["e",1]' in pair.bob.wire.messages)
        await pair.reaches("after")
        heard = pair.bob.wire.messages.count('2["e",1]')
        assert heard <= 1


@run_async
async def test_an_answer_that_is_lost_writes_nothing_twice(mongod: Mongod) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        # It is written, and who wrote it never learns that.
        mongod.fail("insert", None)
        store, insert = mongod.store, mongod.store.insert

        def once(name: str, document: dict[str, Any]) -> None:
            insert(name, document)
            store.insert = insert  # type: ignore[method-assign]
            raise ConnectionAbortedError

        mongod.commands.failures["insert"].clear()
        store.insert = once  # type: ignore[method-assign]
        pair.one.emit("e", 1)
        pair.one.emit("e", 2)
        await eventually(lambda: messages(pair.bob, 2))
        assert pair.bob.take() == ['2["e",1]', '2["e",2]']
        assert pair.adapter().stats()["failed"] == 0


@run_async
async def test_what_mongodb_refuses_stops_nothing(mongod: Mongod) -> None:
    # No heartbeat is to be refused instead.
    async with two(mongod, heartbeat_interval=60, heartbeat_timeout=120) as pair:
        await pair.reaches("before")
        mongod.fail("insert", Refusal(2, "BadValue"), Refusal(2, "BadValue"))
        for number in range(4):
            pair.one.emit("e", number)
        await eventually(lambda: '2["e",3]' in pair.bob.wire.messages)
        assert pair.ada.take() == [f'2["e",{number}]' for number in range(4)]
        heard = [one for one in pair.bob.take() if "before" not in str(one)]
        assert heard == [f'2["e",{number}]' for number in range(1, 4)]
        assert pair.adapter().stats()["failed"] == 1
        assert pair.adapter().healthy


@run_async
async def test_who_may_not_write_is_cut_off_and_told(mongod: Mongod) -> None:
    # No heartbeat is to be refused instead.
    async with two(mongod, heartbeat_interval=60, heartbeat_timeout=120) as pair:
        await pair.reaches("before")
        mongod.fail("insert", *[Refusal(13, "not authorized")] * 2)
        pair.one.emit("e")
        await eventually(lambda: not pair.adapter().healthy)
        await eventually(lambda: pair.adapter().healthy)
        await eventually(lambda: '2["e"]' in pair.bob.wire.messages)


@run_async
async def test_a_change_stream_that_ends_is_opened_again(mongod: Mongod) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        mongod.call(mongod.commands.cursors.clear)
        await pair.reaches("again")
        # A resumable error: pymongo goes on by itself, or we do.
        mongod.fail("getMore", Refusal(43, "no cursor", ("ResumableChangeStreamError",)))
        await pair.reaches("and again")
        assert pair.adapter().stats()["gaps"] == 0


@run_async
async def test_a_place_that_mongodb_has_forgotten_is_given_up(
    mongod: Mongod, impatient: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        impatient()
        mongod.stop()
        await eventually(lambda: not pair.adapter(pair.two).healthy)
        mongod.store.oplog.add("mydb.other", {"operationType": "insert", "fullDocument": {}})
        mongod.store.oplog.forget()
        mongod.start()
        await pair.back()
        await pair.reaches("after")
        assert pair.adapter(pair.two).stats()["gaps"] == 1
        assert "is lost" in caplog.text


@run_async
async def test_a_collection_that_is_dropped_is_made_again(mongod: Mongod) -> None:
    async with two(mongod, capped_bytes=1 << 20) as pair:
        await pair.reaches("before")
        assert mongod.collection.capped == 1 << 20
        # Who wrote something meanwhile would make it, as MongoDB does by itself.
        await pair.is_quiet()
        mongod.drop()
        await eventually(lambda: mongod.collection.capped == 1 << 20)
        await pair.back()
        await pair.reaches("after")


@run_async
async def test_what_waits_for_mongodb_is_bounded(mongod: Mongod) -> None:
    io = Server(adapter=MongoAdapter(mongod.url, outgoing_bytes=10_000))
    await io.engine.start()
    adapter: Any = io.sockets.adapter
    await eventually(lambda: mongod.documents())
    mongod.stop()
    for _ in range(100):
        io.emit("e", "x" * 1000)
    stats = adapter.stats()
    assert 80 < stats["dropped_outgoing"] < 100
    mongod.start()
    await eventually(lambda: adapter.healthy)
    await io.close(1.0)


@run_async
async def test_a_server_does_not_start_without_mongodb(mongod: Mongod) -> None:
    url = f"mongodb://127.0.0.1:{free_port()}/mydb?serverSelectionTimeoutMS=100"
    io = Server(adapter=MongoAdapter(url))
    with pytest.raises(ConnectionError):
        await io.listen(0)
    await io.close(0.1)
    # Nor over one that is no replica set.
    mongod.fail("aggregate", *[Refusal(40573, "The $changeStream stage is only supported on")] * 9)
    io = Server(adapter=MongoAdapter(mongod.url))
    with pytest.raises(ConnectionError, match="changeStream"):
        await io.listen(0)
    await io.close(0.1)


@run_async
async def test_a_server_leaves_and_may_start_again(mongod: Mongod) -> None:
    async with two(mongod) as pair:
        await pair.second_leaves()
        left = [one for one in mongod.documents() if one["uid"] == "emitter"]
        assert [(one["type"], list(one["data"])) for one in left] == [(2, ["gone"])]
        await pair.second_returns()


@run_async
async def test_a_server_that_dies_counts_no_longer(mongod: Mongod) -> None:
    pace = {"heartbeat_interval": 0.1, "heartbeat_timeout": 0.4, "requests_timeout": 0.3}
    async with two(mongod, **pace) as pair:
        await pair.reaches("e")
        third = {"type": 2, "uid": "third", "nsp": "/"}
        mongod.insert(third)
        await until(pair.adapter().server_count, 3)
        with pytest.raises(ClusterTimeout) as caught:
            await pair.one.fetch_sockets()
        assert len(caught.value.responses) == 2
        await until(pair.adapter().server_count, 2)
        assert len(await pair.one.fetch_sockets()) == 2


HOSTILE: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"packet": 5},
    {"packet": {"data": "no list"}, "opts": {}},
    {"packet": {"data": []}, "opts": {"rooms": []}},
    {"packet": {"data": ["e"]}},
    {"packet": {"data": ["e"]}, "opts": {"rooms": 5}},
    {"packet": {"data": ["e"]}, "opts": {"rooms": [{}], "except": [None]}},
    {"packet": {"data": ["e"]}, "opts": {"flags": {"timeout": float("nan")}}, "requestId": "r"},
    {"packet": ["e"], "requestId": {}},
    {"packet": [5]},
    {"requestId": 5, "opts": {}},
    {"requestId": "r", "sockets": [{"id": 5}]},
    {"requestId": "r", "clientCount": -1},
    {"gone": {}},
    {"gone": "x"},
    ObjectId(),
    Decimal128("1"),
    Regex("("),
    Code("while (true);"),
    Timestamp(1, 1),
    MinKey(),
    {"a": MaxKey()},
    DBRef("a", "b"),
    Binary(b"\x00" * 16, 4),
    DatetimeMS(2**62),
]


@run_async
async def test_what_is_no_message_is_counted_and_dropped(mongod: Mongod) -> None:
    # Who says nonsense counts as a server as long as it is heard.
    async with two(mongod, heartbeat_interval=0.2, heartbeat_timeout=1.0) as pair:
        await pair.reaches("before")
        rooms = dict(pair.adapter().rooms)
        hostile = []
        for data in HOSTILE:
            for kind in (*range(15), 99, -1, "3", None, {}):
                if kind == 6 and isinstance(data, dict) and isinstance(data.get("opts"), dict):
                    # Everybody is disconnected by it.
                    continue
                hostile.append({"type": kind, "data": data, "uid": "x", "nsp": "/"})
        hostile += [{}, {"nsp": "/"}, {"nsp": {}}, {"uid": 5, "nsp": "/"}, {"nsp": "/nobody"}]
        hostile.append({"_id": 5, "type": 2, "uid": "emitter", "nsp": "/"})
        mongod.insert(*hostile)
        await pair.reaches_both("after")
        assert pair.adapter().stats()["dropped"] >= len(HOSTILE)
        assert pair.adapter().rooms == rooms
        assert pair.adapter().healthy
        assert pair.adapter().stats()["losses"] == 0


@run_async
async def test_what_clients_say_cannot_stop_a_server(mongod: Mongod) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    async with two(mongod) as pair:
        reported: list[Any] = []
        pair.one.on_error(lambda *args: reported.append(args))
        for value in ("\ud800", {"\0": 1}, 10**400, 2**64, {"$where": 1, "a.b": 2}, deep):
            pair.one.emit("e", value)
        await pair.reaches("after")
        assert not reported
        assert pair.adapter().stats()["failed"] == 1
        assert sum(message.startswith('2["e"') for message in map(str, pair.bob.take())) <= 5


@run_async
async def test_what_is_too_large_is_told_to_whoever_emits_it(mongod: Mongod) -> None:
    async with two(mongod) as pair:
        await pair.reaches("before")
        with pytest.raises(OptionError, match="16777216"):
            pair.one.emit("e", b"x" * (16 << 20))
        assert pair.ada.take() == []
        with pytest.raises(OptionError, match="16777216"):
            pair.one.server_side_emit("e", "x" * (16 << 20))
        await pair.reaches("after")


@run_async
async def test_a_collection_of_the_application_stays_open(mongod: Mongod) -> None:
    client: Any = pymongo.AsyncMongoClient(mongod.url)
    collection = client[DATABASE][COLLECTION]
    async with joined(MongoAdapter(collection), MongoAdapter(mongod.url)) as pair:
        await pair.reaches("e")
    assert (await client.admin.command("ping"))["ok"] == 1
    await client.close()


@pytest.mark.parametrize("dated", [False, True])
@run_async
async def test_the_collection_is_made_if_it_is_not_there(mongod: Mongod, dated: bool) -> None:
    options = {"add_created_at_field": dated, "capped_bytes": 1 << 20, "expire_after": 60}
    async with two(mongod, **options) as pair:
        await pair.reaches("e")
        collection = mongod.collection
        assert collection.capped == (0 if dated else 1 << 20)
        assert collection.expire_after == (60 if dated else 0)
        assert any("data.pid" in index["key"] for index in collection.indexes)
        assert all(("createdAt" in one) == dated for one in mongod.documents())
        made = len(mongod.given("create"))
    async with two(mongod) as pair:
        await pair.reaches("e")
        assert len(mongod.given("create")) == made


@run_async
async def test_options_of_change_streams_are_given_on(mongod: Mongod) -> None:
    options = {"batch_size": 7, "comment": "ours", "max_await_time_ms": 200}
    async with two(mongod, change_stream_options=options) as pair:
        await pair.reaches("e")
    assert all(one["comment"] == "ours" for one in mongod.given("aggregate"))
    more = [one for one in mongod.given("getMore") if "maxTimeMS" in one]
    assert {one["maxTimeMS"] for one in more} == {200}
    assert {one["batchSize"] for one in more} == {7}


def test_wrong_options_are_told(mongod: Mongod) -> None:
    url = "mongodb://localhost/mydb"
    for where in (
        5,
        None,
        "http://localhost/x",
        "localhost:27017",
        "mongodb://",
        "mongodb://h:x/d",
    ):
        with pytest.raises(OptionError, match="url"):
            MongoAdapter(where)
    with pytest.raises(OptionError, match="database"):
        MongoAdapter("mongodb://localhost")
    with pytest.raises(OptionError, match="collection, not the client"):
        MongoAdapter(pymongo.MongoClient(mongod.url, connect=False))
    wrong: list[tuple[str, Any]] = [
        ("collection", ""),
        ("requests_timeout", 0),
        ("heartbeat_interval", -1),
        ("heartbeat_timeout", 1.0),
        ("add_created_at_field", "yes"),
        ("change_stream_options", 5),
        ("change_stream_options", {"maxAwaitTimeMS": 1}),
        ("capped_bytes", 0),
        ("expire_after", 0),
        ("outgoing_bytes", 0),
        ("database", ""),
    ]
    for name, value in wrong:
        with pytest.raises(OptionError, match=name):
            MongoAdapter(url if name != "database" else "mongodb://localhost", **{name: value})
    with pytest.raises(OptionError, match="max_await_time_ms"):
        MongoAdapter(url, change_stream_options={"maxAwaitTimeMS": 1})


def test_an_address_is_not_shown(mongod: Mongod) -> None:
    for url in ("mongodb://u:secret@host:bad/d", "mongodbs://u:secret@host/d"):
        with pytest.raises(OptionError) as caught:
            MongoAdapter(url)
        assert "secret" not in str(caught.value)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch, mongod: Mongod) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(OptionError, match=r"nuncio\[mongo\]"):
        MongoAdapter("mongodb://localhost/mydb")


def test_an_old_library_is_told(monkeypatch: pytest.MonkeyPatch, mongod: Mongod) -> None:
    monkeypatch.delattr(pymongo, "AsyncMongoClient")
    with pytest.raises(OptionError, match=r"nuncio\[mongo\]"):
        MongoAdapter("mongodb://localhost/mydb")
