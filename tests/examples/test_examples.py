"""The examples run as their pages say."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn

import nuncio
from tests.hosts.process import python, running
from tests.support.aio import eventually, run_async, within
from tests.support.live import give_up
from tests.support.ports import free_port
from tests.support.pytests import run_pytest
from tests.support.rawclient import Peer, Polling, WebSocket, fetch, websocket_target

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python at the root, as the pages of the examples say."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100
    )


APPLICATIONS = [
    "admin/app.py",
    "auth/app.py",
    "auth/django_app.py",
    "chat/app.py",
    "chat/demo.py",
    "documents/app.py",
    "fastapi/app.py",
    "flask/app.py",
    "game/app.py",
    "recovery/app.py",
    "sensor/sensor.py",
    "sensor/server.py",
    "testing/auction.py",
    "testing/bidder.py",
    "ticker/app.py",
    "whiteboard/app.py",
]


@pytest.mark.parametrize("path", APPLICATIONS)
def test_importing_an_example_starts_nothing(path: str) -> None:
    folder, name = (EXAMPLES / path).parent, Path(path).stem
    done = run("-W", "error", "-c", f"import sys; sys.path[:0] = [{str(folder)!r}]; import {name}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_demo_proves_itself_and_ends() -> None:
    done = run("examples/chat/demo.py", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps passed" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["whiteboard", "game"])
def test_an_example_of_one_page_and_one_file_runs_as_its_page_says(name: str) -> None:
    port = free_port()
    with running(python(f"examples/{name}/app.py", "--port", str(port)), port) as process:
        for path, kind in (
            ("", "text/html"),
            ("socket.io/socket.io.min.js", "application/javascript"),
        ):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
                assert answer.headers["content-type"].startswith(kind)
                assert len(answer.read()) > 1000
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert f"on http://localhost:{port}" in said
    assert "Traceback" not in said
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_the_example_of_the_admin_page_lets_it_in_and_has_visitors() -> None:
    port = free_port()

    async def look() -> None:
        manager = nuncio.Manager(f"http://127.0.0.1:{port}", auto_connect=False)
        page = manager.socket("/admin", auth={"username": "ops", "password": "changeit"})
        shown: list[str] = []
        page.on("all_sockets", lambda found: shown.extend(one["nsp"] for one in found))
        page.on("socket_connected", lambda one, time: shown.append(one["nsp"]))
        page.connect()
        await eventually(lambda: {"/", "/admin"} <= set(shown))
        await manager.close()

    with running(python("examples/admin/app.py", "--port", str(port)), port) as process:
        run_async(look)()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert f"connect to http://localhost:{port}" in said
    assert "Traceback" not in said


def load(path: Path, name: str) -> ModuleType:
    """Import an example under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@run_async
