"""Hostile HTTP: heads and bodies that are malformed, endless, or cut off."""

from __future__ import annotations

import asyncio
import functools
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.hostile.conftest import MAX_SIZE
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.rawclient import (
    Connection,
    Polling,
    Refused,
    Response,
    WebSocket,
    fetch,
    handshake,
    request,
    websocket_target,
)

POLLING = "/socket.io/?EIO=4&transport=polling"

# Query strings, and the code and message of the refusal (section 1.4 of the reference).
QUERIES: list[tuple[str, int, str]] = [
    *(
        (query, 0, "Transport unknown")
        for query in (
            "",
            "EIO=4",
            "EIO=4&transport=",
            "EIO=4&transport=tobi",
            "EIO=4&transport=constructor",
            "EIO=4&transport=__proto__",
            "EIO=4&transport=__class__",
            "EIO=4&transport=__init__",
            "EIO=4&transport=webtransport",
            "EIO=4&transport=polling%00",
            "EIO=4&transport=%ff",
            "EIO=4&transport=%C3%A9",
            "EIO=4&transport[]=polling",
            "EIO=4&transport=polling&transport=constructor",
            "&&&&===&&&",
            "%",
            "EIO=4;transport=polling",
            "&".join(["a=b"] * 1000) + "&EIO=4&transport=polling",
        )
    ),
    *(
        (f"EIO=4&transport=polling&sid={sid}", 1, "Session ID unknown")
        for sid in (
            "tobi",
            "__proto__",
            "constructor",
            "__class__",
            "toString",
            "%00",
            "%0d%0aX-Injected:%201",
            "a" * 10_000,
            "..%2f..%2fetc%2fpasswd",
            "x&sid=__proto__",
        )
    ),
    *(
        (f"{eio}transport=polling", 5, "Unsupported protocol version")
        for eio in ("", "EIO=3&", "EIO=&", "EIO=4&EIO=3&", "EIO=-4&", "EIO=4e0&", "EIO=__proto__&")
    ),
    ("EIO=4&transport=websocket", 3, "Bad request"),
]


@pytest.mark.parametrize(("query", "code", "message"), QUERIES)
@run_async
async def test_hostile_queries_are_refused(
    any_arena: Arena, query: str, code: int, message: str
) -> None:
    async with any_arena.watched():
        response = await fetch(any_arena.port, f"/socket.io/?{query}")
        assert response.status == 400
        assert response.json == {"code": code, "message": message}
        assert response.header("content-type") == "application/json"
        assert response.header("x-injected") is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "Transport unknown"),
        ("EIO=4&transport=constructor", "Transport unknown"),
        ("EIO=4&transport=websocket&transport=__class__", "Transport unknown"),
        ("EIO=4&transport=websocket&sid=__proto__", "Session ID unknown"),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
        ("EIO=4&transport=polling", "Bad request"),
    ],
)
@run_async
async def test_hostile_queries_of_upgrades_are_refused(
    any_arena: Arena, query: str, message: str
) -> None:
    async with any_arena.watched():
        with pytest.raises(Refused) as refused:
            await WebSocket.open(any_arena.port, f"/socket.io/?{query}")
        response = refused.value.response
        assert (response.status, response.text) == (400, message)
        assert response.header("content-type") == "text/html"


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])
@run_async
async def test_other_methods_open_nothing(any_arena: Arena, method: str) -> None:
    async with any_arena.watched():
        response = await fetch(any_arena.port, POLLING, method, body=b"4a")
        assert response.status == 400
        if method != "HEAD":
            assert response.json == {"code": 2, "message": "Bad handshake method"}
        session = await Polling.open(any_arena.port)
        if method != "POST":
            response = await fetch(any_arena.port, session.target, method, body=b"4a")
            assert (response.status, response.body) == (500, b"")
        assert (await session.post("1")).text == "ok"


@run_async
async def test_unknown_methods_are_no_way_in(any_arena: Arena) -> None:
    async with any_arena.watched(), await Connection.open(any_arena.port) as connection:
        await connection.send(request(POLLING, "HACK"))
        assert (await connection.response()).status >= 400


# Malformed heads. The HTTP server answers most of these; what counts is that it ends there.

