"""Handlers that are coroutines, run without a task for each. [compiled]

A task costs more than all else that an event does, and most handlers end without ever waiting. So
a coroutine takes its first step in place, under a task that is kept for this: the spare runner's.
When that was all, the runner is free for the next one. When the coroutine has to wait, the runner
is its own from then on and ends with it.

Nobody can see the difference: `asyncio.current_task()`, on which time-outs and task groups rest, is
the same from the first step to the last, and each coroutine has a context of its own. A task that
a handler has made known to others is not used for another handler: they may cancel it. What does
pass from one to the next, if they do not wait, are the name and the attributes given to the task.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final, cast, final

from mypy_extensions import mypyc_attr

from nuncio.handlers.steps import CANCELLED, work

# "Task lifetime support" in Python's documentation of asyncio, for tasks run by others.
enter_task: Final = asyncio.tasks._enter_task
leave_task: Final = asyncio.tasks._leave_task
current_task: Final = asyncio.current_task
getrefcount: Final = sys.getrefcount
getweakrefcount: Final = weakref.getweakrefcount

# Stands where what is waited for would.
ENDED: Final = object()


@mypyc_attr(allow_interpreted_subclasses=True)
class Job:
    """What is told how a coroutine ends."""

    __slots__ = ()

    def returned(self, result: Any) -> None:
        """It has ended well."""

    def raised(self, error: Exception) -> None:
        """It has failed."""

    def ended(self) -> None:
        """It has ended, one way or the other; told last, also when it was cancelled."""


@final
class Runners:
    """Runs what handlers return to be awaited.

    Args:
        running: the tasks of those that wait are kept here until they end.
    """

    __slots__ = ("_running", "_spare")

    def __init__(self, running: set[asyncio.Future[Any]]) -> None:
        self._running = running
        self._spare: HandlerRunner | None = None

    def start(self, loop: asyncio.AbstractEventLoop, awaitable: Any, job: Job) -> None:
        """Take the first step, and tell `job` how it ends, be that now or later.

        Args:
            loop: the running loop.
            awaitable: a coroutine, or anything else to be awaited.
            job: see `Job`.
        """
        runner = self._spare
        self._spare = None
        if runner is None or not runner.is_free(loop):
            runner = HandlerRunner(self, loop)
        runner.prepare()
        try:
            waits = runner.begin(awaitable, job)
        except BaseException:
            # Such as KeyboardInterrupt, which goes on to whoever called.
            runner.stop()
            runner.tell()
            raise
        if waits:
            self._running.add(runner.task)
            runner.hand_over()
            return
        # Before the job is told: what it does then may start another.
        if self._spare is None and runner.is_secret():
            self._spare = runner
        else:
            runner.stop()
        runner.tell()

    def ended(self, runner: HandlerRunner) -> None:
        """The task of a runner ends."""
        self._running.discard(runner.task)
        if self._spare is runner:
            self._spare = None

    def drop_spare(self) -> Any:
        """End what has nothing to do; returns its task, or None. It is made again when needed."""
        runner = self._spare
        self._spare = None
        if runner is None or runner.task.get_loop() is not asyncio.get_running_loop():
            # The other loop, which ran before, may be closed.
            return None
        runner.stop()
        return runner.task


def known(task: Any) -> int:
    """Grows when others get hold of a task, be it to cancel it or to be told of its end."""
    callbacks = task._callbacks
    count = getrefcount(task) + getweakrefcount(task)
    return count if callbacks is None else count + len(callbacks)


@final
class HandlerRunner:
    """The coroutine of a task, in which the coroutines of handlers run.

    Args:
        runners: whose it is.
        loop: the running loop.

    Attributes:
        task: the task.
        awaitable: what is awaited; None when there is nothing, or it has ended.
        result: what came of it.
        error: or how it failed.
    """

    __slots__ = (
        "_caller",
        "_context",
        "_early",
        "_first",
        "_first_waits",
        "_handing_over",
        "_job",
        "_known",
        "_loop",
        "_runners",
        "_stopping",
        "_wake",
        "_work",
        "awaitable",
        "error",
        "result",
        "task",
    )

    def __init__(self, runners: Runners, loop: asyncio.AbstractEventLoop) -> None:
        self._runners = runners
        self._loop = loop
        self._work: Any = work(self)
        self._job: Job | None = None
        # That of the coroutine, and that in which it was started.
        self._context: Context | None = None
        self._caller: Context | None = None
        self.awaitable: Any = None
        self.result: Any = None
        self.error: Exception | None = None
        self._first: Any = None
        self._first_waits = False
        self._handing_over = False
        # Whether the task's next turn comes before what the first step has scheduled.
        self._early = False
        self._stopping = False
        # What the task waits for while it has nothing to do.
        self._wake: Any = None
        # How many know the task while it rests; 0 as long as it does not.
        self._known = 0
        task: Any = loop.create_task(cast("Any", self))
        # Nothing is lost with a loop that is closed while it rests.
        task._log_destroy_pending = False
        self.task: Any = task

    def is_free(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it can take a coroutine of this loop."""
        return self._loop is loop and not self.task.cancelling()

    def prepare(self) -> None:
        """Before the first step."""
        if self._known == 0:
            self._known = known(self.task)

    def is_secret(self) -> bool:
        """Whether the coroutine that has ended in place has left nobody who knows the task."""
        return known(self.task) == self._known

    # In place, before the task knows anything.

    def begin(self, awaitable: Any, job: Job) -> bool:
        """Take a coroutine and its first step; returns whether it waits now."""
        self._job = job
        self.awaitable = awaitable
        context = copy_context()
        loop = self._loop
        current = current_task(loop)
        if current is not None:
            leave_task(loop, current)
        enter_task(loop, self.task)
        try:
            first = context.run(self._work.send, None)
        finally:
            leave_task(loop, self.task)
            if current is not None:
                enter_task(loop, current)
        if self.awaitable is None:
            return False
        self._context = context
        # The task's own is from whoever needed one first, which may have been another client.
        self._caller = copy_context()
        self._first = first
        if first is not None and getattr(first, "_asyncio_future_blocking", False):
            # As a task does at once: others may await the same before this one's task has a turn.
            first._asyncio_future_blocking = False
            self._first_waits = True
        return True

    def hand_over(self) -> None:
        """Let the task go on with what the first step waits for."""
        self._handing_over = True
        self.task._log_destroy_pending = True
        wake = self._wake
        # It has yet to have its first turn, or was cancelled.
        self._early = wake is None or wake.done()
        if wake is None and self.task.get_coro() is not self:
            # Cancelled before its first turn, the factory's coroutine never asks this one.
            self.task.add_done_callback(self._task_done)
        self._rouse()

    def _task_done(self, _: Any) -> None:
        if not self._handing_over:
            return
        context, caller, work = self._context, self._caller, self._work
        assert context is not None and caller is not None
        self._end()
        try:
            context.run(work.close)
        finally:
            caller.run(self.tell)

    def stop(self) -> None:
        """Let the task end, for it has nothing to do."""
        self._stopping = True
        self._rouse()

    def _rouse(self) -> None:
        wake = self._wake
        self._wake = None
        # Without one, the task has not had its first turn yet.
        if wake is not None and not wake.done():
            wake.set_result(None)

    def tell(self) -> None:
        """Tell the job how its coroutine has ended."""
        job = self._job
        assert job is not None
        result, error = self.result, self.error
        self._job = self.result = self.error = None
        try:
            if error is not None:
                job.raised(error)
            elif result is not CANCELLED:
                job.returned(result)
        finally:
            job.ended()

    # As a coroutine, for the task.

    # Task factories may put a coroutine of their own around it, which awaits it.

    def __await__(self) -> HandlerRunner:
        return self

    def __iter__(self) -> HandlerRunner:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: object) -> Any:
        """One step of the task; returns what it waits for."""
        if self._handing_over:
            first = self._hand_over()
            if first is not None or self._early:
                return first
        if self.awaitable is None:
            return self._rest()
        waits_for = self._step(self._work.send, None)
        if waits_for is ENDED:
            raise StopIteration
        return waits_for

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """The task was cancelled, or what it waited for cannot be waited for."""
        error = kind if isinstance(kind, BaseException) else value or kind()
        if self.awaitable is None:
            self._end()
            raise error
        if self._handing_over:
            if not self.task.cancelling():
                # The first step has taken it back: what woke the task stays cancelled all the same.
                return self.send(None)
            if self._first_waits and self._first.cancel(*error.args):
                # As a task that is cancelled cancels what it waits for, and is told by it.
                return self._hand_over()
            self._first_waits = False
            self._hand_over()
        waits_for = self._step(self._work.throw, error)
        if waits_for is ENDED:
            raise StopIteration
        return waits_for

    def close(self) -> None:
        """The task is gone."""
        self._work.close()

    def _hand_over(self) -> Any:
        """What the first step waits for."""
        self._handing_over = False
        first = self._first
        self._first = None
        if self._first_waits:
            self._first_waits = False
            first._asyncio_future_blocking = True
        return first

    def _rest(self) -> Any:
        if self._stopping:
            self._end()
            raise StopIteration
        wake: Any = self._loop.create_future()
        # As `Future.__await__` marks what it hands to a task.
        wake._asyncio_future_blocking = True
        self._wake = wake
        self._known = 0
        return wake

    def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
        """Go on: what it waits for, or `ENDED` after telling how it has."""
        context = self._context
        caller = self._caller
        assert context is not None and caller is not None
        try:
            waits_for = context.run(step, value)
        except BaseException:
            self._end()
            caller.run(self.tell)
            raise
        if self.awaitable is not None:
            return waits_for
        cancelled = self.result is CANCELLED
        self._end()
        caller.run(self.tell)
        if cancelled:
            raise asyncio.CancelledError
        return ENDED

    def _end(self) -> None:
        """The task ends."""
        self._runners.ended(self)
        # They know this runner as it knows them: the garbage collector shall not have to find that.
        self.task = self._work = None

    # What debuggers and `repr(task)` look at is the handler's own.

    @property
    def __name__(self) -> str:
        return str(getattr(self.awaitable, "__qualname__", "HandlerRunner"))

    @property
    def cr_code(self) -> Any:
        """Its code."""
        return getattr(self.awaitable, "cr_code", None)

    @property
    def cr_frame(self) -> Any:
        """Where it stands."""
        return getattr(self.awaitable, "cr_frame", None)

    @property
    def cr_running(self) -> bool:
        """Whether it takes a step now."""
        return bool(getattr(self.awaitable, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        """Whether there will be another step."""
        return self._work is not None and not self.cr_running
