"""Sends a server's clients away a few at a time: all at once would fall upon the next server."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

# Sessions are closed in groups where there are more than can be closed one by one.
STEP_SECONDS: Final = 0.02


async def drain(engine: Engine, window: float) -> None:
    """Let nobody in any longer, and close the sessions, spread over a time.

    Their clients see the connection end and connect again, to whoever accepts them.

    Args:
        engine: the engine.
        window: how many seconds that takes.
    """
    engine.stopping = True
    for host in engine.hosts:
        host.stop_listening()
    waiting = list(engine.sessions.values())
    # In the order in which they came, neighbours behind one address would go together.
    random.shuffle(waiting)
    loop = asyncio.get_running_loop()
    began, count = loop.time(), len(waiting)
    while waiting:
        passed = loop.time() - began
        left = count - round(count * passed / window) if window > 0 else 0
        while len(waiting) > max(left, 0):
            waiting.pop().close()
        if waiting:
            await asyncio.sleep(min(STEP_SECONDS, window / count))
