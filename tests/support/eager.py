"""uvicorn in a hurry: hundreds of tests end a server, and none is about how often uvicorn looks.

Ten times a second it looks whether it is to stop, and then as often whether its connections have
ended, after it has slept for as long in any case.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn.server

# So many times as often.
_HASTE = 10


class _Eager:
    """asyncio as uvicorn sees it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        """Sleep for a part of that time."""
        await asyncio.sleep(seconds / _HASTE)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Have uvicorn's servers in this process look more often."""
    patch.setattr(uvicorn.server, "asyncio", _Eager())
