"""Async tests as plain functions: `@run_async`, and waiting for what must become true."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Generous: a deadline costs nothing where all is well, and machines may be slow and busy.
DEADLINE = 90.0


class SharedLoop:
    """A loop in which several tests run one after the other, for what lives longer than a test.

    A test that has one among its arguments runs in it. Between tests it stands still.

    Args:
        uvloop: whether it is uvloop's, which `io.run` uses where it exists.
    """

    def __init__(self, *, uvloop: bool = False) -> None:
        self.runner = asyncio.Runner(loop_factory=_uvloop if uvloop else asyncio.new_event_loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something with a deadline; what nobody caught in callbacks and tasks is a failure."""
        uncaught: list[dict[str, Any]] = []

        async def main() -> T:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: uncaught.append(context)
            )
            async with asyncio.timeout(DEADLINE):
                return await coroutine

        result = self.runner.run(main())
        assert not uncaught, f"nobody caught {uncaught}"
        return result

    def close(self) -> None:
        """End the loop."""
        self.runner.close()


def _uvloop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run_async(function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test, in a loop of its own or the shared one among its arguments."""

    @functools.wraps(function)
    def test(*args: P.args, **kwargs: P.kwargs) -> None:
        shared = [value for value in kwargs.values() if isinstance(value, SharedLoop)]
        loop = shared[0] if shared else SharedLoop()
        try:
            loop.run(function(*args, **kwargs))
        finally:
            if not shared:
                loop.close()

    return test


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds; fail when it does not within the deadline.

    Args:
        condition: called again and again.
        what: its name in the failure's text.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + DEADLINE / 3
    while not condition():
        assert loop.time() < limit, f"this never became true: {what or condition}"
        await asyncio.sleep(0.005)


async def until(ask: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Ask again and again until the answer is the one that is expected."""
    limit = asyncio.get_running_loop().time() + DEADLINE / 3
    while (found := await ask()) != expected:
        assert asyncio.get_running_loop().time() < limit, f"{found!r} is not {expected!r}"
        await asyncio.sleep(0.005)


async def within(awaitable: Awaitable[T], seconds: float = DEADLINE / 3) -> T:
    """Await something with a deadline of its own."""
    async with asyncio.timeout(seconds):
        return await awaitable


def block(seconds: float) -> None:
    """Keep the loop from doing anything else, as applications do that compute something."""
    time.sleep(seconds)
