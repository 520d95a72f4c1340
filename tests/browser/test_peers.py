"""Pages in Chromium that are connected to each other, by WebRTC and through the server."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio
from nuncio.peers import signalling
from tests.browser.conftest import ARGUMENTS, missing
from tests.conftest import find_program
from tests.support.aio import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STEPS = (HERE / "peer_page.js").read_text()

HTML = b"""<!doctype html><title>Page</title><link rel="icon" href="data:,">
<script src="/socket.io/socket.io.min.js"></script>"""

TALKED = {
    "text": True,
    "binary": True,
    "empty": True,
    "large": True,
    "several": "[1,[2]]",
    "ordered": True,
    "timeout": "operation has timed out",
}

WITHOUT_WEBRTC = "delete globalThis.RTCPeerConnection"
WITHOUT_A_WAY = "RTCPeerConnection.prototype.addIceCandidate = async () => {}"


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The client's part for peers, built from the sources."""
    esbuild = ROOT / "browser" / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        missing("browser/node_modules is not there: npm --prefix browser ci")
    built = tmp_path_factory.mktemp("peer") / "peer.js"
    command = [
        str(esbuild),
        str(ROOT / "browser" / "src" / "peer" / "script.ts"),
        "--bundle",
        "--format=esm",
        "--log-level=error",
        "--banner:js=(publish=>{",
        "--footer:js=})(it=>{globalThis.nuncioPeer=it});",
        f"--outfile={built}",
    ]
    subprocess.run(command, check=True, timeout=60)
    return built.read_text()


async def site(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: one page."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HTML})


def server(**options: Any) -> nuncio.Server:
    """A server where everybody may be connected to everybody."""
    io = nuncio.Server(**options)
    io.peers(lambda sender, target: True, identify=lambda socket: f"user of {socket.id}")
    return io


class Visits:
    """Opens pages, each in a context of its own, on a server.

    Args:
        part: the client's part for peers.
        browser: in which they are opened.
        port: the server's.
    """

    def __init__(self, part: str, browser: Browser, port: int) -> None:
        self._part = part
        self._browser = browser
        self.port = port
        self.pages: list[Page] = []
        self.errors: list[str] = []

    async def open(
        self, before: str = "", browser: Browser | None = None, **begin: Any
    ) -> tuple[Page, str]:
        """A page that is connected; and its socket's id."""
        page = await self.browse(before, browser)
        return page, await page.evaluate("(options) => steps.begin(options)", begin)

    async def browse(self, before: str = "", browser: Browser | None = None) -> Page:
        """A page that is not connected yet."""
        page = await (browser or self._browser).new_page()
        self.pages.append(page)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if before:
            await page.add_init_script(before)
        await page.goto(f"http://127.0.0.1:{self.port}/")
        await page.add_script_tag(content=self._part)
        await page.add_script_tag(content=STEPS)
        return page


@contextlib.asynccontextmanager
async def visiting(part: str, browser: Browser, io: nuncio.Server) -> AsyncIterator[Visits]:
    """A server, and pages on it."""
    async with await io.listen(0, app=site) as listening:
        visits = Visits(part, browser, listening.port)
        yield visits
        for page in visits.pages:
            await page.close()
        assert visits.errors == []


async def ask(page: Page, id: str, **options: Any) -> Any:
    """Let a page ask a peer; how it went."""
    return await page.evaluate("([id, options]) => steps.ask(id, options)", [id, options])


@pytest.fixture(scope="module")
def other(run: Run) -> Iterator[Browser]:
    """A second Chromium, which shares nothing with the first."""
    from playwright.async_api import async_playwright

    playwright = run(async_playwright().start())
    chromium = find_program("chromium")
    browser = run(playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS))
    yield browser
    run(browser.close())
    run(playwright.stop())


