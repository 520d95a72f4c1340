"""Chromium over WebRTC: our own client, and the official one with our transport among its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio
from tests.support.aio import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

STEPS = (Path(__file__).parent / "page.js").read_text()
HTML = b'<!doctype html><title>Page</title><link rel="icon" href="data:,">'

CLIENTS = ("ours", "official")


async def site(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: an empty page."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HTML})


def server(**options: Any) -> nuncio.Server:
    """A server that answers what the page asks."""
    options.setdefault("transports", ["polling", "websocket", "webrtc"])
    io = nuncio.Server(**options)
    io.on("echo", lambda socket, value: value)

    @io.event
    def down(socket: nuncio.Socket, number: int) -> None:
        socket.data.setdefault("seen", []).append(number)
        socket.emit("number", number)

    io.on("seen", lambda socket: socket.data["seen"])
    return io


@asynccontextmanager
async def visiting(
    browser: Browser, io: nuncio.Server, script: str, *, hidden: bool = False
) -> AsyncIterator[Page]:
    """A page of the server's with a client and the steps.

    Args:
        browser: Chromium.
        io: the server.
        script: the client.
        hidden: whether the page may not know the addresses of its machine. Otherwise it may listen
            to the microphone, by which Chromium also finds the address of a machine that has no
            network.
    """
    async with await io.listen(0, app=site) as listening:
        context = await browser.new_context(permissions=[] if hidden else ["microphone"])
        page = await context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{listening.port}/")
        await page.add_script_tag(content=script)
        await page.add_script_tag(content=STEPS)
        yield page
        # Not all ends of pages tell the server.
        await page.evaluate("globalThis.socket?.disconnect()")
        await eventually(lambda: not io.engine.sessions, "the sessions have ended")
        await context.close()
        assert errors == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("transports", [["webrtc"], ["polling", "webrtc"], ["websocket", "webrtc"]])
def test_everything_comes_through(
    run: Run, browser: Browser, bundle: Callable[[str], str], client: str, transports: list[str]
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(), bundle(client)) as page:
            return await page.evaluate("(names) => steps.talk(names)", transports)

    assert run(visit()) == {
        "text": "h\u00e9llo \u2028 \x1e \U0001f600",
        "binary": [[1, 2], [], [3]],
        "large": True,
        "ordered": True,
        "transport": "webrtc",
    }


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("first", ["polling", "websocket"])
def test_nothing_is_lost_or_overtaken_while_it_moves(
    run: Run, browser: Browser, bundle: Callable[[str], str], client: str, first: str
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(), bundle(client)) as page:
            return await page.evaluate("(names) => steps.move(names)", [first, "webrtc"])

    assert run(visit()) == {
        "upgraded": "true",
        "before": first,
        "after": "webrtc",
        "up": True,
        "down": True,
        "enough": True,
    }


def has_network() -> bool:
    """Whether this machine has an address that others could reach."""
    import ifaddr

    addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return any(isinstance(ip, str) and not ip.startswith("127.") for ip in addresses)


@pytest.mark.skipif(not has_network(), reason="Chromium hides addresses only where it has some")
def test_a_browser_that_hides_its_addresses_need_not_be_resolved(
    run: Run, browser: Browser, bundle: Callable[[str], str]
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(), bundle("ours"), hidden=True) as page:
            await page.evaluate("begin(['webrtc'])")
            return await page.evaluate("socket.emitWithAck('echo', 1)")

    assert run(visit()) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_refused_is_told(
    run: Run, browser: Browser, bundle: Callable[[str], str], client: str
) -> None:
    async def visit() -> Any:
        io = server(allow_request=lambda request: "x" not in request.query or "no")
        async with visiting(browser, io, bundle(client)) as page:
            by_us = await page.evaluate("steps.refused(['webrtc'], { query: { x: 1 } })")
        async with visiting(browser, server(transports=["polling"]), bundle(client)) as page:
            return by_us, await page.evaluate("steps.refused(['webrtc'])")

    assert run(visit()) == (["webrtc error", 403], ["webrtc error", 400])


@pytest.mark.parametrize("client", CLIENTS)
def test_where_the_channel_does_not_open_the_session_stays_where_it_is(
    run: Run, browser: Browser, bundle: Callable[[str], str], client: str
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(upgrade_timeout=1), bundle(client)) as page:
            await page.evaluate("""
                // As where no datagram passes: what the server answers has no effect.
                RTCPeerConnection.prototype.setRemoteDescription = async () => {};
                const transportOptions = { webrtc: { openTimeout: 300 } };
                begin(['websocket', 'webrtc'], { transportOptions });
                globalThis.failed = next(socket.io.engine, 'upgradeError');
            """)
            answers = [await page.evaluate("socket.emitWithAck('echo', 1)")]
            await page.evaluate("failed.then(() => 0)")
            answers.append(await page.evaluate("socket.emitWithAck('echo', 2)"))
            return answers, await page.evaluate("socket.io.engine.transport.name")

    assert run(visit()) == ([1, 2], "websocket")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_channel_that_ends_in_the_middle_of_the_move_costs_nothing(
    run: Run, browser: Browser, bundle: Callable[[str], str], client: str
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(), bundle(client)) as page:
            await page.evaluate("""
                begin(['websocket', 'webrtc']);
                globalThis.failed = next(socket.io.engine, 'upgradeError');
                socket.io.engine.on('upgrading', (transport) => {
                  // What was sent before has not left yet.
                  const { transport: old } = socket.io.engine;
                  old.writable = false;
                  setTimeout(() => {
                    transport.close();
                    old.writable = true;
                    old.emit('drain');
                  }, 20);
                });
            """)
            await page.evaluate("failed.then(() => 0)")
            answer = await page.evaluate("socket.emitWithAck('echo', 2)")
            return answer, await page.evaluate("socket.io.engine.transport.name")

    assert run(visit()) == (2, "websocket")
