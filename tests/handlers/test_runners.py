"""Coroutines of handlers are run as if each had a task of its own."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Awaitable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from nuncio import Server, Socket
from nuncio.handlers.runners import Job, Runners
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="")


class Told(Job):
    """What a job is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def returned(self, result: Any) -> None:
        self.seen.append(result)

    def raised(self, error: Exception) -> None:
        self.seen.append(error)

    def ended(self) -> None:
        self.seen.append("ended")


class Bench:
    """Runners, and the tasks they keep."""

    def __init__(self) -> None:
        self.running: set[asyncio.Future[Any]] = set()
        self.runners = Runners(self.running)

    def start(self, awaitable: Awaitable[Any]) -> list[Any]:
        """Start it; returns the list of what its job will have been told."""
        job = Told()
        self.runners.start(asyncio.get_running_loop(), awaitable, job)
        return job.seen

    async def run(self, awaitable: Awaitable[Any]) -> Any:
        """Start it and wait for its end."""
        seen = self.start(awaitable)
        await eventually(lambda: seen[-1:] == ["ended"])
        return seen[0] if len(seen) > 1 else None


async def this_task() -> list[Any]:
    # In a list, for a task alone would be awaited.
    return [asyncio.current_task()]


def task_number(bench: Bench) -> int:
    """Which task a handler runs in, by something that does not make the task known."""
    numbers: list[int] = []

    async def handler() -> None:
        numbers.append(id(asyncio.current_task()))

    bench.start(handler())
    return numbers[0]


@run_async
async def test_what_does_not_wait_ends_in_place() -> None:
    bench = Bench()

    async def handler(value: int) -> int:
        return value

    async def fails() -> None:
        raise KeyError("x")

    assert bench.start(handler(7)) == [7, "ended"]
    error, end = bench.start(fails())
    assert (repr(error), end) == ("KeyError('x')", "ended")
    assert not bench.running


@run_async
async def test_handlers_that_do_not_wait_share_a_task() -> None:
    bench = Bench()
    before = asyncio.all_tasks()
    numbers = {task_number(bench) for _ in range(100)}
    await asyncio.sleep(0)
    numbers |= {task_number(bench) for _ in range(100)}
    assert len(numbers) == 1
    assert len(asyncio.all_tasks() - before) == 1


@run_async
async def test_one_that_waits_keeps_its_task_to_the_end_and_the_task_ends_with_it() -> None:
    bench = Bench()
    tasks: list[Any] = []

    async def handler() -> str:
        for seconds in (0, 0, 0.001):
            tasks.append(asyncio.current_task())
            await asyncio.sleep(seconds)
        tasks.append(asyncio.current_task())
        return "done"

    seen = bench.start(handler())
    assert seen == []
    (task,) = bench.running
    assert "test_one_that_waits" in repr(task)
    assert await within(task) is None
    assert seen == ["done", "ended"]
    assert set(tasks) == {task}
    assert not bench.running


@run_async
async def test_anything_can_be_awaited() -> None:
    bench = Bench()
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    seen = bench.start(future)
    future.set_result(1)
    await eventually(lambda: seen == [1, "ended"])
    assert await bench.run(asyncio.sleep(0.001, "late")) == "late"

    async def gives_another() -> Coroutine[Any, Any, str]:
        return asyncio.sleep(0.001, "more")

    assert await bench.run(gives_another()) == "more"


@run_async
async def test_several_may_wait_for_the_same() -> None:
    """Such as for what one of them has begun to load."""
    bench = Bench()
    loading: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler() -> int:
        return await loading

    seen = [bench.start(handler()) for _ in range(3)]
    task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    seen += [bench.start(handler()) for _ in range(2)]
    await asyncio.sleep(0.001)
    loading.set_result(7)
    assert await within(task) == 7
    await eventually(lambda: seen == [[7, "ended"]] * 5)


@run_async
async def test_who_gives_control_back_once_goes_on_behind_what_it_has_begun() -> None:
    bench = Bench()
    order: list[str] = []

    async def handler() -> None:
        asyncio.get_running_loop().call_soon(order.append, "begun")
        await asyncio.sleep(0)
        order.append("handler")

    async def times_out() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(0)

    for _ in ("a new task", "the spare one"):
        assert isinstance(await bench.run(times_out()), TimeoutError)
        seen = bench.start(handler())
        await eventually(lambda: seen == [None, "ended"])  # noqa: B023
        task_number(bench)
        await asyncio.sleep(0)
    assert order == ["begun", "handler"] * 2


