"""One call that a thread makes in the loop's thread, and waits for.

The loop's thread never waits for the caller: it sets what came of the call and lets go of a lock.
So whatever happens to the caller meanwhile, Ctrl-C above all, nobody else is held up.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

# How often the main thread looks for Ctrl-C while it waits. On Windows nothing else would interrupt
# it; elsewhere a signal does, unless it comes in the moment before the thread goes to sleep.
LOOK_SECONDS = 0.1 if sys.platform == "win32" else 0.5


class Cancelled(Exception):
    """What was called has been taken back before it has ended."""


class Call:
    """One call.

    Args:
        loop: in whose thread it is made.
        function: what to call; what it returns is awaited if that can be.
        args: its arguments.
        undo: takes back a result that nobody is there to take.
    """

    __slots__ = (
        "_args",
        "_begun",
        "_done",
        "_error",
        "_function",
        "_future",
        "_loop",
        "_result",
        "_undo",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        undo: Callable[[Any], None] | None = None,
    ) -> None:
        self._loop = loop
        self._function = function
        self._args = args
        self._undo = undo
        self._begun = False
        self._future: asyncio.Future[Any] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._done = allocate_lock()
        self._done.acquire()

    # In the loop's thread.

    def begin(self) -> asyncio.Future[Any] | None:
        """Make the call; returns what is awaited, if it did not end at once."""
        self._begun = True
        try:
            result = self._function(*self._args)
            if result is None or not hasattr(result, "__await__"):
                self._give(result)
                return None
            self._future = asyncio.ensure_future(result)
        except BaseException as error:
            self.fail(error)
            return None
        self._future.add_done_callback(self.ended)
        return self._future

    def ended(self, future: asyncio.Future[Any]) -> None:
        """What is awaited has ended."""
        if future.cancelled():
            self.fail(Cancelled())
            return
        error = future.exception()
        if error is None:
            self._give(future.result())
        else:
            self.fail(error)

    def _give(self, result: Any) -> None:
        if self._done.locked():
            self._result = result
            self._done.release()

    def fail(self, error: BaseException) -> None:
        """It has failed, or will not be made."""
        if self._done.locked():
            self._error = error
            self._done.release()

    def _cancel(self) -> None:
        if self._future is not None:
            self._future.cancel()

    def _abandon(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.cancel()
        elif self._undo is not None and self._begun and not self._has_failed():
            self._undo(self._result if future is None else future.result())

    def _has_failed(self) -> bool:
        future = self._future
        if future is None:
            return self._error is not None
        return future.cancelled() or future.exception() is not None

    # In the caller's.

    def wait(self, timeout: float | None) -> Any:
        """What came of it.

        Args:
            timeout: seconds after which it is taken back; None for any.

        Raises:
            Cancelled: when it was taken back.
            BaseException: whatever the call has raised.
        """
        if not self.has_ended(-1.0 if timeout is None else timeout):
            self._loop.call_soon_threadsafe(self._cancel)
            # It may have ended just now.
            self.has_ended(-1.0)
        error = self._error
        if error is None:
            return self._result
        try:
            raise error
        finally:
            # The traceback knows this frame: without it, they would keep each other alive.
            del error, self

    def has_ended(self, seconds: float) -> bool:
        """Wait for its end, so long at most; below 0 for ever. To be called until it is True."""
        if threading.get_ident() != threading.main_thread().ident:
            return self._done.acquire(timeout=seconds)
        while seconds < 0.0 or seconds > LOOK_SECONDS:
            if self._done.acquire(timeout=LOOK_SECONDS):
                return True
            if seconds > 0.0:
                seconds -= LOOK_SECONDS
        return self._done.acquire(timeout=seconds)

    def leave(self) -> None:
        """Go without what comes of it, because of an exception of the caller's own.

        What is awaited is cancelled; a result, if there is one, is taken back.
        """
        try:
            self._loop.call_soon_threadsafe(self._abandon)
        except RuntimeError:
            # The loop is closed: there is nothing left to take back.
            pass
