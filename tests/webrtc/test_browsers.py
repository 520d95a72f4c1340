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
async def visiting(browser: Browser, io: nuncio.Server, script: str) -> AsyncIterator[Page]:
    """A page of the server's with a client and the steps."""
    async with await io.listen(0, app=site) as listening:
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{listening.port}/")
        await page.add_script_tag(content=script)
        await page.add_script_tag(content=STEPS)
        yield page
        await page.close()
        assert errors == []
        await eventually(lambda: not io.engine.sessions, "the sessions have ended")


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
