"""What clients of revision 3 may try, where they are let in: their payloads, pings and scripts."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.hostile.conftest import LIMITS, MAX_SIZE
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.rawclient import Headers, Response, WebSocket, fetch

OCTETS = [("Content-Type", "application/octet-stream")]
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
PATH = "/socket.io/?EIO=3&transport=polling"


@pytest.fixture(scope="module", params=["native", "asgi"])
def old_arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server that lets old clients in."""
    arena = Arena(
        request.param,
        uvloop=request.param == "native",
        limits=LIMITS,
        max_http_buffer_size=MAX_SIZE,
        allow_eio3=True,
    )
    yield arena
    arena.close()


async def opened(arena: Arena, extra: str = "") -> tuple[str, str]:
    """A session: its id, and where its requests go."""
    text = (await fetch(arena.port, PATH + extra)).text.replace("\\", "")
    sid = json.loads(text[text.index("{") : text.index("}") + 1])["sid"]
    return sid, f"{PATH}{extra}&sid={sid}"


async def post(arena: Arena, target: str, body: bytes, headers: Headers | None = None) -> Response:
    headers = headers or [("Content-Type", "text/plain")]
    return await fetch(arena.port, target, "POST", headers, body)


async def ended(arena: Arena, sid: str) -> tuple[str, str]:
    """How a session ended."""
    await eventually(lambda: sid in arena.sessions)
    return arena.sessions[sid]


TEXT_GARBAGE = [
    b"",
    b":",
    b"1",
    b"0",
    b"-1:4",
    b"1e1:4",
    b"99999999999999999999:4",
    b"9007199254740993:4",
    b"1:\xff",
    b"1:\x044",
    b"2:b9",
    b"0:" * 1000 + b"x",
    b"9" * (MAX_SIZE - 1),
    "1:🎉".encode(),
    "٣:4ab".encode(),
]
BINARY_GARBAGE = [
    b"",
    b"\x00",
    b"\xff" * 100,
    b"\x00" * MAX_SIZE,
    b"\x00" + b"\x09" * (MAX_SIZE - 1),
    b"\x00\x01",
    b"\x00\x09\x09\x09\xff4",
    b"\x01\x01\xff\xff",
    b"\x00\x01\xff\x04",
    b"\x00\x0b\xff" + b"4" * 11,
]


@pytest.mark.parametrize("kind", ["text", "octets"])
@run_async
async def test_no_payload_does_more_than_end_its_session(old_arena: Arena, kind: str) -> None:
    async with old_arena.watched():
        for body in TEXT_GARBAGE if kind == "text" else BINARY_GARBAGE:
            sid, target = await opened(old_arena)
            response = await post(old_arena, target, body, OCTETS if kind == "octets" else None)
            assert (response.status, response.text) == (200, "ok"), body[:50]
            assert await ended(old_arena, sid) == ("parse error", ""), body[:50]


@pytest.mark.parametrize(("body", "headers"), [(b"1:4", None), (b"\x00\x01\xff4", OCTETS)])
@run_async
async def test_packets_of_a_payload_are_limited(
    old_arena: Arena, body: bytes, headers: Headers | None
) -> None:
    async with old_arena.watched():
        sid, target = await opened(old_arena)
        body = body.replace(b"4", b"2")
        assert (await post(old_arena, target, body * LIMITS.payload_packets, headers)).text == "ok"
        assert sid not in old_arena.sessions
        await post(old_arena, target, body * (LIMITS.payload_packets + 1), headers)
        assert old_arena.sessions[sid] == ("parse error", "")


@pytest.mark.parametrize(("size", "status"), [(MAX_SIZE, 200), (MAX_SIZE + 1, 413)])
@run_async
async def test_bodies_are_limited(old_arena: Arena, size: int, status: int) -> None:
    async with old_arena.watched():
        for headers in (OCTETS, FORM):
            sid, target = await opened(old_arena, "&j=0" if headers is FORM else "")
            response = await post(old_arena, target, b"&" * size, headers)
            assert response.status == status
            if sid not in old_arena.sessions:
                await post(old_arena, target, b"d=1%3A1" if headers is FORM else b"1:1")
            await ended(old_arena, sid)


@run_async
async def test_nothing_is_kept_of_what_cannot_be_read(old_arena: Arena) -> None:
    async with old_arena.watched():
        for body, headers in (
            (b"0:" * (MAX_SIZE // 2), None),
            (b"\x00\x01\xff2" * (MAX_SIZE // 4), OCTETS),
        ):
            _, target = await opened(old_arena)
            tracemalloc.start()
            try:
                await post(old_arena, target, body, headers)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < 1_000_000
            await post(old_arena, target, b"1:1")


@run_async
async def test_a_script_calls_nothing_but_the_function(old_arena: Arena) -> None:
    async with old_arena.watched():
        for index in ("1];alert(1);//", "%5D%28%29", "%0d%0aX:1", "x" * 5000):
            response = await fetch(old_arena.port, f"{PATH}&j={index}")
            head, _, rest = response.body.partition(b"](")
            assert head.startswith(b"___eio[") and head[7:].strip(b"0123456789") == b""
            assert rest.endswith(b");")
            payload = json.loads(rest[:-2])
            sid = json.loads(payload[payload.index("{") :])["sid"]
            await post(old_arena, f"{PATH}&j=1&sid={sid}", b"d=1%3A1", FORM)


@pytest.mark.parametrize(
    "frames",
    [["3"], ["b"], ["b4A"], ["bAQID"], [b""], [b"\x07"], [b"\x03"], ["40"], [b"\x04x"], ["44"]],
)
@run_async
async def test_no_frame_does_more_than_end_its_connection(
    old_arena: Arena, frames: list[str | bytes]
) -> None:
    async with old_arena.watched():
        target = "/socket.io/?EIO=3&transport=websocket"
        async with await WebSocket.open(old_arena.port, target) as socket:
            await socket.receive()
            assert await socket.receive() == "40"
            await socket.send(*frames)
            assert await socket.closed()


@run_async
async def test_pings_without_end_are_answered_one_by_one(old_arena: Arena) -> None:
    async with old_arena.watched():
        target = "/socket.io/?EIO=3&transport=websocket"
        async with await WebSocket.open(old_arena.port, target) as socket:
            await socket.receive()
            await socket.receive()
            for _ in range(20):
                await socket.send(*["2" + "x" * 1000] * 50)
                for _ in range(50):
                    assert await socket.receive() == "3"
            await socket.close()
