"""Limits and policies as official clients meet them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Limits, Rate, RateLimited, Server, Socket, conflate
from tests.interop.test_backpressure import CHUNK, pause, resume
from tests.support.aio import eventually, run_async
from tests.support.inbox import Inbox
from tests.support.live import HOSTS
from tests.support.node import LATEST, OLD, POLLING, UPGRADED, WEBSOCKET, JSError, Node, Way

HOUR = 3600.0

BOTH = pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
FRAMES = pytest.mark.parametrize("way", [WEBSOCKET, UPGRADED], ids=lambda way: way.name)


# Rates.


@BOTH
@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_a_client_that_is_too_fast_is_slowed_down_and_loses_nothing(
    node: Node, way: Way, host: str
) -> None:
    io = Server(limits=Limits(events_per_connection=Rate(400, burst=20)))
    io.on("count", lambda socket, value: value)
    got = Inbox()
    io.on("last", got)
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=way)
        await client.run(
            "for (let i = 0; i < 200; i++) socket.emit('count', i, (n) => report('counted', n));"
            "socket.emit('last')"
        )
        assert await got.next() == []
        for index in range(200):
            assert await client.next("counted") == [index]
        assert io.counters.rate_pauses > 0
        assert io.counters.rate_limited_events == 0
        assert "disconnect" not in client.names()


@BOTH
@run_async
async def test_whoever_asks_too_much_is_answered_so(node: Node, way: Way) -> None:
    io = Server(limits=Limits(events_per_connection=Rate(2, per=HOUR), on_event_rate="drop"))
    io.on("ask", lambda socket, value: value)
    io.on("costly", lambda socket, value: value, rate=Rate(1, per=HOUR))
    async with node.clients(io) as clients:
        client, other = await clients.connect(way=way), await clients.connect(way=way)
        assert await client.ask("ask", 1) == [1]
        assert await client.ask("ask", b"2") == [b"2"]
        [refused] = await client.ask("ask", b"3")
        assert refused["error"]["code"] == "rate_limited"
        assert refused["error"]["retry_after"] > 1000
        assert await other.ask("costly", 1) == [1]
        [refused] = await other.ask("costly", 2)
        assert refused["error"]["code"] == "rate_limited"


@BOTH
@run_async
async def test_a_client_that_sends_too_much_may_be_disconnected(node: Node, way: Way) -> None:
    io = Server(limits=Limits(events_per_connection=Rate(2, per=HOUR), on_event_rate="disconnect"))
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        await client.run("for (let i = 0; i < 5; i++) socket.emit('x')")
        assert (await gone.next())[0] == "rate limited"
        assert (await client.next("disconnect"))[0] in ("transport close", "transport error")


@pytest.mark.parametrize("version", [LATEST, OLD])
@BOTH
@run_async
async def test_a_client_is_warned_and_then_has_to_go(node: Node, way: Way, version: str) -> None:
    io = Server(
        allow_eio3=True,
        limits=Limits(
            events_per_connection=Rate(1, per=HOUR),
            on_event_rate="drop",
            refusals_per_connection=Rate(3, per=HOUR),
        ),
    )
    io.on("ask", lambda socket, value: value)
    gone, warned = Inbox(), Inbox()
    io.on("disconnect", gone)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("error")
        def too_much(error: Exception) -> None:
            assert isinstance(error, RateLimited)
            warned.put(error.event)
            socket.emit("warning", "slow down")

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version, reconnection=True)
        assert await client.ask("ask", 1) == [1]
        for _ in range(3):
            [refused] = await client.ask("ask", 2)
            assert refused["error"]["code"] == "rate_limited"
        assert await client.next("warning") == ["slow down"]
        assert warned.seen == [["ask"]]
        assert await client.value("socket.connected")
        await client.emit("ask", 3)
        assert await client.next("disconnect_reason") == ["rate limited"]
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        assert await gone.next() == ["rate limited", "too many refusals"]
        # It was told to stay away, and does not come back by itself.
        assert not await client.value("socket.io._reconnecting || socket.io.reconnecting || false")
        assert await client.value("socket.connected") is False
        assert io.counters.rate_limited_connections == 1


@BOTH
@run_async
async def test_an_address_that_connects_too_often_is_kept_out(node: Node, way: Way) -> None:
    io = Server(limits=Limits(handshakes_per_address=Rate(1, per=HOUR)))
    failures = Inbox()
    io.engine.on("connection_error", failures.put)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        late = await clients.start(way=way, reconnection=False)
        [error] = await late.next("connect_error")
        assert isinstance(error, JSError)
        assert error.message in ("xhr poll error", "websocket error")
        [failure] = await failures.next()
        assert failure.code == 429
        # Who is in notices nothing.
        assert await client.value("socket.connected")


@run_async
async def test_a_client_that_joins_too_often_is_told(node: Node) -> None:
    io = Server(limits=Limits(joins_per_connection=Rate(1, per=HOUR)))
    io.of("/b")
    async with node.clients(io) as clients:
        client = await clients.connect()
        other = await clients.join(client, "/b")
        await other.disconnect()
        await other.run("socket.connect()")
        [error] = await other.next("connect_error")
        assert error.message == "Too many requests"
        assert error.fields["data"]["code"] == "rate_limited"
        assert await client.value("socket.connected")


# Clients that do not read.


async def flood(io: Server, socket: Any, send: Any) -> int:
    """Emit until much has been dropped; how often."""
    for n in range(100_000):
        send(n)
        if socket.conn.dropped > 200:
            return n
        assert socket.connected
        await asyncio.sleep(0)
    raise AssertionError("nothing was dropped")


@FRAMES
@run_async
async def test_a_client_that_does_not_read_loses_the_oldest(node: Node, way: Way) -> None:
    io = Server(limits=Limits(droppable_bytes=4 * CHUNK), slow_consumer="drop_oldest")
    async with node.clients(io) as clients:
        client, quick = await clients.connect(way=way), await clients.connect()
        socket = await client.peer(io)
        await pause(client)
        await quick.run("socket.offAny()")
        room = io.to(socket.id)
        last = await flood(io, socket, lambda n: room.emit("chunk", n, bytes(CHUNK)))
        most = socket.conn.buffered_bytes
        assert most <= 4 * CHUNK
        socket.when_slow("disconnect").emit("chunk", -1, b"")
        await resume(client)
        got: list[int] = []
        while not got or got[-1] != -1:
            got.append((await client.next("chunk"))[0])
        assert got[:-1] == sorted(got[:-1])
        assert got[-2] == last
        assert len(got) == last + 2 - socket.conn.dropped
        assert io.counters.dropped_events == socket.conn.dropped
        assert "disconnect" not in client.names()
        assert await quick.value("socket.connected")


@FRAMES
@run_async
async def test_a_client_that_does_not_read_gets_the_latest_values(node: Node, way: Way) -> None:
    io = Server(slow_consumer=conflate(lambda event, n, data: n % 3))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        await pause(client)
        last = await flood(io, socket, lambda n: io.emit("chunk", n, bytes(100_000)))
        assert socket.conn.buffered_bytes < 400_000
        socket.when_slow("disconnect").emit("chunk", -1, b"")
        await resume(client)
        got: list[int] = []
        while not got or got[-1] != -1:
            got.append((await client.next("chunk"))[0])
        assert set(got[-4:-1]) == {last, last - 1, last - 2}


@run_async
async def test_over_long_polling_only_the_latest_value_waits_for_the_next_poll(node: Node) -> None:
    io = Server(slow_consumer=conflate())
    async with node.clients(io) as clients:
        client = await clients.connect(way=POLLING)
        socket = await client.peer(io)
        # No poll waits in the same turn in which the first answers it.
        for n in range(1000):
            socket.emit("value", n)
        socket.emit("other", "done")
        await client.next("other")
        values = [args[0] for name, args in client.seen.log if name == "value"]
        assert values[-1] == 999
        assert values == sorted(values)


@run_async
async def test_the_newest_is_dropped_and_its_acknowledgement_fails(node: Node) -> None:
    io = Server(limits=Limits(droppable_bytes=CHUNK), slow_consumer="drop_newest")
    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)
        await pause(client)
        failed: list[Any] = []
        n = 0
        while not failed:
            assert n < 1000
            socket.timeout(60).emit("chunk", n, bytes(CHUNK), lambda error: failed.append(error))
            n += 1
            await asyncio.sleep(0)
        assert type(failed[0]).__name__ == "Dropped"
        kept = n - socket.conn.dropped
        await resume(client)
        for index in range(kept):
            assert (await client.next("chunk"))[0] == index
        await eventually(lambda: not socket.conn.congested)
        socket.emit("chunk", "again", b"")
        assert await client.next("chunk") == ["again", 0]
