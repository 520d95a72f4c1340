"""Redis goes away and comes back, says nothing or nonsense; servers keep serving their clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nuncio import AckTimeout, ClusterTimeout, ClusterUnavailable, OptionError, Server
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.redis import link
from tests.support.aio import eventually, run_async, until, within
from tests.support.ports import free_port
from tests.support.redis import Redis
from tests.support.two import Two, joined

MAKERS: dict[str, Callable[[str], Any]] = {
    "classic": RedisAdapter,
    "sharded": RedisShardedAdapter,
    "streams": lambda url: RedisStreamsAdapter(url, block_time=0.5),
}


def two(redis: Redis, maker: str) -> AbstractAsyncContextManager[Two]:
    """Two servers, which end with the block."""
    return joined(*[MAKERS[maker](redis.url) for _ in range(2)])


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> str:
    """Each family."""
    found: str = request.param
    return found


@run_async
async def test_redis_is_restarted(program: Any, maker: str) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        told = pair.health()
        await pair.reaches("before")
        await redis.stop()
        await pair.is_alone()
        await redis.start()
        await pair.back()
        await pair.reaches("after")
        assert told[0] == "ConnectionError"
        assert told[-1] == "healthy"
        assert pair.adapter().stats()["losses"] > 0


@run_async
async def test_connections_to_redis_are_cut(program: Any, maker: str) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        await pair.reaches("before")
        losses = pair.adapter().stats()["losses"]
        await redis.kill_connections("pubsub")
        await redis.kill_connections("normal")
        await eventually(lambda: pair.adapter().stats()["losses"] > losses)
        await pair.back()
        await pair.reaches("after")
        # Once for each server and namespace, or everybody would wait for somebody who is not there.
        assert len(await pair.one.fetch_sockets()) == 2


@run_async
async def test_redis_says_nothing_for_a_while(
    program: Any, maker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.3)
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        await pair.reaches("before")
        redis.freeze()
        pair.one.emit("e", 1)
        assert pair.ada.take() == ['2["e",1]']
        with pytest.raises(ClusterUnavailable):
            await pair.one.timeout(0.05).fetch_sockets()
        await eventually(lambda: not pair.adapter().healthy)
        redis.thaw()
        await eventually(lambda: pair.adapter().healthy)
        await pair.reaches("after")


@run_async
async def test_what_streams_could_not_take_arrives_later(program: Any) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, "streams") as pair:
        await pair.reaches("before")
        await redis.stop()
        await eventually(lambda: not pair.adapter().healthy)
        for number in range(3):
            pair.one.emit("e", number)
        await redis.start()
        await eventually(lambda: len(pair.bob.wire.messages) >= 3)
        assert pair.bob.take() == [f'2["e",{number}]' for number in range(3)]


@run_async
async def test_what_waits_for_redis_is_bounded(program: Any) -> None:
    async with Redis(program("redis-server")) as redis:
        io = Server(adapter=RedisAdapter(redis.url, outgoing_bytes=10_000))
        await io.engine.start()
        adapter: Any = io.sockets.adapter
        await redis.stop()
        await eventually(lambda: not adapter.healthy)
        for _ in range(100):
            io.emit("e", "x" * 1000)
        stats = adapter.stats()
        assert 80 < stats["dropped_outgoing"] < 100
        await io.close(0.1)


@run_async
async def test_a_server_does_not_start_without_redis() -> None:
    for maker in MAKERS.values():
        io = Server(adapter=maker(f"redis://127.0.0.1:{free_port()}"))
        with pytest.raises(ConnectionError):
            await io.listen(0)
        await io.close(0.1)


@run_async
async def test_a_server_leaves_and_may_start_again(program: Any, maker: str) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        await pair.second_leaves()
        await pair.second_returns()


@run_async
async def test_what_is_no_message_is_counted_and_dropped(program: Any, maker: str) -> None:
    envelope = {"uid": "x", "nsp": "/", "type": 3, "data": {"packet": 5, "opts": {}}}
    garbage: list[bytes] = [
        b"",
        b"\x00",
        b"{}",
        b'{"type":3}',
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 50_000,
        b"[" * 50_000,
        b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.",
        json.dumps(envelope).encode(),
        msgspec.msgpack.encode(envelope),
        msgspec.msgpack.encode(["x", {"type": 2, "data": "no list", "nsp": "/"}, {}]),
        msgspec.msgpack.encode(["x", {"type": 2, "data": [], "nsp": "/"}, {"rooms": 5}]),
        b'{"type":5,"uid":"x","requestId":5,"opts":{}}',
        b'{"type":2,"uid":"x","opts":{"rooms":[[]]},"rooms":[null]}',
        b'{"type":6,"uid":"x","data":"no list"}',
        b'{"type":0,"requestId":"r","rooms":[{}]}',
        b'{"type":2,"sid":{},"room":"x"}',
    ]
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        await pair.reaches("before")
        rooms = dict(pair.adapter().rooms)
        for data in garbage:
            await redis.command("PUBLISH", "socket.io#/#", data)
            await redis.command("PUBLISH", "socket.io#/#room#", data)
            await redis.command("PUBLISH", "socket.io-request#/#", data)
            await redis.command("PUBLISH", "socket.io-response#/#", data)
            await redis.command("SPUBLISH", "socket.io#/#", data)
            fields = ("uid", "x", "nsp", "/", "type", "3", "data", data)
            await redis.command("XADD", "socket.io", "*", *fields)
            await redis.command("XADD", "socket.io", "*", "nsp", "/", data or "x", data)
        await pair.reaches_both("after")
        assert pair.adapter().stats()["dropped"] >= len(garbage) // 2
        assert pair.adapter().rooms == rooms
        assert pair.adapter().healthy
        assert pair.adapter().stats()["losses"] == 0


_SERVER = """
import asyncio, sys
import nuncio
from tests.cluster.redis.test_faults import MAKERS

