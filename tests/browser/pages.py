"""Pages of the examples in Chromium, opened inside a test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SEE_WITHIN = 30_000  # milliseconds


@asynccontextmanager
async def opened(
    browser: Browser, url: str, stored: dict[str, str], **context: Any
) -> AsyncIterator[Page]:
    """Open a page in a profile of its own; at the end it must have had no script error.

    Args:
        browser: where.
        url: what.
        stored: what the profile has in `localStorage` at the beginning.
        context: options of the profile, such as its window.
    """
    errors: list[str] = []
    profile = await browser.new_context(**context)
    profile.set_default_timeout(SEE_WITHIN)
    page = await profile.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    lines = [f"localStorage[{name!r}] ??= {value!r};" for name, value in stored.items()]
    await page.add_init_script("\n".join(lines))
    await page.goto(url)
    try:
        yield page
    finally:
        await profile.close()
    assert errors == []


async def touches(page: Page, *steps: list[tuple[float, float]]) -> None:
    """Put fingers on a phone, move them, and lift them: each step says where they all are."""
    session = await page.context.new_cdp_session(page)
    kinds = ["touchStart"] + ["touchMove"] * (len(steps) - 1)
    for kind, step in zip(kinds, steps, strict=True):
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(step)]
        event: dict[str, Any] = {"type": kind, "touchPoints": points}
        await session.send("Input.dispatchTouchEvent", event)
    await session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await session.detach()