def test_two_browsers_are_connected_and_need_the_server_no_longer(
    run: Run, browser: Browser, other: Browser, part: str
) -> None:
    async def visit() -> None:
        io = server()
        async with visiting(part, browser, io) as visits:
            ada, ada_id = await visits.open()
            bob, bob_id = await visits.open(browser=other)
            assert await ask(ada, bob_id) == "connected"
            await bob.wait_for_function("globalThis.got?.connected")
            assert await ada.evaluate("steps.talk(to)") == TALKED
            assert await bob.evaluate("steps.talk(got)") == TALKED
            mine = await ada.evaluate("steps.about(to)")
            theirs = await bob.evaluate("steps.about(got)")
            for about, id in ((mine, bob_id), (theirs, ada_id)):
                assert about["id"] == id
                assert about["identity"] == f"user of {id}"
                assert (about["connected"], about["relayed"], about["verified"]) == (
                    True,
                    False,
                    True,
                )
            assert mine["fingerprint"] == theirs["localFingerprint"]
            assert mine["localFingerprint"] == theirs["fingerprint"]
            codes = await ada.evaluate("to.code()"), await bob.evaluate("got.code()")
            assert codes[0] == codes[1]
            await io.close()
            await ada.wait_for_function("!socket.connected")
            await bob.wait_for_function("!socket.connected")
            assert await ada.evaluate("steps.talk(to)") == TALKED
            await bob.evaluate("got.close()")
            await ada.wait_for_function("!to.connected")
            assert await ada.evaluate("steps.log.at(-1)") == ["disconnect", "peer disconnect"]
            assert await bob.evaluate("steps.log.at(-1)") == ["disconnect", "io client disconnect"]

    run(visit())


@pytest.mark.parametrize(
    ("ada_before", "bob_before"),
    [
        (WITHOUT_WEBRTC, ""),
        ("", WITHOUT_WEBRTC),
        (WITHOUT_WEBRTC, WITHOUT_WEBRTC),
        (WITHOUT_A_WAY, WITHOUT_A_WAY),
    ],
)
def test_without_a_direct_way_the_server_relays(
    run: Run, browser: Browser, part: str, ada_before: str, bob_before: str
) -> None:
    async def visit() -> None:
        io = server()
        async with visiting(part, browser, io) as visits:
            ada, _ = await visits.open(ada_before)
            bob, bob_id = await visits.open(bob_before)
            assert await ask(ada, bob_id, timeout=500) == "connected"
            await bob.wait_for_function("globalThis.got?.connected")
            assert await ada.evaluate("steps.talk(to)") == TALKED
            assert await bob.evaluate("steps.talk(got)") == TALKED
            for page, peer in ((ada, "to"), (bob, "got")):
                about = await page.evaluate(f"steps.about({peer})")
                assert (about["relayed"], about["verified"]) == (True, False)
            # Nothing was in anybody's way.
            assert io.counters.refused_peer_messages == 0
            await bob.close()
            await ada.wait_for_function("!to.connected")
            assert await ada.evaluate("steps.log.at(-1)") == ["disconnect", "peer left"]
            assert io.peering.links == 0

    run(visit())


def test_pages_of_the_official_client_have_peers_too(run: Run, browser: Browser, part: str) -> None:
    official = ROOT / "tests/interop/node_modules/socket.io-client/dist/socket.io.min.js"
    if not official.exists():
        missing("the official client is not installed: npm --prefix tests/interop ci")

    async def visit() -> None:
        io = server(serve_client={"socket.io.min.js": official})
        async with visiting(part, browser, io) as visits:
            ada, _ = await visits.open()
            _, bob_id = await visits.open(WITHOUT_WEBRTC)
            eve, eve_id = await visits.open()
            assert await ask(ada, bob_id) == "connected"
            assert await ada.evaluate("steps.talk(to)") == TALKED
            assert await ask(ada, eve_id) == "connected"
            assert await ada.evaluate("steps.talk(to)") == TALKED
            assert await ada.evaluate("to.verified && !to.relayed")
            # The connection ends with the last namespace of the application.
            await ada.evaluate("socket.disconnect()")
            await ada.wait_for_function("socket.io.engine.readyState === 'closed'")
            await eve.wait_for_function("!got.connected")
            # Whichever is told first: the server's word, or that the channel has ended.
            assert await eve.evaluate("steps.log.at(-1)[1]") in ("peer left", "transport close")

    run(visit())


