"""What hostile clients may make grow: memory, tasks, timers, connections, the log."""

from __future__ import annotations

import ast
import asyncio
import functools
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio import Limits, Request
from tests.support.aio import eventually, run_async
from tests.support.arena import FOREIGN, Arena
from tests.support.rawclient import (
    TEXT,
    Peer,
    Polling,
    Refused,
    WebSocket,
    fetch,
    frame,
    websocket_target,
)

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.7


@pytest.fixture(scope="module", params=["native", "asgi"])
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server with short patience and small limits."""
    arena = Arena(
        request.param,
        uvloop=request.param == "native",
        limits=Limits(
            handshakes=20,
            outgoing_bytes=200_000,
            high_water_bytes=10_000,
            queued_events=10,
            close_seconds=0.3,
            pending_acks=10,
            rooms=10,
        ),
        max_http_buffer_size=50_000,
        connect_timeout=1.5,
        concurrency=4,
    )
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def hurried() -> Iterator[Arena]:
    """A server whose heartbeat is quick."""
    arena = Arena(ping_interval=PING_INTERVAL, ping_timeout=PING_TIMEOUT)
    yield arena
    arena.close()


# Connections that only wait.


@run_async
async def test_who_has_not_joined_is_counted_and_the_count_is_limited(arena: Arena) -> None:
    async with arena.watched():
        opened = []
        for _ in range(10):
            opened.append(await WebSocket.open(arena.port, websocket_target()))
            await Polling.open(arena.port)
        assert arena.io.handshakes == 20
        with pytest.raises(Refused) as refused:
            await WebSocket.open(arena.port, websocket_target())
        response = refused.value.response
        assert response.status == 503
        assert response.header("retry-after") == "5"
        response = await fetch(arena.port, "/socket.io/?EIO=4&transport=polling")
        assert response.status == 503
        # The one who has joined may do what it likes, and whoever leaves makes room.
        await opened.pop().close()
        async with await Peer.join(arena.port) as peer:
            assert await peer.ask("echo", 1) == [1]
        # The others run out of time to join.
        for socket in opened:
            await socket.closed()
            await socket.connection.close()
        for session in list(arena.io.engine.sessions.values()):
            if session.transport.name == "polling":
                await eventually(functools.partial(has_ended, session))
                session.close(discard=True)
        await eventually(lambda: arena.io.handshakes == 0)


def has_ended(session: nuncio.Session) -> bool:
    return session.ready_state != "open"


@run_async
async def test_refused_clients_are_not_counted(arena: Arena) -> None:
    async with arena.watched():
        for _ in range(100):
            await fetch(arena.port, "/socket.io/?EIO=3&transport=polling")
            with pytest.raises(Refused):
                await WebSocket.open(arena.port, "/socket.io/?EIO=3&transport=websocket")
        assert arena.io.handshakes == 0


@run_async
async def test_sessions_that_never_poll_are_given_up(hurried: Arena) -> None:
    sessions = [await Polling.open(hurried.port) for _ in range(50)]
    await eventually(lambda: not hurried.io.engine.sessions)
    assert {hurried.sessions[session.sid][0] for session in sessions} == {"ping timeout"}
    assert hurried.io.handshakes == 0
    await eventually(lambda: hurried.timers == 0)


@run_async
async def test_a_silent_peer_after_an_upgrade_is_given_up(hurried: Arena) -> None:
    session = await Polling.open(hurried.port)
    async with await session.probe() as socket:
        await socket.send("2probe", "5")
        await socket.closed()
    assert hurried.sessions[session.sid][0] == "ping timeout"


@run_async
async def test_a_poll_that_only_waits_is_given_up(hurried: Arena) -> None:
    session = await Polling.open(hurried.port)
    assert await session.receive() == ["2"]
    # It polls, and never answers.
    assert await session.receive() == ["1"]
    assert hurried.sessions[session.sid][0] == "ping timeout"


@run_async
async def test_half_a_packet_does_not_count_as_life(hurried: Arena) -> None:
    async with await WebSocket.open(hurried.port, websocket_target()) as socket:
        await socket.raw(frame(TEXT, b"4", fin=False))
        for _ in range(10):
            await socket.raw(frame(0, b"a", fin=False))
            await asyncio.sleep(0.02)
        await socket.closed()
        assert hurried.sessions[socket.sid][0] == "ping timeout"


# Peers that do not read.


@asynccontextmanager
async def deaf(arena: Arena) -> AsyncIterator[tuple[nuncio.Socket, Peer]]:
    """A peer that has joined and reads no more."""
    async with await Peer.join(arena.port) as peer:
        peer.socket.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield arena.io.sockets.sockets[peer.sid], peer


@run_async
async def test_a_peer_that_does_not_read_is_dropped_and_nobody_else(arena: Arena) -> None:
    async with arena.watched(), deaf(arena) as (socket, peer):
        text = "x" * 10_000
        for _ in range(5000):
            if not socket.connected:
                break
            socket.emit("flood", text)
            await asyncio.sleep(0)
        assert arena.sockets[peer.sid] == "slow consumer"
        assert arena.unknown(peer.socket.sid)


@run_async
async def test_volatile_events_are_dropped_for_a_peer_that_does_not_read(arena: Arena) -> None:
    async with arena.watched(), deaf(arena) as (socket, _):
        text = "x" * 10_000
        for _ in range(5000):
            socket.volatile.emit("flood", text)
            await asyncio.sleep(0)
        assert socket.connected
        assert socket.conn.buffered_bytes < 200_000
        socket.disconnect(True)


@run_async
async def test_a_peer_that_never_polls_is_dropped(arena: Arena) -> None:
    async with arena.watched() as witness:
        session = await Polling.open(arena.port)
        await session.post("40")
        await session.receive()
        (sid,) = set(arena.io.sockets.sockets) - {witness.sid}
        while sid in arena.io.sockets.sockets:
            arena.io.sockets.sockets[sid].emit("flood", "x" * 10_000)
        assert arena.sockets[sid] == "slow consumer"


@run_async
async def test_broadcasts_do_not_wait_for_a_peer_that_does_not_read(arena: Arena) -> None:
    async with arena.watched() as witness, deaf(arena) as (socket, _):
        for _ in range(5000):
            if not socket.connected:
                break
            arena.io.emit("news", "x" * 10_000)
            assert (await witness.receive()).startswith('42["news"')
        assert not socket.connected


# Peers that ask too much.


@run_async
async def test_events_that_wait_for_handlers_start_no_more_tasks_than_allowed(
    arena: Arena,
) -> None:
    gate = asyncio.Event()
    running = Counter[str]()
    most = 0

    @arena.io.on("gated")
    async def gated(socket: nuncio.Socket) -> None:
        nonlocal most
        running[socket.id] += 1
        most = max(most, running[socket.id])
        await gate.wait()
        running[socket.id] -= 1

    try:
        async with arena.watched(), await Peer.join(arena.port) as peer:
            assert await peer.ask("echo", 1) == [1]
            tasks = len(asyncio.all_tasks())
            for _ in range(50):
                await peer.socket.send(*['42["gated"]'] * 100)
            await eventually(lambda: running[peer.sid] == 4)
            assert len(asyncio.all_tasks()) <= tasks + 4 + 1
            gate.set()
            assert await peer.ask("echo", 2) == [2]
            assert most == 4
            await eventually(lambda: running[peer.sid] == 0)
    finally:
        arena.io.off("gated")


@run_async
async def test_messages_above_the_limit_are_refused_on_every_path(arena: Arena) -> None:
    # CVE-2026-48809.
    async with arena.watched(), await Peer.join(arena.port) as peer:
        fits = "x" * (50_000 - len('421["echo",""]'))
        await peer.socket.send(f'421["echo","{fits}"]')
        assert await peer.receive() == f'431["{fits}"]'
        await peer.socket.send(f'421["echo","{fits}!"]')
        assert await peer.socket.closed() == 1009
        await eventually(lambda: peer.sid in arena.sockets)
        assert arena.sockets[peer.sid] == "transport error"


# What is left when they are gone.


def living() -> Counter[str]:
    gc.collect()
    names = {"Session", "Socket", "Connection", "PollingTransport", "WebSocketTransport", "Probe"}
    names |= {"Request", "Pending", "Handshake", "ASGIWebSocketTransport", "FrameReader"}
    return Counter(
        type(one).__name__
        for one in gc.get_objects()
        if type(one).__name__ in names and type(one).__module__.startswith("nuncio")
    )


async def misbehave(arena: Arena) -> None:
    """Leave in many ways, most of them rude."""
    hole = '{"_placeholder":true,"num":0}'
    for packets in (
        ["40"],
        ["40", "junk"],
        ["40", "4junk"],
        ["40", f'451-["echo",{hole}]'],
        [f'451-["echo",{hole}]'],
        ["40", '42["slow"]'],
        ["2"],
    ):
        async with await WebSocket.open(arena.port, websocket_target()) as socket:
            await socket.send(*packets)
            await asyncio.sleep(0.005)
        session = await Polling.open(arena.port)
        await session.post("\x1e".join(packets))
        async with await session.probe() if not arena.unknown(session.sid) else socket as probe:
            await probe.send("2probe")
        await fetch(arena.port, session.target, "POST", body=b"1")


@run_async
async def test_nothing_of_those_who_left_is_kept(arena: Arena) -> None:
    async with arena.watched():
        await misbehave(arena)
        await eventually(lambda: len(arena.io.engine.sessions) == 1)
        before = living()
        for _ in range(3):
            await misbehave(arena)
        await eventually(lambda: len(arena.io.engine.sessions) == 1)
        # Less is as good: what lingered when it was counted first.
        await eventually(lambda: living() <= before, f"{living()} becomes {before}")


# Origins, on every way in.


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1"],
)
@run_async
async def test_pages_of_others_get_in_nowhere(arena: Arena, origin: str) -> None:
    # CVE-2019-13611, CVE-2020-28481.
    header = ("Origin", origin)
    async with arena.watched():
        target = "/socket.io/?EIO=4&transport=polling"
        response = await fetch(arena.port, target, headers=[header])
        assert (response.status, response.json["code"]) == (403, 4)
        assert response.header("access-control-allow-origin") is None
        session = await Polling.open(arena.port)
        response = await fetch(arena.port, session.target, "POST", [header], b"40")
        assert response.status == 403
        for sid in (None, session.sid):
            with pytest.raises(Refused) as refused:
                await WebSocket.open(arena.port, websocket_target(sid=sid), [header])
            assert refused.value.response.status == 400
        assert (await session.post("1")).text == "ok"


@run_async
async def test_the_first_refused_origin_is_explained_and_the_rest_is_silence(
    arena: Arena,
) -> None:
    async with arena.watched():
        for _ in range(20):
            await fetch(arena.port, "/socket.io/?EIO=4&transport=polling", headers=[FOREIGN])


# What the application says cannot break out of the response.


@run_async
async def test_line_breaks_in_headers_of_the_application_are_refused(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    # uvicorn #724.
    def headers(headers: dict[str, Any], request: Request) -> None:
        headers["X-Reflected"] = request.query.get("reflect", "")

    arena.io.engine.on("headers", headers)
    reflect = "&reflect=a%0d%0aX-Injected:%201%0d%0a%0d%0abody"
    try:
        with caplog.at_level(logging.CRITICAL, "nuncio"):
            response = await fetch(arena.port, "/socket.io/?EIO=4&transport=polling&reflect=fine")
            assert response.header("x-reflected") == "fine"
            response = await fetch(arena.port, f"/socket.io/?EIO=4&transport=polling{reflect}")
            assert response.status == 200
            assert response.header("x-injected") is None
            assert response.header("x-reflected") is None
            socket = await WebSocket.open(arena.port, websocket_target() + reflect)
            assert socket.head.header("x-injected") is None
            assert socket.head.header("x-reflected") is None
            await socket.close()
    finally:
        arena.io.engine.off("headers", headers)
    arena.io.engine.close(discard=True)
    await eventually(lambda: not arena.io.engine.sessions)


# The package itself.


def test_nothing_is_unpickled_or_evaluated() -> None:
    # CVE-2025-61765.
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    for path in Path(nuncio.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: set[str | None] = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {node.module}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                # One place evaluates the annotations of the application's own handlers.
                assert node.func.id not in ("eval", "exec") or path.name == "annotations.py", path
            assert not names & forbidden, path