async def through_a_factory(factory: Any) -> None:
    bench = Bench()
    asyncio.get_running_loop().set_task_factory(factory)

    async def handler() -> str:
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        except TimeoutError:
            await asyncio.sleep(0)
        assert asyncio.current_task() is task
        return "done"

    for _ in range(2):
        assert task_number(bench) == task_number(bench)
        await asyncio.sleep(0)
        assert await bench.run(handler()) == "done"
        assert await bench.run(asyncio.sleep(0.001, "slept")) == "slept"
        for turns in (0, 1):
            seen = bench.start(handler())
            (task,) = bench.running
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await eventually(lambda: seen == ["ended"])  # noqa: B023
            assert not bench.running
    task_number(bench)
    spare = bench.runners.drop_spare()
    await within(spare)
    assert not bench.running


@run_async
async def test_tasks_may_come_from_a_factory_that_wraps_coroutines() -> None:
    """As those that trace and measure tasks do."""

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        async def wrapped() -> Any:
            return await coroutine

        return asyncio.Task(wrapped(), loop=loop, **options)

    await through_a_factory(factory)


@run_async
async def test_tasks_may_come_from_a_factory_of_python() -> None:
    python: Any = asyncio.tasks
    await through_a_factory(
        lambda loop, coroutine, **options: python._PyTask(coroutine, loop=loop, **options)
    )


@run_async
async def test_tasks_may_be_eager() -> None:
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is None:
        pytest.skip("Python 3.12 and later")
    await through_a_factory(factory)


@run_async
async def test_a_task_shows_the_state_of_its_coroutine() -> None:
    bench = Bench()
    states: list[str] = []

    async def handler() -> None:
        task: Any = asyncio.current_task()
        states.append(inspect.getcoroutinestate(task.get_coro()))
        await asyncio.sleep(0)
        states.append(inspect.getcoroutinestate(task.get_coro()))

    seen = bench.start(handler())
    (task,) = bench.running
    coroutine: Any = task.get_coro()  # type: ignore[attr-defined]
    states.append(inspect.getcoroutinestate(coroutine))
    assert "handler" in str(task.get_stack())  # type: ignore[attr-defined]
    await eventually(lambda: seen == [None, "ended"])
    states.append(inspect.getcoroutinestate(coroutine))
    assert states == ["CORO_RUNNING", "CORO_SUSPENDED", "CORO_RUNNING", "CORO_CLOSED"]


@run_async
async def test_time_outs_and_task_groups() -> None:
    bench = Bench()

    async def times_out() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "late"
        return "never"

    async def at_once() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    async def group() -> int:
        async with asyncio.TaskGroup() as tasks:
            one = tasks.create_task(asyncio.sleep(0.001, 1))
            two = tasks.create_task(asyncio.sleep(0, 2))
        return one.result() + two.result()

    async def scope() -> bool:
        with anyio.move_on_after(0.01) as moved:
            await anyio.sleep(60)
        return moved.cancelled_caught

    async def nothing() -> str:
        async with asyncio.timeout(60), asyncio.TaskGroup():
            return "nothing"

    assert await bench.run(times_out()) == "late"
    assert isinstance(await bench.run(at_once()), TimeoutError)
    assert await bench.run(group()) == 3
    assert await bench.run(scope()) is True
    assert bench.start(nothing()) == ["nothing", "ended"]


@run_async
async def test_each_has_its_own_context_and_sees_that_of_its_caller() -> None:
    bench = Bench()

    async def handler(wait: bool) -> list[str]:
        seen = [VARIABLE.get()]
        VARIABLE.set("mine")
        if wait:
            await asyncio.sleep(0.001)
            seen.append(VARIABLE.get())
            await asyncio.create_task(this_task())
            seen.append(VARIABLE.get())
        return seen

    for wait in (False, True, False, False):
        assert (await bench.run(handler(wait)))[0] == ""
    assert VARIABLE.get() == ""
    VARIABLE.set("caller")
    assert await bench.run(handler(True)) == ["caller", "mine", "mine"]
    assert bench.start(handler(False)) == [["caller"], "ended"]


@run_async
async def test_a_job_is_told_in_the_context_in_which_it_was_started() -> None:
    """Not in that of the client for which the task was made."""
    bench = Bench()
    seen: list[str] = []

    class Reads(Job):
        def ended(self) -> None:
            seen.append(VARIABLE.get())

    async def handler(wait: bool) -> None:
        VARIABLE.set("handler")
        if wait:
            await asyncio.sleep(0.001)

    async def client(name: str, wait: bool) -> None:
        VARIABLE.set(name)
        bench.runners.start(asyncio.get_running_loop(), handler(wait), Reads())

    for name, wait in (("one", False), ("two", False), ("three", True)):
        await asyncio.create_task(client(name, wait))
    await eventually(lambda: len(seen) == 3)
    assert seen == ["one", "two", "three"]


