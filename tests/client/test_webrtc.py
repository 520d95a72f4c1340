"""The Python client over WebRTC: with Nuncio's server, and with servers that answer nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio.errors import OptionError
from tests.support.aio import eventually, run_async
from tests.support.live import HOSTS, listening

pytest.importorskip("aiortc")

from nuncio.client.webrtc import WebRTC
from tests.webrtc.offers import chromium

ALL = ["polling", "websocket", "webrtc"]


def server(**options: Any) -> nuncio.Server:
    """A server that echoes, and sends each number back."""
    options.setdefault("transports", ALL)
    io = nuncio.Server(**options)
    io.on("echo", lambda socket, value: value)

    @io.event
    def number(socket: nuncio.Socket, number: int) -> None:
        socket.data.setdefault("seen", []).append(number)
        socket.emit("number", number)

    io.on("seen", lambda socket: socket.data["seen"])
    return io


@asynccontextmanager
async def serving(io: nuncio.Server, host: str = "native") -> AsyncIterator[str]:
    """The URL of a server; at the end no task of it, or of a client, is left."""
    before = asyncio.all_tasks()
    async with listening(io, host) as port:
        yield f"http://127.0.0.1:{port}"
    await eventually(lambda: asyncio.all_tasks() <= before, "every task has ended")


@asynccontextmanager
async def client(url: str, transports: list[Any], **options: Any) -> AsyncIterator[Any]:
    """A socket that is about to connect."""
    manager = nuncio.Manager(
        url, transports=transports, auto_connect=False, reconnection=False, **options
    )
    socket = manager.socket("/")
    socket.connect()
    try:
        yield socket
    finally:
        await manager.close()


def carried(socket: Any) -> str:
    transport = socket.io.engine.transport
    return "" if transport is None else str(transport.name)


@pytest.mark.parametrize("transports", [["webrtc"], ["polling", "webrtc"], ["websocket", "webrtc"]])
@run_async
async def test_everything_comes_through(transports: list[str]) -> None:
    async with serving(server()) as url, client(url, transports) as socket:
        await eventually(lambda: carried(socket) == "webrtc", "it is over WebRTC")
        for value in ("h\u00e4llo \x1e \U0001f600", b"", b"\x00\x01", b"x" * 900_000):
            assert await socket.emit_with_ack("echo", value) == value
        assert await socket.emit_with_ack("echo", [b"", {"a": b"1"}]) == [b"", {"a": b"1"}]
        answers = await asyncio.gather(*(socket.emit_with_ack("echo", n) for n in range(2000)))
        assert answers == list(range(2000))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("first", ["polling", "websocket"])
@run_async
async def test_nothing_is_lost_or_overtaken_while_it_moves(first: str, host: str) -> None:
    async with serving(server(), host) as url, client(url, [first, "webrtc"]) as socket:
        back: list[int] = []
        socket.on("number", back.append)
        await eventually(lambda: socket.connected)
        assert carried(socket) == first
        sent = 0
        while carried(socket) != "webrtc":
            for _ in range(5):
                socket.emit("number", sent)
                sent += 1
            # Not waiting for anything, so that something is always under way.
            await asyncio.sleep(0)
        for _ in range(50):
            socket.emit("number", sent)
            sent += 1
        assert await socket.emit_with_ack("seen") == list(range(sent))
        await eventually(lambda: len(back) == sent)
        assert back == list(range(sent))


@run_async
async def test_addresses_and_servers_are_options_of_the_class() -> None:
    io = server(webrtc={"addresses": ["127.0.0.1"]})
    async with serving(io) as url, client(url, [WebRTC(addresses=["127.0.0.1"])]) as socket:
        assert await socket.emit_with_ack("echo", 1) == 1
    with pytest.raises(OptionError, match="ice_servers"):
        WebRTC(ice_servers=["example.com"])
    with pytest.raises(OptionError, match="addresses"):
        WebRTC(addresses=["localhost"])


@run_async
async def test_a_refusal_is_told_with_its_status() -> None:
    io = server(allow_request=lambda request: "not you")
    async with serving(io) as url, client(url, ["webrtc"]) as socket:
        errors: list[Any] = []
        socket.on("connect_error", errors.append)
        await eventually(lambda: errors)
        assert errors[0].status == 403
        assert "not you" in str(errors[0])


@run_async
async def test_a_server_without_it_is_not_asked_by_sessions_of_others() -> None:
    io = server(transports=["polling", "websocket"])
    asked: list[str] = []
    io.engine.use(lambda request, response: asked.append(request.query["transport"]))
    async with serving(io) as url, client(url, ["websocket", "webrtc"]) as socket:
        assert await socket.emit_with_ack("echo", 1) == 1
        assert set(asked) == {"websocket"}


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage",
        b"x" * 100_000,
        # It is one, but nobody is there.
        chromium("a=candidate:1 1 udp 1 127.0.0.1 9 typ host", "a=setup:active", without="a=setup"),
        # Whoever offers does not answer.
        chromium(),
    ],
)
@run_async
async def test_where_it_does_not_work_the_session_stays_where_it_is(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nuncio.client.webrtc.OPEN_SECONDS", 1.0)
    io = server()

    @io.engine.use
    def misguide(request: nuncio.Request, response: nuncio.Exchange) -> None:
        if request.query["transport"] == "webrtc":
            response.end(201, answer, "application/sdp")

    async with serving(io) as url, client(url, ["websocket", "webrtc"]) as socket:
        errors: list[Any] = []
        await eventually(lambda: socket.io.engine is not None)
        socket.io.engine.on("upgrade_error", errors.append)
        assert await socket.emit_with_ack("echo", 1) == 1
        await eventually(lambda: errors, "the attempt has failed")
        assert "webrtc" in str(errors[0])
        assert await socket.emit_with_ack("echo", 2) == 2
        assert carried(socket) == "websocket"


@run_async
async def test_who_closes_while_it_connects_leaves_nothing() -> None:
    io = server()
    offered: list[None] = []
    io.engine.use(lambda request, response: offered.append(None))
    async with serving(io) as url:
        async with client(url, ["webrtc"]):
            # As soon as the offer is there.
            await eventually(lambda: offered)
        async with client(url, ["webrtc"]):
            pass
        await eventually(lambda: not io.engine.sessions)


@run_async
async def test_a_server_that_ends_ends_its_clients() -> None:
    io = server()
    async with serving(io) as url, client(url, ["webrtc"]) as socket:
        reasons: list[str] = []
        socket.on("disconnect", lambda reason: reasons.append(reason))
        await eventually(lambda: socket.connected)
        await io.close()
        await eventually(lambda: reasons)
        assert reasons == ["transport close"]
