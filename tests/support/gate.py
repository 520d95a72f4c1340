"""A middleware that waits, and those who stand before it."""

from __future__ import annotations

import asyncio

import nuncio
from tests.support.aio import eventually


class Gate:
    """A middleware that waits.

    Attributes:
        asked: how many have stood before it.
    """

    def __init__(self, io: nuncio.Server) -> None:
        self.asked = 0
        self._opened = asyncio.Event()
        io.use(self._decide)

    async def _decide(self, socket: nuncio.Socket) -> None:
        self.asked += 1
        await self._opened.wait()

    async def wait(self) -> None:
        """Wait until somebody stands before it."""
        await eventually(lambda: self.asked)

    def open(self) -> None:
        """Let everybody in."""
        self._opened.set()
