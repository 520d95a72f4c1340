"""Peers that send too much, connect too often, or do not read, where limits and policies say so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from nuncio import Limits, Rate, Server, Socket, conflate
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.rawclient import Peer, Polling, Refused, WebSocket, fetch, websocket_target

MOST = 200_000
# So many handshakes the well-behaved need in one test.
BURST = 30


@pytest.fixture(scope="module", params=["native", "asgi"])
def strict(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server that drops what is too much."""
    arena = Arena(
        request.param,
        uvloop=request.param == "native",
        limits=Limits(
            outgoing_bytes=MOST,
            high_water_bytes=10_000,
            droppable_bytes=MOST // 4,
            events_per_connection=Rate(50, per=3600),
            on_event_rate="drop",
            joins_per_connection=Rate(5, per=3600),
            close_seconds=0.3,
        ),
        max_http_buffer_size=50_000,
    )
    yield arena
    arena.close()


@pytest.fixture(params=["native", "asgi"])
def patient(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server that reads no faster than it wants to."""
    arena = Arena(
        request.param,
        uvloop=request.param == "native",
        limits=Limits(
            events_per_connection=Rate(500, burst=50),
            event_bytes_per_connection=Rate(10_000_000),
            events_per_address=Rate(2000),
        ),
    )
    yield arena
    arena.close()


@run_async
async def test_a_flood_of_events_reaches_no_handler(strict: Arena) -> None:
    async with strict.watched() as witness, await Peer.join(strict.port) as peer:
        before = len(strict.heard)
        tasks = len(asyncio.all_tasks())
        refused = 0
        for index in range(100):
            await peer.socket.send(*[f'42{index * 50 + n}["echo",{n}]' for n in range(50)])
            for _ in range(50):
                refused += '"rate_limited"' in await peer.receive()
        assert refused == 4950
        assert len(strict.heard) == before + 50
        assert len(asyncio.all_tasks()) <= tasks + 1
        assert strict.io.sockets.sockets[peer.sid].conn.buffered_bytes == 0
        assert await witness.ask("echo", 1) == [1]
        strict.io.sockets.sockets[peer.sid].disconnect(True)


@pytest.mark.parametrize("host", ["native", "asgi"])
def test_a_flood_in_spite_of_refusals_ends_that_connection_and_costs_no_more(host: str) -> None:
    arena = Arena(
        host,
        limits=Limits(
            events_per_connection=Rate(50, per=3600),
            on_event_rate="drop",
            refusals_per_connection=Rate(100, per=3600),
        ),
    )

    async def flood() -> None:
        async with arena.watched() as witness, await Peer.join(arena.port) as peer:
            # All at once: what comes behind the end is not looked at.
            await peer.socket.send(*[f'42{n}["echo"]' for n in range(5000)])
            for n in range(151):
                assert (await peer.receive()).startswith(f"43{n}[")
            assert await peer.receive() == '42["disconnect_reason","rate limited"]'
            assert await peer.receive() == "41"
            await eventually(lambda: peer.sid in arena.sockets)
            assert arena.sockets[peer.sid] == "rate limited"
            assert arena.io.counters.rate_limited_events == 101
            assert arena.io.counters.rate_limited_connections == 1
            assert len(arena.errors) == 1
            assert arena.heard.count(()) == 50
            assert await witness.ask("echo", 1) == [1]

    arena.run(flood())
    arena.close()


@run_async
async def test_a_flood_whose_answers_nobody_reads_ends_that_connection(strict: Arena) -> None:
    async with strict.watched(), await Peer.join(strict.port) as peer:
        peer.socket.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            while True:
                await peer.socket.send(*[f'42{n}["echo"]' for n in range(500)])
                if peer.sid in strict.sockets:
                    raise ConnectionError
        assert strict.sockets[peer.sid] == "slow consumer"


@run_async
async def test_a_flood_of_joins_reaches_no_middleware(strict: Arena) -> None:
    asked: list[str] = []
    strict.io.of("/admin").use(lambda socket: asked.append(socket.id))
    async with strict.watched(), await Peer.join(strict.port) as peer:
        for _ in range(5):
            await peer.socket.send("40/admin,", "41/admin,")
        await peer.socket.send(*["40/admin,"] * 200)
        for _ in range(5):
            assert (await peer.receive()).startswith('40/admin,{"sid"')
        for _ in range(200):
            assert (await peer.receive()).startswith('44/admin,{"message":"Too many requests"')
        assert len(asked) == 5
        strict.io.sockets.sockets[peer.sid].disconnect(True)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "conflate", "volatile"])
@run_async
async def test_a_peer_that_does_not_read_holds_no_more_than_it_may(
    strict: Arena, policy: str
) -> None:
    io = strict.io
    async with strict.watched() as witness, await Peer.join(strict.port) as peer:
        peer.socket.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        socket = io.sockets.sockets[peer.sid]
        room = io.to(peer.sid)
        if policy == "conflate":
            room = room.when_slow(conflate(lambda event, text, n: n % 5))
        elif policy == "volatile":
            room = room.volatile
        else:
            room = room.when_slow(policy)
        most = 0
        for n in range(3000):
            room.emit("flood", "x" * 5000, n)
            most = max(most, socket.conn.buffered_bytes)
            await asyncio.sleep(0)
        assert socket.connected
        assert most <= MOST // 4
        assert socket.conn.dropped > 1000
        assert await witness.ask("echo", 1) == [1]
        socket.disconnect(True)
        socket.conn.close(discard=True)


@run_async
async def test_reading_pauses_and_everybody_else_goes_on(patient: Arena) -> None:
    async with patient.watched() as witness, await Peer.join(patient.port) as peer:
        for _ in range(10):
            await peer.socket.send(*['42["echo","flood"]'] * 30)
        await eventually(lambda: patient.io.counters.rate_pauses > 0)
        for n in range(10):
            assert await witness.ask("echo", n) == [n]
        await eventually(lambda: patient.heard.count(("flood",)) == 300)
        assert patient.io.counters.rate_limited_events == 0
        session = await Polling.open(patient.port)
        await session.post("40")
        await session.receive()
        pauses = patient.io.counters.rate_pauses
        await session.post("\x1e".join(['42["echo","post"]'] * 200))
        await eventually(lambda: patient.heard.count(("post",)) == 200)
        assert patient.io.counters.rate_pauses > pauses
        for sid in set(patient.io.sockets.sockets) - {witness.sid}:
            patient.io.sockets.sockets[sid].conn.close(discard=True)


@run_async
async def test_a_storm_of_handshakes_is_turned_away_cheaply() -> None:
    io = Server(limits=Limits(handshakes_per_address=Rate(BURST, per=3600)))
    asked: list[Socket] = []
    io.use(asked.append)
    async with await io.listen(0) as server, await Peer.join(server.port) as peer:
        await eventually(lambda: asked)
        statuses = []
        for _ in range(100):
            response = await fetch(server.port, "/socket.io/?EIO=4&transport=polling")
            statuses.append(response.status)
        assert statuses == [200] * (BURST - 1) + [429] * (101 - BURST)
        assert json.loads(response.text) == {"code": 429, "message": "Too many requests"}
        assert int(response.header("retry-after") or 0) > 0
        with pytest.raises(Refused) as refused:
            await WebSocket.open(server.port, websocket_target())
        assert refused.value.response.status == 429
        assert io.engine.clients_count == BURST
        assert io.counters.refused_handshakes == 102 - BURST
        # Who is in may still move to a WebSocket, and goes on.
        await peer.socket.send('421["x"]')
        assert io.sockets.sockets[peer.sid].connected


@run_async
async def test_thousands_of_connections_from_one_address_are_welcome_by_default() -> None:
    io = Server()
    async with await io.listen(0) as server:
        for _ in range(300):
            await Polling.open(server.port)
        assert io.engine.clients_count == 300
        assert not any(io.counters.snapshot().values())
