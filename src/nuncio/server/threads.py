"""Which thread a call comes from. [compiled]

Nuncio belongs to its event loop's thread. A handler registered with `thread=True`, or a route that
a web framework runs in a thread, calls `emit`, `join` and the like from another; those calls are
carried over, in order, without waiting.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from threading import get_ident
from typing import Any, Final

_current: Final = get_ident


class Threads:
    """The loop's thread, and the way to it."""

    __slots__ = ("_home", "_loop")

    def __init__(self) -> None:
        self._home = 0
        self._loop: AbstractEventLoop | None = None

    def bind(self, loop: AbstractEventLoop) -> None:
        """Remember the running loop, and that this is its thread."""
        self._loop = loop
        self._home = _current()

    def away(self) -> bool:
        """Whether the caller is in another thread than the loop's."""
        home = self._home
        return home != 0 and _current() != home

    def call(self, function: Any, *args: Any) -> None:
        """Call a function in the loop's thread, in order, without waiting for it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function, *args)
