"""Hostile WebSocket frames at every phase of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc

import pytest

from tests.hostile.conftest import LIMITS, MAX_SIZE
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.rawclient import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Closed,
    Connection,
    Peer,
    Polling,
    WebSocket,
    frame,
    handshake,
    websocket_target,
)

# Frames that break a rule, the close code they are answered with, and the words of the reason.
BROKEN = {
    "RSV1": (frame(TEXT, b"4a", rsv=4), 1002),
    "RSV2": (frame(TEXT, b"4a", rsv=2), 1002),
    "RSV3": (frame(TEXT, b"4a", rsv=1), 1002),
    "RSV on a ping": (frame(PING, b"a", rsv=2), 1002),
    "not masked": (frame(TEXT, b"4a", masked=False), 1002),
    "opcode 3": (frame(3, b"4a"), 1002),
    "opcode 15": (frame(15, b"4a"), 1002),
    "a continuation of nothing": (frame(0, b"4a"), 1002),
    "a message within a message": (frame(TEXT, b"4", fin=False) + frame(TEXT, b"4"), 1002),
    "a ping in fragments": (frame(PING, b"a", fin=False), 1002),
    "a long ping": (frame(PING, b"a" * 126), 1002),
    "a close frame of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close code 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "close code 0": (frame(CLOSE, b"\0\0"), 1002),
    "a close reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b'42["\xff"]'), 1007),
    "text that ends within a character": (frame(TEXT, b"4\xe2\x82"), 1007),
    "a surrogate": (frame(TEXT, b"4\xed\xa0\x80"), 1007),
    "a message above the limit": (frame(BINARY, size=MAX_SIZE + 1), 1009),
    "a message of exabytes": (frame(TEXT, size=1 << 62), 1009),
    "a length of 64 bits": (frame(TEXT, size=1 << 63), 1002),
    "fragments above the limit": (
        frame(TEXT, b"4" * 30_000, fin=False) + frame(0, b"4" * 30_000),
        1009,
    ),
    "too many fragments": (
        frame(TEXT, b"4", fin=False) + frame(0, b"", fin=False) * (LIMITS.fragments + 1),
        1009,
    ),
}

broken = pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())


@broken
@run_async
async def test_after_joining(arena: Arena, data: bytes, code: int) -> None:
    async with arena.watched():
        peer = await Peer.join(arena.port)
        secret = next(sid for sid in arena.io.engine.sessions if sid == peer.socket.sid)
        await peer.socket.raw(data)
        assert await peer.socket.closed() == code
        await eventually(lambda: peer.sid in arena.sockets)
        reason, words = arena.sessions[secret]
        assert reason == arena.sockets[peer.sid] == "transport error"
        assert words
        await peer.socket.connection.close()


@broken
@run_async
async def test_before_joining(arena: Arena, data: bytes, code: int) -> None:
    async with arena.watched(), await WebSocket.open(arena.port, websocket_target()) as socket:
        await socket.raw(data)
        assert await socket.closed() == code
        assert arena.sessions[socket.sid][0] == "transport error"


@broken
@run_async
async def test_during_a_probe(arena: Arena, data: bytes, code: int) -> None:
    # CVE-2022-21676. The session goes on over long-polling.
    async with arena.watched():
        session = await Polling.open(arena.port)
        for before in ((), ("2probe",)):
            async with await session.probe() as socket:
                await socket.send(*before)
                await socket.raw(data)
                assert await socket.closed() == code
        assert (await session.post("40")).text == "ok"
        assert (await session.receive())[0].startswith("40{")
        # And another attempt succeeds.
        async with await session.probe() as socket:
            await socket.send("2probe", "5", '427["echo","moved"]')
            assert await socket.receive() == "3probe"
            assert await socket.receive() == '437["moved"]'


@broken
@run_async
async def test_after_an_upgrade(arena: Arena, data: bytes, code: int) -> None:
    async with arena.watched():
        session = await Polling.open(arena.port)
        async with await session.probe() as socket:
            await socket.send("2probe", "5", "40")
            assert await socket.receive() == "3probe"
            assert str(await socket.receive()).startswith("40{")
            await socket.raw(data)
            assert await socket.closed() == code
        assert arena.sessions[session.sid][0] == "transport error"


@broken
@run_async
async def test_before_the_handshake_is_answered(arena: Arena, data: bytes, code: int) -> None:
    # Whether bytes that come too early are read or dropped is nobody's promise; what counts is
    # that they do no harm, and that none of them is taken for a message of somebody else.
    async with arena.watched():
        for whole in (True, False):
            async with await Connection.open(arena.port) as connection:
                start = handshake(websocket_target())
                if whole:
                    await connection.send(start + data)
                else:
                    # Within the head, where frames are nonsense.
                    await connection.send(start[:-2] + data)
                connection.reset()


@run_async
async def test_the_sessions_of_early_frames_are_forgotten(arena: Arena) -> None:
    async with arena.watched(), await Connection.open(arena.port) as connection:
        await connection.send(handshake(websocket_target()) + frame(TEXT, b"40"))
        head = await connection.response()
        assert head.status == 101


@pytest.mark.parametrize("packet", ["4foo", "2", "2wrong", "0", "1", "6", "", "junk", "b"])
@run_async
async def test_wrong_probes_are_closed_and_the_session_goes_on(
    any_arena: Arena, packet: str
) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        async with await session.probe() as socket:
            await socket.send(packet)
            assert await socket.closed() == (1005 if any_arena.host == "native" else 1000)
        await session.post("40")
        assert (await session.receive())[0].startswith("40{")
        await session.post("1")


@run_async
async def test_a_probe_that_is_never_finished_is_given_up(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        async with await session.probe() as silent:
            await silent.closed()
        async with await session.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await socket.closed()
        assert not any_arena.unknown(session.sid)
        await session.post("1")


@run_async
async def test_a_session_that_ends_closes_its_probe(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        async with await session.probe() as socket:
            await socket.send("2probe")
            assert await socket.receive() == "3probe"
            await session.post("1")
            await socket.closed()


@pytest.mark.parametrize("packet", ["", "7", "junk", "\x1e4a", "-"])
@run_async
async def test_garbage_packets_are_parse_errors(any_arena: Arena, packet: str) -> None:
    async with (
        any_arena.watched(),
        await WebSocket.open(any_arena.port, websocket_target()) as socket,
    ):
        await socket.send(packet)
        assert await socket.closed() == (1005 if any_arena.host == "native" else 1000)
        assert any_arena.sessions[socket.sid] == ("parse error", "")


@pytest.mark.parametrize("packet", ["2", "2probe"])
@run_async
async def test_pings_of_a_client_are_a_transport_error(any_arena: Arena, packet: str) -> None:
    async with (
        any_arena.watched(),
        await WebSocket.open(any_arena.port, websocket_target()) as socket,
    ):
        await socket.send(packet)
        await socket.closed()
        assert any_arena.sessions[socket.sid] == (
            "transport error",
            "invalid heartbeat direction",
        )


@run_async
async def test_ten_thousand_unsolicited_pongs_start_nothing(any_arena: Arena) -> None:
    # CVE-2026-48802: each started a task.
    async with any_arena.watched(), await Peer.join(any_arena.port) as peer:
        assert await peer.ask("echo", 1) == [1]
        tasks, timers = len(asyncio.all_tasks()), any_arena.timers
        for _ in range(100):
            await peer.socket.send(*["3"] * 100)
        await peer.socket.raw(frame(PONG, b"x") * 1000)
        assert await peer.ask("echo", 2) == [2]
        assert len(asyncio.all_tasks()) <= tasks
        assert any_arena.timers <= timers


@run_async
async def test_pongs_before_joining_start_nothing(any_arena: Arena) -> None:
    async with (
        any_arena.watched(),
        await WebSocket.open(any_arena.port, websocket_target()) as socket,
    ):
        assert str(await socket.receive()).startswith("0{")
        timers = any_arena.timers
        await socket.send(*["3"] * 1000, "40")
        assert str(await socket.receive()).startswith("40{")
        # The deadline to join is gone.
        assert any_arena.timers <= timers - 1


@run_async
async def test_a_flood_of_tiny_fragments_is_cut_off(arena: Arena) -> None:
    # CVE-2026-48779, CVE-2026-42786: a million fragments of a byte, below the limit of bytes.
    async with arena.watched():
        tracemalloc.start()
        try:
            async with await WebSocket.open(arena.port, websocket_target()) as socket:
                await socket.raw(frame(TEXT, b"4", fin=False))
                for _ in range(20):
                    await socket.raw(frame(0, b"a", fin=False) * 1000)
                assert await socket.closed() in (1009, 1006)
                _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000
        assert arena.sessions[socket.sid] == ("transport error", "too many fragments")


@run_async
async def test_pings_between_the_fragments_do_not_help(arena: Arena) -> None:
    async with arena.watched(), await WebSocket.open(arena.port, websocket_target()) as socket:
        await socket.raw(frame(TEXT, b"4", fin=False))
        await socket.raw((frame(0, b"", fin=False) + frame(PING, b"a")) * 1000)
        assert await socket.closed() in (1009, 1006)


@run_async
async def test_pings_are_answered_with_their_own_bytes_alone(arena: Arena) -> None:
    # CVE-2016-10518: memory of others in the answer.
    async with arena.watched(), await Peer.join(arena.port) as peer:
        for payload in (b"", b"a", bytes(range(125))):
            await peer.socket.raw(frame(PING, payload))
            assert await peer.socket.receive_frame() == (PONG, payload)


@run_async
async def test_the_memory_of_an_announced_message_is_not_taken(arena: Arena) -> None:
    # CVE-2016-10542.
    async with arena.watched():
        tracemalloc.start()
        try:
            sockets = [
                await WebSocket.open(arena.port, websocket_target(), None) for _ in range(20)
            ]
            for socket in sockets:
                await socket.raw(frame(TEXT, b"4", size=MAX_SIZE))
            await arena.settled()
            current, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert current < 20 * MAX_SIZE
        for socket in sockets:
            await socket.connection.close()


@pytest.mark.parametrize("reset", [False, True])
@run_async
async def test_connections_that_vanish_end_their_sockets(any_arena: Arena, reset: bool) -> None:
    async with any_arena.watched():
        peer = await Peer.join(any_arena.port)
        await peer.socket.raw(frame(TEXT, b"4", fin=False))
        if reset:
            peer.socket.connection.reset()
        else:
            await peer.socket.connection.close()
        await eventually(lambda: peer.sid in any_arena.sockets)
        assert any_arena.sockets[peer.sid] in ("transport close", "transport error")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000, None])
@run_async
async def test_whatever_code_a_client_closes_with_it_is_a_close(
    any_arena: Arena, code: int | None
) -> None:
    async with any_arena.watched():
        peer = await Peer.join(any_arena.port)
        await peer.socket.close(code)
        await eventually(lambda: peer.sid in any_arena.sockets)
        assert any_arena.sockets[peer.sid] == "transport close"


@run_async
async def test_a_peer_that_ignores_our_goodbye_is_cut_off(arena: Arena) -> None:
    async with arena.watched(), await Peer.join(arena.port) as peer:
        await peer.socket.send("junk")
        with pytest.raises(Closed):
            await peer.socket.receive()
        # It goes on talking instead, until it is cut off: by an end, or by a reset when some of
        # what it said was not read.
        reader = peer.socket.connection.reader
        for _ in range(1000):
            if reader.at_eof() or reader.exception() is not None:
                break
            with contextlib.suppress(ConnectionError):
                await peer.socket.send("4a")
            await asyncio.sleep(0.005)
        assert reader.at_eof() or reader.exception() is not None
