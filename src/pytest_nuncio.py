"""pytest's plugin: the fixtures `nuncio_client` and `nuncio_clock`.

It is apart from the package, because pytest imports plugins whatever is tested: Nuncio is imported
when a test asks for one of these, and in other projects never.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nuncio.testing import Clock, Stage

_stage: pytest.StashKey[Stage] = pytest.StashKey()
_clock: pytest.StashKey[Clock] = pytest.StashKey()


@pytest.fixture
def nuncio_client(request: pytest.FixtureRequest) -> Generator[Stage]:
    """Connects clients to a server in memory: `ada = await nuncio_client(io, auth=…)`.

    It is called as `nuncio.testing.connect` is. At the end of the test all clients are closed, and
    what handlers raised fails the test.
    """
    from nuncio.testing import Stage

    stage = Stage()
    request.node.stash[_stage] = stage
    yield stage
    # Elsewhere than in a test of ours, such as one of hypothesis's.
    loop = stage.loop
    if stage.is_open and loop is not None and not loop.is_closed() and not loop.is_running():
        loop.run_until_complete(stage.close())
    stage.raise_errors()


@pytest.fixture
def nuncio_clock(request: pytest.FixtureRequest) -> Clock:
    """Makes time stand still: `await nuncio_clock.advance(30)` lets it pass.

    It is in force in an async test. Another one gives it to `nuncio.testing.run(…, clock=…)`.
    """
    from nuncio.testing import Clock

    clock = Clock()
    request.node.stash[_clock] = clock
    return clock


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let an async test run within its stage and its clock, in whichever loop and task it does."""
    test: Any = getattr(item, "obj", None)
    if not _is_ours(item) or not inspect.iscoroutinefunction(test):
        return (yield)
    stage, clock = item.stash.get(_stage, None), item.stash.get(_clock, None)

    @functools.wraps(test)
    async def staged(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        from nuncio.testing import Stage
        from nuncio.testing.running import staged

        await staged(test(*args, **kwargs), stage or Stage(), clock)

    holder: Any = item
    holder.obj = staged
    try:
        return (yield)
    finally:
        holder.obj = test


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test with one of the fixtures that no other plugin runs."""
    test = pyfuncitem.obj
    if not _is_ours(pyfuncitem) or not inspect.iscoroutinefunction(test):
        return None
    import asyncio

    from nuncio.testing.running import new_event_loop

    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(test(**arguments))
    return True


def _is_ours(item: pytest.Item) -> bool:
    return _stage in item.stash or _clock in item.stash
