"""WebTransport in Chromium: with the official client, with our transport in it, with our client."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio
from tests.browser.conftest import missing
from tests.conftest import find_program
from tests.support.aio import eventually
from tests.support.webtransport import ALL, listen_with, listener_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STEPS = (HERE / "webtransport_page.js").read_text()
OFFICIAL = ROOT / "tests/interop/node_modules/socket.io-client/dist/socket.io.js"
HTML = b'<!doctype html><title>Page</title><link rel="icon" href="data:,">'

# The official client lets promises of a session that has ended, or never began, go unheard.
TOLERATED = (
    "The session is closed.",
    "Opening handshake failed.",
    "close() is called while connecting.",
)

CLIENTS = ("official", "plugged", "ours")

# Our client with the transport in it, and the transport by itself.
ENTRY = """
import { io, transports } from "./src/index.ts";
import { WT } from "./src/transports/webtransport.ts";
transports.webtransport = WT;
globalThis.ours = { io, WebTransport: WT };
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The official client, and ours as it would be built."""
    node = find_program("node")
    folder = ROOT / "browser"
    if not OFFICIAL.exists() or not (folder / "node_modules/esbuild").exists():
        missing("the npm packages of tests/interop or of browser are not installed")
    build = (
        "import {build} from 'esbuild'; await build({stdin: {contents: process.argv[1],"
        " resolveDir: process.cwd(), loader: 'ts'}, bundle: true, format: 'iife',"
        " outfile: process.argv[2]})"
    )
    out = tmp_path_factory.mktemp("built") / "ours.js"
    command = [node, "--input-type=module", "-e", build, ENTRY, str(out)]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return OFFICIAL.read_text(), out.read_text()


async def site(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: an empty page."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HTML})


def server(**options: Any) -> nuncio.Server:
    """A server that answers what the page asks."""
    io = nuncio.Server(**{"transports": list(ALL), **options})
    io.on("echo", lambda socket, value: value)
    io.on("there", lambda socket, number: socket.emit("back", number) and None)

    @io.on("end me")
    def end(socket: nuncio.Socket) -> None:
        socket.emit("last", "x" * 200_000)
        socket.disconnect(True)

    return io


class Visit:
    """A page, and the server that it came from."""

    def __init__(self, page: Page, listening: Any) -> None:
        self.page = page
        self.listening = listening
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def step(self, name: str, client: str, transports: list[str], **more: Any) -> Any:
        """Let the page do something."""
        given = {"client": client, "transports": transports, **more}
        given["hash"] = self.listening.certificate_hash
        return await self.page.evaluate(f"steps.{name}({json.dumps(given)})")


@asynccontextmanager
async def visiting(
    browser: Browser, io: nuncio.Server, scripts: tuple[str, str], **listen: Any
) -> AsyncIterator[Visit]:
    """A page of the server's, in which both clients and `steps` are."""
    async with await listen_with(io, app=site, **listen) as listening:
        page = await browser.new_page()
        visit = Visit(page, listening)
        await page.goto(f"http://127.0.0.1:{listening.port}/")
        for script in (*scripts, STEPS):
            await page.add_script_tag(content=script)
        yield visit
        # Sessions end with the page; what the page did not hear may be told now.
        await page.close()
        assert [error for error in visit.errors if error not in TOLERATED] == []
        await eventually(lambda: not io.engine.sessions, "all sessions have ended")


EVERYTHING = {
    "transport": "webtransport",
    "text": "h\u00e9llo \u2028 \x1e \U0001f600",
    "large": True,
    "tiny": [1, 2, 3],
    "empty": 0,
    "ordered": True,
    "last": "bye",
}


@pytest.fixture(scope="module")
def home(browser: Browser, run: Run, scripts: tuple[str, str]) -> Iterator[Visit]:
    """One page and server for what leaves nothing behind; CORS is on."""
    visit = visiting(browser, server(cors="https://elsewhere.example"), scripts)
    yield run(visit.__aenter__())
    run(visit.__aexit__(None, None, None))