async def test_the_kitchen_of_the_fastapi_example() -> None:
    example = load(EXAMPLES / "fastapi" / "app.py", "fastapi_example")
    server = uvicorn.Server(uvicorn.Config(example.app, port=0, log_level="warning"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with await Peer.join(port) as screen, await Peer.join(port) as waiter:
            assert await screen.ask("watch") == [[]]
            headers = [("Content-Type", "application/json")]
            body = json.dumps({"table": 7, "dishes": ["soup"]}).encode()
            posted = await fetch(port, "/orders", "POST", headers, body)
            assert (posted.status, posted.json["number"]) == (201, 1)
            assert await screen.receive() == f'42["order",{posted.text}]'
            [second] = await waiter.ask("order", {"table": 8, "dishes": ["fish"]})
            assert second["number"] == 2
            assert (await screen.receive()).startswith('42["order",{"number":2')
            [refused] = await waiter.ask("order", {"table": 100, "dishes": ["fish"]})
            assert refused["error"]["argument"] == "wanted"
            assert await waiter.ask("done", {"number": 1, "cook": "ada"}) == [{"ok": True}]
            assert await screen.receive() == '42["done",1,"ada"]'
            assert [one["done"] for one in (await fetch(port, "/orders")).json] == [True, False]
            # The same dependency, for a route and for an event.
            assert (await fetch(port, "/orders/open")).json == [second]
            assert await screen.ask("watch") == [[second]]
    finally:
        await server.shutdown()


async def heard(ws: WebSocket) -> str:
    """The next text."""
    message = await ws.receive()
    assert isinstance(message, str)
    return message


@run_async
async def test_the_alarms_of_the_recovery_example(capsys: pytest.CaptureFixture[str]) -> None:
    example = load(EXAMPLES / "recovery" / "app.py", "recovery_example")
    async with await example.io.listen(0, app=example.page) as listening:
        page = await fetch(listening.port, "/")
        assert "<title>Alarms</title>" in page.text
        ws = await WebSocket.open(listening.port, websocket_target())
        await heard(ws)
        await ws.send("40")
        pid = json.loads((await heard(ws))[2:])["pid"]
        first = example.ring()
        assert (await heard(ws)).startswith(f'420["alarm",{first},"')
        await ws.connection.close()
        await eventually(lambda: not example.io.sockets.sockets)
        second = example.ring()
        ws = await WebSocket.open(listening.port, websocket_target())
        await heard(ws)
        await ws.send(f'40{{"pid":"{pid}"}}')
        for number in (first, second):
            assert f'["alarm",{number},"' in await heard(ws)
        assert (await heard(ws)).startswith("40{")
        await ws.send("430[]")
        await ws.send("41")
        await eventually(lambda: "did not get the alarms [2]" in capsys.readouterr().out)
        await ws.close()


def test_the_tests_of_the_testing_example_pass(tmp_path: Path) -> None:
    outcomes, said = run_pytest(ROOT, tmp_path, "examples/testing")
    names = set()
    for path in (EXAMPLES / "testing").glob("test_*.py"):
        names |= set(re.findall(r"^async def (test_\w+)", path.read_text(), re.MULTILINE))
    assert outcomes == {"PASSED": names}, said


@run_async
async def test_the_auction_and_the_bidder_of_the_testing_example() -> None:
    auction: Any = load(EXAMPLES / "testing" / "auction.py", "auction_example")
    bidder = load(EXAMPLES / "testing" / "bidder.py", "bidder_example")
    auction.SECONDS = 0.05
    async with await auction.make_auction("chair").listen(0) as listening:
        url = f"http://127.0.0.1:{listening.port}"
        assert await within(bidder.buy("chair", 20, url=url)) == bidder.STEP


@run_async
async def test_the_documents_of_the_documents_example() -> None:
    example = load(EXAMPLES / "documents" / "app.py", "documents_example")
    async with await example.io.listen(0, app=example.page) as listening:
        ws = await WebSocket.open(listening.port, websocket_target())
        await heard(ws)
        await ws.send("40/document-recipes,")
        assert (await heard(ws)).startswith("40/document-recipes,{")
        assert await heard(ws) == '42/document-recipes,["text",""]'
        assert await heard(ws) == '42/document-recipes,["readers",1]'
        await ws.send('42/document-recipes,1["write","soup"]')
        assert await heard(ws) == '43/document-recipes,1[{"ok":true}]'
        await ws.send("40/document-42,")
        assert "Invalid namespace" in await heard(ws)
        await ws.send("41/document-recipes,")
        await eventually(lambda: not example.documents.children)
        await ws.send("40/document-recipes,")
        await heard(ws)
        assert await heard(ws) == '42/document-recipes,["text","soup"]'
        await ws.close()


@run_async
async def test_the_prices_of_the_ticker_example() -> None:
    example = load(EXAMPLES / "ticker" / "app.py", "ticker_example")
    io = example.io
    async with await io.listen(0, app=example.page) as listening:
        page = await fetch(listening.port, "/")
        assert "<title>Ticker</title>" in page.text
        async with await Peer.join(listening.port) as peer:
            session = await Polling.open(listening.port)
            await session.post("40")
            await session.receive()
            for _ in range(500):
                example.tick()
            # Who polls gets the latest price of each symbol; who reads, all of them.
            late = await session.receive()
            assert sorted(packet[11:16] for packet in late) == sorted(
                f'"{symbol}"' for symbol in example.SYMBOLS
            )
            latest = {}
            for _ in range(500):
                packet = await peer.receive()
                latest[packet[11:16]] = packet
            assert sorted(late) == sorted(latest.values())
            assert io.counters.dropped_events == 495
            answers = [(await peer.ask("order", "EUR", 100))[0] for _ in range(4)]
            assert [answer.get("number") for answer in answers] == [1, 2, 3, None]
            assert answers[3]["error"]["code"] == "rate_limited"
            # Ten refusals are borne, and that was the first.
            for _ in range(10):
                [refused] = await peer.ask("order", "EUR", 100)
                assert refused["error"]["code"] == "rate_limited"
            assert await peer.receive() == '42["disconnect_reason","rate limited"]'
            assert await peer.receive() == "41"
        give_up(io.engine)
