"""What a worker does, step by step: see `nuncio.handlers.workers`.

It is apart from there, and never compiled, because Python itself learns of the end of a coroutine
that it awaits without an exception, which anybody else has to catch.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nuncio.handlers.workers import Worker

# Stands where a result would.
CANCELLED: Final = object()


@types.coroutine
def work(worker: Worker) -> Generator[Any, Any, None]:
    """Await one thing after the other, and give control back behind each."""
    while True:
        awaitable = worker.awaitable
        try:
            if type(awaitable) is not types.CoroutineType:
                awaitable = awaitable.__await__()
            result = yield from awaitable
            if result is not None and hasattr(result, "__await__"):
                result = yield from result.__await__()
            worker.result = result
        except Exception as error:
            worker.error = error
        except asyncio.CancelledError:
            worker.result = CANCELLED
        except BaseException:
            worker.result, worker.awaitable = CANCELLED, None
            raise
        # Not kept until the next one comes.
        awaitable = result = worker.awaitable = None
        yield
