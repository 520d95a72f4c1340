"""What was promised and who was recovered, when connections break off at the worst moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Manager, Server
from tests.cluster.redis.scene import scene
from tests.support.aio import eventually, run_async, until, within
from tests.support.faults import DOWN, FaultProxy
from tests.support.nodeserver import NodeHome
from tests.support.places import OurPlace
from tests.support.redis import Redis
from tests.support.wanderer import Wanderer


def adapter_of(place: OurPlace) -> Any:
    """The adapter of a server's default namespace."""
    return place.io.sockets.adapter


def promise(io: Server, *numbers: int) -> None:
    """Promise everybody some numbers."""
    for number in numbers:
        io.delivery("at-least-once").emit("e", number)


@run_async
async def test_what_is_promised_while_redis_says_nothing_has_names_of_its_own(
    home: NodeHome, program: Any
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "names") as servers:
        place = await servers.ours()
        manager = Manager(f"http://127.0.0.1:{place.port}", transports=["websocket"])
        socket = manager.socket("/", delivery="at-least-once")
        heard: list[int] = []
        socket.on("e", heard.append)
        await within(socket.wait_connected())
        sid = socket.id
        redis.freeze()
        promise(place.io, 1, 2, 3)
        # The client passes over what it knows, so they must not all be called the same.
        await eventually(lambda: heard == [1, 2, 3])
        redis.thaw()
        promise(place.io, 4)
        await eventually(lambda: heard == [1, 2, 3, 4])
        assert manager.engine is not None
        manager.engine.close()
        await eventually(lambda: not socket.connected)
        await within(socket.wait_connected())
        assert socket.recovered and socket.id == sid
        promise(place.io, 5)
        await eventually(lambda: len(heard) >= 5)
        assert heard == [1, 2, 3, 4, 5]
        await manager.close()


@run_async
async def test_who_was_given_an_event_before_redis_had_it_is_not_given_it_again(
    home: NodeHome, program: Any
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "early") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        await first.emit("e", 0)
        assert await client.next() == ["e", 0]
        redis.freeze()
        first.io.emit("e", 1)
        assert await client.next() == ["e", 1]
        await first.loses(client)
        first.io.emit("e", 2)
        redis.thaw()
        assert await client.come_back(second.port) == [["e", 2]]
        await client.leave()


@run_async
async def test_what_was_promised_and_lost_with_a_connection_to_redis_is_added_again(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "again") as servers, FaultProxy(redis.port) as way:
        first = await servers.ours()
        lonely = await servers.ours(servers.adapter(f"redis://127.0.0.1:{way.port}"))
        client, other = Wanderer(), Wanderer()
        await client.connect(first.port)
        await other.connect(lonely.port)
        # Redis takes them, and nobody learns that it has.
        way.stall(DOWN)
        promise(lonely.io, 1, 2)
        heard = [await client.next(), await client.next()]
        way.cut()
        way.resume()
        await eventually(lambda: adapter_of(lonely).stats()["losses"] > 0)
        await eventually(lambda: adapter_of(lonely).healthy)
        promise(lonely.io, 3)
        heard.append(await client.next())
        assert heard == [["e", 1], ["e", 2], ["e", 3]]
        assert await redis.command("XLEN", "again") == 5
        assert [(await other.next())[1] for _ in range(3)] == [1, 2, 3]
        # Nor does anybody get them twice who comes back.
        await first.loses(client)
        missed = await client.come_back(lonely.port)
        assert [event for event in missed if event[1] > 3] == []
        for one in (client, other):
            await one.leave()


@run_async
async def test_what_redis_did_not_take_is_added_when_it_is_there_again(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "taken") as servers, FaultProxy(redis.port) as way:
        first = await servers.ours()
        lonely = await servers.ours(servers.adapter(f"redis://127.0.0.1:{way.port}"))
        client = await servers.arrival(first)
        way.stall()
        promise(lonely.io, 1, 2)
        links = adapter_of(lonely).bus._links
        await eventually(lambda: not any(link.commands._queue for link in links.values()))
        way.cut()
        way.resume()
        assert [await client.next(), await client.next()] == [["e", 1], ["e", 2]]
        await client.leave()


@run_async
async def test_a_client_that_is_lost_while_it_is_let_in_may_come_back(
    home: NodeHome, program: Any
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "let-in") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        sid = client.sid
        await first.emit("e", 1)
        await client.next()
        await first.loses(client)
        await first.emit("e", 2)
        promise(first.io, 3)
        await until(lambda: redis.command("XLEN", "let-in"), 3)
        redis.freeze()
        hasty = Wanderer()
        await hasty.begin(second.port, pid=client.pid, offset=client.offset)
        await eventually(lambda: adapter_of(second)._looking)
        hasty.lose()
        await eventually(lambda: not second.io.engine.sessions)
        redis.thaw()
        await eventually(lambda: adapter_of(second).occupied)
        assert await client.come_back(first.port) == [["e", 2], ["e", 3]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("same", [True, False], ids=["same", "other"])
@run_async
async def test_a_client_that_asks_twice_at_once_is_let_in_over_the_later_connection(
    home: NodeHome, program: Any, same: bool
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "twice") as servers:
        first, second = await servers.ours(), await servers.ours()
        later = first if same else second
        client, hasty = Wanderer(), Wanderer()
        await client.connect(first.port)
        sid = client.sid
        await first.emit("e", 1)
        await client.next()
        await first.loses(client)
        await first.emit("e", 2)
        redis.freeze()
        await hasty.begin(first.port, pid=client.pid, offset=client.offset)
        await eventually(lambda: adapter_of(first)._looking)
        coming = asyncio.ensure_future(client.come_back(later.port))
        await eventually(lambda: len(adapter_of(later)._looking) == (2 if same else 1))
        redis.thaw()
        assert await within(coming) == [["e", 2]]
        assert client.sid == sid
        hasty.lose()
        await client.leave()


@run_async
async def test_who_was_looked_for_in_vain_while_redis_said_nothing_may_come_back_later(
    home: NodeHome, program: Any
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "vain") as servers:
        place = await servers.ours()
        adapter_of(place).request_seconds = 0.2
        client, hasty = Wanderer(), Wanderer()
        await client.connect(place.port)
        sid = client.sid
        await place.emit("e", 1)
        await client.next()
        await place.loses(client)
        await until(lambda: redis.command("EXISTS", f"sio:session:{client.pid}"), 1)
        redis.freeze()
        # Nobody can wait so long, so it is another client.
        await hasty.connect(place.port, pid=client.pid, offset=client.offset)
        assert hasty.sid != sid
        redis.thaw()
        await place.emit("e", 2)
        await client.come_back(place.port)
        assert client.sid == sid
        await hasty.leave()
        await client.leave()


@run_async
async def test_what_others_were_given_early_is_for_who_comes_back_before_it_is_read(
    home: NodeHome, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "unread") as servers:
        place = await servers.ours()
        client, other = Wanderer(), Wanderer()
        for one in (client, other):
            await one.connect(place.port)
        await place.emit("e", 1)
        for one in (client, other):
            await one.next()
        await place.loses(client)
        redis.freeze()
        place.io.emit("e", 2)
        assert await other.next() == ["e", 2]
        # As if it had not been read yet when the client is there.
        before = adapter_of(place).position()
        monkeypatch.setattr(adapter_of(place), "position", lambda: before)
        redis.thaw()
        assert await client.come_back(place.port) == [["e", 2]]
        monkeypatch.undo()
        for one in (client, other):
            await one.leave()
