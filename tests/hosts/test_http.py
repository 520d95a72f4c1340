"""The native HTTP path: requests of the engine and of the application on one connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Limits, Server
from nuncio.engine import winddown
from tests.support.aio import eventually, run_async
from tests.support.rawclient import Connection, Polling, fetch, request

OPEN = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture(autouse=True)
def no_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a server does not wait for clients that will not come back."""
    monkeypatch.setattr(winddown, "GOODBYE_SECONDS", 0.0)


async def other(scope: Any, receive: Any, send: Any) -> None:
    """Another application: gives back what it receives."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{scope['method']} {scope['path']} ".encode()
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@run_async
async def test_one_connection_serves_many_requests() -> None:
    io = Server()
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        for count in range(1, 4):
            await connection.send(request(OPEN))
            response = await connection.response()
            assert (response.status, response.header("connection")) == (200, None)
            assert io.engine.clients_count == count


@run_async
async def test_the_engine_and_the_application_take_turns_on_a_connection() -> None:
    io = Server()
    async with (
        await io.listen(0, app=other) as listening,
        await Connection.open(listening.port) as connection,
    ):
        for _ in range(2):
            await connection.send(request(OPEN))
            assert (await connection.response()).text.startswith("0{")
            await connection.send(request("/own", "POST", body=b"body"))
            assert (await connection.response()).text == "POST /own body"
            await connection.send(request("/socket.io/?EIO=4"))
            assert (await connection.response()).status == 400


@run_async
async def test_a_whole_session_on_one_connection() -> None:
    io = Server()
    io.on("echo", lambda socket, value: value)
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        polling = await Polling.open(listening.port)

        async def ask(method: str, body: bytes | None = None) -> str:
            await connection.send(request(polling.target, method, body=body))
            return (await connection.response()).text

        assert await ask("POST", b"40") == "ok"
        assert (await ask("GET")).startswith("40{")
        assert await ask("POST", b'420["echo",5]') == "ok"
        assert await ask("GET") == "430[5]"


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.0", None, False),
        ("1.0", "keep-alive", False),
    ],
)
@run_async
async def test_a_connection_is_kept_when_the_peer_wants_it(
    version: str, header: str | None, kept: bool
) -> None:
    io = Server()
    headers = [] if header is None else [("Connection", header)]
    data = request(OPEN, headers=headers).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        await connection.send(data)
        response = await connection.response()
        assert response.status == 200
        assert response.header("connection") == (None if kept else "close")
        if kept:
            await connection.send(request(OPEN))
            assert (await connection.response()).status == 200
        else:
            assert await connection.rest() == b""


@run_async
async def test_a_body_that_waits_for_leave_is_told_to_come() -> None:
    io = Server()
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        polling = await Polling.open(listening.port)
        head = request(
            polling.target, "POST", [("Expect", "100-continue"), ("Content-Length", "2")]
        )
        await connection.send(head)
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(b"40")
        assert (await connection.response()).text == "ok"
        assert len(await polling.receive()) == 1


@run_async
async def test_a_body_in_chunks() -> None:
    io = Server()
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        polling = await Polling.open(listening.port)
        await connection.send(request(polling.target, "POST", [("Transfer-Encoding", "chunked")]))
        for data in (b"1\r\n4\r\n", b"1;extension=1\r\n0\r\n", b"0\r\nTrailer: x\r\n\r\n"):
            await connection.send(data)
            await asyncio.sleep(0)
        assert (await connection.response()).text == "ok"
        assert len(io.sockets.sockets) == 1
        assert len(await polling.receive()) == 1


@run_async
async def test_a_path_may_be_encoded() -> None:
    io = Server(path="/söcket")
    async with await io.listen(0, app=other) as listening:
        response = await fetch(listening.port, "/s%C3%B6cket/?EIO=4&transport=polling")
        assert response.text.startswith("0{")
        assert (await fetch(listening.port, "/s%c3%b6")).text == "GET /sö "


@run_async
async def test_pipelined_requests_end_after_the_first() -> None:
    io = Server()
    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        polling = await Polling.open(listening.port)
        await connection.send(request(polling.target) + request(OPEN))
        await eventually(lambda: io.engine.sessions[polling.sid].transport.writable)
        await fetch(listening.port, polling.target, "POST", body=b"40")
        response = await connection.response()
        assert response.text.startswith("40{")
        assert response.header("connection") == "close"
        assert await connection.rest() == b""
    assert io.engine.clients_count == 0


@run_async
async def test_a_body_that_comes_while_a_middleware_waits() -> None:
    io = Server()
    gate = asyncio.Event()
    waiting: list[str] = []

    @io.engine.use
    async def middleware(request: Any, response: Any) -> None:
        if request.method == "POST":
            waiting.append("POST")
            await gate.wait()

    async with await io.listen(0) as listening, await Connection.open(listening.port) as connection:
        polling = await Polling.open(listening.port)
        await connection.send(request(polling.target, "POST", body=b"40"))
        await eventually(lambda: waiting)
        assert io.sockets.sockets == {}
        gate.set()
        assert (await connection.response()).text == "ok"
        assert len(io.sockets.sockets) == 1
        assert len(await polling.receive()) == 1


@run_async
async def test_a_peer_that_goes_while_a_middleware_waits() -> None:
    # It is not read from meanwhile, so its session is found out by the heartbeat at the latest.
    io = Server(ping_interval=0.05, ping_timeout=0.05)
    gate = asyncio.Event()
    waiting: list[str] = []

    @io.engine.use
    async def middleware(request: Any, response: Any) -> None:
        waiting.append(request.method)
        await gate.wait()

    async with await io.listen(0) as listening:
        connection = await Connection.open(listening.port)
        await connection.send(request(OPEN))
        await eventually(lambda: waiting)
        connection.reset()
        gate.set()
        assert (await fetch(listening.port, OPEN)).status == 200
        await eventually(lambda: io.engine.clients_count == 0)


@run_async
async def test_headers_of_the_engines_responses() -> None:
    io = Server()
    async with await io.listen(0) as listening:
        response = await fetch(listening.port, OPEN)
        names = [name for name, _ in response.headers]
        assert len(names) == len(set(names))
        assert set(names) == {"content-type", "content-length", "cache-control", "date"}


@run_async
async def test_heads_of_the_applications_requests_are_limited_too() -> None:
    io = Server(limits=Limits(header_bytes=2000))
    async with (
        await io.listen(0, app=other) as listening,
        await Connection.open(listening.port) as connection,
    ):
        await connection.send(b"GET /own HTTP/1.1\r\nX: ")
        # More than one read brings.
        for _ in range(20):
            await connection.send(b"y" * 20_000)
        rest = await connection.rest()
        assert rest.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", ["/own", "/socket.io/"])
@run_async
async def test_a_head_is_measured_however_it_arrives(path: str) -> None:
    io = Server(limits=Limits(header_bytes=2000))
    long = f"GET {path} HTTP/1.1\r\nHost: a\r\nX: {'y' * 2000}\r\n\r\n".encode()
    async with await io.listen(0, app=other) as listening:
        for pieces in ([long], [long[:1000], long[1000:]], [request(OPEN) + long]):
            async with await Connection.open(listening.port) as connection:
                for piece in pieces:
                    await connection.send(piece)
                rest = await connection.rest()
                if len(pieces[0]) > len(long):
                    # The first of the two is answered, and ends the connection.
                    assert rest.startswith(b"HTTP/1.1 200 ") and rest.count(b"HTTP/1.1") <= 2
                else:
                    assert rest.startswith(b"HTTP/1.1 431 ") and rest.count(b"HTTP/1.1") == 1
        assert io.engine.clients_count <= 1


@run_async
async def test_a_body_is_no_part_of_the_head() -> None:
    io = Server(limits=Limits(header_bytes=2000))
    body = b"z" * 20_000
    async with (
        await io.listen(0, app=other) as listening,
        await Connection.open(listening.port) as connection,
    ):
        one = request("/own", "POST", [], body)
        # In one read, and with the next head beginning in the same.
        await connection.send(one + one[:20])
        assert (await connection.response()).text == "POST /own " + body.decode()
        await connection.send(one[20:])
        assert (await connection.response()).text == "POST /own " + body.decode()
