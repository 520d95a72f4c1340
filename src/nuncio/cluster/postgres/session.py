"""One connection of asyncpg, with a sense of when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from nuncio.cluster.line import PULSE_SECONDS
from nuncio.cluster.postgres.endpoint import ENGINE

T = TypeVar("T")

# PostgreSQL answers within this time, or is taken for lost; and takes or gives a million bytes in
# another second.
ANSWER_SECONDS: Final = 5.0
_BYTES_A_SECOND: Final = 1_000_000


class Session:
    """A connection.

    Args:
        raw: asyncpg's.
        wake: what its user waits for; it is set when the connection ends, too.
    """

    def __init__(self, raw: Any, wake: asyncio.Event) -> None:
        self.raw = raw
        self._wake = wake
        self._ended = False
        raw.add_termination_listener(self._on_end)

    def _on_end(self, connection: Any) -> None:
        self._ended = True
        self._wake.set()

    async def ask(self, question: Awaitable[T], size: int = 0) -> T:
        """Wait for the answer to something.

        Args:
            question: what asyncpg is asked.
            size: how many bytes may go to and fro.

        Raises:
            ConnectionError: when none comes.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS + size / _BYTES_A_SECOND):
                return await question
        except TimeoutError as error:
            raise ConnectionError(f"{ENGINE} does not answer") from error

    async def wait(self) -> None:
        """Wait until there is something to do; and now and then ask whether PostgreSQL is there.

        Raises:
            ConnectionError: when it is not.
        """
        while not self._wake.is_set():
            try:
                async with asyncio.timeout(PULSE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await self.ask(self.raw.fetchval("SELECT 1"))
        if self._ended or self.raw.is_closed():
            raise ConnectionError(f"{ENGINE} has closed the connection")
        self._wake.clear()
