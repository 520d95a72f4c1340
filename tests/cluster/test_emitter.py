"""Emitters: ours say what the official ones say, reach Node's servers, and the other way round."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis as redis_py

import nuncio
import nuncio.sync
from nuncio import OptionError
from nuncio.cluster import RedisAdapter, RedisShardedAdapter, RedisStreamsAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.cluster.message import ClusterMessage
from tests.cluster import captures
from tests.cluster.arranging import arranged
from tests.cluster.kinds import KINDS, NODE_CLIENTS, NODE_POOL, POSTGRES
from tests.support.aio import eventually, run_async, until, within
from tests.support.clusters import NODE, OURS, Bus, Cluster, Kind, OurSide
from tests.support.nodeserver import NodeHome
from tests.support.ports import free_port
from tests.support.redis import Redis, read_command

# What the captured emitters did, by the names of the captures.
ACTIONS: dict[str, Callable[[Emitting[Any]], Any]] = {
    "emitter_emit_all": lambda e: e.emit("em", 1, {"a": "b"}),
    "emitter_emit_room": lambda e: e.to("room1").emit("em", 2),
    "emitter_emit_rooms_except": lambda e: e.to(["room1", "room2"]).except_("room2").emit("em", 3),
    "emitter_emit_binary": lambda e: e.emit("emb", b"\x01\x02\xff"),
    "emitter_emit_volatile_compress": lambda e: e.volatile.compress(False).emit("emv", 1),
    "emitter_emit_nsp": lambda e: e.of("chat").emit("emc", 1),
    "emitter_sockets_join": lambda e: e.in_("room1").sockets_join("ej"),
    "emitter_sockets_leave": lambda e: e.sockets_leave("ej"),
    "emitter_server_side_emit": lambda e: e.server_side_emit("sse", "from-emitter"),
    "emitter_disconnect_sockets": lambda e: e.of("/chat").disconnect_sockets(True),
}


class Orders:
    """Keeps the commands that an emitter would send, as Redis reads them."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.commands: list[list[bytes]] = []

    def send(self, message: ClusterMessage) -> None:
        """See `Sender.send`."""
        self.commands.append(read_command(self._target.order(message)[1]))

    def close(self) -> None:
        """See `Sender.close`."""


def said(target: Any, action: str) -> list[bytes]:
    """The command of an action."""
    orders = Orders(target)
    ACTIONS[action](Emitting(orders))
    return orders.commands[0]


def emitters(file: str) -> dict[str, dict[str, Any]]:
    """What the captured emitter said."""
    found = {one["action"]: one for one in captures.wire(file) if one["action"] in ACTIONS}
    assert len(found) == len(ACTIONS)
    return found


@pytest.mark.parametrize("action", ACTIONS)
def test_the_classic_emitter_is_node_s_byte_for_byte(action: str) -> None:
    captured = emitters("redis-classic")[action]
    command = said(RedisAdapter("redis://localhost"), action)
    assert command[:2] == [b"PUBLISH", captured["channel"].encode()]
    like = bytes.fromhex(captured["payload_hex"])
    assert arranged(command[2], like) == like


@pytest.mark.parametrize("action", ACTIONS)
def test_the_emitter_of_streams_is_node_s_byte_for_byte(action: str) -> None:
    captured = emitters("redis-streams")[action]
    *command, data = said(RedisStreamsAdapter("redis://localhost"), action)
    assert command[:6] == [b"XADD", b"socket.io", b"MAXLEN", b"~", b"10000", b"*"]
    *fields, like = [part.encode() for pair in captured["fields"].items() for part in pair]
    assert command[6:] == fields
    assert arranged(data, like) == like


# Whose server hears it.
PLACES = [(kind, at) for kind in KINDS for at in (OURS, NODE) if kind.node or at == OURS]


def maker(kind: Kind, url: str) -> Any:
    """The adapter of a row, for an emitter."""
    return kind.ours(url)


