"""The threads in which the functions of one socket are called.

They are called in order, one after the other, or as many at once as the options `concurrency` of
the socket and of the handler say. What has to wait does so here, so that events which somebody
receives by `receive` do not wait behind a handler that works.

All but the functions themselves runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from nuncio.handlers.handler import Handler

logger = logging.getLogger("nuncio.client")


class NoThread(RuntimeError):
    """A function cannot be called, for there is no thread for it."""


class Job:
    """One call.

    Attributes:
        function: what to call.
        args: its arguments.
        handler: whose `concurrency` counts; None for a listener that has none of its own.
        future: what came of it.
    """

    __slots__ = ("args", "function", "future", "handler")

    def __init__(
        self,
        function: Callable[..., Any],
        args: list[Any],
        handler: Handler | None,
        future: asyncio.Future[Any],
    ) -> None:
        self.function = function
        self.args = args
        self.handler = handler
        self.future = future

    def run(self) -> tuple[Any, Exception | None]:
        """Call it: what it has returned, and what it has raised."""
        try:
            result = self.function(*self.args)
        except StopIteration as error:
            return None, _carried(error)
        except Exception as error:
            return None, error
        except BaseException as error:
            # As SystemExit, which ends the thread it is raised in, and no program.
            return None, _carried(error)
        if hasattr(result, "__await__"):
            if hasattr(result, "close"):
                result.close()
            name = getattr(self.function, "__qualname__", self.function)
            return None, TypeError(
                f"{name} gave something to await, and nuncio.sync calls handlers in threads, where "
                "nothing can be awaited: return the value, or use nuncio.connect"
            )
        return result, None

    def done(self, result: Any, error: Exception | None) -> None:
        """Tell what came of it."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Lane:
    """Calls functions in threads of its own.

    Args:
        loop: the loop in whose thread all is decided.
        name: for the threads.
        concurrency: how many may be called at once.
        drained: called when one has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        concurrency: int,
        drained: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._name = name
        self._concurrency = concurrency
        self._drained = drained
        self._waiting: deque[Job] = deque()
        self._running = 0
        self._running_by: dict[Handler, int] = {}
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = 0
        self._stopping = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return self._running > 0 or len(self._waiting) > 0

    def call(
        self, function: Callable[..., Any], args: list[Any], handler: Handler | None = None
    ) -> asyncio.Future[Any]:
        """Call a function when it is its turn."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._stopping = False
        self._waiting.append(Job(function, args, handler, future))
        self._begin()
        return future

    def prepare(self) -> None:
        """Have a thread, for what may come when the interpreter ends: then none can be started."""
        if self._threads == 0:
            self._start()

    def stop(self) -> None:
        """End the threads once nothing runs or waits. They begin again when they are needed."""
        self._stopping = True
        self._rest()

    def _rest(self) -> None:
        if self._stopping and not self.busy:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    def _begin(self) -> None:
        while self._waiting and self._has_room(self._waiting[0].handler):
            job = self._waiting.popleft()
            if self._threads <= self._running and not self._start() and self._threads == 0:
                job.done(None, NoThread("no thread can be started for it"))
                continue
            self._running += 1
            if job.handler is not None and job.handler.concurrency:
                self._running_by[job.handler] = self._running_by.get(job.handler, 0) + 1
            self._jobs.put(job)

    def _start(self) -> bool:
        name = f"nuncio-{self._name}-{self._threads + 1}"
        thread = threading.Thread(target=self._work, args=(self._jobs,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more, or the interpreter ends.
            return False
        self._threads += 1
        return True

    def _has_room(self, handler: Handler | None) -> bool:
        if handler is not None and handler.concurrency:
            return self._running_by.get(handler, 0) < handler.concurrency
        return self._running < self._concurrency

    def _work(self, jobs: SimpleQueue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            result, error = job.run()
            try:
                self._loop.call_soon_threadsafe(self._ended, job, result, error)
            except RuntimeError:
                # The loop is closed: nobody wants to know any more.
                return
            # Nothing is kept alive while it waits for the next.
            del job, result, error

    def _ended(self, job: Job, result: Any, error: Exception | None) -> None:
        self._running -= 1
        handler = job.handler
        if handler is not None and handler.concurrency:
            self._running_by[handler] -= 1
            if self._running_by[handler] == 0:
                del self._running_by[handler]
        job.done(result, error)
        self._begin()
        self._rest()
        self._drained()


def in_thread(function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Call a function in a thread of its own, for the running loop."""
    loop = asyncio.get_running_loop()
    job = Job(function, list(args), None, loop.create_future())
    try:
        thread = threading.Thread(target=_work_once, args=(loop, job), daemon=True)
        thread.name = "nuncio-asked"
        thread.start()
    except RuntimeError:
        # The interpreter ends: there is little left that could be held up.
        job.done(*job.run())
    return job.future


def _work_once(loop: asyncio.AbstractEventLoop, job: Job) -> None:
    result, error = job.run()
    try:
        loop.call_soon_threadsafe(job.done, result, error)
    except RuntimeError:
        # The loop is closed: nobody wants to know any more.
        pass


def _carried(error: BaseException) -> Exception:
    """An exception that a future takes, for one that it would not."""
    carried = RuntimeError(f"a handler has raised {error!r}")
    carried.__cause__ = error
    return carried
