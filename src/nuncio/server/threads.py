"""Which thread a call comes from, when handlers run in threads. [compiled]

Nuncio belongs to its event loop's thread. A handler registered with `thread=True` calls `emit`,
`join` and the like from another; those calls are carried over, in order, without waiting. As long
as no such handler is registered, telling costs one look at a flag.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from typing import Any


class Threads:
    """The loop's thread, and the way to it.

    Attributes:
        used: whether handlers run in threads.
    """

    __slots__ = ("_home", "_loop", "used")

    def __init__(self) -> None:
        self.used = False
        self._home = 0
        self._loop: AbstractEventLoop | None = None

    def bind(self, loop: AbstractEventLoop) -> None:
        """Remember the running loop, and that this is its thread."""
        self._loop = loop
        self._home = threading.get_ident()

    def away(self) -> bool:
        """Whether the caller is in another thread than the loop's."""
        return self._loop is not None and threading.get_ident() != self._home

    def call(self, function: Any, *args: Any) -> None:
        """Call a function in the loop's thread, in order, without waiting for it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function, *args)