@pytest.mark.parametrize("client", CLIENTS)
def test_everything_can_be_said_over_a_session_of_its_own(
    client: str, home: Visit, run: Run
) -> None:
    assert run(home.step("talk", client, ["webtransport"])) == EVERYTHING


@pytest.mark.parametrize("client", ["official", "ours"])
def test_a_session_of_polling_moves_there(client: str, home: Visit, run: Run) -> None:
    transports = ["polling", "websocket", "webtransport"]
    assert run(home.step("talk", client, transports)) == EVERYTHING


@pytest.mark.parametrize("client", CLIENTS)
def test_what_was_sent_before_the_server_ends_it_arrives(
    client: str, home: Visit, run: Run
) -> None:
    ended = run(home.step("ended", client, ["webtransport"]))
    assert ended == [200_000, "io server disconnect"]


def test_our_client_leaves_no_promise_unheard(home: Visit, run: Run) -> None:
    home.errors.clear()
    run(home.step("talk", "ours", ["webtransport"]))
    run(home.page.wait_for_timeout(50))
    assert home.errors == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_middleware_refuses(
    client: str, browser: Browser, run: Run, scripts: tuple[str, str]
) -> None:
    async def main() -> None:
        io = server()

        @io.engine.use
        def guard(request: Any, response: Any) -> None:
            if request.query.get("transport") == "webtransport":
                raise nuncio.ConnectError("no")

        async with visiting(browser, io, scripts) as visit:
            failed = await visit.step("fail", client, ["webtransport"])
            assert failed["message"] == "webtransport error"
            assert io.engine.counters.refused_requests == 1

    run(main())


def test_our_client_reads_why_it_was_refused(
    browser: Browser, run: Run, scripts: tuple[str, str]
) -> None:
    async def main() -> None:
        io = server(allow_request=lambda request: "not today")
        async with visiting(browser, io, scripts) as visit:
            failed = await visit.step("fail", "ours", ["webtransport"])
            assert failed["description"] == "403"
            assert json.loads(failed["text"])["message"] == "not today"

    run(main())


def test_where_udp_does_not_pass_it_costs_next_to_nothing(
    browser: Browser, run: Run, scripts: tuple[str, str]
) -> None:
    async def main() -> None:
        io = server()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
            await beside(hole, io)

    async def beside(hole: socket.socket, io: nuncio.Server) -> None:
        async with visiting(browser, io, scripts) as visit:
            # Who listens at the port takes everything and says nothing.
            await visit.listening._server.quic.close()
            hole.bind(("127.0.0.1", visit.listening.port))
            for client, transports in (
                ("ours", ["webtransport", "websocket"]),
                ("ours", ["polling", "websocket", "webtransport"]),
                ("official", ["polling", "websocket", "webtransport"]),
            ):
                arrived = await visit.step("arrive", client, transports)
                assert (arrived["name"], arrived["echoed"]) == ("websocket", 1)
                # Chromium itself gives up after four seconds.
                assert arrived["ms"] < 3500
                # Ours hears of everything.
                assert client == "official" or visit.errors == []

    run(main())


def test_a_page_that_is_closed_leaves_nothing(
    browser: Browser, run: Run, scripts: tuple[str, str]
) -> None:
    async def main() -> None:
        # Chromium may take the page away without a word; then the heartbeat notices.
        io = server(ping_interval=1.0, ping_timeout=2.0)
        async with visiting(browser, io, scripts) as visit:
            listener = listener_of(visit.listening)
            await visit.page.evaluate(
                "given => steps.open(given).then(() => 1)",
                {
                    "client": "ours",
                    "transports": ["webtransport"],
                    "hash": visit.listening.certificate_hash,
                },
            )
            assert len(io.engine.sessions) == listener.connections == 1
            await visit.page.close()
            await eventually(lambda: not io.engine.sessions, "the session has ended")
            await eventually(lambda: listener.connections == 0, "the connection has ended")

    run(main())
