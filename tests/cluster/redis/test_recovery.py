"""Clients come back to another server than they left, ours or Node's, and miss nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Undelivered
from tests.cluster.redis.scene import scene
from tests.support.aio import eventually, run_async, within
from tests.support.nodeserver import NodeHome
from tests.support.rawclient import Closed
from tests.support.redis import Redis
from tests.support.wanderer import Wanderer


@run_async
async def test_what_a_stream_has_forgotten_cannot_be_recovered(
    home: NodeHome, redis: Redis
) -> None:
    async with scene(home, redis, "trimmed") as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
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
async def test_nobody_waits_for_redis(home: NodeHome, program: Any) -> None:
    async with Redis(program("redis-server")) as redis, scene(home, redis, "away") as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
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
async def test_a_client_whose_data_cannot_be_sent_begins_afresh(
    home: NodeHome, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(home, redis, "unsendable") as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        sid = client.sid
        await place.set_data(sid, object())
        await place.loses(client)
        await client.come_back(place.port)
        assert client.sid != sid
        assert "cannot come back" in caplog.text
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
            # Until the end, for who has everything does not yet know that it is sent away.
            while ["e", -1] not in events or ["e", count - 1] not in events:
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
