"""The official admin page in Chromium: served by somebody else, as https://admin.socket.io is."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio
from tests.admin.site import AUTH
from tests.browser.conftest import missing
from tests.support.aio import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

UI = (
    Path(__file__).parent.parent
    / "interop"
    / "node_modules"
    / "@socket.io"
    / "admin-ui"
    / "ui"
    / "dist"
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """See `BaseHTTPRequestHandler.log_message`."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where the page is."""
    if not UI.exists():
        missing("the admin page is not installed: run scripts/npm.sh tests/interop")
    files = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(UI)))
    thread = threading.Thread(target=files.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{files.server_port}"
    files.shutdown()
    thread.join()
    files.server_close()


@asynccontextmanager
async def served(site: str, **options: Any) -> AsyncIterator[tuple[nuncio.Server, str]]:
    """A server that lets the page in, and its address."""
    io = nuncio.Server(cors={"origin": site, "credentials": True})
    nuncio.instrument(io, auth=AUTH, server_id="srv-1", **options)
    async with await io.listen(0) as listening:
        yield io, f"http://127.0.0.1:{listening.port}"


async def only_here(route: Route) -> None:
    """Let the page load nothing from other machines, which it does for its fonts."""
    if route.request.url.startswith("http://127.0.0.1:"):
        await route.continue_()
    else:
        await route.abort()


@asynccontextmanager
async def visiting(browser: Browser, site: str) -> AsyncIterator[Page]:
    """The page; no script of it may fail."""
    page = await browser.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.route("**/*", only_here)
    await page.goto(site)
    try:
        yield page
    finally:
        await page.context.close()
    assert errors == []


async def sign_in(page: Page, url: str, password: str = "changeit") -> None:
    """Fill in the form, and send it."""
    await page.get_by_label("Server URL").fill(url)
    await page.get_by_label("Username").fill("ops")
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")


async def go(page: Page, where: str) -> None:
    """Follow a link of its menu."""
    await page.get_by_role("navigation").get_by_text(where, exact=True).click()


def test_a_client_is_seen_and_disconnected(run: Run, browser: Browser, site: str) -> None:
    async def check() -> None:
        async with (
            served(site) as (io, url),
            visiting(browser, site) as page,
            nuncio.connect(url) as client,
        ):
            reasons: list[str] = []
            client.on("disconnect", reasons.append)
            await sign_in(page, url, "wrong")
            await page.get_by_text("Invalid credentials").wait_for()
            await page.get_by_label("Password").fill("changeit")
            await page.keyboard.press("Enter")
            await page.get_by_text("connected", exact=True).first.wait_for()
            await go(page, "Sockets")
            row = page.get_by_role("row").filter(has_text=client.id)
            await row.get_by_text("WebSocket").wait_for()
            io.emit("news", 7)
            await go(page, "Events")
            await page.get_by_role("row").filter(has_text="Event sent").wait_for()
            # A page that is reloaded asks for no password.
            await page.reload()
            await go(page, "Sockets")
            await row.get_by_role("button").click()
            await eventually(lambda: reasons == ["io server disconnect"])
            # It shows the details of whom one clicks.
            await go(page, "Sockets")
            await page.get_by_text("No data available").wait_for()
            assert await row.count() == 0

    run(check())


def test_in_production_the_page_has_numbers(run: Run, browser: Browser, site: str) -> None:
    async def check() -> None:
        async with (
            served(site, mode="production", read_only=True) as (_, url),
            visiting(browser, site) as page,
        ):
            await sign_in(page, url)
            await go(page, "Servers")
            row = page.get_by_role("row").filter(has_text="srv-1")
            await row.get_by_text("healthy").wait_for()
            assert await page.get_by_role("navigation").get_by_text("Events").count() == 0

    run(check())