@pytest.mark.parametrize(("kind", "at"), PLACES, ids=lambda one: getattr(one, "name", one))
@run_async
async def test_our_emitter_reaches_clients_of_ours_and_node_s(
    home: NodeHome, kind: Kind, bus: Bus, at: str
) -> None:
    if at == NODE and not kind.node:
        pytest.skip("Node has no such adapter")
    url = bus.url
    cluster = Cluster(kind, url, home.program)
    try:
        side = await cluster.side(at)
        client, id = side.client, str(side.client.socket.id)
        async with nuncio.Emitter(maker(kind, url)) as emitter:

            async def heard() -> bool:
                # Node's servers count themselves before they listen.
                await emitter.emit("ready")
                return client.count("ready") > 0

            await until(heard, True)
            assert await side.count() == 1
            await emitter.emit("e", 1, {"a": [None]}, b"\x00")
            assert await client.next("e") == [1, {"a": [None]}, b"\x00"]
            await emitter.to(id).sockets_join(["x", 5])
            await until(side.rooms, {id, "x", 5})
            await emitter.to("nobody").emit("e", 2)
            await emitter.to(["x", "nobody"]).volatile.emit("e", 3)
            assert await client.next("e") == [3]
            await emitter.in_("x").sockets_leave("x")
            await until(side.rooms, {id, 5})
            emitter.except_(id).emit("e", 4)
            emitter.server_side_emit("told", "from an emitter")
            assert await side.told() == ["from an emitter"]
        await asyncio.to_thread(say_blocking, maker(kind, url))
        assert await client.next("e") == ["blocking"]
        # It counts as nobody.
        assert await side.count() == 1
        async with nuncio.Emitter(maker(kind, url)) as emitter:
            emitter.disconnect_sockets()
        await client.next("disconnect")
    finally:
        await cluster.close()


def say_blocking(adapter: Any) -> None:
    """Emit without a loop."""
    with nuncio.sync.Emitter(adapter) as emitter:
        emitter.emit("e", "blocking")


# JavaScript that makes the official emitter of each family, which has one on npm.
OFFICIAL = {
    KINDS[0]: NODE_CLIENTS + 'const { Emitter } = require("@socket.io/redis-emitter");'
    "io.emitter = new Emitter(lines[0], { key: args[1] });",
    POSTGRES: NODE_POOL + 'const { Emitter } = require("@socket.io/postgres-emitter");'
    'io.emitter = new Emitter(pool, "/", { channelPrefix: args[1], tableName: args[1] });',
}


async def reaches(ours: OurSide, emitter: Callable[[str], Awaitable[None]]) -> None:
    """What the official emitter says reaches a server of ours, and its client.

    Args:
        ours: the server.
        emitter: calls a method of it, to which `args[0]` is the client's id.
    """
    id = str(ours.client.socket.id)
    await emitter('emit("e", 1, Buffer.from([0, 255]), { a: "b" })')
    assert await ours.client.next("e") == [1, b"\x00\xff", {"a": "b"}]
    await emitter('in(args[0]).socketsJoin(["x", "y"])')
    await until(ours.rooms, {id, "x", "y"})
    await emitter('to("x").except("nobody").volatile.emit("e", 2)')
    assert await ours.client.next("e") == [2]
    await emitter('in("x").socketsLeave("y")')
    await until(ours.rooms, {id, "x"})
    await emitter('serverSideEmit("told", 3)')
    assert await ours.told() == [3]
    await emitter('in("x").disconnectSockets()')
    await ours.client.next("disconnect")


@pytest.mark.parametrize("kind", OFFICIAL, ids=lambda kind: kind.name)
@run_async
async def test_the_official_emitter_reaches_our_clients(
    home: NodeHome, kind: Kind, bus: Bus
) -> None:
    cluster = Cluster(kind, bus.url, home.program)
    try:
        ours = await cluster.our_side()
        node = await cluster.node_side()
        id = str(ours.client.socket.id)
        await node.server.run(OFFICIAL[kind], bus.url, kind.name)

        async def emitter(code: str) -> None:
            await node.server.run(f"io.emitter.{code}", id)

        await reaches(ours, emitter)
    finally:
        await cluster.close()


@run_async
async def test_the_official_emitter_of_streams_reaches_our_clients(
    home: NodeHome, redis: Redis
) -> None:
    # It is not on npm: what it said was recorded.
    kind = next(one for one in KINDS if one.name == "streams")
    cluster = Cluster(kind, redis.url, home.program)
    try:
        ours = await cluster.our_side()
        heard: list[Any] = []
        ours.io.on_server("sse", lambda *args: heard.append(list(args)))
        await ours.join(["room1"])
        for action, captured in emitters("redis-streams").items():
            fields = [part for pair in captured["fields"].items() for part in pair]
            await redis.command("XADD", kind.name, "*", *fields)
            case = next(one for one in captures.replays("redis-streams") if one["action"] == action)
            for expected in case["expected_on_B"]:
                if expected["client"] == "B1" and "/chat" not in str(captured["fields"]):
                    assert await ours.client.next(expected["event"]) == [
                        bytes.fromhex(one["$binary"])
                        if isinstance(one, dict) and "$binary" in one
                        else one
                        for one in expected["args"]
                    ]
        await eventually(lambda: heard)
        assert heard == [["from-emitter"]]
    finally:
        await cluster.close()


