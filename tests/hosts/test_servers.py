"""The same application under each ASGI server, with the official client."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import websockets

import nuncio
from tests.hosts.process import python, running
from tests.support.aio import eventually, run_async, within
from tests.support.down import NAMES, sid_of
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


@pytest.mark.parametrize("name", NAMES)
@run_async
async def test_over_responses_that_stay_open(port: int, name: str) -> None:
    url = f"http://127.0.0.1:{port}"
    for transports in ([name], ["polling", name], [name, "websocket"]):
        async with nuncio.connect(url, transports=transports, reconnection=False) as client:
            echoed: list[object] = []
            client.on("echo", echoed.append)
            for number in range(300):
                client.emit("echo", number)
            client.emit("echo", b"\x00\xff" * 50_000)
            last = transports[-1]
            await eventually(lambda: client.io.engine.transport.name == last)  # noqa: B023
            client.emit("echo", "last")
            await eventually(lambda: len(echoed) == 302)  # noqa: B023
            assert echoed == [*range(300), b"\x00\xff" * 50_000, "last"]
            assert await client.emit_with_ack("who") == ["127.0.0.1", False]


@pytest.fixture
def certificate(tmp_path: Path, program: Callable[[str], str]) -> list[str]:
    """Options of hypercorn for TLS, and with it HTTP/2."""
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"]
    crt, key = str(tmp_path / "crt"), str(tmp_path / "key")
    subprocess.run([*command, "-keyout", key, "-out", crt], check=True, capture_output=True)
    return ["--certfile", crt, "--keyfile", key]


@run_async
async def test_many_responses_stay_open_on_one_connection_of_http_2(certificate: list[str]) -> None:
    port = free_port()
    served = python("-m", "hypercorn", *certificate, "--bind", f"127.0.0.1:{port}", APP)
    url = f"https://127.0.0.1:{port}/socket.io/?EIO=4&k=1&transport="
    async with AsyncExitStack() as stack:
        stack.enter_context(running(served, port))
        client = httpx.AsyncClient(http1=False, http2=True, verify=False)
        http = await stack.enter_async_context(client)
        there = []
        # More than six: that limit is HTTP/1.1's.
        for name in (*NAMES, *NAMES, *NAMES):
            response = await stack.enter_async_context(http.stream("GET", url + name))
            assert (response.http_version, response.status_code) == ("HTTP/2", 200)
            assert "connection" not in response.headers
            body = response.aiter_raw()
            sid = sid_of(await _until(body, b"pingInterval"))
            there.append((f"{url}{name}&sid={sid}&seq=", body))
        for up, body in there:
            assert (await http.post(f"{up}1", content=b"40")).text == "ok"
            assert await _until(body, b"40{")
        for up, body in there:
            assert (await http.post(f"{up}2", content=b"1")).text == "ok"
            assert await _until(body, b"6end")


async def _until(body: AsyncIterator[bytes], word: bytes) -> bytes:
    """A body up to a word."""
    got = b""
    while word not in got:
        got += await within(anext(body))
    return got


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
