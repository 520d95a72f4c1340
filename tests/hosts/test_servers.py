"""The same application under each ASGI server, with the official client."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from tests.hosts.process import python, running
from tests.support.aio import run_async, within
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Node, Way
from tests.support.ports import free_port

APP = "tests.hosts.application:app"
FILE = Path(__file__).with_name("application.py")
NATIVE = "nuncio.hosts.uvicorn:NuncioProtocol"


def command(server: str, port: int, app: str = APP) -> list[str]:
    """How to serve the application."""
    if server == "hypercorn":
        return python("-m", "hypercorn", "--bind", f"127.0.0.1:{port}", app)
    if server == "granian":
        where = ("--host", "127.0.0.1", "--port", str(port))
        return python("-m", "granian", "--interface", "asgi", *where, app)
    ws = NATIVE if server == "uvicorn-native" else server.removeprefix("uvicorn-")
    options = ("--port", str(port), "--log-level", "warning", "--ws", ws)
    return python("-m", "uvicorn", *options, app)


SERVERS = ("uvicorn-native", "uvicorn-websockets-sansio", "uvicorn-wsproto", "hypercorn", "granian")


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where the application is served."""
    port = free_port()
    with running(command(request.param, port), port):
        yield port


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_what_every_application_does(node: Node, port: int, way: Way) -> None:
    async with node.clients(port=port) as clients:
        client = await clients.connect(way=way)
        values = ["text", 1, {"a": [None, True]}, b"\x00\xff", {"deep": b"x" * 70_000}]
        await client.emit("echo", *values)
        assert await client.next("echo") == values
        assert await client.ask("add", {"left": 3, "right": 4}) == [7]
        [refusal] = await client.ask("add", {"left": 3})
        assert refusal["error"]["argument"] == "numbers"
        assert await client.ask("who") == ["127.0.0.1", False]
        assert await client.transport() == way.transport
        for number in range(200):
            await client.emit("echo", number)
        assert [await client.next("echo") for _ in range(200)] == [[n] for n in range(200)]
        await client.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@run_async
async def test_a_foreign_origin_is_refused(port: int) -> None:
    query = "/socket.io/?EIO=4&transport="
    headers = {"Origin": "https://evil.example"}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}{query}polling", headers=headers)
        assert answer.status_code == 403
        assert answer.json() == {"code": 4, "message": "Origin not allowed"}
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(
            f"ws://127.0.0.1:{port}{query}websocket", additional_headers=headers
        )
    assert refusal.value.response.status_code in (400, 403)


@run_async
async def test_the_applications_own_routes_are_untouched(port: int) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/hello")
        assert answer.json() == {"hello": "world"}
        answer = await client.get(f"http://127.0.0.1:{port}/nothing")
        assert answer.status_code == 404
    async with websockets.connect(f"ws://127.0.0.1:{port}/own") as own:
        await own.send("socket")
        assert await within(own.recv()) == "own socket"


@run_async
async def test_the_clients_file(port: int) -> None:
    url = f"http://127.0.0.1:{port}/socket.io/socket.io.js"
    async with httpx.AsyncClient() as client:
        full = await client.get(url)
        assert full.text == FILE.read_text()
        assert full.headers["content-encoding"] == "gzip"
        head = await client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        # Twice, for a connection that is kept alive must still be in step.
        for _ in range(2):
            kept = await client.get(url, headers={"If-None-Match": full.headers["etag"]})
            assert (kept.status_code, kept.content) == (304, b"")
            assert kept.headers["etag"] == full.headers["etag"]


@run_async
async def test_a_server_mounted_under_a_path(node: Node) -> None:
    port = free_port()
    app = "tests.hosts.application:outer"
    with running(command("uvicorn-native", port, app), port):
        async with node.clients(port=port) as clients:
            for way in (POLLING, WEBSOCKET, UPGRADED):
                client = await clients.connect(way=way, path="/deep/socket.io")
                await client.emit("echo", "mounted")
                assert await client.next("echo") == ["mounted"]
        async with httpx.AsyncClient() as http:
            file = await http.get(f"http://127.0.0.1:{port}/deep/socket.io/socket.io.js")
            assert file.text == FILE.read_text()
            assert (await http.get(f"http://127.0.0.1:{port}/deep/socket.io.js")).status_code == 404


@pytest.mark.parametrize("server", ["uvicorn-native", "hypercorn"])
@run_async
async def test_who_is_told_to_stop_stops(node: Node, server: str) -> None:
    port = free_port()
    with running(command(server, port), port) as process:
        async with node.clients(port=port) as clients:
            client = await clients.connect(way=WEBSOCKET, reconnection=False)
            process.terminate()
            assert (await client.next("disconnect"))[0] == "transport close"
            await asyncio.to_thread(_wait, process)


def _wait(process: subprocess.Popen[str]) -> None:
    process.wait(timeout=40)