@run_async
async def test_an_address_or_a_client_is_enough(home: NodeHome, redis: Redis) -> None:
    kind = Kind("default", RedisAdapter)
    cluster = Cluster(kind, redis.url, home.program)
    client = redis.client()
    blocking = redis_py.Redis(port=redis.port)
    try:
        side = await cluster.our_side()
        for where in (redis.url, client):
            async with nuncio.Emitter(where) as emitter:
                await emitter.emit("e", 1)
            assert await side.client.next("e") == [1]
        for either in (redis.url, blocking):
            nuncio.sync.Emitter(either).emit("e", 2)
            assert await side.client.next("e") == [2]
        heard: list[Any] = []
        many = nuncio.sync.Emitter(redis.url)
        threads = [threading.Thread(target=many.emit, args=("e", n)) for n in range(10)]
        for thread in threads:
            thread.start()
        for _ in threads:
            heard += await side.client.next("e")
        # The event may arrive before whoever emitted it knows that it is on its way.
        for thread in threads:
            await asyncio.to_thread(thread.join)
        many.close()
        assert sorted(heard) == list(range(10))
    finally:
        await client.aclose()
        blocking.close()
        await cluster.close()


# Whether code that blocks may emit in the thread of a loop, too.
AWAY = [
    ("redis://127.0.0.1:{}", True),
    ("mongodb://127.0.0.1:{}/mydb?serverSelectionTimeoutMS=100", True),
    ("nats://127.0.0.1:{}", False),
    ("postgresql://127.0.0.1:{}/chat", False),
]


@pytest.mark.parametrize(("address", "anywhere"), AWAY, ids=lambda it: str(it).partition(":")[0])
@run_async
async def test_what_is_emitted_while_an_engine_is_away_fails(address: str, anywhere: bool) -> None:
    url = address.format(free_port())
    async with nuncio.Emitter(url) as emitter:
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await within(emitter.emit("e"))

    def blocking() -> None:
        with nuncio.sync.Emitter(url) as emitter, pytest.raises(ConnectionError):
            emitter.emit("e")

    if anywhere:
        blocking()
        return
    await asyncio.to_thread(blocking)
    with nuncio.sync.Emitter(url) as other, pytest.raises(RuntimeError, match="event loop"):
        other.emit("e")


# What is not closed in its own loop pymongo leaves open until it is forgotten, and complains.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("engine", ["redis", "postgres", "mongod", "nats"])
def test_one_emitter_may_be_used_in_several_event_loops(
    engine: str, request: pytest.FixtureRequest
) -> None:
    emitter = nuncio.Emitter(request.getfixturevalue(engine).url)

    async def emit() -> None:
        await within(emitter.emit("e"))

    async def close() -> None:
        await within(emitter.close())

    for _ in range(2):
        asyncio.run(emit())
    asyncio.run(close())
    gc.collect()


@pytest.mark.parametrize("where", [5, None, "localhost", "http://localhost", object()])
def test_what_is_no_adapter_is_told(where: Any) -> None:
    with pytest.raises(OptionError):
        nuncio.Emitter(where)
    with pytest.raises(OptionError):
        nuncio.sync.Emitter(where)


def test_wrong_use_is_told() -> None:
    emitter: Any = nuncio.sync.Emitter(RedisShardedAdapter("redis://localhost"))
    with pytest.raises(OptionError, match="reserved"):
        emitter.emit("connect")
    with pytest.raises(OptionError, match="callback"):
        emitter.emit("e", lambda: None)
    with pytest.raises(OptionError, match="callback"):
        emitter.server_side_emit("e", lambda: None)
    with pytest.raises(OptionError, match="rooms"):
        emitter.to(None)
    with pytest.raises(OptionError, match="nsp"):
        emitter.of("")
    with pytest.raises(TypeError):
        emitter.emit("e", object())
    with pytest.raises(OptionError, match="reason"):
        emitter.disconnect_sockets(data=1)
    emitter.close()
