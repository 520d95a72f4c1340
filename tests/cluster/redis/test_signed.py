"""With a secret, servers listen to nobody who does not know it, whatever he writes into Redis."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import nuncio
from nuncio import OptionError, Server
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.errors import PacketError
from tests.cluster.kinds import SECRET
from tests.cluster.test_emitter import Orders
from tests.support.aio import eventually, run_async, until
from tests.support.redis import Redis
from tests.support.two import Two
from tests.support.wanderer import Wanderer

Make = Callable[..., Any]

MAKERS: dict[str, Make] = {
    "classic": RedisAdapter,
    "sharded": RedisShardedAdapter,
    "streams": lambda url, **options: RedisStreamsAdapter(url, block_time=0.1, **options),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Make:
    """Each family."""
    return MAKERS[request.param]


@asynccontextmanager
async def two(one: Any, other: Any, **options: Any) -> AsyncIterator[Two]:
    """Two servers with these adapters, which end with the block."""
    servers = [Server(adapter=adapter, **options) for adapter in (one, other)]
    for server in servers:
        await server.engine.start()
    try:
        yield Two(*servers)
    finally:
        for server in servers:
            await server.close(0.2)


def said(adapter: Any, *args: Any, to: str = "room") -> list[bytes]:
    """The command by which somebody who knows the secret would say something."""
    orders = Orders(adapter)
    Emitting(orders).to(to).emit(*args)
    return orders.commands[0]


def forged() -> list[tuple[str, bytes]]:
    """What would disconnect everybody, or be told everybody, in all families' words."""
    packet = {"type": 2, "data": ["forged"], "nsp": "/"}
    opts: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
    event = {"uid": "x", "nsp": "/", "type": 3, "data": {"packet": packet, "opts": opts}}
    away = {"uid": "x", "nsp": "/", "type": 6, "data": {"opts": opts, "close": True}}
    classic = {"uid": "x", "type": 4, "opts": opts, "close": True}
    pack, dump = msgspec.msgpack.encode, msgspec.json.encode
    return [
        ("socket.io#/#", pack(["x", packet, opts])),
        ("socket.io-request#/#", dump(classic)),
        ("socket.io#/#", pack(event)),
        ("socket.io#/#", pack(away)),
        ("socket.io#/#", dump(event)),
        ("socket.io#/#", dump(away)),
    ]


async def say_forged(redis: Redis, **more: str) -> None:
    """Say all of that."""
    for channel, data in forged():
        await redis.command("PUBLISH", channel, data)
        await redis.command("SPUBLISH", channel, data)
    for kind, data in (("3", forged()[4][1]), ("6", forged()[5][1])):
        told = json.dumps(json.loads(data)["data"])
        fields = {"uid": "x", "nsp": "/", "type": kind, "data": told, **more}
        await redis.command("XADD", "socket.io", "*", *[part for f in fields.items() for part in f])


@run_async
async def test_what_would_be_believed_without_a_secret_is_dropped(program: Any, make: Make) -> None:
    async with Redis(program("redis-server")) as redis:
        adapters = [make(redis.url, secret=SECRET), make(redis.url, secret=SECRET.encode())]
        async with two(*adapters) as pair:
            await pair.reaches("before")
            await say_forged(redis)
            await say_forged(redis, sig="A" * 32)
            heard = await pair.reaches_both("after")
            assert not [one for one in heard if "forged" in str(one)]
            assert pair.ada.socket.connected and pair.bob.socket.connected
            for server in (pair.one, pair.two):
                assert pair.adapter(server).stats()["dropped"] >= 2
            assert pair.adapter().healthy
            # What they say is signed in all that they do.
            assert len(await pair.one.fetch_sockets()) == 2
            pair.two.on_server("ask", lambda: "answer")
            assert await pair.one.server_side_emit_with_ack("ask") == ["answer"]
            pair.one.sockets_join("room")
            await eventually(lambda: "room" in pair.bob.socket.rooms)


@run_async
async def test_the_same_is_believed_without_a_secret(program: Any, make: Make) -> None:
    async with (
        Redis(program("redis-server")) as redis,
        two(make(redis.url), make(redis.url)) as pair,
    ):
        await pair.reaches("before")
        await say_forged(redis)
        await eventually(lambda: not pair.one.sockets.sockets)


@run_async
async def test_servers_with_another_secret_or_none_are_not_heard(program: Any, make: Make) -> None:
    async with Redis(program("redis-server")) as redis:
        for secret in (None, "another secret of others"):
            adapters = [make(redis.url, secret=SECRET), make(redis.url, secret=secret)]
            async with two(*adapters) as pair:
                pair.two.emit("e")
                await eventually(lambda: pair.adapter().stats()["dropped"] > 0)
                assert (pair.ada.take(), pair.bob.take()) == ([], ['2["e"]'])


