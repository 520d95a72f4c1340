"""Clients come back to another server than they left, ours or Node's, and miss nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from nuncio import RemoteSocket, Server, Undelivered
from nuncio.cluster import RedisStreamsAdapter
from tests.cluster.kinds import NODE_CLIENTS
from tests.support.aio import eventually, run_async, within
from tests.support.clusters import LEAVE
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.places import NodePlace, OurPlace, Place
from tests.support.rawclient import Closed
from tests.support.redis import Redis
from tests.support.wanderer import Wanderer, arrival

_NODE = (
    "io.lines = [];"
    + NODE_CLIENTS
    + 'const { createAdapter } = require("@socket.io/redis-streams-adapter");'
    "io.adapter(createAdapter(lines[0],"
    " { streamName: args[1], channelPrefix: args[1], blockTimeInMs: 100 }));"
)


@dataclass
class Scene:
    """Servers on one stream."""

    home: NodeHome
    redis: Redis
    name: str
    places: list[Place] = field(default_factory=list)

    async def ours(self, url: str = "", **options: Any) -> OurPlace:
        """Start one of ours.

        Args:
            url: of Redis, if it is not to be reached directly.
            options: of the server.
        """
        settings = {"connection_state_recovery": True, **options}
        adapter = RedisStreamsAdapter(
            url or self.redis.url, stream_name=self.name, channel_prefix=self.name
        )
        io = Server(adapter=adapter, **settings)
        listening = await io.listen(0)
        place = OurPlace(io, listening.port)
        self.places.append(place)
        return place

    async def node(self) -> NodePlace:
        """Start one of Node's."""
        server = NodeServer(self.home.program, connectionStateRecovery={})
        await server.start()
        await server.run(_NODE, self.redis.url, self.name)
        while await server.value('io.of("/").adapter.serverCount()') == 0:
            pass
        place = NodePlace(server)
        self.places.append(place)
        return place

    async def place(self, which: str) -> Place:
        """Start a server."""
        return await (self.ours() if which == "ours" else self.node())

    async def end(self) -> None:
        """End all servers."""
        for place in self.places:
            if isinstance(place, OurPlace):
                await place.io.close(0.5)
            elif isinstance(place, NodePlace):
                await place.server.run(LEAVE)
                await place.server.stop()


@asynccontextmanager
async def scene(home: NodeHome, redis: Redis, name: str) -> AsyncIterator[Scene]:
    """Servers, which end with the block."""
    found = Scene(home, redis, name)
    try:
        yield found
    finally:
        await found.end()


WAYS = [("ours", "ours"), ("ours", "node"), ("node", "ours")]


@pytest.mark.parametrize(("left", "found"), WAYS)
@run_async
async def test_a_client_comes_back_to_another_server(
    home: NodeHome, redis: Redis, left: str, found: str
) -> None:
    async with scene(home, redis, f"back-{left}-{found}") as servers:
        first, second = await servers.place(left), await servers.place(found)
        client = await arrival(first.port)
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


@run_async
async def test_a_session_is_in_one_place(home: NodeHome, redis: Redis) -> None:
    async with scene(home, redis, "once") as servers:
        first, second = await servers.ours(), await servers.ours()
        client, other = Wanderer(), Wanderer()
        await client.connect(first.port)
        await first.emit("e", 1)
        await client.next()
        await first.loses(client)
        sid = client.sid
        other.pid, other.offset = client.pid, client.offset
        await asyncio.gather(client.come_back(second.port), other.come_back(first.port))
        found = [place for place in (first, second) if await place.socket(sid) is not None]
        assert len(found) == 1 and sid in (client.sid, other.sid)
        for one in (client, other):
            one.lose()


@pytest.mark.parametrize("offset", ["x", "1-1", "1-", "-", "99999999999999999999-1", "1-1\n"])
@run_async
async def test_an_offset_that_is_none_begins_afresh(
    home: NodeHome, redis: Redis, offset: str
) -> None:
    async with scene(home, redis, "offset") as servers:
        place = await servers.ours()
        client = await arrival(place.port)
        await place.loses(client)
        sid, client.offset = client.sid, offset
        await client.come_back(place.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_a_client_that_has_received_nothing_may_come_back(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "nothing") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = Wanderer()
        await first.emit("before")
        await client.connect(first.port)
        await first.join(client.sid, "late")
        await first.loses(client)
        await second.emit("e", to="late")
        assert await client.come_back(second.port) == [["e"]]
        await client.leave()


@run_async
async def test_what_was_said_in_a_room_before_it_came_is_not_for_it(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "room") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await arrival(first.port)
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


@run_async
async def test_what_a_stream_has_forgotten_cannot_be_recovered(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "trimmed") as servers:
        place = await servers.ours()
        client = await arrival(place.port)
        await place.emit("e", 1)
        await client.next()
        await place.loses(client)
        await place.emit("e", 2)
        await redis.command("XTRIM", "trimmed", "MAXLEN", "1")
        sid = client.sid
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_events_are_received_in_the_order_of_the_stream(home: NodeHome, redis: Redis) -> None:
    async with scene(home, redis, "order") as servers:
        first, second = await servers.ours(), await servers.ours()
        clients = [Wanderer(), Wanderer()]
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
async def test_nobody_waits_for_redis(home: NodeHome, program: Any) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "away") as servers:
        place = await servers.ours()
        client = await arrival(place.port)
        redis.freeze()
        sent = place.io.emit("e", "frozen")
        assert await client.next() == ["e", "frozen"]
        await within(asyncio.wait_for(sent, 5))
        redis.thaw()
        await redis.stop()
        await eventually(lambda: not place.io.sockets.adapter.healthy)  # type: ignore[attr-defined]
        place.io.emit("e", "stopped")
        assert await client.next() == ["e", "stopped"]
        await redis.start()
        await eventually(lambda: place.io.sockets.adapter.healthy)  # type: ignore[attr-defined]
        await place.emit("e", "back")
        assert await client.next() == ["e", "back"]
        assert client.offset
        await client.leave()


