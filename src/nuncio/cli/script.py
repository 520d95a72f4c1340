"""Runs without a prompt: what options say, or lines of standard input, one after the other.

The first thing that fails ends it; so does the end of the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Any

from nuncio.cli import text
from nuncio.cli.console import Console
from nuncio.cli.happenings import ConnectFailed, Disconnected, GaveUp, Happening
from nuncio.cli.link import Link
from nuncio.cli.problems import NotConnected, Problem, TimedOut
from nuncio.cli.screens import Screen
from nuncio.cli.settings import Settings


class Lifeline:
    """Notices when the connection has ended for good; a listener of the journal."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._over = asyncio.Event()

    def __call__(self, happening: Happening) -> None:
        """Something has happened."""
        ended = isinstance(happening, (ConnectFailed, Disconnected, GaveUp))
        own = isinstance(happening, Disconnected) and happening.reason == "io client disconnect"
        if ended and not own and not self._link.is_alive():
            self._over.set()

    async def hold(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something as long as there is a connection.

        Raises:
            NotConnected: when it ended before.
            Problem: what the work raises.
        """
        await first_of(work, self._ended())

    async def _ended(self) -> None:
        await self._over.wait()
        raise NotConnected("the connection has ended", told=True)


async def first_of(work: Coroutine[Any, Any, None], end: Awaitable[None]) -> None:
    """Do something until it is done, or something else is; what that raises is raised."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(end)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Counting:
    """Counts the events that are shown; a listener of the journal, behind the screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._news = asyncio.Event()

    def __call__(self, happening: Happening) -> None:
        """Something has happened."""
        self._news.set()

    async def reach(self, count: int, timeout: float | None) -> None:
        """Wait until so many have come.

        Args:
            count: how many.
            timeout: seconds that each of them may take; None for any.

        Raises:
            TimedOut: when none came for so long.
        """
        while (seen := self._screen.shown) < count:
            try:
                async with asyncio.timeout(timeout):
                    while self._screen.shown == seen:
                        self._news.clear()
                        await self._news.wait()
            except TimeoutError:
                raise TimedOut(
                    f"{text.plural(seen, 'event')} of {count:,} came; no other within "
                    f"{text.seconds(timeout or 0)}",
                    ["--timeout 0 waits for ever"],
                ) from None


async def run_steps(settings: Settings, console: Console, counting: Counting) -> None:
    """Do what the options say.

    Raises:
        Problem: when something fails.
    """
    for step in settings.steps:
        await console.run(step)
    if settings.count is not None:
        await counting.reach(settings.count, settings.timeout)
    if settings.listen:
        await asyncio.Event().wait()


async def run_lines(lines: AsyncIterator[str], console: Console) -> None:
    """Carry out lines until they end, or `quit`.

    Raises:
        Problem: when something fails; it tells the line.
    """
    number = 0
    async for line in lines:
        number += 1
        try:
            await console.line(line)
        except Problem as problem:
            problem.message = f"line {number}: {problem.message}"
            raise
        if console.ended:
            break
