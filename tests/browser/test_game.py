"""The game in Chromium: what one page does, others see, and one's own orb does not wait for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import PHONE, opened, touches
from tests.examples.test_examples import EXAMPLES, load
from tests.examples.test_game import serving
from tests.support.faults import DOWN, FaultProxy

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

Run = Callable[[Coroutine[Any, Any, Any]], Any]

QUIET = """() => [...shown.orbs.values(), me].every(
    (orb) => Math.hypot(orb.vx, orb.vy) < 0.01 && inputs.length < 10)"""
PLACES = "() => [...shown.orbs].map(([id, orb]) => [id, Math.round(orb.x), Math.round(orb.y)])"


def example() -> ModuleType:
    """The application, with no arenas yet, and bots that stay where they are."""
    app = load(EXAMPLES / "game" / "app.py", "game_in_chromium")
    app.Arena.think = lambda arena, bot: None
    return app


@asynccontextmanager
async def playing(app: ModuleType) -> AsyncIterator[int]:
    """Serve; the port. Whoever plays begins in the middle, and others are out of the way."""
    add = app.Arena.add

    def add_there(arena: Any, name: str, key: str = "", owner: str = "") -> Any:
        orb = add(arena, name, key, owner)
        orb.x, orb.y = (800.0, 150.0 + 80 * orb.id) if key else (60.0 * orb.id, 60.0)
        return orb

    app.Arena.add = add_there
    async with serving(app) as port:
        yield port


def visit(
    browser: Browser, port: int, name: str = "Ada", arena: str = "here", **context: Any
) -> AbstractAsyncContextManager[Page]:
    """A page at an arena, with the menu over it."""
    return opened(browser, f"http://127.0.0.1:{port}/#{arena}", {"sparks-name": name}, **context)


async def play(page: Page) -> int:
    """Press the button; the orb's id, when it is to be seen."""
    await page.click(".go")
    await page.wait_for_function("mine && me && shown?.orbs.has(mine)")
    return int(await page.evaluate("mine"))


async def sees(page: Page, orb: int, what: str) -> None:
    """Wait until an orb that the page shows is so: `orb.x > 900`."""
    await page.wait_for_function(
        f"(id) => {{ const orb = shown.orbs.get(id); return {what}; }}", arg=orb
    )


def test_two_pages_see_each_other_move(run: Run, browser: Browser, screenshots: Path) -> None:
    async def main() -> None:
        async with (
            playing(example()) as port,
            visit(browser, port, color_scheme="dark") as ada,
            visit(browser, port, "Grace") as grace,
        ):
            await grace.wait_for_function("states.length")
            await grace.screenshot(path=screenshots / "game-menu.png")
            one, other = await play(ada), await play(grace)
            await sees(grace, one, "orb.x === 800")
            await ada.keyboard.down("d")
            await sees(ada, one, "orb.x > 1000")
            await sees(grace, one, "orb.x > 1000")
            await ada.keyboard.press("Space", delay=150)
            await grace.keyboard.down("ArrowLeft")
            await sees(ada, other, "orb.x < 700")
            await sees(grace, one, "orb.x > 1300")
            await ada.keyboard.up("d")
            await grace.keyboard.up("ArrowLeft")
            await ada.screenshot(path=screenshots / "game-desktop.png")
            # When all is quiet, both say the same of both.
            for page in (ada, grace):
                await page.wait_for_function(QUIET)
            assert sorted(await ada.evaluate(PLACES)) == sorted(await grace.evaluate(PLACES))
            await grace.wait_for_selector("#scores .own:has-text('Grace')")
            assert await grace.locator("#scores li").count() == 4

    run(main())


def test_thirty_snapshots_come_in_a_second_or_fewer_on_a_busy_machine(
    run: Run, browser: Browser
) -> None:
    async def main() -> None:
        async with playing(example()) as port, visit(browser, port) as ada:
            await ada.wait_for_function("received > 5")
            count = "[received, states.at(-1).tick, performance.now()]"
            before = await ada.evaluate(count)
            await ada.wait_for_function("(least) => received > least", arg=before[0] + 45)
            after = await ada.evaluate(count)
            got, ticks, milliseconds = (b - a for a, b in zip(before, after, strict=True))
            # Each is the next one, and they do not come faster than that.
            assert got == ticks
            assert got / milliseconds * 1000 < 45

    run(main())


def test_the_page_moves_an_orb_exactly_as_the_server_does(run: Run, browser: Browser) -> None:
    async def main() -> None:
        app = example()
        chance = random.Random(7)
        inputs = [
            (at, chance.uniform(-0.7, 0.7), chance.uniform(-0.7, 0.7), chance.random() < 0.1)
            for at in range(400)
        ]
        orb = app.Orb(1, "Ada")
        orb.stunned, expected = 5, []
        for one in inputs:
            orb.inputs.append(one)
            orb.move()
            expected.append([orb.x, orb.y, orb.vx, orb.vy, orb.dashing, orb.pause, orb.stunned])
        async with playing(app) as port, visit(browser, port) as ada:
            moved = await ada.evaluate(
                """(inputs) => {
                    const orb = { x: 800, y: 450, vx: 0, vy: 0, dashing: 0, pause: 0, stunned: 5 };
                    return inputs.map(([number, x, y, dash]) => {
                        move(orb, { x, y, dash });
                        return [orb.x, orb.y, orb.vx, orb.vy, orb.dashing, orb.pause, orb.stunned];
                    });
                }""",
                inputs,
            )
        for ours, theirs in zip(expected, moved, strict=True):
            assert theirs == pytest.approx(ours, abs=1e-6)

    run(main())