@run_async
async def test_a_task_that_somebody_knows_is_not_used_again() -> None:
    """Such as that of a search, which the next search cancels."""
    bench = Bench()
    searches: list[Any] = []

    async def search() -> str:
        if searches:
            searches.pop().cancel()
        searches.append(asyncio.current_task())
        return "found"

    for _ in range(3):
        assert bench.start(search()) == ["found", "ended"]
        await asyncio.sleep(0)

    weak: list[Any] = []
    told: list[str] = []

    async def weakly() -> None:
        weak.append(weakref.ref(asyncio.current_task()))

    async def at_the_end() -> None:
        task: Any = asyncio.current_task()
        task.add_done_callback(lambda task: told.append("done"))

    async def leaves() -> None:
        task: Any = asyncio.current_task()
        task.cancel()

    bench.start(weakly())
    number = id(weak[0]())
    assert task_number(bench) != number
    bench.start(at_the_end())
    assert told == []
    await eventually(lambda: told == ["done"])
    bench.start(leaves())
    assert await bench.run(asyncio.sleep(0.001, "not cancelled")) == "not cancelled"


@run_async
async def test_cancelling_cancels_what_is_waited_for() -> None:
    bench = Bench()
    inner = asyncio.ensure_future(asyncio.sleep(60))
    heard: list[str] = []

    async def handler() -> None:
        try:
            await inner
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    for later in (False, True):
        inner = asyncio.ensure_future(asyncio.sleep(60))
        seen = bench.start(handler())
        if later:
            await asyncio.sleep(0.001)
        (task,) = bench.running
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        assert inner.cancelled()
        assert seen == ["ended"]
    assert heard == ["cancelled", "cancelled"]


@run_async
async def test_cancelling_before_the_task_has_its_turn_passes_the_message_on() -> None:
    bench = Bench()
    heard: list[Any] = []

    async def handler() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            heard.append(error.args)
            raise

    for _ in ("a new task", "the spare one"):
        seen = bench.start(handler())
        (task,) = bench.running
        task.cancel("because")
        await eventually(lambda: seen == ["ended"])  # noqa: B023
        task_number(bench)
        await asyncio.sleep(0)
    assert heard == [("because",), ("because",)]


@run_async
async def test_cancelling_may_be_taken_back() -> None:
    """As task groups do with what they have cancelled themselves."""
    bench = Bench()

    async def taken_back(wait: bool) -> str:
        task: Any = asyncio.current_task()
        task.cancel()
        task.uncancel()
        if wait:
            await asyncio.sleep(0.001)
        return "went on"

    task_number(bench)
    await asyncio.sleep(0)
    assert await bench.run(taken_back(wait=True)) == "went on"
    task_number(bench)
    await asyncio.sleep(0)
    assert bench.start(taken_back(wait=False)) == ["went on", "ended"]
    assert await bench.run(asyncio.sleep(0.001, "another")) == "another"


@run_async
async def test_who_is_cancelled_may_go_on() -> None:
    bench = Bench()

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        return "stayed"

    seen = bench.start(stubborn())
    (task,) = bench.running
    task.cancel()
    await eventually(lambda: seen == ["stayed", "ended"])


@run_async
async def test_what_cancels_itself_in_place_gives_no_answer() -> None:
    bench = Bench()

    async def handler() -> None:
        raise asyncio.CancelledError

    assert bench.start(handler()) == ["ended"]


class Grave(BaseException):
    """Nothing that a handler's failure should be taken for."""


async def fails_gravely(wait: bool, kind: type[BaseException]) -> None:
    if wait:
        await asyncio.sleep(0)
    raise kind


@run_async
async def test_what_is_no_exception_is_raised_where_the_coroutine_runs() -> None:
    bench = Bench()
    for kind in (Grave, GeneratorExit):
        before = asyncio.all_tasks()
        current = asyncio.current_task()
        job = Told()
        with pytest.raises(kind):
            bench.runners.start(asyncio.get_running_loop(), fails_gravely(False, kind), job)
        assert job.seen == ["ended"]
        assert asyncio.current_task() is current
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before

        seen = bench.start(fails_gravely(True, kind))
        (task,) = bench.running
        await within(asyncio.wait([task]))
        assert isinstance(task.exception(), kind)
        assert seen == ["ended"]
        assert not bench.running


