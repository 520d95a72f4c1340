"""Scripts across origins in Chromium: what JSONP answers, pages of other sites must not read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

import nuncio

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

LOAD = """([url, policy]) => new Promise((resolve) => {
    window.___eio = [resolve];
    const script = document.createElement("script");
    script.referrerPolicy = policy;
    script.onerror = () => resolve("refused");
    script.src = url;
    document.head.append(script);
})"""


async def page(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application: an empty page."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>Page</title>"})


@pytest.mark.parametrize("policy", ["", "no-referrer", "unsafe-url"])
@pytest.mark.parametrize(("cors", "foreign_reads"), [(None, False), ("*", True)])
def test_a_page_of_another_site_reads_no_script(
    run: Run, browser: Browser, policy: str, cors: str | None, foreign_reads: bool
) -> None:
    async def visit() -> tuple[str, str]:
        io = nuncio.Server(allow_eio3=True, cors=cors)
        async with await io.listen(0, app=page) as server:
            script = f"http://127.0.0.1:{server.port}/socket.io/?EIO=3&transport=polling&j=0"
            tab = await browser.new_page()
            answers = []
            for host in ("127.0.0.1", "localhost"):
                await tab.goto(f"http://{host}:{server.port}/")
                answers.append(str(await tab.evaluate(LOAD, [script, policy])))
            await tab.close()
        return answers[0], answers[1]

    own, foreign = run(visit())
    assert '0{"sid":"' in own
    assert ('0{"sid":"' in foreign) is foreign_reads
    assert foreign_reads or foreign == "refused"
