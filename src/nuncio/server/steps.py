"""What a worker does, step by step: see `nuncio.server.workers`.

It is apart from there, and never compiled, because Python itself learns of the end of a coroutine
that it awaits without an exception, which anybody else has to catch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nuncio.server.workers import Worker

# Stands where a result would.
CANCELLED: Final = object()


class _Pause:
    """Awaited, it gives control back once."""

    _once = (None,)

    def __await__(self) -> Any:
        return iter(self._once)


_PAUSE: Final = _Pause()


async def work(worker: Worker) -> None:
    """Await one thing after the other, with a pause behind each."""
    while True:
        try:
            result = await worker.awaitable
            if result is not None and hasattr(result, "__await__"):
                result = await result
            worker.result = result
        except Exception as error:
            worker.error = error
        except asyncio.CancelledError:
            worker.result = CANCELLED
        except BaseException:
            worker.result, worker.awaitable = CANCELLED, None
            raise
        # Not kept until the next one comes.
        result = worker.awaitable = None
        await _PAUSE
