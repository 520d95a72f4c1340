"""Clients come back to another server than they left, ours or Node's, and miss nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from nuncio import OptionError
from nuncio.cluster.mongo import answers, recent, recovery
from tests.cluster.mongo.scene import leaves, next_second, scene, sessions, wanderer
from tests.support.aio import DEADLINE, eventually, run_async, within
from tests.support.mongod.server import COLLECTION, DATABASE, Mongod
from tests.support.nodeserver import NodeHome

# Where a client was, where it comes back, and whether documents say when they were made.
WAYS = [
    ("ours", "ours", False),
    ("ours", "ours", True),
    ("ours", "node", False),
    ("ours", "node", True),
    ("node", "ours", False),
    ("node", "ours", True),
]


@pytest.mark.parametrize(("left", "found", "dated"), WAYS)
@run_async
async def test_a_client_comes_back_to_another_server(
    home: NodeHome, mongod: Mongod, left: str, found: str, dated: bool
) -> None:
    async with scene(home, mongod, dated) as servers:
        first, second = await servers.place(left), await servers.place(found)
        await servers.met()
        client = await servers.arrival(first)
        sid, pid = client.sid, client.pid
        await first.join(sid, "room")
        data = {"user": "bob", "n": 1}
        await first.set_data(sid, data)
        await first.emit("one", 1)
        assert await client.next() == ["one", 1]
        await first.emit("two", b"2", to="room")
        assert await client.next() == ["two", b"2"]
        await first.loses(client)
        await eventually(lambda: sessions(mongod))
        await next_second(left, found)
        await first.emit("three", b"3")
        await second.emit("four", 4, to="room")
        await first.emit("not for it", to="elsewhere")
        await second.emit("five", "5")
        missed = await client.come_back(second.port)
        # Two servers emitted at the same time. Node's leaves binary as the driver gives it.
        assert sorted(one[0] for one in missed) == ["five", "four", "three"]
        if found == "ours":
            assert sorted(missed) == [["five", "5"], ["four", 4], ["three", b"3"]]
        assert (client.sid, client.pid) == (sid, pid)
        there = await second.socket(sid)
        assert there == {"recovered": True, "rooms": {sid, "room"}, "data": data}
        # Node's servers give no offset with what is missed, so it would be missed once more.
        await next_second(left, found)
        await first.emit("six", to="room")
        assert await client.next() == ["six"]
        # And once more, from there.
        await second.loses(client)
        await eventually(lambda: any("sid" in one for one in sessions(mongod)[-1:]))
        await first.emit("seven")
        assert await client.come_back(first.port) == [["seven"]]
        await client.leave()


@run_async
async def test_what_was_recovered_once_is_not_missed_again(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        await first.emit("one")
        await client.next()
        await first.loses(client)
        await second.emit("two")
        assert await client.come_back(second.port) == [["two"]]
        await second.loses(client)
        assert await client.come_back(first.port) == []
        assert (await first.socket(client.sid) or {})["recovered"]
        await client.leave()


@run_async
async def test_the_order_is_that_of_the_collection_whatever_clocks_say(
    home: NodeHome, mongod: Mongod
) -> None:
    def event(id: ObjectId, *payload: Any) -> dict[str, Any]:
        told = {"packet": {"type": 2, "data": list(payload)}, "opts": {"rooms": [], "except": []}}
        return {"_id": id, "type": 3, "data": told, "uid": "other", "nsp": "/"}

    def at(minutes: int) -> ObjectId:
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        return ObjectId(ObjectId.from_datetime(moment).binary[:4] + ObjectId().binary[4:])

    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        mongod.insert(event(at(5), "ahead", 1))
        assert await client.next() == ["ahead", 1]
        await first.loses(client)
        await eventually(lambda: sessions(mongod))
        mongod.insert(event(at(-60), "behind", 2), event(at(60), "ahead", 3), event(at(0), "now"))
        await second.emit("after all")
        missed = await client.come_back(second.port)
        assert missed == [["behind", 2], ["ahead", 3], ["now"], ["after all"]]
        await client.leave()


@pytest.mark.parametrize("received", [True, False])
@run_async
async def test_what_has_been_forgotten_cannot_be_recovered(
    home: NodeHome, mongod: Mongod, received: bool
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        sid = client.sid
        if received:
            await place.emit("e", 1)
            await client.next()
        await place.loses(client)
        await eventually(lambda: sessions(mongod))
        for document in mongod.documents():
            if document["type"] != 13:
                mongod.call(mongod.store.remove, f"{DATABASE}.{COLLECTION}", document)
        await place.emit("e", 2)
        # Nor has the server read it without a break since then.
        adapter: Any = place.io.sockets.adapter
        adapter.bus.read.interrupted()
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_who_was_away_for_too_long_begins_afresh(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        await place.emit("e", 1)
        await client.next()
        # As if Node's server had kept it three minutes ago; it is in the collection yet.
        moment = datetime.now(UTC) - timedelta(minutes=3)
        told = {"sid": "s" * 20, "pid": "p" * 20, "rooms": ["s" * 20], "data": {}}
        mongod.insert(
            {
                "_id": ObjectId.from_datetime(moment),
                "type": 13,
                "data": told,
                "uid": "other",
                "nsp": "/",
            }
        )
        leaves(mongod, "other")
        late = wanderer()
        late.pid, late.offset = "p" * 20, client.offset
        await late.come_back(place.port)
        assert late.sid != "s" * 20
        await client.leave()
        await late.leave()


@run_async
async def test_a_session_of_another_namespace_restores_nobody(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        await place.emit("e", 1)
        await client.next()
        told = {"sid": "s" * 20, "pid": "p" * 20, "rooms": [], "data": {}}
        mongod.insert({"type": 13, "data": told, "uid": "other", "nsp": "/admin"})
        thief = wanderer()
        thief.pid, thief.offset = "p" * 20, client.offset
        await thief.come_back(place.port)
        assert thief.sid != "s" * 20
        await client.leave()
        await thief.leave()


@pytest.mark.parametrize(
    "data",
    [None, 5, [], {}, {"pid": "p" * 20}, {"pid": "p" * 20, "sid": 5}, {"sid": "s", "pid": {}}],
)
@run_async
async def test_a_session_that_is_none_restores_nobody(
    home: NodeHome, mongod: Mongod, data: Any
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        mongod.insert({"type": 13, "data": data, "uid": "other", "nsp": "/"})
        leaves(mongod, "other")
        thief = wanderer()
        thief.pid = "p" * 20
        await thief.come_back(place.port)
        assert thief.sid != "s"
        await thief.leave()


@run_async
async def test_what_is_said_while_a_client_is_let_in_is_received_once(
    home: NodeHome, mongod: Mongod
) -> None:
    recovery = {"skip_middlewares": False}
    async with scene(home, mongod) as servers:
        first = await servers.ours()
        second = await servers.ours(connection_state_recovery=recovery)
        await servers.met()
        client = await servers.arrival(first)
        await first.emit("known")
        await client.next()
        await first.loses(client)
        asked, may = asyncio.Event(), asyncio.Event()

        async def wait(socket: Any) -> None:
            asked.set()
            await may.wait()

        second.io.use(wait)
        for number in range(3):
            await first.emit("e", number)
        coming = asyncio.ensure_future(client.come_back(second.port))
        await within(asked.wait())
        for number in range(3, 6):
            await first.emit("e", number)
            await second.emit("e", number)
        # One is on its way when the client is let in.
        second.io.emit("e", 6)
        may.set()
        heard = await within(coming)
        await second.emit("end")
        while heard[-1] != ["end"]:
            heard.append(await client.next())
        numbers = [one[1] for one in heard if one[0] == "e"]
        assert numbers == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6]
        await client.leave()


@run_async
async def test_nobody_waits_to_be_restored_while_mongodb_is_away(
    home: NodeHome, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        adapter: Any = place.io.sockets.adapter
        client = await servers.arrival(place)
        monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)
        await place.emit("e")
        await client.next()
        sid = client.sid
        await place.loses(client)
        mongod.stop()
        await eventually(lambda: not adapter.healthy)
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        mongod.start()
        await eventually(lambda: adapter.healthy)
        await client.leave()


@run_async
async def test_what_others_were_given_early_is_for_who_comes_back_before_it_is_read(
    home: NodeHome, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_EARLY_SECONDS", DEADLINE)
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        adapter: Any = place.io.sockets.adapter
        client, other = await servers.arrival(place), await servers.arrival(place)
        await place.emit("e", 1)
        assert await client.next() == await other.next() == ["e", 1]
        await place.loses(client)
        await servers.kept()
        unread: list[Any] = []
        reader = adapter.bus._reader
        monkeypatch.setattr(reader, "_receiver", unread.append)
        place.io.emit("e", 2)
        assert await other.next() == ["e", 2]
        # BSON cannot hold it, and nobody waits for that.
        deep: list[Any] = []
        for _ in range(150):
            deep = [deep]
        place.io.emit("deep", deep)
        assert await other.next() == ["deep", deep]
        coming = asyncio.ensure_future(client.come_back(place.port))
        # Where it is let in without waiting, it comes back without it.
        await asyncio.wait((coming,), timeout=0.3)
        monkeypatch.undo()
        for document in unread:
            reader._receiver(document)
        assert await within(coming) == [["e", 2]]
        await place.loses(client)
        assert await client.come_back(place.port) == []
        for one in (client, other):
            await one.leave()


@run_async
async def test_more_than_is_remembered_of_reading_can_be_missed(
    home: NodeHome, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "_MOST", 5)
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        await first.emit("e", -1)
        await client.next()
        await first.loses(client)
        for number in range(30):
            await second.emit("e", number)
        mongod.commands.log.clear()
        assert await client.come_back(second.port) == [["e", number] for number in range(30)]
        assert any("$natural" in one.get("sort", {}) for one in mongod.given("find"))
        await client.leave()


@run_async
async def test_what_was_read_lately_is_not_asked_for(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        await servers.met()
        client = await servers.arrival(first)
        await first.emit("e", -1)
        await client.next()
        await first.loses(client)
        for number in range(30):
            await second.emit("e", number)
        mongod.commands.log.clear()
        assert await client.come_back(second.port) == [["e", number] for number in range(30)]
        assert not any("$natural" in one.get("sort", {}) for one in mongod.given("find"))
        # What was missed where the stream broke off is not there.
        bus: Any = second.io.sockets.adapter
        bus.bus.read.interrupted()
        await second.loses(client)
        await first.emit("e", 30)
        mongod.commands.log.clear()
        assert await client.come_back(second.port) == [["e", 30]]
        assert any("$natural" in one.get("sort", {}) for one in mongod.given("find"))
        await client.leave()


@run_async
async def test_nobody_waits_for_mongodb(
    home: NodeHome, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        adapter: Any = place.io.sockets.adapter
        client = await servers.arrival(place)
        monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)
        mongod.freeze()
        sent = place.io.emit("e", "frozen")
        assert await client.next() == ["e", "frozen"]
        await within(asyncio.wait_for(sent, 5))
        mongod.thaw()
        mongod.stop()
        await eventually(lambda: not adapter.healthy)
        place.io.emit("e", "stopped")
        assert await client.next() == ["e", "stopped"]
        mongod.start()
        await eventually(lambda: adapter.healthy)
        await place.emit("e", "back")
        assert await client.next() == ["e", "back"]
        assert client.offset
        await client.leave()


@run_async
async def test_what_is_too_large_is_told_to_whoever_emits_it(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        with pytest.raises(OptionError, match="16777216"):
            place.io.emit("e", "x" * (16 << 20))
        deep: Any = "x"
        for _ in range(150):
            deep = [deep]
        # What MongoDB would refuse reaches this server's clients none the less.
        place.io.emit("deep", deep)
        assert (await client.next())[0] == "deep"
        # It stands nowhere but behind what was before it.
        assert client.offset.partition("+")[1] == "+"
        await place.emit("e", 1)
        assert await client.next() == ["e", 1]
        await client.leave()
