"""Nuncio's own client in Chromium, loaded from the server that it talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nuncio

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

HERE = Path(__file__).parent
STEPS = (HERE / "client_page.js").read_text()
WORKER = (HERE / "client_worker.js").read_bytes()

# A page as it was written for the official client.
HTML = b"""<!doctype html><title>Page</title><link rel="icon" href="data:,">
<script src="/socket.io/socket.io.min.js"></script>"""


async def site(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: the page, and the worker's script."""
    worker = scope["path"] == "/worker.js"
    kind = b"text/javascript" if worker else b"text/html"
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": WORKER if worker else HTML})


def server(**options: Any) -> nuncio.Server:
    """A server that answers what the page asks."""
    io = nuncio.Server(**options)
    io.on("echo", lambda socket, value: value)

    @io.event
    async def count(socket: nuncio.Socket, upto: int) -> None:
        for number in range(upto):
            await socket.emit("number", number)

    return io


@asynccontextmanager
async def visiting(browser: Browser, io: nuncio.Server, before: str = "") -> AsyncIterator[Page]:
    """A page of the server's, in which `steps` are."""
    async with await io.listen(0, app=site) as listening:
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        if before:
            await page.add_init_script(before)
        await page.goto(f"http://127.0.0.1:{listening.port}/")
        await page.add_script_tag(content=STEPS)
        yield page
        await page.close()
        assert errors == []


EVERYTHING = {
    "text": "h\u00e9llo \u2028 \x1e \U0001f600",
    "binary": [[1, 2], [3, 4], [5], [6], [7], []],
    "large": True,
    "ordered": True,
    "timeout": "operation has timed out",
}


@pytest.mark.parametrize(
    ("options", "carried"),
    [
        ({"transports": ["polling"]}, "polling"),
        ({"transports": ["websocket"]}, "websocket"),
        ({"transports": ["websocket"], "forceBase64": True}, "websocket"),
        ({"transports": ["polling", "websocket"]}, "websocket"),
        ({"transports": ["websocket"], "timestampRequests": True}, "websocket"),
    ],
)
def test_everything_comes_through(
    run: Run, browser: Browser, options: dict[str, Any], carried: str
) -> None:
    async def visit() -> Any:
        async with visiting(browser, server()) as page:
            return await page.evaluate("(options) => steps.talk(options)", options)

    assert run(visit()) == {**EVERYTHING, "transport": carried}


def test_without_websocket_polling_goes_on(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        async with visiting(browser, server(), "delete globalThis.WebSocket") as page:
            await page.evaluate("steps.begin({})")
            failed = await page.evaluate(
                """async () => {
                    const options = { transports: ["websocket"], reconnection: false };
                    const direct = io({ forceNew: true, ...options });
                    const error = new Promise((resolve) => direct.on("connect_error", resolve));
                    return (await error).message;
                }"""
            )
            answer = await page.evaluate("socket.emitWithAck('echo', 1)")
            return failed, answer, await page.evaluate("socket.io.engine.transport.name")

    assert run(visit()) == ("websocket error", 1, "polling")


def test_offline_and_online_again(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        io = server(connection_state_recovery=True)
        async with visiting(browser, io) as page:
            await page.evaluate("steps.begin({})")
            # The first event tells the place from which what was missed is sent again.
            await page.evaluate("socket.emitWithAck('count', 1)")
            await page.context.set_offline(True)
            await page.wait_for_function("log.length === 1")
            await page.context.set_offline(False)
            await page.wait_for_function("log.length === 2")
            return await page.evaluate("[...log, socket.connected]")

    assert run(visit()) == ["transport close", "recovered", True]


def test_a_page_that_slept_looks_at_its_heartbeat_at_once(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        async with visiting(browser, server()) as page:
            await page.evaluate("steps.begin({ reconnectionDelay: 1 })")
            # Headless Chromium tells no page that it was frozen. So the clock is put ahead, as
            # sleep does it with no time-out having run, and the page is told by hand.
            await page.evaluate(
                """() => {
                    const now = Date.now;
                    Date.now = () => now() + 600e3;
                    document.dispatchEvent(new Event("resume"));
                }"""
            )
            await page.wait_for_function("log.length === 2")
            return await page.evaluate("log")

    assert run(visit()) == ["ping timeout", "connected"]


def test_a_worker_has_a_client(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        async with visiting(browser, server()) as page:
            return await page.evaluate(
                """() => new Promise((resolve) => {
                    const worker = new Worker("/worker.js");
                    worker.onmessage = (event) => resolve(event.data);
                    const script = new URL("/socket.io/socket.io.js", location.href).href;
                    worker.postMessage({ script, url: location.origin });
                })"""
            )

    assert run(visit()) == ["worker", 1, 2]


def test_a_module_has_the_official_names(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        async with visiting(browser, server()) as page:
            return await page.evaluate(
                """async () => {
                    const module = await import("/socket.io/socket.io.esm.min.js");
                    const socket = module.default("/", { transports: [module.Fetch] });
                    const answer = await socket.emitWithAck("echo", "module");
                    const { transport } = socket.io.engine;
                    const { Manager, Socket, Fetch } = module;
                    socket.disconnect();
                    return {
                        names: Object.keys(module),
                        same: [module.io, module.connect].every((name) => name === module.default),
                        ofFunction: Object.keys(io).sort(),
                        instances: [socket instanceof Socket, socket.io instanceof Manager],
                        answer: [answer, transport instanceof Fetch, io.protocol],
                    };
                }"""
            )

    found = run(visit())
    official = {"Fetch", "Manager", "NodeWebSocket", "NodeXHR", "Socket", "WebSocket", "XHR"}
    official |= {"connect", "default", "io", "protocol"}
    assert official <= set(found["names"])
    assert found["same"]
    assert found["ofFunction"] == ["Manager", "Socket", "connect", "io", "protocol"]
    assert found["instances"] == [True, True]
    assert found["answer"] == ["module", True, 5]


def test_a_page_that_is_left_closes_its_connection(run: Run, browser: Browser) -> None:
    async def visit() -> Any:
        io = server()
        reasons: list[str] = []
        io.on("disconnect", lambda socket, reason: reasons.append(reason))
        async with visiting(browser, io) as page:
            options = "{ transports: ['polling'], closeOnBeforeunload: true }"
            await page.evaluate(f"steps.begin({options})")
            await page.goto("about:blank")
            from tests.support.aio import eventually

            await eventually(lambda: len(reasons) == 1)
        return reasons

    assert run(visit()) == ["transport close"]
