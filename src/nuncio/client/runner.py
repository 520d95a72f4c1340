"""What of the application's code runs beside the event loop's callbacks, for one Manager.

Every task is kept until it ends, and its failure goes to the same place as any handler's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nuncio.engine.sent import Sent
from nuncio.errors import ArgumentError, LimitExceeded
from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler
from nuncio.handlers.runners import Runners
from nuncio.handlers.threads import Threads

logger = logging.getLogger("nuncio.client")


class Runner:
    """Calls the application's functions for the sockets of a Manager.

    Args:
        pause: stops reading from the connection.
        resume: goes on.

    Attributes:
        loop: the running loop.
        threads: tells calls that come from other threads than the loop's.
        runners: run the coroutines of handlers.
    """

    # Whether handlers wait for each other here, and not in the dispatcher; see `nuncio.sync`.
    queues = False

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.threads = Threads()
        self.threads.bind(self.loop)
        self.running: set[asyncio.Future[Any]] = set()
        self.runners = Runners(self.running)
        self._pause = pause
        self._resume = resume
        self._pauses = 0
        self._executor: ThreadPoolExecutor | None = None
        self._on_error: list[Handler] = []

    # Reading.

    @property
    def paused(self) -> bool:
        """Whether some socket wants nothing to be read."""
        return self._pauses > 0

    def pause_reading(self) -> None:
        """A socket has too much waiting."""
        self._pauses += 1
        if self._pauses == 1:
            self._pause()

    def resume_reading(self) -> None:
        """It has caught up."""
        self._pauses -= 1
        if self._pauses == 0:
            self._resume()

    # Calling.

    def in_thread(self, handler: Handler, args: list[Any], socket: Any) -> Awaitable[Any]:
        """Call a blocking handler of a socket in a thread."""
        # From now on, calls may come from there.
        self.threads.used = True
        if self._executor is None:
            self._executor = ThreadPoolExecutor(thread_name_prefix="nuncio-handler")
        return self.loop.run_in_executor(self._executor, handler.function, *args)

    def call_lifecycle(self, handler: Handler, socket: Any, event: str, args: list[Any]) -> None:
        """Call a listener of what the client itself tells."""
        try:
            values = handler.arguments(None, [event, *args], None)
            if handler.thread:
                result: Any = self.in_thread(handler, values, socket)
            else:
                result = handler.function(*values)
        except Exception as error:
            self.report(error, socket, event)
            return
        self.await_later(result, socket, event)

    def guard(self, function: Callable[..., Any], args: list[Any], socket: Any, event: str) -> None:
        """Call a listener whose failure must not stop anything."""
        try:
            result = function(*args)
        except Exception as error:
            self.report(error, socket, event)
            return
        self.await_later(result, socket, event)

    def notify(self, handler: Handler, payload: list[Any], socket: Any, event: str) -> None:
        """Call a catch-all listener with the event's name and arguments."""
        try:
            args = handler.arguments(None, ["", *payload], None)
        except ArgumentError as error:
            self.report(error, socket, event)
        else:
            self.guard(handler.function, args, socket, event)

    def await_later(self, result: Any, socket: Any, event: str) -> None:
        """Await what a function returned, if it is to be awaited.

        What `emit` returns need not be: nothing follows.
        """
        if result is not None and hasattr(result, "__await__") and not isinstance(result, Sent):
            self.spawn(self._guarded(result, socket, event))

    async def _guarded(self, awaitable: Awaitable[Any], socket: Any, event: str) -> None:
        try:
            await awaitable
        except Exception as error:
            self.report(error, socket, event)

    def spawn(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """Run something as a task that is not lost, and whose failure is told."""
        task = asyncio.ensure_future(awaitable)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            error = task.exception()
            if isinstance(error, Exception):
                self.report(error, None, "")

    # Failures.

    def on_error(self, listener: Callable[..., Any]) -> Callable[..., Any]:
        """Call `listener(error, socket, event)` for what handlers raise; it is logged, too."""
        bound = bind(listener, "error", takes_socket=False, lifecycle=True, injects=False)
        self._on_error.append(bound)
        return listener

    def report(self, error: Exception, socket: Any, event: str) -> None:
        """A handler failed, or what the server sent does not fit."""
        if isinstance(error, ArgumentError):
            # The server's doing: it must not be able to fill the log.
            logger.debug("%r", error)
        elif isinstance(error, LimitExceeded):
            # It says itself what to do.
            logger.warning("%r: %s", event, error)
        else:
            logger.error("a handler of %r failed", event, exc_info=error)
        for handler in self._on_error:
            self.tell(handler, handler.arguments(None, ["", error, socket, event], None))

    def tell(self, handler: Handler, args: list[Any]) -> None:
        """Call a listener of `on_error`."""
        try:
            result = handler.function(*args)
            if hasattr(result, "__await__"):
                self.spawn(_logged(result))
        except Exception:
            logger.exception("an on_error listener failed")

    def close(self) -> None:
        """Nothing will be called any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


async def _logged(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except Exception:
        logger.exception("an on_error listener failed")
