"""Redis Cluster: three servers of Redis' own, among which channels and streams are divided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from redis.crc import key_slot

from nuncio import Emitter, Server, sync
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from tests.support.aio import SharedLoop, eventually, run_async, within
from tests.support.memory import Client
from tests.support.redis import RedisCluster


class Home(SharedLoop):
    """A loop, and the servers of Redis in it."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.cluster = RedisCluster(program)
        self.run(self.cluster.__aenter__())

    def close(self) -> None:
        """End them."""
        self.run(self.cluster.__aexit__())
        super().close()


@pytest.fixture(scope="module")
def servers(program: Callable[[str], str]) -> Iterator[Home]:
    """Redis Cluster, for all tests here."""
    home = Home(program("redis-server"))
    yield home
    home.close()


MAKERS: dict[str, Callable[[Any], Any]] = {
    "classic": RedisAdapter,
    "sharded": RedisShardedAdapter,
    "streams": lambda url: RedisStreamsAdapter(url, use_sharded_pub_sub=True, stream_count=4),
}


@asynccontextmanager
async def two(make: Callable[[Any], Any], where: Any) -> AsyncIterator[list[Server]]:
    """Two servers that are joined."""
    found = [Server(adapter=make(where)) for _ in range(2)]
    for server in found:
        for nsp in ("/", "/a", "/b", "/c"):
            server.of(nsp)
        await server.engine.start()
    try:
        yield found
    finally:
        for server in found:
            await server.close(0.2)


@pytest.mark.parametrize("maker", MAKERS)
@run_async
async def test_everything_goes_through_whatever_server_of_redis_has_it(
    servers: Home, maker: str
) -> None:
    async with two(MAKERS[maker], servers.cluster.url) as (one, the_other):
        for nsp in ("/", "/a", "/b", "/c"):
            here, there = Client.join(one, nsp), Client.join(the_other, nsp)
            prefix = "" if nsp == "/" else f"{nsp},"
            assert await one.of(nsp).adapter.server_count() == 2
            assert len(await one.of(nsp).fetch_sockets()) == 2
            rooms = [f"room{number}" for number in range(12)]
            the_other.of(nsp).sockets[there.sid].join(rooms)
            adapter: Any = the_other.of(nsp).adapter
            await eventually(lambda adapter=adapter: settled(adapter))  # type: ignore[misc]
            for number, room in enumerate(rooms):
                one.of(nsp).to(room).emit("e", number)
            await eventually(lambda there=there: len(there.wire.messages) >= 12)  # type: ignore[misc]
            expected = {f'2{prefix}["e",{number}]' for number in range(12)}
            assert set(there.take()) == expected
            assert here.take() == []
            the_other.of(nsp).on_server("load", lambda: "answer")
            assert await one.of(nsp).server_side_emit_with_ack("load") == ["answer"]
        assert the_other.sockets.adapter.healthy  # type: ignore[attr-defined]


def settled(adapter: Any) -> bool:
    """Whether Redis has confirmed every subscription."""
    lines = adapter.bus._subscribers.values()
    return all(done.done() for line in lines for done in line.subscriptions._waiting.values())


@run_async
async def test_channels_are_divided_among_the_servers_of_redis(servers: Home) -> None:
    async with two(RedisShardedAdapter, servers.cluster.url) as (one, _):
        client = Client.join(one)
        client.socket.join([f"room{number}" for number in range(30)])
        adapter: Any = one.sockets.adapter
        await eventually(lambda: settled(adapter))
        for node in servers.cluster.nodes:
            channels = await node.command("PUBSUB", "SHARDCHANNELS")
            assert any(b"room" in channel for channel in channels)
        client.socket.disconnect()
        await eventually(lambda: adapter.stats()["subscriptions"] == 8)


@run_async
async def test_a_slot_moves_to_another_server_of_redis(servers: Home) -> None:
    async with two(RedisShardedAdapter, servers.cluster.url) as (one, the_other):
        there = Client.join(the_other)
        there.socket.join("moving")
        adapter: Any = the_other.sockets.adapter
        await eventually(lambda: settled(adapter))
        slot = key_slot(b"socket.io#/#moving#")
        owner = slot * 3 // 16384
        await servers.cluster.move_slot(slot, (owner + 1) % 3)
        try:
            for _ in range(2):

                async def attempts() -> None:
                    while '2["e"]' not in there.take():
                        one.to("moving").emit("e")
                        await asyncio.sleep(0.02)

                await within(attempts())
                await eventually(lambda: adapter.healthy)
                await servers.cluster.move_slot(slot, owner)
            assert len(await one.fetch_sockets()) == 1
        finally:
            await servers.cluster.move_slot(slot, owner)


@run_async
async def test_a_client_of_the_cluster_and_emitters(servers: Home) -> None:
    port = servers.cluster.nodes[1].port
    client = redis.asyncio.RedisCluster(host="127.0.0.1", port=port)
    blocking: Any = redis.RedisCluster(host="127.0.0.1", port=port)
    try:
        async with two(RedisShardedAdapter, client) as (one, _):
            there = Client.join(one)
            async with Emitter(RedisShardedAdapter(client)) as emitter:
                await emitter.emit("e", 1)
            await eventually(lambda: there.take() == ['2["e",1]'])
            await asyncio.to_thread(sync.Emitter(RedisShardedAdapter(blocking)).emit, "e", 2)
            await eventually(lambda: there.take() == ['2["e",2]'])
    finally:
        await client.aclose()
        blocking.close()


@run_async
async def test_a_server_of_redis_is_restarted(servers: Home) -> None:
    async with two(RedisShardedAdapter, servers.cluster.url) as (one, the_other):
        there = Client.join(the_other)
        adapter: Any = one.sockets.adapter
        node = servers.cluster.nodes[2]
        await node.stop()
        await eventually(lambda: not adapter.healthy)
        await node.start()
        await eventually(lambda: adapter.healthy)

        async def attempts() -> None:
            while '2["e"]' not in there.take():
                one.emit("e")
                await asyncio.sleep(0.02)

        await within(attempts())
