"""Waiting until everything has happened that follows from what a test did."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from nuncio.testing.here import here
from nuncio.testing.pulse import PATIENCE, pulse


async def settle(*, patience: float | None = None) -> None:
    """Wait until neither clients nor servers of the running loop have anything under way.

    That is: no packet is on its way, no callback is ready, and every handler has ended or waits.
    What only time would bring about is not waited for, and takes no time: timers are a `Clock`'s
    business.

    Args:
        patience: how many real seconds handlers that wait may take to go on, for they may wait for
            a database as well as for the test. None for one second, or none at all while a `Clock`
            is in force.
    """
    await _settle(patience, None)


async def _settle(patience: float | None, done: asyncio.Future[Any] | None) -> None:
    beat, at = pulse(), here()
    if patience is None:
        patience = PATIENCE if beat.clock is None else 0.0
    await beat.idle()
    limit = time.monotonic() + patience
    while (at.busy or at.moves) and not (done is not None and done.done()):
        left = limit - time.monotonic()
        if left <= 0.0:
            return
        await beat.stir(left)
        await beat.idle()


async def wait_for(awaited: asyncio.Future[Any], seconds: float) -> bool:
    """Wait until something has happened.

    Args:
        awaited: done when it has.
        seconds: for how long, by the loop's clock. Where a `Clock` stands still, it is known that
            nothing comes as soon as nothing is under way any longer.

    Returns:
        whether it has.
    """
    clock = pulse().clock
    if clock is None or clock.jumps:
        await asyncio.wait((awaited,), timeout=seconds)
    else:
        await _settle(seconds, awaited)
    return awaited.done()
