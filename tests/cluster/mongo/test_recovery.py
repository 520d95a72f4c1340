"""Clients come back to another server than they left, ours or Node's, and miss nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from nuncio import OptionError, Undelivered
from nuncio.cluster.mongo import answers, recent
from tests.cluster.mongo.scene import next_second, scene, sessions, wanderer
from tests.support.aio import eventually, run_async, within
from tests.support.mongod.server import COLLECTION, DATABASE, Mongod
from tests.support.nodeserver import NodeHome
from tests.support.wanderer import Wanderer

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
        client = wanderer()
        await client.connect(first.port)
        sid, pid = client.sid, client.pid
        await first.join(sid, "room")
        data = {"user": "bob", "n": 1}
        await first.set_data(sid, data)
        await first.emit("one", 1)
        assert await client.next() == ["one", 1]
        await first.emit("two", b"2", to="room")
        assert await client.next() == ["two", b"2"]
        client.lose()
        await first.gone(sid)
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
        client.lose()
        await second.gone(sid)
        await eventually(lambda: any("sid" in one for one in sessions(mongod)[-1:]))
        await first.emit("seven")
        assert await client.come_back(first.port) == [["seven"]]
        await client.leave()


@run_async
async def test_what_was_recovered_once_is_not_missed_again(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = wanderer()
        await client.connect(first.port)
        await first.emit("one")
        await client.next()
        client.lose()
        await first.gone(client.sid)
        await second.emit("two")
        assert await client.come_back(second.port) == [["two"]]
        client.lose()
        await second.gone(client.sid)
        assert await client.come_back(first.port) == []
        assert (await first.socket(client.sid) or {})["recovered"]
        await client.leave()


@pytest.mark.parametrize("dated", [False, True])
@run_async
async def test_a_session_is_in_one_place(home: NodeHome, mongod: Mongod, dated: bool) -> None:
    async with scene(home, mongod, dated) as servers:
        places = [await servers.ours() for _ in range(3)]
        client = wanderer()
        await client.connect(places[0].port)
        await places[0].emit("e", 1)
        await client.next()
        client.lose()
        await places[0].gone(client.sid)
        await eventually(lambda: sessions(mongod))
        others = [wanderer() for _ in places]
        for one in others:
            one.pid, one.offset = client.pid, client.offset
        # Those who come at the same time take it from each other, or prevent each other at worst.
        await asyncio.gather(
            *[one.come_back(place.port) for one, place in zip(others, places, strict=True)]
        )
        found = [place for place in places if await place.socket(client.sid) is not None]
        assert len(found) <= 1
        for one in others:
            one.lose()


@pytest.mark.parametrize("dated", [False, True])
@run_async
async def test_a_client_whose_loss_its_server_has_not_noticed_comes_back_to_another(
    home: NodeHome, mongod: Mongod, dated: bool
) -> None:
    async with scene(home, mongod, dated) as servers:
        first, second = await servers.ours(), await servers.ours()
        await servers.met()
        before, client = wanderer(), wanderer()
        await before.connect(first.port)
        await first.join(before.sid, "room")
        await first.emit("e", 1, to="room")
        await before.next()
        client.pid, client.offset = before.pid, before.offset
        await first.emit("e", 2, to="room")
        assert await client.come_back(second.port) == [["e", 2]]
        assert client.sid == before.sid
        await first.gone(client.sid)
        before.lose()
        await client.leave()


@pytest.mark.parametrize("dated", [False, True])
@run_async
async def test_data_is_that_of_the_server_where_the_client_was_last(
    home: NodeHome, mongod: Mongod, dated: bool
) -> None:
    async with scene(home, mongod, dated) as servers:
        first, second = await servers.ours(), await servers.ours()
        await servers.met()
        client = wanderer()
        await client.connect(first.port)
        sid = client.sid
        for place, back in ((first, second), (second, first)):
            await place.set_data(sid, {"at": place.port})
            client.lose()
            await place.gone(sid)
            await client.come_back(back.port)
            assert client.sid == sid
            assert (await back.socket(sid) or {})["data"] == {"at": place.port}
        await client.leave()


@pytest.mark.parametrize("offset", ["x", "1-1", "0" * 24, "f" * 24, "0" * 23, "G" * 24])
@run_async
async def test_an_offset_that_is_none_begins_afresh(
    home: NodeHome, mongod: Mongod, offset: str
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = wanderer()
        await client.connect(place.port)
        client.lose()
        await place.gone(client.sid)
        sid, client.offset = client.sid, offset
        await client.come_back(place.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_a_client_that_has_received_nothing_may_come_back(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = wanderer()
        await first.emit("before")
        await client.connect(first.port)
        await first.join(client.sid, "late")
        client.lose()
        await first.gone(client.sid)
        await second.emit("e", to="late")
        assert await client.come_back(second.port) == [["e"]]
        await client.leave()


@run_async
async def test_what_was_said_in_a_room_before_it_came_is_not_for_it(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = wanderer()
        await client.connect(first.port)
        await first.emit("one")
        await client.next()
        await first.emit("secret", to="room")
        await first.emit("two")
        await client.next()
        await first.join(client.sid, "room")
        client.offset = ""
        client.lose()
        await first.gone(client.sid)
        await first.emit("three", to="room")
        assert await client.come_back(second.port) == [["one"], ["two"], ["three"]]
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
        client = wanderer()
        await client.connect(first.port)
        mongod.insert(event(at(5), "ahead", 1))
        assert await client.next() == ["ahead", 1]
        client.lose()
        await first.gone(client.sid)
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
        client = wanderer()
        await client.connect(place.port)
        sid = client.sid
        if received:
            await place.emit("e", 1)
            await client.next()
        client.lose()
        await place.gone(sid)
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
        client = wanderer()
        await client.connect(place.port)
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
        client = wanderer()
        await client.connect(place.port)
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
        thief = wanderer()
        thief.pid = "p" * 20
        await thief.come_back(place.port)
        assert thief.sid != "s"
        await thief.leave()


@run_async
async def test_events_are_received_in_one_order(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        await servers.met()
        clients = [wanderer(), wanderer()]
        for client, place in zip(clients, (first, second), strict=True):
            await client.connect(place.port)
        for number in range(50):
            (first, second)[number % 2].io.emit("e", number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        heard = [[await client.next() for _ in range(50)] for client in clients]
        assert heard[0] == heard[1]
        for client in clients:
            await client.leave()


@run_async
async def test_what_is_said_while_a_client_is_let_in_is_received_once(
    home: NodeHome, mongod: Mongod
) -> None:
    recovery = {"skip_middlewares": False}
    async with scene(home, mongod) as servers:
        first = await servers.ours()
        second = await servers.ours(connection_state_recovery=recovery)
        await servers.met()
        client = wanderer()
        await client.connect(first.port)
        await first.emit("known")
        await client.next()
        client.lose()
        await first.gone(client.sid)
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
        client = wanderer()
        await client.connect(place.port)
        monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)
        await place.emit("e")
        await client.next()
        sid = client.sid
        client.lose()
        await place.gone(sid)
        mongod.stop()
        await eventually(lambda: not adapter.healthy)
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        mongod.start()
        await eventually(lambda: adapter.healthy)
        await client.leave()


@run_async
async def test_more_than_is_remembered_of_reading_can_be_missed(
    home: NodeHome, mongod: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "_MOST", 5)
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = wanderer()
        await client.connect(first.port)
        await first.emit("e", -1)
        await client.next()
        client.lose()
        await first.gone(client.sid)
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
        client = wanderer()
        await client.connect(first.port)
        await first.emit("e", -1)
        await client.next()
        client.lose()
        await first.gone(client.sid)
        for number in range(30):
            await second.emit("e", number)
        mongod.commands.log.clear()
        assert await client.come_back(second.port) == [["e", number] for number in range(30)]
        assert not any("$natural" in one.get("sort", {}) for one in mongod.given("find"))
        # What was missed where the stream broke off is not there.
        bus: Any = second.io.sockets.adapter
        bus.bus.read.interrupted()
        client.lose()
        await second.gone(client.sid)
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
        client = wanderer()
        await client.connect(place.port)
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
async def test_what_was_promised_is_sent_until_it_is_acknowledged(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        first, second = await servers.ours(), await servers.ours()
        client = wanderer()
        await client.connect(first.port)
        sid = client.sid
        await first.emit("known")
        await client.next()
        for number in (1, 2):
            await first.io.delivery("at-least-once").emit("e", number)
        packets = [await client.raw(), await client.raw()]
        assert all(packet.startswith("42") and "[" in packet[3:] for packet in packets)
        ids = [int(packet[2 : packet.index("[")]) for packet in packets]
        await client.acknowledge(ids[0])
        socket = first.io.sockets.sockets[sid]
        await eventually(lambda: len(socket._outbox or ()) == 1)
        client.lose()
        await first.gone(sid)
        await second.io.delivery("at-least-once").emit("e", 3)
        await second.emit("plain")
        missed = await client.come_back(second.port)
        assert missed == [["e", 2], ["e", 3], ["plain"]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("dated", [False, True])
@run_async
async def test_what_was_promised_to_somebody_who_never_came_back_is_told(
    home: NodeHome, mongod: Mongod, dated: bool
) -> None:
    async with scene(home, mongod, dated) as servers:
        recovery = {"max_disconnection_duration": 0.3}
        place = await servers.ours(connection_state_recovery=recovery)
        told: list[Undelivered] = []
        place.io.on("undelivered", told.append)
        client, other = wanderer(), Wanderer()
        await client.connect(place.port)
        await other.connect(place.port)
        await place.io.to(client.sid).delivery("at-least-once").emit("e", 1)
        client.lose()
        other.lose()
        await eventually(lambda: told)
        assert [event.args for event in told[0].events] == [(1,)]
        assert told[0].socket_id == client.sid
        # And it cannot come back any more.
        mine = [one for one in sessions(mongod) if one["pid"] == client.pid]
        assert mine == [] if dated else "tombstone" in mine[-1]


@run_async
async def test_what_is_too_large_is_told_to_whoever_emits_it(
    home: NodeHome, mongod: Mongod
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = wanderer()
        await client.connect(place.port)
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


@run_async
async def test_data_becomes_what_the_application_makes_of_it(
    home: NodeHome, mongod: Mongod
) -> None:
    @dataclass
    class Data:
        name: str = ""

    async with scene(home, mongod) as servers:
        first, second = await servers.ours(data=Data), await servers.ours(data=Data)
        client = wanderer()
        await client.connect(first.port)
        await first.set_data(client.sid, Data("ada"))
        await first.emit("e")
        await client.next()
        client.lose()
        await first.gone(client.sid)
        await eventually(lambda: sessions(mongod))
        await client.come_back(second.port)
        assert second.io.sockets.sockets[client.sid].data == Data("ada")
        await client.leave()