def test_interrupting_ends_the_loop() -> None:
    bench = Bench()
    jobs: list[Told] = []

    async def main(wait: bool, kind: type[BaseException]) -> None:
        def receive() -> None:
            bench.runners.start(loop, fails_gravely(wait, kind), jobs[-1])

        loop = asyncio.get_running_loop()
        loop.call_soon(receive)
        await asyncio.sleep(60)

    for kind in (KeyboardInterrupt, SystemExit):
        for wait in (False, True):
            jobs.append(Told())
            with pytest.raises(kind):
                asyncio.run(main(wait, kind))
            assert jobs[-1].seen == ["ended"]
            assert not bench.running


@run_async
async def test_a_job_that_fails_is_told_of_the_end() -> None:
    bench = Bench()

    class Fails(Told):
        def returned(self, result: Any) -> None:
            raise KeyError("returned")

        def raised(self, error: Exception) -> None:
            raise KeyError("raised")

    async def raises(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise ValueError

    loop = asyncio.get_running_loop()
    for at_once, later in (
        (this_task(), asyncio.sleep(0.001)),
        (raises(False), raises(True)),
    ):
        job = Fails()
        with pytest.raises(KeyError):
            bench.runners.start(loop, at_once, job)
        assert job.seen == ["ended"]
        job = Fails()
        bench.runners.start(loop, later, job)
        (task,) = bench.running
        with pytest.raises(KeyError):
            await within(task)
        assert job.seen == ["ended"]


@run_async
async def test_nothing_is_left_for_the_garbage_collector() -> None:
    bench = Bench()

    async def handler(turns: int, fails: bool) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        if fails:
            raise KeyError

    async def run_all() -> None:
        for turns in (0, 1, 2):
            for fails in (False, True):
                seen = bench.start(handler(turns, fails))
                for _ in range(4):
                    await asyncio.sleep(0)
                assert seen[-1] == "ended"
                seen = bench.start(asyncio.sleep(60))
                bench.running.pop().cancel()
                for _ in range(4):
                    await asyncio.sleep(0)
                assert seen == ["ended"]

    await run_all()
    gc.collect()
    gc.disable()
    try:
        await run_all()
        assert gc.collect() == 0
    finally:
        gc.enable()


@run_async
async def test_one_may_start_another() -> None:
    bench = Bench()

    async def inner() -> list[Any]:
        return [asyncio.current_task()]

    async def outer() -> list[Any]:
        mine = asyncio.current_task()
        (others, end) = bench.start(inner())
        assert end == "ended"
        assert asyncio.current_task() is mine
        return [mine, *others]

    ((mine, other), end) = bench.start(outer())
    assert end == "ended"
    assert mine is not other
    assert asyncio.current_task() not in (None, mine, other)


def test_another_loop_has_other_tasks() -> None:
    bench = Bench()

    async def main() -> Any:
        return (await bench.run(this_task()))[0], await bench.run(asyncio.sleep(0.001, "slept"))

    one, slept = asyncio.run(main())
    assert slept == "slept"
    two, slept = asyncio.run(main())
    assert slept == "slept"
    assert one is not two
    assert one.done() and two.done()


def test_a_loop_may_be_closed_while_a_task_rests(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    async def main() -> Any:
        task_number(bench)
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()

    async def another() -> None:
        # As at the end of a server.
        assert bench.runners.drop_spare() is None
        assert await bench.run(asyncio.sleep(0.001, "slept")) == "slept"

    asyncio.run(another())
    gc.collect()
    assert caplog.messages == []


def test_a_loop_that_is_closed_while_a_handler_waits_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()

    async def main() -> Any:
        bench.start(asyncio.get_running_loop().create_future())
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    bench.running.clear()
    gc.collect()
    (message,) = caplog.messages
    assert "Task was destroyed but it is pending" in message


@run_async
async def test_what_cannot_be_awaited_raises_where_it_is_awaited() -> None:
    bench = Bench()

    class Odd:
        def __await__(self) -> Any:
            yield "no future"

    async def handler() -> None:
        await Odd()

    error = await bench.run(handler())
    assert isinstance(error, RuntimeError)

    seen = bench.start(handler())
    (task,) = bench.running
    task.cancel()
    await eventually(lambda: seen == ["ended"])
    assert not bench.running


@run_async
async def test_closing_the_server_leaves_no_task() -> None:
    io = Server()
    client = Client.join(io)
    before = asyncio.all_tasks()

    @io.event
    async def double(socket: Socket, value: int) -> int:
        return 2 * value

    client.emit("double", 4, id=1)
    assert client.take() == ["31[8]"]
    assert len(asyncio.all_tasks() - before) == 1
    await io.close()
    assert asyncio.all_tasks() <= before
