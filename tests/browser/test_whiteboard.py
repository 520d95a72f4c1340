"""The whiteboard in Chromium: what several pages draw, all of them show, to the pixel."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import PHONE, opened, touches
from tests.examples.test_examples import EXAMPLES, load
from tests.support.faults import FaultProxy
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Points = list[tuple[float, float]]


def example() -> ModuleType:
    """The application, with no boards yet."""
    return load(EXAMPLES / "whiteboard" / "app.py", "whiteboard_in_chromium")


def visit(
    browser: Browser, port: int, name: str = "Ada", board: str = "plans", **context: Any
) -> AbstractAsyncContextManager[Page]:
    """A page at a board."""
    stored = {"whiteboard-name": name, "whiteboard-hint": "seen"}
    return opened(browser, f"http://127.0.0.1:{port}/#{board}", stored, **context)


class Serving:
    """The application on a port of its own.

    Args:
        browser: where pages are opened.
        port: the port.
        stack: what ends with the application.
    """

    def __init__(self, browser: Browser, port: int, stack: AsyncExitStack) -> None:
        self._browser = browser
        self.port = port
        self.stack = stack

    async def page(self, name: str = "Ada", *, port: int = 0, **options: Any) -> Page:
        """Open a page; see `visit`."""
        page = visit(self._browser, port or self.port, name, **options)
        return await self.stack.enter_async_context(page)


@asynccontextmanager
async def serving(browser: Browser) -> AsyncIterator[Serving]:
    """Serve the application, with no boards yet."""
    app = example()
    async with AsyncExitStack() as stack:
        listening = await stack.enter_async_context(await app.io.listen(0, app=app.page))
        yield Serving(browser, listening.port, stack)


async def ready(*pages: Page) -> None:
    """Wait until they are live."""
    for page in pages:
        await page.wait_for_selector("#state.on")


async def draw(page: Page, points: Points, *, lift: bool = True) -> None:
    """Draw with the mouse."""
    await page.mouse.move(*points[0])
    await page.mouse.down()
    for point in points[1:]:
        await page.mouse.move(*point)
    if lift:
        await page.mouse.up()


# All pixels of the canvas, as one number.
PIXELS = """() => {
    const { data } = ink.getImageData(0, 0, board.width, board.height);
    let sum = 7;
    for (const pixel of new Uint32Array(data.buffer)) sum = Math.imul(sum ^ pixel, 16777619);
    return sum;
}"""


async def agree(*pages: Page, strokes: int) -> int:
    """Wait until all have so many strokes and nothing to send; then their pixels are the same."""
    for page in pages:
        condition = "(count) => strokes.size === count && !pending.size"
        await page.wait_for_function(condition, arg=strokes)
    [drawn] = {await page.evaluate(PIXELS) for page in pages}
    return int(drawn)


# Not many points: the browser takes its time for each, as for a hand.
WAVE = [(220.0 + 24 * at, 330 + 90 * math.sin(at / 2.2)) for at in range(22)]
LINE = [(300.0 + 40 * at, 200.0 + 40 * at) for at in range(7)]
RING = [(520 + 90 * math.cos(at / 3), 400 + 90 * math.sin(at / 3)) for at in range(20)]


def test_several_pages_draw_and_agree_to_the_pixel(
    run: Run, browser: Browser, screenshots: Path
) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page()
            grace = await server.page("Grace", viewport={"width": 900, "height": 700})
            tim = await server.page("Tim", **PHONE)
            await ready(ada, grace, tim)
            empty = await agree(ada, grace, tim, strokes=0)
            # All three at once.
            await ada.keyboard.press("2")
            await grace.keyboard.press("m")
            await asyncio.gather(
                draw(ada, WAVE), draw(grace, LINE), touches(tim, [(80, 420)], [(300, 480)])
            )
            first = await agree(ada, grace, tim, strokes=3)
            assert first != empty
            await ada.keyboard.press("e")
            await draw(ada, RING)
            # What is not done yet is seen, too.
            await grace.keyboard.press("p")
            await draw(grace, RING, lift=False)
            sketched = "[...others.values()].some((one) => one.sketch?.points.length > 20)"
            await ada.wait_for_function(sketched)
            await ada.wait_for_selector(".cursor:has-text('Grace')")
            await ada.screenshot(path=screenshots / "whiteboard-desktop.png")
            await tim.screenshot(path=screenshots / "whiteboard-phone.png")
            await grace.mouse.up()
            second = await agree(ada, grace, tim, strokes=5)
            assert second != first

    run(main())


def test_who_comes_late_loads_again_or_sees_an_undo_has_the_same_board(
    run: Run, browser: Browser
) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page()
            grace = await server.page("Grace")
            await ready(ada, grace)
            empty = await agree(ada, grace, strokes=0)
            await draw(grace, LINE)
            await draw(ada, WAVE)
            first = await agree(ada, grace, strokes=2)
            await ada.keyboard.press("e")
            await draw(ada, RING)
            second = await agree(ada, grace, strokes=3)
            # Who comes late has it all, and so has who loads the page again.
            late = await server.page("Late")
            await ready(late)
            await grace.reload()
            await ready(grace)
            assert await agree(grace, late, strokes=3) == second
            # The eraser was hers; without it the board is what it was.
            await ada.keyboard.press("Control+z")
            assert await agree(ada, grace, late, strokes=2) == first
            # Clearing is confirmed, or not.
            await grace.click("#wipe")
            await grace.keyboard.press("Escape")
            await agree(ada, strokes=2)
            await grace.click("#wipe")
            await grace.click("#ask-clear .danger")
            assert await agree(ada, grace, late, strokes=0) == empty
            await ada.wait_for_selector("#toast.shown:has-text('Grace cleared the board.')")

    run(main())


def test_after_a_cut_nothing_is_lost_or_doubled(
    run: Run, browser: Browser, screenshots: Path
) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            proxy = await server.stack.enter_async_context(FaultProxy(server.port))
            ada = await server.page(port=proxy.port, color_scheme="dark")
            grace = await server.page("Grace", color_scheme="dark")
            await ready(ada, grace)
            await draw(ada, WAVE)
            await agree(ada, grace, strokes=1)
            await proxy.refuse()
            proxy.cut()
            await ada.wait_for_selector("#state:not(.on)")
            await draw(ada, RING)
            await draw(grace, LINE)
            await grace.wait_for_function("strokes.size === 2")
            await ada.wait_for_selector("#state:has-text('1 to send')")
            await ada.screenshot(path=screenshots / "whiteboard-offline.png")
            await proxy.accept()
            await ready(ada)
            assert await ada.evaluate("socket.recovered")
            await agree(ada, grace, strokes=3)
            # A stroke that reaches the server, while its answer does not reach the page.
            proxy.stall()
            sending = asyncio.ensure_future(draw(ada, [(300, 500), (700, 500)]))
            await sending
            assert await ada.evaluate("pending.size") == 1
            proxy.cut()
            proxy.resume()
            await ready(ada)
            await agree(ada, grace, strokes=4)

    run(main())


def test_a_server_that_starts_again_has_an_empty_board_and_takes_what_was_not_sent(
    run: Run, browser: Browser
) -> None:
    async def main() -> None:
        port = free_port()
        app = example()
        async with AsyncExitStack() as stack:
            server = AsyncExitStack()
            await server.enter_async_context(await app.io.listen(port, app=app.page))
            ada = await stack.enter_async_context(visit(browser, port))
            await ready(ada)
            await draw(ada, WAVE)
            await agree(ada, strokes=1)
            await server.aclose()
            await ada.wait_for_selector("#state:not(.on)")
            await draw(ada, RING)
            app = example()
            await stack.enter_async_context(await app.io.listen(port, app=app.page))
            await ready(ada)
            await agree(ada, strokes=1)

    run(main())


def test_boards_are_apart_and_the_address_names_them(run: Run, browser: Browser) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page()
            grace = await server.page("Grace", board="Other%20plans")
            await ready(ada, grace)
            await draw(ada, WAVE)
            await agree(ada, strokes=1)
            await grace.wait_for_selector("h1:text-is('other-plans')")
            assert await grace.evaluate("strokes.size") == 0
            await grace.evaluate("location.hash = 'plans'")
            await agree(ada, grace, strokes=1)
            await ada.click("#new")
            await ready(ada)
            await agree(ada, strokes=0)
            assert await ada.evaluate("place") != "plans"
            await grace.wait_for_function("!others.size")

    run(main())


def test_cursors_come_and_go_and_have_names(run: Run, browser: Browser) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page()
            await ready(ada)
            async with visit(browser, server.port, "<b>Grace</b>") as grace:
                await ready(grace)
                for x in range(300, 380, 8):
                    await grace.mouse.move(x, 300)
                await ada.wait_for_selector(".cursor:has-text('<b>Grace</b>')")
                await ada.wait_for_function("document.querySelectorAll('.face').length === 2")
                # A new name is a new connection.
                await grace.click(".face.own")
                await grace.fill("#name", "Hopper")
                await grace.keyboard.press("Enter")
                await ready(grace)
                await ada.wait_for_selector(".face[title='Hopper']")
                await grace.mouse.move(400, 350)
                await ada.wait_for_selector(".cursor:has-text('Hopper')")
                # One that does not move any more fades.
                await ada.wait_for_selector(".cursor.stale", state="attached")
            await ada.wait_for_function("!document.querySelector('.cursor')")

    run(main())


def test_two_fingers_move_and_zoom_and_draw_nothing(run: Run, browser: Browser) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            tim = await server.page("Tim", **PHONE)
            await ready(tim)
            before = await tim.evaluate("view.scale")
            wide: list[Points] = [
                [(150 - 8 * at, 400.0), (240 + 8 * at, 420.0)] for at in range(12)
            ]
            await touches(tim, *wide)
            assert await tim.evaluate("view.scale") > 1.5 * before
            await touches(tim, [(120, 400)], [(180, 430)], [(260, 400)])
            await agree(tim, strokes=1)
            assert await tim.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [
                390,
                390,
            ]

    run(main())


def test_a_long_stroke_becomes_several(run: Run, browser: Browser) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page()
            grace = await server.page("Grace")
            await ready(ada, grace)
            # As fast as a hand could never draw.
            await ada.evaluate(
                """() => {
                    const stage = document.getElementById("stage");
                    const send = (kind, x, y) => stage.dispatchEvent(new PointerEvent(kind, {
                        pointerId: 1, pointerType: "pen", clientX: x, clientY: y, buttons: 1,
                        bubbles: true,
                    }));
                    stage.setPointerCapture = () => {};
                    send("pointerdown", 200, 200);
                    for (let at = 0; at < 2500; at++)
                        send("pointermove", 200 + at % 800, 200 + 3 * Math.floor(at / 10));
                    send("pointerup", 900, 500);
                }"""
            )
            await agree(ada, grace, strokes=3)

    run(main())


def test_the_board_is_saved_as_a_picture(run: Run, browser: Browser, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(browser) as server:
            ada = await server.page(color_scheme="dark")
            await ready(ada)
            await ada.keyboard.press("1")
            await draw(ada, WAVE)
            await agree(ada, strokes=1)
            async with ada.expect_download() as download:
                await ada.keyboard.press("Control+s")
            file = await download.value
            assert file.suggested_filename == "plans.png"
            await file.save_as(tmp_path / "plans.png")

    run(main())
    picture = (tmp_path / "plans.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert [int.from_bytes(picture[at : at + 4]) for at in (16, 20)] == [3200, 2000]
