"""Async tests as plain functions: `@run_async`, and waiting for what must become true."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 20.0


def run_async(function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on asyncio's own loop, with a deadline.

    What nobody caught, in a callback or in a task, fails the test.
    """
    return _runner(function, asyncio.new_event_loop)


def run_uvloop(function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """As `run_async`, on uvloop, which `io.run` uses where it exists."""
    if sys.platform == "win32":
        return run_async(function)
    import uvloop

    return _runner(function, uvloop.new_event_loop)


def _runner(
    function: Callable[P, Coroutine[Any, Any, None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[P, None]:
    @functools.wraps(function)
    def test(*args: P.args, **kwargs: P.kwargs) -> None:
        uncaught: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: uncaught.append(context)
            )
            async with asyncio.timeout(DEADLINE):
                await function(*args, **kwargs)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
        assert not uncaught, f"nobody caught {uncaught}"

    return test


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds; fail when it does not within the deadline.

    Args:
        condition: called again and again.
        what: its name in the failure's text.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + DEADLINE / 2
    while not condition():
        assert loop.time() < limit, f"this never became true: {what or condition}"
        await asyncio.sleep(0.005)


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE / 2) -> T:
    """Await something with a deadline of its own."""
    async with asyncio.timeout(seconds):
        return await awaitable
