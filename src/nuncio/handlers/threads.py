"""Which thread a call comes from, when there are several. [compiled]

Nuncio belongs to its event loop's thread. A handler registered with `thread=True`, or a route that
a web framework runs in a thread, calls `emit`, `join` and the like from another; those calls are
carried over, in order, without waiting. Asking for the thread costs a few per cent of a small
message, so it is asked only where other threads are to be expected: with such handlers, with
another application served beside, and with the option `threads`.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from threading import get_ident
from typing import Any, Final

_current: Final = get_ident


class Threads:
    """The loop's thread, and the way to it.

    Attributes:
        used: whether calls may come from other threads.
    """

    __slots__ = ("_home", "_loop", "used")

    def __init__(self) -> None:
        self.used = False
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
