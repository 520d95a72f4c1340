"""A handler that keeps what it was given, for a test to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.aio import within


class Inbox:
    """Register it for an event: `io.on("news", inbox)`; then `await inbox.next()`.

    Attributes:
        seen: the arguments of every call, the socket not among them.
    """

    def __init__(self) -> None:
        self.seen: list[list[Any]] = []
        self._queue: asyncio.Queue[list[Any]] = asyncio.Queue()

    def __call__(self, socket: object, *args: Any) -> None:
        self.put(*args)

    def put(self, *args: Any) -> None:
        """Take arguments without a socket, as listeners of one socket get them."""
        self.seen.append(list(args))
        self._queue.put_nowait(list(args))

    async def next(self) -> list[Any]:
        """The arguments of the earliest call not yet taken."""
        try:
            return await within(self._queue.get())
        except TimeoutError:
            raise AssertionError(f"nothing more came than {self.seen}") from None