def test_ones_own_orb_does_not_wait_for_the_server(run: Run, browser: Browser) -> None:
    async def main() -> None:
        async with (
            playing(example()) as port,
            FaultProxy(port) as proxy,
            visit(browser, proxy.port) as ada,
            visit(browser, port, "Grace") as grace,
        ):
            one = await play(ada)
            proxy.stall(DOWN)
            received = await ada.evaluate("received")
            await ada.keyboard.down("d")
            await sees(ada, one, "orb.x > 900")
            assert await ada.evaluate("received") <= received + 2
            # Others see it; and what it is told afterwards agrees.
            await sees(grace, one, "orb.x > 900")
            proxy.resume(DOWN)
            await ada.keyboard.up("d")
            await ada.wait_for_function("(before) => received > before + 10", arg=received)
            await ada.wait_for_function("inputs.length < 10 && Math.hypot(error.x, error.y) < 1")

    run(main())


def test_who_loads_the_page_again_or_loses_the_link_is_where_they_were(
    run: Run, browser: Browser
) -> None:
    async def main() -> None:
        async with (
            playing(example()) as port,
            FaultProxy(port) as proxy,
            visit(browser, proxy.port) as ada,
            visit(browser, port, "Grace") as grace,
        ):
            one = await play(ada)
            await ada.keyboard.press("d", delay=300)
            await ada.wait_for_function("me.x > 805 && Math.hypot(me.vx, me.vy) < 0.01")
            x = await ada.evaluate("Math.round(me.x)")
            await ada.reload()
            await ada.wait_for_function("mine && me")
            assert await ada.evaluate("[mine, Math.round(me.x)]") == [one, x]
            assert await ada.locator("#menu").is_hidden()
            # The same after a cut, with the same socket.
            await proxy.refuse()
            proxy.cut()
            await ada.wait_for_selector("#ping:has-text('reconnecting')")
            await sees(grace, one, "orb.away")
            await proxy.accept()
            await ada.wait_for_selector("#ping.on")
            assert await ada.evaluate("socket.recovered")
            await sees(grace, one, "!orb.away")
            await ada.keyboard.down("a")
            await sees(grace, one, "orb.x < 700")

    run(main())


def test_on_a_phone_a_finger_steers_and_another_dashes(
    run: Run, browser: Browser, screenshots: Path
) -> None:
    async def main() -> None:
        async with playing(example()) as port, visit(browser, port, "Tim", **PHONE) as tim:
            await tim.wait_for_function("states.length")
            card = await tim.locator("#card").bounding_box()
            assert card is not None
            assert card["x"] + card["width"] <= 390
            await tim.screenshot(path=screenshots / "game-phone-menu.png")
            one = await play(tim)
            session = await tim.context.new_cdp_session(tim)

            async def put(*points: tuple[int, int]) -> None:
                kind = "touchMove" if len(points) == 1 and points[0][0] > 100 else "touchStart"
                event: dict[str, Any] = {
                    "type": kind,
                    "touchPoints": [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)],
                }
                await session.send("Input.dispatchTouchEvent", event)

            await put((100, 500))
            await put((180, 500))
            await sees(tim, one, "orb.x > 850")
            await put((180, 500), (300, 600))
            await sees(tim, one, "orb.pause")
            await tim.screenshot(path=screenshots / "game-phone.png")
            await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            await tim.wait_for_function("!stick && !dashes")
            # The button does it, too.
            await tim.wait_for_function("!me.pause")
            await touches(tim, [(60, 500)], [(20, 500)])
            box = await tim.locator("#dash").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390

    run(main())


def test_spectators_arenas_names_and_the_menu(
    run: Run, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        app = example()
        async with (
            playing(app) as port,
            visit(browser, port) as ada,
            visit(browser, port, "Grace", "elsewhere") as grace,
        ):
            await play(ada)
            await ada.keyboard.press("Escape")
            await ada.wait_for_selector("#arenas button[aria-current=true]:has-text('here')")
            await ada.wait_for_selector("#arenas button:has-text('elsewhere')")
            # Back to the game, and its end.
            await ada.click(".go")
            await ada.wait_for_selector("#menu", state="hidden")
            assert await ada.evaluate("mine") > 0
            await ada.click("#menu-button")
            await ada.click("#watch")
            await ada.wait_for_function("!mine && ![...roster.values()].some((one) => !one.bot)")
            # A spectator goes to another arena by the list, and plays there under another name.
            await grace.click("#arenas button:has-text('here')")
            await grace.wait_for_selector("#where:text-is('here')")
            assert grace.url.endswith("#here")
            await grace.fill("#name", "  ")
            await grace.click(".go")
            await grace.wait_for_selector("#problem:has-text('Say who you are')")
            await grace.fill("#name", "<i>Hopper</i>")
            await grace.click(".go")
            await grace.wait_for_function("mine && me")
            await ada.wait_for_selector("#scores li:has-text('<i>Hopper</i>')")
            # Who does nothing for long is told that they watch now.
            monkeypatch.setattr(app, "IDLE_SECONDS", 1)
            await grace.wait_for_selector("#problem:has-text('did nothing')")
            await grace.wait_for_function("!mine")
            await grace.click("#new")
            await grace.wait_for_function("place !== 'here' && states.length")

    run(main())


def test_a_round_is_won(run: Run, browser: Browser, screenshots: Path) -> None:
    async def main() -> None:
        app = example()
        async with playing(app) as port, visit(browser, port) as ada:
            one = await play(ada)
            app.arenas["here"].orbs[one].score = app.GOAL
            await ada.wait_for_selector("#banner:has-text('You win the round!')")
            await ada.screenshot(path=screenshots / "game-won.png")
            await ada.wait_for_selector("#banner", state="hidden")
            await ada.wait_for_function("states.at(-1).orbs.get(mine).score === 0")

    run(main())