MALFORMED = {
    "noise": b"\x00\xff\xfe" * 100 + b"\r\n\r\n",
    "TLS": bytes.fromhex("16030100f1010000ed0303") + b"\x01" * 200 + b"\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a header without colon": request(POLLING).replace(b"Host: 127.0.0.1", b"Host 127.0.0.1"),
    "a space in a header's name": request(POLLING, headers=[("X One", "1")]),
    "NUL in a value": request(POLLING, headers=[("X-One", "a\0b")]),
    "a negative length": request(POLLING, "POST", [("Content-Length", "-1")]),
    "a length in words": request(POLLING, "POST", [("Content-Length", "ten")]),
    "two lengths": request(
        POLLING, "POST", [("Content-Length", "1"), ("Content-Length", "2")], b"4a"
    ),
    "a length and chunks": request(
        POLLING, "POST", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\n"
    ),
    "a huge length": request(POLLING, "POST", [("Content-Length", "9" * 40)]),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
@run_async
async def test_malformed_heads_are_answered_with_an_error_or_the_end(
    arena: Arena, data: bytes
) -> None:
    async with arena.watched(), await Connection.open(arena.port) as connection:
        await connection.send(data)
        answer = await connection.rest()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("chunk", [b"xyz\r\n", b"-1\r\n", b"1\n4\n", b"f" * 100 + b"\r\n"])
@run_async
async def test_malformed_chunks_end_their_session_alone(arena: Arena, chunk: bytes) -> None:
    async with arena.watched():
        session = await Polling.open(arena.port)
        async with await Connection.open(arena.port) as connection:
            await connection.send(
                request(session.target, "POST", [("Transfer-Encoding", "chunked")]) + chunk
            )
            answer = await connection.rest()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        await eventually(lambda: arena.unknown(session.sid))
        assert arena.sessions[session.sid][0] == "transport error"


@run_async
async def test_a_thousand_headers_are_no_harm(arena: Arena) -> None:
    # CVE-2024-37890.
    headers = [(f"X-{index}", "1") for index in range(1000)]
    async with arena.watched():
        async with await Connection.open(arena.port) as connection:
            await connection.send(request(POLLING, headers=headers))
            assert (await connection.response()).status == 200
        await (await WebSocket.open(arena.port, websocket_target(), headers)).close()
        await end_polling(arena)


async def end_polling(arena: Arena) -> None:
    """End the sessions over polling; the witness's is none."""
    for session in list(arena.io.engine.sessions.values()):
        if session.transport.name == "polling":
            session.close(discard=True)


@pytest.mark.parametrize("whole", [True, False])
@run_async
async def test_a_head_above_the_limit_is_refused(arena: Arena, whole: bool) -> None:
    headers = [("X-Long", "a" * 200_000)]
    async with arena.watched():
        for data in (request(POLLING, headers=headers), handshake(websocket_target(), headers)):
            async with await Connection.open(arena.port) as connection:
                if whole:
                    await connection.send(data)
                else:
                    for index in range(0, len(data), 5000):
                        await connection.send(data[index : index + 5000])
                        await asyncio.sleep(0)
                answer = await connection.rest()
                # The answer may be lost where the rest of the head is still on its way.
                assert answer == b"" or answer.startswith(b"HTTP/1.1 431")
        assert len(arena.io.engine.sessions) == 1


@run_async
async def test_a_head_that_never_ends_is_given_up(arena: Arena) -> None:
    async with arena.watched():
        for first in (b"", b"GET /socket.io/?EIO=4&tra"):
            async with await Connection.open(arena.port) as connection:
                if first:
                    await connection.send(first)
                assert await connection.rest() == b""


@run_async
async def test_a_head_that_drips_is_given_up(arena: Arena) -> None:
    async with arena.watched(), await Connection.open(arena.port) as connection:
        for byte in handshake(websocket_target()):
            if connection.reader.at_eof() or connection.writer.is_closing():
                break
            await connection.send(bytes((byte,)))
            await asyncio.sleep(0.02)
        assert await connection.rest() == b""


@run_async
async def test_a_head_byte_by_byte_is_understood(arena: Arena) -> None:
    async with arena.watched(), await Connection.open(arena.port) as connection:
        for byte in request("/socket.io/?EIO=4&transport=tobi"):
            await connection.send(bytes((byte,)))
        assert (await connection.response()).json["code"] == 0


# Bodies.


async def post(
    session: Polling, headers: list[tuple[str, str]], *parts: bytes
) -> tuple[Response | None, Connection]:
    connection = await Connection.open(session.port)
    await connection.send(request(session.target, "POST", headers))
    for part in parts:
        await connection.send(part)
    try:
        return await connection.response(), connection
    except (asyncio.IncompleteReadError, ConnectionError):
        return None, connection


def chunked(data: bytes, size: int) -> list[bytes]:
    parts = [data[index : index + size] for index in range(0, len(data), size)]
    return [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]


@pytest.mark.parametrize("size", [1, 7, 1000])
@run_async
async def test_chunks_may_cut_characters(any_arena: Arena, size: int) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        body = '42["echo","é€😀"]'.encode()
        response, connection = await post(
            session, [("Transfer-Encoding", "chunked")], *chunked(body, size)
        )
        assert response is not None and (response.status, response.text) == (200, "ok")
        assert any_arena.heard[-1] == ("é€😀",)
        await connection.close()
        await session.post("1")


@run_async
async def test_a_body_of_exactly_the_limit_is_taken(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        head = '42["echo","'
        body = head + "a" * (MAX_SIZE - len(head) - 2) + '"]'
        assert (await session.post(body)).text == "ok"
        assert len(any_arena.heard[-1][0]) == MAX_SIZE - len(head) - 2
        await session.post("1")


@pytest.mark.parametrize("kind", ["length", "chunks"])
@run_async
async def test_a_body_above_the_limit_is_refused_and_the_session_lives_on(
    any_arena: Arena, kind: str
) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        body = b"4" * (MAX_SIZE + 1)
        if kind == "length":
            response, connection = await post(session, [("Content-Length", str(len(body)))], body)
        else:
            response, connection = await post(
                session, [("Transfer-Encoding", "chunked")], *chunked(body, 1000)[:-1]
            )
        assert response is not None
        assert (response.status, response.body) == (413, b"")
        await connection.close()
        assert not any_arena.unknown(session.sid)
        assert (await session.post("40")).text == "ok"
        assert (await session.receive())[0].startswith("40{")
        await session.post("1")


@run_async
async def test_an_endless_body_is_cut_off_at_the_limit_without_being_kept(arena: Arena) -> None:
    async with arena.watched():
        session = await Polling.open(arena.port)
        async with await Connection.open(arena.port) as connection:
            chunk = b"%x\r\n%s\r\n" % (10_000, b"4" * 10_000)
            await connection.send(
                request(session.target, "POST", [("Transfer-Encoding", "chunked")])
            )
            tracemalloc.start()
            try:
                for _ in range(2000):
                    if connection.writer.is_closing() or connection.reader.at_eof():
                        break
                    await connection.send(chunk)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            # Both ends of the connection are in this process.
            assert peak < 4_000_000
        await session.post("1")


@pytest.mark.parametrize("first", [b"", b"4a"])
@run_async
async def test_bytes_are_refused_before_they_are_read(any_arena: Arena, first: bytes) -> None:
    # CVE-2026-59725: such a request was left open for ever.
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        headers = [("Content-Type", "application/octet-stream"), ("Content-Length", "1000000")]
        response, connection = await post(session, headers, first)
        assert response is not None
        assert (response.status, response.body) == (400, b"")
        assert any_arena.sessions[session.sid] == ("transport error", "invalid content")
        assert (await session.get()).json == {"code": 1, "message": "Session ID unknown"}
        await connection.close()


@run_async
async def test_a_body_that_never_ends_holds_up_nobody(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        connection = await Connection.open(any_arena.port)
        await connection.send(request(session.target, "POST", [("Content-Length", "1000")], b"4a"))
        await any_arena.settled()
        second = await session.post("4b")
        assert (second.status, second.body) == (400, b"")
        assert any_arena.sessions[session.sid] == (
            "transport error",
            "data request overlap from client",
        )
        await connection.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@run_async
async def test_requests_whose_client_goes_away_end_the_session(
    any_arena: Arena, method: str
) -> None:
    async with any_arena.watched():
        for reset in (False, True):
            session = await Polling.open(any_arena.port)
            connection = await Connection.open(any_arena.port)
            if method == "GET":
                await connection.send(request(session.target))
                description = "poll connection closed prematurely"
            else:
                await connection.send(
                    request(session.target, "POST", [("Content-Length", "9")], b"4a")
                )
                description = "data request connection closed prematurely"
            await any_arena.settled()
            if reset:
                connection.reset()
            else:
                await connection.close()
            await eventually(functools.partial(any_arena.unknown, session.sid))
            assert any_arena.sessions[session.sid] == ("transport error", description)
            assert (await session.get()).json["code"] == 1


@run_async
async def test_two_polls_at_once_end_the_session(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        async with await session.begin_poll() as first:
            await any_arena.polled(session.sid)
            second = await session.get()
            assert (second.status, second.body) == (400, b"")
            answer = await first.response()
            assert (answer.status, answer.text) == (200, "1")
        assert any_arena.sessions[session.sid] == ("transport error", "overlap from client")


@run_async
async def test_pipelined_requests_are_not_answered_after_the_first(arena: Arena) -> None:
    async with arena.watched(), await Connection.open(arena.port) as connection:
        one = request("/socket.io/?EIO=4&transport=tobi")
        session = await Polling.open(arena.port)
        await connection.send(request(session.target) + one * 50)
        await arena.polled(session.sid)
        await session.post("1")
        response = await connection.response()
        assert (response.status, response.text) == (200, "6")
        assert response.header("connection") == "close"
        assert await connection.rest() == b""


@run_async
async def test_connection_close_on_a_poll_leaves_the_session(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port, headers=[("Connection", "close")])
        async with await Connection.open(any_arena.port) as connection:
            await connection.send(request(session.target, "POST", [("Connection", "close")], b"40"))
            assert (await connection.response()).text == "ok"
            assert await connection.rest() == b""
        assert (await session.receive())[0].startswith("40{")
        await session.post("1")


# Refused upgrades.


@run_async
async def test_a_reset_after_a_refused_upgrade_leaves_nothing(any_arena: Arena) -> None:
    # CVE-2022-41940. `watched` counts open files before and after.
    async with any_arena.watched():
        for _ in range(100):
            connection = await Connection.open(any_arena.port)
            await connection.send(handshake("/socket.io/?EIO=4&transport=tobi"))
            connection.reset()
        for _ in range(20):
            connection = await Connection.open(any_arena.port)
            await connection.send(handshake(websocket_target(sid="unknown")))
            assert (await connection.response()).status == 400
            connection.reset()


@run_async
async def test_a_reset_after_an_accepted_upgrade_leaves_nothing(any_arena: Arena) -> None:
    async with any_arena.watched():
        for _ in range(50):
            connection = await Connection.open(any_arena.port)
            await connection.send(handshake(websocket_target()))
            connection.reset()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Sec-WebSocket-Version", "12")], 426),
        ([("Sec-WebSocket-Version", "")], 426),
        ([("Sec-WebSocket-Version", "13, 8")], 426),
        ([("Sec-WebSocket-Key", "")], 400),
        ([("Sec-WebSocket-Key", "short")], 400),
        ([("Sec-WebSocket-Key", "a" * 24)], 400),
        ([("Sec-WebSocket-Key", "=" * 24)], 400),
        ([("Sec-WebSocket-Key", "a" * 10_000)], 400),
    ],
)
@run_async
async def test_malformed_websocket_handshakes_are_refused(
    arena: Arena, headers: list[tuple[str, str]], status: int
) -> None:
    async with arena.watched():
        with pytest.raises(Refused) as refused:
            await WebSocket.open(arena.port, websocket_target(), headers)
        assert refused.value.response.status == status
        if status == 426:
            assert refused.value.response.header("sec-websocket-version") == "13"


@pytest.mark.parametrize(
    "name", ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Origin"]
)
@pytest.mark.parametrize("filling", [" ,", " ", ",", "a;", '"', "a;b=\\", "constructor;", "\t"])
@run_async
async def test_long_handshake_headers_are_judged_at_once(
    arena: Arena, name: str, filling: str
) -> None:
    # CVE-2021-32640: a pattern that backtracks.
    async with arena.watched():
        try:
            socket = await WebSocket.open(
                arena.port, websocket_target(), [(name, filling * (15_000 // len(filling)))]
            )
        except Refused as refused:
            assert refused.response.status in (400, 403)
        else:
            await socket.close()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; constructor; __proto__",
        'permessage-deflate; a="unterminated',
        "permessage-deflate" + "; a" * 1000,
        ", ".join(["permessage-deflate"] * 500),
        "\x80\xff",
        ";;;,,,",
    ],
)
@run_async
async def test_malformed_extensions_are_refused_or_ignored(deflating: Arena, offer: str) -> None:
    async with deflating.watched():
        try:
            socket = await WebSocket.open(
                deflating.port, websocket_target(), [("Sec-WebSocket-Extensions", offer)]
            )
        except Refused as refused:
            assert refused.response.status == 400
        else:
            assert str(await socket.receive()).startswith("0{")
            await socket.close()


@pytest.fixture(scope="module")
def deflating() -> Iterator[Arena]:
    """A server that compresses WebSocket messages."""
    arena = Arena(per_message_deflate=True)
    yield arena
    arena.close()
