"""Every transport in Chromium: by our client, and by the official one with our classes.

One server, one page for each client; each cell of the matrix is a test.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import ARGUMENTS, missing
from tests.browser.matrix import BURST, CASES, CLIENTS, OFFICIAL, TRANSPORTS, Row, Site, applies
from tests.conftest import find_program

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

FOREIGN = 'h\u00e9llo \r\n \u2028\u2029 \x1e \U0001f600 </script><!-- " \\'

EXPECTED: dict[str, Any] = {
    "events": [FOREIGN, {"deep": [None, 1.5, True]}, -1, ""],
    "acknowledgements": [FOREIGN, 41, "operation has timed out"],
    "binary": [[1, 2], [3, 4], [5], [6], [7], [8, 30, 13, 10], "between", [9]],
    "empty binary": [[], [1], [], []],
    "200 KB": [True, True],
    "5,000 in order": True,
    "refusal by middleware": ["not you", {"code": 7}, False, False],
}


@pytest.fixture(scope="module")
def matrix(run: Run, browser: Browser) -> Iterator[Site]:
    """The server, and its pages."""
    if not OFFICIAL.is_dir():
        missing("tests/interop/node_modules is not there: npm --prefix tests/interop ci")
    site = run(Site.open(browser, [row.name for row in TRANSPORTS.values() if row.exists]))
    yield site
    run(site.close())
    assert site.errors == []


def cells() -> list[Any]:
    """All that there is to test."""
    return [
        pytest.param(client, row, case, id=f"{client}-{row.name}-{case}")
        for client in CLIENTS
        for row in TRANSPORTS.values()
        for case in CASES
        if applies(case, row)
    ]


def expected(case: str, row: Row) -> Any:
    """What the page shall have seen."""
    if case == "cut and resume":
        return {
            "inOrder": True,
            "answer": 1,
            "sameSocket": True,
            "sameSession": row.resumes,
            "ends": 0 if row.resumes else 1,
        }
    if case.startswith("upgrade"):
        names = ("polling", row.name) if "from" in case else (row.name, "websocket")
        return {"began": names[0], "ordered": True, "transport": names[1], "log": []}
    if case == "fallback when blocked":
        if row.name == "polling":
            return ["websocket", 1]
        return ["polling", 1, row.name, "polling", 2]
    return EXPECTED[case]


@pytest.mark.parametrize(("client", "row", "case"), cells())
def test_matrix(run: Run, matrix: Site, client: str, row: Row, case: str) -> None:
    if not row.exists:
        pytest.skip(f"the server has no {row.name} yet")

    async def visit() -> Any:
        blocked = case == "fallback when blocked"
        kind = "" if not blocked else "polling" if row.name == "polling" else "blocked"
        page = await matrix.page(client, kind, direct=not row.tcp and not kind)
        certificate = getattr(matrix.listening, "certificate_hash", None)
        settings = {**asdict(row), "burst": BURST, "certificate": certificate}
        return await page.evaluate("(args) => run(...args)", [case, client, settings])

    assert run(visit()) == expected(case, row)


def test_several_pages_and_browsers_at_once(run: Run, matrix: Site, browser: Browser) -> None:
    """Each hears what all say, over a transport of its own; a browser goes, and nobody is hurt."""
    names = [row.name for row in TRANSPORTS.values() if row.exists and row.tcp]

    async def visit() -> Any:
        other = await browser.browser_type.launch(
            executable_path=find_program("chromium"), args=ARGUMENTS
        )
        site = Site(other, matrix.io, matrix.proxy, matrix.listening)
        begin = "([client, name]) => begin(client, name)"
        pages = []
        for at, name in enumerate(names * 2):
            place = (matrix, site)[at % 2]
            client = CLIENTS[at // 2 % 2]
            page = await place.fresh(client)
            await page.evaluate(begin, [client, name])
            pages.append(page)
        for at, page in enumerate(pages):
            await page.evaluate("(text) => socket.emit('tell all', text)", f"from {at}")
        heard = [await page.evaluate("(count) => heard(count)", len(pages)) for page in pages]
        await other.close()
        left = pages[::2]
        await left[0].evaluate("socket.emit('tell all', 'who is left?')")
        answers = [await page.evaluate("(count) => heard(count)", len(pages) + 1) for page in left]
        for page in left:
            await page.close()
        return heard, answers

    heard, answers = run(visit())
    everything = sorted(f"from {at}" for at in range(2 * len(names)))
    assert [sorted(texts) for texts in heard] == [everything] * len(heard)
    assert [texts[-1] for texts in answers] == ["who is left?"] * len(names)


def test_more_tabs_than_connections_hold_each_other_up_by_little(run: Run, matrix: Site) -> None:
    """HTTP/1.1 has six connections for all tabs of a site; seven get their turns."""

    async def visit() -> Any:
        context = await matrix.browser.new_context()
        pages = []
        for _ in range(7):
            page = await context.new_page()
            await page.goto(f"{matrix.proxy.url}/nuncio/")
            await page.evaluate("begin('nuncio', 'stream').catch(() => {})")
            pages.append(page)
        answers = [await page.evaluate("socket.emitWithAck('echo', 1)") for page in pages]
        names = [await page.evaluate("socket.io.engine.transport.name") for page in pages]
        await context.close()
        return answers, names

    assert run(visit()) == ([1] * 7, ["stream"] * 7)
