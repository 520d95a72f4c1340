"""What a runner does, step by step: see `nuncio.handlers.runners`.

It is apart from there, and never compiled, because Python itself learns of the end of a coroutine
that it awaits without an exception, which anybody else has to catch.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nuncio.handlers.runners import HandlerRunner

# Stands where a result would.
CANCELLED: Final = object()


@types.coroutine
def work(runner: HandlerRunner) -> Generator[Any, Any, None]:
    """Await one thing after the other, and give control back behind each."""
    while True:
        awaitable = runner.awaitable
        try:
            if type(awaitable) is not types.CoroutineType:
                awaitable = awaitable.__await__()
            result = yield from awaitable
            if result is not None and hasattr(result, "__await__"):
                result = yield from result.__await__()
            runner.result = result
        except Exception as error:
            runner.error = error
        except asyncio.CancelledError:
            runner.result = CANCELLED
        except BaseException:
            runner.result, runner.awaitable = CANCELLED, None
            raise
        # Not kept until the next one comes.
        awaitable = result = runner.awaitable = None
        yield