@pytest.mark.parametrize("family", ["classic", "sharded"])
@run_async
async def test_what_was_said_in_one_place_is_not_believed_in_another(
    program: Any, family: str
) -> None:
    make = MAKERS[family]
    async with Redis(program("redis-server")) as redis:
        adapters = [make(redis.url, secret=SECRET) for _ in range(2)]
        async with two(*adapters) as pair:
            pair.bob.socket.join(["room", "other"])

            async def subscribed(channel: str = "socket.io#/#other#") -> int:
                return int((await redis.command("PUBSUB", "SHARDNUMSUB", channel))[1])

            if family == "sharded":
                await until(subscribed, 1)
            await pair.reaches("before")
            publish, channel, data = said(adapters[0], "of the room", b"\x00")
            assert channel == b"socket.io#/#room#"
            other = pair.adapter(pair.two)
            before = other.stats()["dropped"]
            for place in ("socket.io#/#", "socket.io#/#other#", "socket.io-request#/#"):
                await redis.command(publish, place, data)
            # Nor is it, where it was said, what another family says there.
            for another in {"classic", "sharded"} - {family}:
                strange = said(MAKERS[another](redis.url, secret=SECRET), "strange")
                await redis.command(publish, channel, strange[2])
            heard = str(await pair.reaches("after"))
            assert other.stats()["dropped"] - before == (4 if family == "classic" else 3)
            assert "of the room" not in heard and "strange" not in heard
            # There it may be said again: that it is new is not proved.
            for _ in range(2):
                await redis.command(publish, channel, data)
            messages = pair.bob.wire.messages
            await eventually(lambda: sum(["of the room" in str(m) for m in messages]) == 2)


@run_async
async def test_an_entry_is_not_believed_in_another_stream_or_changed(program: Any) -> None:
    async with Redis(program("redis-server")) as redis:
        adapters = [MAKERS["streams"](redis.url, secret=SECRET) for _ in range(2)]
        async with two(*adapters) as pair:
            await pair.reaches("before")
            words = said(adapters[0], "said")[6:]
            told = dict(zip(words[::2], words[1::2], strict=True))
            assert len(told[b"sig"]) == 32
            assert list(told) == [b"uid", b"nsp", b"type", b"data", b"sig"]

            async def dropped() -> int:
                return int(pair.adapter(pair.two).stats()["dropped"])

            for change in (
                {b"type": b"6"},
                {b"data": told[b"data"].replace(b"room", b"")},
                {b"uid": b"somebody"},
                {b"n": b"1"},
                {b"sig": b""},
                {b"sig": b"A" * 32},
            ):
                before = await dropped()
                changed = {**told, **change}
                parts = [part for one in changed.items() for part in one]
                await redis.command("XADD", "socket.io", "*", *parts)
                await until(dropped, before + 1)
            adapters[1].verify_entry("socket.io", told)
            with pytest.raises(PacketError):
                adapters[1].verify_entry("socket.io-1", told)
            pair.bob.socket.join("room")
            await redis.command("XADD", "socket.io", "*", *words)
            await eventually(lambda: '2["said"]' in pair.bob.wire.messages)


@run_async
async def test_emitters_sign_as_well(program: Any, make: Make) -> None:
    async with Redis(program("redis-server")) as redis:
        adapters = [make(redis.url, secret=SECRET) for _ in range(2)]
        async with two(*adapters) as pair:
            await pair.reaches("before")
            async with nuncio.Emitter(make(redis.url, secret=SECRET)) as emitter:
                await emitter.emit("signed")
            async with nuncio.Emitter(make(redis.url)) as emitter:
                await emitter.emit("unsigned")
            await eventually(lambda: '2["signed"]' in pair.bob.wire.messages)
            heard = await pair.reaches("after")
            assert not [one for one in heard if "unsigned" in str(one)]
            assert pair.adapter(pair.two).stats()["dropped"] >= 1


@run_async
async def test_clients_that_are_away_are_kept_signed(program: Any) -> None:
    async with Redis(program("redis-server")) as redis:
        make = MAKERS["streams"]
        adapters = [make(redis.url, secret=SECRET) for _ in range(2)]
        options = {"connection_state_recovery": True}
        async with two(*adapters, **options) as pair:
            ports = [(await io.listen(0)).port for io in (pair.one, pair.two)]
            for forging in (False, True):
                wanderer = Wanderer()
                await wanderer.connect(ports[0])
                sid = wanderer.sid
                pair.one.sockets.sockets[sid].join("room")
                pair.one.to("room").emit("one")
                assert await wanderer.next() == ["one"]
                wanderer.lose()
                await eventually(functools.partial(_gone, pair.one, sid))
                key = "sio:session:" + wanderer.pid
                kept = await redis.command("GET", key)
                assert json.dumps(sid).encode() not in kept
                told = msgspec.msgpack.decode(base64.b64decode(kept[32:]))
                assert told["sid"] == sid
                if forging:
                    told["rooms"].append("vault")
                    data = base64.b64encode(msgspec.msgpack.encode(told))
                    await redis.command("SET", key, kept[:32] + data)
                await wanderer.come_back(ports[1])
                back = pair.two.sockets.sockets[wanderer.sid]
                assert back.recovered is not forging
                assert (back.id == sid, "room" in back.rooms) == (not forging, not forging)
                assert "vault" not in back.rooms
                await wanderer.leave()
            assert pair.adapter(pair.two).stats()["dropped"] >= 1


def _gone(io: Server, sid: str) -> bool:
    return sid not in io.sockets.sockets


def test_a_secret_that_is_none_is_told(make: Make) -> None:
    with pytest.raises(OptionError, match="secret"):
        make("redis://localhost", secret="short")
