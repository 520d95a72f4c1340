"""The Engine.IO client alone: how requests look, and what is remembered.

What the official Engine.IO client's own tests `transport` say, wherever it has a meaning in Python;
its addresses are in `tests/client`.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.aio import run_async, within
from tests.support.nodeserver import ENGINE, NodeHome, NodeServer
from tests.support.oddserver import DEFLATE, OPEN, TEXT, OddServer, Request, Wire
from tests.support.ours import ours

SERVER = {"version": ENGINE}


@pytest.mark.parametrize("remember", [True, False])
@run_async
async def test_whether_websocket_has_worked_is_remembered_when_asked_for(
    home: NodeHome, server: NodeServer, remember: bool
) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine()
        await heard.next("upgrade")
        server.forget()
        _, heard = clients.engine(remember_upgrade=remember)
        await heard.next("open")
        _, first, _ = await server.next("connection")
        assert first == ("websocket" if remember else "polling")


@run_async
async def test_a_failure_makes_it_forget(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine()
        await heard.next("upgrade")
        _, heard = clients.engine(query={"deny": 1})
        await heard.next("error")
        server.forget()
        _, heard = clients.engine(remember_upgrade=True)
        await heard.next("open")
        assert (await server.next("connection"))[1] == "polling"


@pytest.mark.parametrize("slash", [True, False])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
@run_async
async def test_the_path(home: NodeHome, server: NodeServer, transport: str, slash: bool) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=[transport], add_trailing_slash=slash)
        if slash:
            await heard.next("open")
        _, url, _ = await server.next("request")
        assert url.startswith("/engine.io/?" if slash else "/engine.io?")


@pytest.mark.parametrize(
    ("transport", "stamps", "stamped"),
    [
        ("polling", None, True),
        ("polling", True, True),
        ("polling", False, False),
        ("websocket", None, False),
        ("websocket", True, True),
        ("websocket", False, False),
    ],
)
@run_async
async def test_stamps_in_addresses(
    home: NodeHome, server: NodeServer, transport: str, stamps: bool | None, stamped: bool
) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(
            transports=[transport], timestamp_requests=stamps, timestamp_param="woot"
        )
        await heard.next("open")
        engine.send("again")
        await heard.next("message")
        await heard.next("message")
        found = [
            url.partition("woot=")[2].partition("&")[0]
            for _, url, _ in await server.reports("request")
        ]
        assert all(found) is stamped
        assert len(set(found)) == (len(found) if stamped else 1)


@run_async
async def test_the_order_of_parameters(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(query={"own": "a b&c"}, timestamp_requests=False)
        await heard.next("upgrade")
        targets = [url for _, url, _ in await server.reports("request")]
        own = "/engine.io/?own=a%20b%26c&EIO=4&transport="
        assert targets[0] == f"{own}polling"
        rest = set(targets[1:])
        assert rest == {f"{own}polling&sid={engine.id}", f"{own}websocket&sid={engine.id}"}


HEADERS = {"X-Custom-Header": "my-secret-access-token", "Cookie": "user_session=abc; theme=dark"}


@run_async
async def test_headers_of_every_request(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        engine, heard = clients.engine(extra_headers=HEADERS)
        await heard.next("open")
        engine.send("posted")
        await heard.next("upgrade")
        requests = await server.reports("request")
        assert {"GET", "POST"} == {method for method, _, _ in requests}
        assert any("websocket" in url for _, url, _ in requests)
        for _, _, headers in requests:
            assert headers["x-custom-header"] == HEADERS["X-Custom-Header"]
            assert headers["cookie"] == HEADERS["Cookie"]


@run_async
async def test_headers_of_one_transport(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transport_options={"polling": {"extra_headers": HEADERS}})
        await heard.next("upgrade")
        for _, url, headers in await server.reports("request"):
            assert ("x-custom-header" in headers) is ("websocket" not in url)


@run_async
async def test_headers_from_a_function_for_each_attempt(home: NodeHome, server: NodeServer) -> None:
    calls = iter(range(10))

    async def headers() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"X-Call": str(next(calls))}

    async with ours(server.url, path="/engine.io", extra_headers=headers) as clients:
        for expected in ("0", "1"):
            server.forget()
            _, heard = clients.engine(extra_headers=headers)
            await heard.next("upgrade")
            assert {h["x-call"] for _, _, h in await server.reports("request")} == {expected}


@pytest.mark.parametrize(("size", "compressed"), [(10, False), (5000, True)])
@run_async
async def test_short_messages_are_not_compressed(
    home: NodeHome, size: int, compressed: bool
) -> None:
    frames: asyncio.Queue[bool] = asyncio.Queue()

    async def answer(request: Request, wire: Wire) -> None:
        offered.append(request.headers.get("sec-websocket-extensions", ""))
        wire.upgrade(request, DEFLATE)
        wire.frame(OPEN)
        while (frame := await wire.receive()).opcode == TEXT:
            frames.put_nowait(frame.compressed)

    offered: list[str] = []
    async with OddServer(answer) as odd, ours(odd.url) as clients:
        engine, heard = clients.engine(transports=["websocket"])
        await heard.next("open")
        assert offered[0].startswith("permessage-deflate")
        engine.send("x" * size)
        assert await within(frames.get()) is compressed


@run_async
async def test_compression_is_not_offered_when_told_not_to(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=["websocket"], per_message_deflate=False)
        await heard.next("open")
        assert "sec-websocket-extensions" not in (await server.reports("request"))[0][2]


@run_async
async def test_subprotocols(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        _, heard = clients.engine(transports=["websocket"], protocols=["a", "b"])
        await heard.next("open")
        headers = (await server.reports("request"))[0][2]
        assert headers["sec-websocket-protocol"].replace(" ", "") == "a,b"
