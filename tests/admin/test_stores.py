"""Where sessions of admin pages are kept."""

from __future__ import annotations

import re

import pytest

import nuncio
from nuncio.admin import MemoryStore, RedisStore, stores
from tests.support.aio import run_async
from tests.support.nodeserver import NodeHome
from tests.support.redis import Redis


@run_async
async def test_sessions_in_memory_are_bounded_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("nuncio.admin.stores.time.monotonic", lambda: now[0])
    monkeypatch.setattr(stores, "MOST_SESSIONS", 3)
    store = MemoryStore(10.0)
    for name in "abcd":
        await store.add(name)
        now[0] += 1.0
    assert [await store.has(name) for name in "abcde"] == [False, True, True, True, False]
    now[0] = 1011.5
    assert [await store.has(name) for name in "bcd"] == [False, True, True]


@run_async
async def test_sessions_in_redis_are_where_node_has_them(home: NodeHome, redis: Redis) -> None:
    store = RedisStore(redis.url)
    assert not await store.has("abc")
    await store.add("abc")
    assert await store.has("abc")
    assert await redis.command("GET", "socket.io-admin#abc") == b"1"
    assert 86_000 < await redis.command("TTL", "socket.io-admin#abc") <= 86_400
    other = RedisStore(redis.url, prefix="mine", duration=60)
    assert not await other.has("abc")
    await other.add("def")
    assert 50 < await redis.command("TTL", "mine#def") <= 60


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(nuncio.OptionError, match=re.escape("'localhost' is no address of Redis")):
        RedisStore("localhost")
    with pytest.raises(nuncio.OptionError, match="duration must be a number of seconds"):
        MemoryStore(0)