async def main():
    io = nuncio.Server(adapter=MAKERS[sys.argv[1]](sys.argv[2]))
    await io.listen(0)
    io.on_server("hang", lambda: asyncio.sleep(100))
    print("ready", flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


@run_async
async def test_a_server_dies_in_the_middle_of_a_request(program: Any, maker: str) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        root = str(Path(__file__).parents[3])
        third = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVER, maker, redis.url),
            stdout=asyncio.subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
        )
        assert third.stdout is not None
        assert await within(third.stdout.readline()) == b"ready\n"
        await until(pair.adapter().server_count, 3)
        pair.two.on_server("hang", lambda: "two")
        waiting = asyncio.ensure_future(pair.one.server_side_emit_with_ack("hang", timeout=1))
        os.kill(third.pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(pair.one.timeout(1).fetch_sockets())
        await asyncio.sleep(0.1)
        os.kill(third.pid, signal.SIGKILL)
        await within(third.wait())
        with pytest.raises(AckTimeout) as caught:
            await within(waiting)
        assert caught.value.responses == ["two"]
        with pytest.raises(ClusterTimeout) as found:
            await within(asking)
        assert len(found.value.responses) == 2
        await until(pair.adapter().server_count, 2)
        assert len(await pair.one.fetch_sockets()) == 2


@run_async
async def test_a_surrogate_in_a_rooms_name_harms_nobody(program: Any, maker: str) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        pair.ada.socket.join("\ud800")
        pair.two.to("\ud800").emit("e", "\udfff")
        await pair.reaches("after")


@pytest.mark.parametrize("make", [RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter])
def test_wrong_options_are_told(make: Any) -> None:
    for url in (5, None, "http://localhost", "localhost:6379"):
        with pytest.raises(OptionError, match="url"):
            make(url)
    with pytest.raises(OptionError, match="outgoing_bytes"):
        make("redis://localhost", outgoing_bytes=0)


def test_wrong_options_of_one_family_are_told() -> None:
    url = "redis://localhost"
    with pytest.raises(OptionError, match="subscription_mode"):
        RedisShardedAdapter(url, subscription_mode="dynamic_private")
    with pytest.raises(OptionError, match="key"):
        RedisAdapter(url, key="")
    with pytest.raises(OptionError, match="requests_timeout"):
        RedisAdapter(url, requests_timeout=0)
    with pytest.raises(OptionError, match="max_len"):
        RedisStreamsAdapter(url, max_len=0)
    with pytest.raises(OptionError, match="block_time"):
        RedisStreamsAdapter(url, block_time=5000)


@pytest.mark.parametrize("missing", [("redis", "redis.asyncio"), ("hiredis",)])
def test_a_missing_library_is_told(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=r"nuncio\[redis\]"):
        RedisAdapter("redis://localhost")
