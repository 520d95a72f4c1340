"""Chromium, and the chat example served to it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.browser.chat import SEE_WITHIN, Chat, Person, client_installed
from tests.conftest import find_program

if TYPE_CHECKING:
    from playwright.async_api import Browser

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

# Longer than anything that a page waits for, which tells better what did not come.
RUN_WITHIN = 2 * SEE_WITHIN / 1000

# The last three: the browser makes no connections of its own, which a closed network would refuse.
ARGUMENTS = [
    "--no-sandbox",
    # Containers give little shared memory, and pages die of that.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    # WebRTC on machines without a network.
    "--allow-loopback-in-peer-connection",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(what: str) -> None:
    """Skip the test for want of something, or fail where everything ought to be installed."""
    if os.environ.get("NUNCIO_PROGRAMS") == "all":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def run() -> Iterator[Run[Any]]:
    """Runs a coroutine on an event loop of its own thread, and waits for it.

    Playwright leaves its loop running between calls; in this thread that would break every other
    test that starts one.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True, name="playwright")
    thread.start()

    def wait(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(RUN_WITHIN)

    yield wait
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def browser(run: Run[Any]) -> Iterator[Browser]:
    """One Chromium for all tests; each person has a context, like a profile, of their own."""
    chromium = find_program("chromium")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("the Python package playwright is not installed")
    playwright = run(async_playwright().start())
    browser = run(playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS))
    yield browser
    run(browser.close())
    run(playwright.stop())


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A running chat server, which a test may stop and start again."""
    if not client_installed():
        missing("examples/chat/node_modules is not there: npm --prefix examples/chat ci")
    chat = Chat()
    chat.start()
    yield chat
    chat.stop()


@pytest.fixture
def visit(run: Run[Any], browser: Browser, chat: Chat) -> Iterator[Callable[..., Person]]:
    """Opens the chat's page in a new context: `visit()`, or `visit(is_mobile=True, …)`.

    At the end of the test no page may have had a script error.
    """
    people: list[Person] = []

    def open_page(path: str = "/", *, without_client: bool = False, **context: Any) -> Person:
        page = run(browser.new_page(**context))
        person = Person(page, run)
        people.append(person)
        if without_client:
            person.block("**/socket.io.min.js")
        person.open(chat.url + path)
        return person

    yield open_page
    for person in people:
        person.close()
    assert [error for person in people for error in person.script_errors] == []


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots: NUNCIO_SCREENSHOTS, or one of the test's own."""
    folder = Path(os.environ.get("NUNCIO_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
