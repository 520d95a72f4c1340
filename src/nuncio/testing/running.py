"""Async tests where no plugin runs them: `nuncio.testing.run`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from nuncio.testing.clock import Clock
from nuncio.testing.here import here
from nuncio.testing.stage import Stage

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, clock: Clock | None = None) -> T:
    """Run a coroutine in an event loop of its own, and end what it leaves.

        def test_a_greeting() -> None:
            async def scenario() -> None:
                async with nuncio.testing.connect(io) as ada:
                    await ada.expect("welcome")

            nuncio.testing.run(scenario())

    Args:
        main: the coroutine.
        clock: to be in force meanwhile; None for real time.

    Returns:
        what it returns.

    Raises:
        ExceptionGroup: what handlers of clients and servers raised, if it does not raise itself.
    """
    __tracebackhide__ = True
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_alone(main, clock))


async def _alone(main: Coroutine[Any, Any, T], clock: Clock | None) -> T:
    __tracebackhide__ = True
    stage = Stage()

    async def ended() -> T:
        try:
            return await main
        finally:
            # Others, as of a fixture, cannot outlive their loop.
            for other in [one for one in here().stages if one is not stage]:
                await other.close()
                stage.errors.extend(other.take_errors())

    return await staged(ended(), stage, clock)


async def staged(main: Coroutine[Any, Any, T], stage: Stage, clock: Clock | None) -> T:
    """Run a test with a stage, and its time by a clock."""
    __tracebackhide__ = True
    at = here()
    before, at.stage = at.stage, stage
    try:
        async with stage:
            if clock is None:
                return await main
            async with clock:
                return await main
    finally:
        at.stage = before


def new_event_loop() -> asyncio.AbstractEventLoop:
    """One of asyncio's own, whatever policy is set: a `Clock` cannot change another's time."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()