@run_async
async def test_what_was_promised_is_sent_until_it_is_acknowledged(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "promised") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await arrival(first.port)
        sid = client.sid
        await first.emit("known")
        await client.next()
        for number in (1, 2):
            await first.io.delivery("at-least-once").emit("e", number)
        packets = [await client.raw(), await client.raw()]
        assert all(packet.startswith("42") and "[" in packet[3:] for packet in packets)
        ids = [int(packet[2 : packet.index("[")]) for packet in packets]
        await client.acknowledge(ids[0])
        await asyncio.sleep(0.05)
        await first.loses(client)
        await second.io.delivery("at-least-once").emit("e", 3)
        await second.emit("plain")
        missed = await client.come_back(second.port)
        assert missed == [["e", 2], ["e", 3], ["plain"]]
        assert client.sid == sid
        await client.leave()


@run_async
async def test_what_was_promised_to_somebody_who_never_came_back_is_told(
    home: NodeHome, redis: Redis
) -> None:
    recovery = {"max_disconnection_duration": 0.3}
    async with scene(home, redis, "never") as servers:
        place = await servers.ours(connection_state_recovery=recovery)
        told: list[Undelivered] = []
        place.io.on("undelivered", told.append)
        client, other = Wanderer(), Wanderer()
        await client.connect(place.port)
        await other.connect(place.port)
        await place.io.to(client.sid).delivery("at-least-once").emit("e", 1)
        client.lose()
        other.lose()
        await eventually(lambda: told)
        assert [event.args for event in told[0].events] == [(1,)]
        assert told[0].socket_id == client.sid
        assert await redis.command("EXISTS", f"sio:session:{client.pid}") == 0


@run_async
async def test_data_becomes_what_the_application_makes_of_it(home: NodeHome, redis: Redis) -> None:
    @dataclass
    class Data:
        name: str = ""

    async with scene(home, redis, "data") as servers:
        first, second = await servers.ours(data=Data), await servers.ours(data=Data)
        client = await arrival(first.port)
        await first.set_data(client.sid, Data("ada"))
        await first.emit("e")
        await client.next()
        await first.loses(client)
        await client.come_back(second.port)
        assert second.io.sockets.sockets[client.sid].data == Data("ada")
        await client.leave()


@run_async
async def test_a_client_whose_data_cannot_be_sent_begins_afresh(
    home: NodeHome, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(home, redis, "unsendable") as servers:
        place = await servers.ours()
        client = await arrival(place.port)
        sid = client.sid
        await place.set_data(sid, object())
        await place.loses(client)
        await client.come_back(place.port)
        assert client.sid != sid
        assert "cannot come back" in caplog.text
        await client.leave()


@run_async
async def test_remote_sockets_are_found_where_they_came_back(home: NodeHome, redis: Redis) -> None:
    async with scene(home, redis, "remote") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await arrival(first.port)
        await first.emit("e")
        await client.next()
        await first.loses(client)
        await client.come_back(second.port)
        (found,) = await first.io.fetch_sockets()
        assert isinstance(found, RemoteSocket) and found.id == client.sid
        await client.leave()


@run_async
async def test_a_drain_loses_nothing(home: NodeHome, redis: Redis) -> None:
    async with scene(home, redis, "drain") as servers:
        first, second = await servers.ours(), await servers.ours()
        reports: list[Undelivered] = []
        first.io.on("undelivered", reports.append)
        clients = [Wanderer() for _ in range(4)]
        away = clients[3]
        for client in clients:
            await client.connect(first.port)
            await first.join(client.sid, "room")
        sids = [client.sid for client in clients]
        heard: list[list[Any]] = [[] for _ in clients]
        count = 0

        async def speak() -> None:
            nonlocal count
            while True:
                place = (first, second)[count % 2]
                place.io.to("room").delivery("at-least-once").emit("e", count)
                count += 1
                await asyncio.sleep(0.005)

        async def listen(client: Wanderer, events: list[Any]) -> None:
            while ["e", count - 1] not in events or not speaking.cancelled():
                try:
                    events.append(await client.next())
                except Closed:
                    client.lose()
                    events += await client.come_back(second.port)

        speaking = asyncio.ensure_future(speak())
        listening = [
            asyncio.ensure_future(listen(client, events))
            for client, events in zip(clients[:3], heard[:3], strict=True)
        ]
        await asyncio.sleep(0.05)
        away.lose()
        await first.io.engine.drain(0.2)
        speaking.cancel()
        await asyncio.sleep(0)
        await first.io.close(timeout=2.0)
        await second.io.to("room").emit("e", -1)
        heard[3] += await away.come_back(second.port)
        await within(asyncio.gather(*listening))
        for events in heard:
            # What was not acknowledged is sent again.
            assert {number for _, number in events} >= set(range(count))
        assert [client.sid for client in clients] == sids
        assert reports == []
        for client in clients:
            await client.leave()