def test_who_leaves_is_missed_at_the_other_side(run: Run, browser: Browser, part: str) -> None:
    async def visit() -> None:
        io = server()
        async with visiting(part, browser, io) as visits:
            ada, _ = await visits.open()
            # It closes its page; it is shown out.
            for leave, reasons in (
                (lambda page, id: page.close(), ("transport close", "transport error")),
                (lambda page, id: show_out(io, id), ("peer left", "transport close")),
            ):
                bob, bob_id = await visits.open()
                assert await ask(ada, bob_id) == "connected"
                await leave(bob, bob_id)
                await ada.wait_for_function("!to.connected")
                event, reason = await ada.evaluate("steps.log.at(-1)")
                assert event == "disconnect"
                assert reason in reasons
            await eventually(lambda: io.peering.links == 0)

    async def show_out(io: nuncio.Server, id: str) -> None:
        io.sockets.sockets[id].disconnect()

    run(visit())


def test_nobody_is_connected_to_anybody_unless_it_is_allowed(
    run: Run, browser: Browser, part: str
) -> None:
    async def visit() -> None:
        io = nuncio.Server()
        io.peers(nuncio.peers.share_a_room)
        async with visiting(part, browser, io) as visits:
            ada, ada_id = await visits.open()
            _, bob_id = await visits.open()
            _, eve_id = await visits.open(listens=False)
            assert await ask(ada, bob_id) == "peer:denied"
            for id in (ada_id, bob_id, eve_id):
                io.sockets.sockets[id].join("here")
            assert await ask(ada, bob_id) == "connected"
            assert await ask(ada, eve_id) == "peer:refused"
            async with nuncio.connect(f"http://127.0.0.1:{visits.port}") as python:
                io.in_(str(python.id)).sockets_join("here")
                assert await ask(ada, str(python.id)) == "peer:unavailable"

    run(visit())


def test_a_server_without_peers_is_told_of(run: Run, browser: Browser, part: str) -> None:
    async def visit() -> Any:
        async with visiting(part, browser, nuncio.Server()) as visits:
            page = await visits.browse()
            return await page.evaluate(
                """async () => {
                    globalThis.socket = io();
                    return steps.ask("somebody");
                }"""
            )

    assert run(visit()) == "peer:disabled"


def test_a_fingerprint_that_the_session_has_not_is_refused(
    run: Run, browser: Browser, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if somebody had put another session in the place of the one that the server has seen."""
    forged = "sha-256 " + ":".join(["00"] * 32)
    monkeypatch.setattr(signalling, "fingerprint_of", lambda sdp, limit: forged)

    async def visit() -> None:
        io = server()
        async with visiting(part, browser, io) as visits:
            ada, _ = await visits.open()
            bob, bob_id = await visits.open()
            assert await ask(ada, bob_id) == "peer:fingerprint"
            await bob.wait_for_function("steps.log.length")
            assert await bob.evaluate("steps.log") == [["connect_error", "peer:fingerprint"]]
            assert io.peering.links == 0

    run(visit())


def test_both_ask_at_the_same_time_and_have_one_peer(run: Run, browser: Browser, part: str) -> None:
    async def visit() -> None:
        io = server()
        # Until both offers have left their pages.
        both = asyncio.Event()
        asked: list[Any] = []
        allow = io.peering._allow

        async def wait(sender: Any, target: Any) -> bool:
            asked.append(sender)
            if len(asked) == 2:
                both.set()
            await both.wait()
            return bool(allow(sender, target))

        io.peering._allow = wait
        async with visiting(part, browser, io) as visits:
            ada, ada_id = await visits.open()
            bob, bob_id = await visits.open()
            found = await asyncio.gather(ask(ada, bob_id), ask(bob, ada_id))
            assert list(found) == ["connected", "connected"]
            assert await ada.evaluate("to.emitWithAck('echo', 1)") == 1
            for page in (ada, bob):
                has = "[nuncioPeer.peers(socket).peers.size, !globalThis.got]"
                assert await page.evaluate(has) == [1, True]
            await eventually(lambda: io.peering.links == 2)

    run(visit())
