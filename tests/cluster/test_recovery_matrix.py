"""Clients come back to another server than they left, whatever engine the servers share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from nuncio import RemoteSocket, Undelivered
from tests.cluster.mongo.scene import MongoScene
from tests.cluster.nats.scene import NatsScene
from tests.cluster.redis.scene import RedisScene
from tests.cluster.scene import Scene
from tests.support.aio import eventually, run_async
from tests.support.gate import Gate
from tests.support.nodeserver import NodeHome


@dataclass(frozen=True)
class Engine:
    """What carries the cluster.

    Attributes:
        name: its name.
        bus: the fixture that starts it.
        scene: makes servers over it, given a name of their own.
        offsets: that no event has.
    """

    name: str
    bus: str
    scene: Callable[[NodeHome, Any, str], Scene]
    offsets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


REDIS = Engine(
    "redis",
    "redis",
    RedisScene,
    ("x", "1-1", "1-", "-", "99999999999999999999-1", "1-1\n"),
)
NATS = Engine(
    "nats",
    "nats",
    lambda home, nats, name: NatsScene(nats, name),
    ("x", "1-", "-", "99999999999999999999-1", "999999999999999-1", "1-1\n"),
)
MONGO = Engine(
    "mongo",
    "mongod",
    lambda home, mongod, name: MongoScene(home, mongod, dated=False),
    ("x", "1-1", "0" * 24, "f" * 24, "0" * 23, "G" * 24),
)
MONGO_DATED = Engine(
    "mongo-dated", "mongod", lambda home, mongod, name: MongoScene(home, mongod, dated=True)
)
ENGINES = (REDIS, NATS, MONGO)


@pytest.fixture
def servers(home: NodeHome, kind: Engine, bus: Any) -> Iterator[Scene]:
    """Servers over an engine, which end with the test."""
    scene = kind.scene(home, bus, secrets.token_hex(4))
    yield scene
    home.run(scene.end())


# MongoDB keeps lost clients in either of two ways, which some of the tests tell apart.
of_each = pytest.mark.parametrize("kind", ENGINES, ids=str)
of_every = pytest.mark.parametrize("kind", (*ENGINES, MONGO_DATED), ids=str)

# Where a client was, and where it comes back. Of MongoDB's a test beside knows more.
WAYS = [
    (REDIS, "ours", "ours"),
    (REDIS, "ours", "node"),
    (REDIS, "node", "ours"),
    (NATS, "ours", "ours"),
]


@pytest.mark.parametrize(("kind", "left", "found"), WAYS, ids=str)
@run_async
async def test_a_client_comes_back_to_another_server(
    home: NodeHome, servers: Scene, left: str, found: str
) -> None:
    first, second = await servers.place(left), await servers.place(found)
    client = await servers.arrival(first)
    sid, pid = client.sid, client.pid
    await first.join(sid, "room")
    data = {"user": "bob", "n": 1, "binary": b"zz"}
    await first.set_data(sid, data)
    await first.emit("one", 1)
    assert await client.next() == ["one", 1]
    await second.emit("two", 2, to="room")
    assert await client.next() == ["two", 2]
    await first.loses(client)
    await first.emit("three", b"3")
    await second.emit("four", 4, to="room")
    await first.emit("not for it", to="elsewhere")
    await second.emit("five", "5")
    missed = await client.come_back(second.port)
    # Two servers emitted at the same time.
    assert sorted(missed) == [["five", "5"], ["four", 4], ["three", b"3"]]
    assert (client.sid, client.pid) == (sid, pid)
    there = await second.socket(sid)
    assert there == {"recovered": True, "rooms": {sid, "room"}, "data": data}
    await first.emit("six", to="room")
    assert await client.next() == ["six"]
    # And once more, from there.
    await second.loses(client)
    await second.emit("seven")
    assert await client.come_back(first.port) == [["seven"]]
    await client.leave()


@of_every
@run_async
async def test_a_session_is_in_one_place(home: NodeHome, servers: Scene, kind: Engine) -> None:
    places = [await servers.ours() for _ in range(3)]
    client = await servers.arrival(places[0])
    await places[0].emit("e", 1)
    await client.next()
    await places[0].loses(client)
    await servers.kept()
    # At the same time, at all servers, twice.
    others = [servers.wanderer() for _ in range(6)]
    for one in others:
        one.pid, one.offset = client.pid, client.offset
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(others):
            group.create_task(one.come_back(places[number % 3].port))
    found = [place for place in places if await place.socket(client.sid) is not None]
    if kind.bus == "mongod":
        # They take it from each other, or prevent each other at worst.
        assert len(found) <= 1
    else:
        assert len(found) == 1 and client.sid in [one.sid for one in others]
    for one in others:
        one.lose()


@of_every
@run_async
async def test_a_client_whose_loss_its_server_has_not_noticed_comes_back_to_another(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.pair()
    before, client = await servers.arrival(first), servers.wanderer()
    await first.join(before.sid, "room")
    await first.emit("e", 1, to="room")
    await before.next()
    client.pid, client.offset = before.pid, before.offset
    await first.emit("e", 2, to="room")
    assert await client.come_back(second.port) == [["e", 2]]
    assert client.sid == before.sid
    await first.gone(client.sid)
    assert (await second.socket(client.sid) or {})["rooms"] == {client.sid, "room"}
    before.lose()
    await client.leave()


@of_every
@run_async
async def test_data_is_that_of_the_server_where_the_client_was_last(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.pair()
    client = await servers.arrival(first)
    sid = client.sid
    for place, back in ((first, second), (second, first)):
        await place.set_data(sid, {"at": place.port})
        await place.loses(client)
        await client.come_back(back.port)
        assert client.sid == sid
        assert (await back.socket(sid) or {})["data"] == {"at": place.port}
    await client.leave()


@pytest.mark.parametrize(
    ("kind", "offset"), [(kind, offset) for kind in ENGINES for offset in kind.offsets], ids=str
)
@run_async
async def test_an_offset_that_is_none_begins_afresh(
    home: NodeHome, servers: Scene, offset: str
) -> None:
    place = await servers.ours()
    client = await servers.arrival(place)
    await place.loses(client)
    sid, client.offset = client.sid, offset
    await client.come_back(place.port)
    assert client.sid != sid
    await client.leave()


@of_each
@run_async
async def test_a_client_that_has_received_nothing_may_come_back(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.ours(), await servers.ours()
    await first.emit("before")
    client = await servers.arrival(first)
    await first.join(client.sid, "late")
    await first.loses(client)
    await second.emit("e", to="late")
    assert await client.come_back(second.port) == [["e"]]
    await client.leave()


@of_each
@run_async
async def test_what_was_said_in_a_room_before_it_came_is_not_for_it(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.ours(), await servers.ours()
    client = await servers.arrival(first)
    await first.emit("one")
    await client.next()
    await first.emit("secret", to="room")
    await first.emit("two")
    await client.next()
    await first.join(client.sid, "room")
    client.offset = ""
    await first.loses(client)
    await first.emit("three", to="room")
    assert await client.come_back(second.port) == [["one"], ["two"], ["three"]]
    await client.leave()


@of_each
@pytest.mark.parametrize("to", [0, 1])
@run_async
async def test_who_comes_again_while_a_middleware_decides_is_who_it_was(
    home: NodeHome, servers: Scene, to: int
) -> None:
    places = await servers.pair(connection_state_recovery={"skip_middlewares": False})
    client = await servers.arrival(places[0])
    sid, pid = client.sid, client.pid
    await places[0].loses(client)
    await places[0].emit("missed")
    gate = Gate(places[1].io)
    await client.begin(places[1].port, pid=pid)
    await gate.wait()
    client.lose()
    coming = asyncio.ensure_future(client.come_back(places[to].port))
    if to:
        await eventually(lambda: gate.asked == 2)
        gate.open()
    assert await coming == [["missed"]]
    # What is said of the first connection does not matter any more.
    gate.open()
    assert client.sid == sid
    await client.leave()


@of_each
@run_async
async def test_events_are_received_in_one_order(home: NodeHome, servers: Scene) -> None:
    places = await servers.pair()
    clients = [await servers.arrival(place) for place in places]
    for number in range(50):
        places[number % 2].io.emit("e", number)
        if number % 7 == 0:
            await asyncio.sleep(0)
    heard = [[await client.next() for _ in range(50)] for client in clients]
    assert heard[0] == heard[1]
    for client in clients:
        await client.leave()


@of_each
@run_async
async def test_what_was_promised_is_sent_until_it_is_acknowledged(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.ours(), await servers.ours()
    client = await servers.arrival(first)
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
    await first.loses(client)
    await second.io.delivery("at-least-once").emit("e", 3)
    await second.emit("plain")
    missed = await client.come_back(second.port)
    assert missed == [["e", 2], ["e", 3], ["plain"]]
    assert client.sid == sid
    await client.leave()


@of_every
@run_async
async def test_what_was_promised_to_somebody_who_never_came_back_is_told(
    home: NodeHome, servers: Scene
) -> None:
    recovery = {"max_disconnection_duration": 0.3}
    place = await servers.ours(connection_state_recovery=recovery)
    told: list[Undelivered] = []
    place.io.on("undelivered", told.append)
    client, other = await servers.arrival(place), await servers.arrival(place)
    await place.io.to(client.sid).delivery("at-least-once").emit("e", 1)
    client.lose()
    other.lose()
    await eventually(lambda: told)
    assert [event.args for event in told[0].events] == [(1,)]
    assert told[0].socket_id == client.sid
    # And it cannot come back any more.
    assert not await servers.is_kept(place, client.pid)


@of_each
@run_async
async def test_a_server_does_not_give_up_whom_another_one_waits_for(
    home: NodeHome, servers: Scene
) -> None:
    first = await servers.ours(connection_state_recovery={"max_disconnection_duration": 0.3})
    second = await servers.ours()
    client = await servers.arrival(first)
    sid = client.sid
    await first.loses(client)
    await client.come_back(second.port)
    await second.loses(client)
    # The first one's patience ends while the client is away from the second.
    adapter: Any = first.io.sockets.adapter
    await eventually(lambda: not adapter.occupied)
    await eventually(lambda: not first.io.stats()["tasks"])
    await client.come_back(second.port)
    assert client.sid == sid
    await client.leave()


@of_each
@run_async
async def test_data_becomes_what_the_application_makes_of_it(
    home: NodeHome, servers: Scene
) -> None:
    @dataclass
    class Data:
        name: str = ""

    first, second = await servers.ours(data=Data), await servers.ours(data=Data)
    client = await servers.arrival(first)
    await first.set_data(client.sid, Data("ada"))
    await first.emit("e")
    await client.next()
    await first.loses(client)
    await servers.kept()
    await client.come_back(second.port)
    assert second.io.sockets.sockets[client.sid].data == Data("ada")
    await client.leave()


@of_each
@run_async
async def test_remote_sockets_are_found_where_they_came_back(
    home: NodeHome, servers: Scene
) -> None:
    first, second = await servers.pair()
    client = await servers.arrival(first)
    await first.emit("e")
    await client.next()
    await first.loses(client)
    await client.come_back(second.port)
    (found,) = await first.io.fetch_sockets()
    assert isinstance(found, RemoteSocket) and found.id == client.sid
    await client.leave()


@of_each
@run_async
async def test_who_was_present_is_so_where_it_came_back(home: NodeHome, servers: Scene) -> None:
    first, second = await servers.pair()
    client = await servers.arrival(first)
    socket = first.io.sockets.sockets[client.sid]
    first.io.presence.track(socket, "here", key="ada", meta={"a": [1]})
    await first.emit("e")
    await client.next()
    await first.loses(client)
    await servers.kept()
    await client.come_back(second.port)
    (one,) = second.io.presence.members("here")
    assert (one.key, one.away, one.metas[-1]) == ("ada", False, {"a": [1]})
    assert second.io.presence.stays(client.sid) == [("here", "ada", {"a": [1]})]
    await client.leave()
