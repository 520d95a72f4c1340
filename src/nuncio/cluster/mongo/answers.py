"""Waiting for MongoDB's answers, but not for ever."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from pymongo.errors import PyMongoError

from nuncio.cluster.line import seen

T = TypeVar("T")

# MongoDB answers within this time, or is taken for lost.
ANSWER_SECONDS: Final = 5.0

# Where pymongo's texts begin to be long.
_DETAILS: Final = re.compile(r", (?:full error|Timeout): ")

# For goodbyes, which nobody needs.
_CLOSING_SECONDS: Final = 0.5


async def answered(asked: Coroutine[Any, Any, T], seconds: float) -> T:
    """What MongoDB answers.

    Raises:
        ConnectionError: when it does not answer in time.
    """
    task = asyncio.ensure_future(asked)
    try:
        await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            # Not waited for: pymongo says goodbye even to a server that says nothing.
            task.cancel()
            task.add_done_callback(seen)
    if not task.done():
        raise ConnectionError("MongoDB does not answer")
    return task.result()


def unreachable(error: PyMongoError) -> ConnectionError:
    """What pymongo says as Python's own exception, without all that it knows."""
    found = ConnectionError(_DETAILS.split(str(error))[0] or repr(error))
    found.__cause__ = error
    return found


async def closed(closing: Coroutine[Any, Any, Any]) -> None:
    """Close something, whether that succeeds or not."""
    task = asyncio.ensure_future(closing)
    task.add_done_callback(seen)
    await asyncio.wait((task,), timeout=_CLOSING_SECONDS)
