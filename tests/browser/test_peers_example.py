"""The example of peers in Chromium: a file goes from one page to another, past the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from nuncio.server.client_files import BUNDLED
from tests.browser.conftest import missing
from tests.browser.pages import opened
from tests.examples.test_examples import EXAMPLES, load

if TYPE_CHECKING:
    from playwright.async_api import Browser, FilePayload, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

# Not of one byte all over, and of several pieces.
CONTENTS = bytes(index * 7 % 251 for index in range(300_000))

WITHOUT_WEBRTC = "delete globalThis.RTCPeerConnection"


def example() -> ModuleType:
    """The application, with nobody at its tables."""
    if not (BUNDLED / "nuncio-peer.min.js").exists():
        missing("the client's part for peers is not built: make browser")
    return load(EXAMPLES / "peers" / "app.py", "peers_in_chromium")


async def sit_down(page: Page, name: str) -> None:
    """Say one's name."""
    await page.fill("#name", name)
    await page.click("#welcome button")
    await page.wait_for_selector("#state.on")


async def take(page: Page) -> tuple[str, str]:
    """Take the file that is offered; its name, and a hash of what arrived."""
    await page.click(".acts .yes")
    await page.wait_for_selector(".acts a.yes")
    async with page.expect_download() as downloading:
        await page.click(".acts a.yes")
    download = await downloading.value
    contents = await asyncio.to_thread(Path(await download.path()).read_bytes)
    return download.suggested_filename, hashlib.sha256(contents).hexdigest()


@pytest.mark.parametrize(("before", "badge"), [("", "direct"), (WITHOUT_WEBRTC, "relayed")])
def test_a_file_is_handed_over(
    run: Run, browser: Browser, screenshots: Path, before: str, badge: str
) -> None:
    async def visit() -> None:
        app = example()
        async with await app.io.listen(0, app=app.page) as listening:
            url = f"http://127.0.0.1:{listening.port}/#desk"
            async with opened(browser, url, {}) as ada, opened(browser, url, {}) as bob:
                if before:
                    await bob.add_init_script(before)
                    await bob.reload()
                await sit_down(ada, "Ada")
                await sit_down(bob, "Bob")
                async with ada.expect_file_chooser() as choosing:
                    await ada.click("text=Give a file")
                chooser = await choosing.value
                file: FilePayload = {
                    "name": "plan.bin",
                    "mimeType": "text/html",
                    "buffer": CONTENTS,
                }
                await chooser.set_files(file)
                expected = "plan.bin", hashlib.sha256(CONTENTS).hexdigest()
                assert await take(bob) == expected
                await ada.wait_for_function(
                    "document.querySelector('.note').textContent.startsWith('Bob has it')"
                )
                for page in (ada, bob):
                    assert await page.inner_text(".badge") == badge
                await ada.screenshot(path=screenshots / f"peers-{badge}.png")
                # Who is at another table is nobody here.
                assert app.tables.keys() == {"desk"}

    run(visit())


def test_one_who_does_not_want_a_file_is_left_alone(run: Run, browser: Browser) -> None:
    async def visit() -> None:
        app = example()
        async with await app.io.listen(0, app=app.page) as listening:
            url = f"http://127.0.0.1:{listening.port}/"
            async with opened(browser, url, {}) as ada, opened(browser, url, {}) as bob:
                await sit_down(ada, "Ada")
                await sit_down(bob, "Bob")
                await ada.wait_for_selector(".give >> nth=0")
                await ada.evaluate("void give(people[0].id, new File(['x'], 'letter.txt'))")
                await bob.click(".acts button >> nth=0")
                await ada.wait_for_function(
                    "document.querySelector('.note').textContent === 'Bob does not want it'"
                )
                assert await bob.locator(".file").count() == 0

    run(visit())
