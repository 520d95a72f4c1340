from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from nuncio.client.clock import awake_clock
from nuncio.client.session import ClientSession
from nuncio.client.tools import LOOK_SECONDS, SLACK_SECONDS, Tools, tools
from nuncio.engine.wheel import NEVER
from tests.support.aio import run_async
from tests.support.clock import FakeLoop


@run_async
async def test_a_loop_has_one_set_of_tools() -> None:
    assert tools() is tools()
    assert tools().wheel.now() == pytest.approx(asyncio.get_running_loop().time(), abs=10)


def test_each_loop_has_its_own() -> None:
    async def own() -> Tools:
        return tools()

    one, other = asyncio.run(own()), asyncio.run(own())
    assert one is not other


def test_outside_a_loop_it_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="a client needs a running event loop"):
        tools()


def test_loops_that_are_closed_are_forgotten() -> None:
    loops: list[weakref.ref[Any]] = []

    async def use() -> None:
        tools()
        loops.append(weakref.ref(asyncio.get_running_loop()))

    for _ in range(5):
        asyncio.run(use())
    gc.collect()
    # The last one may wait for whoever comes next.
    assert sum(one() is not None for one in loops) <= 1


def test_the_clock_goes_on() -> None:
    before = awake_clock()
    assert awake_clock() >= before


# The machine sleeps.


class Sleeper:
    """Tools on a clock that stands still, and a session among them that notes what it is told."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.asleep = 0.0
        self.tools = Tools(self.loop, lambda: self.asleep)

    def session(self) -> _Session:
        session = _Session()
        watched: Any = session
        self.tools.watch(watched)
        return session


class _Session:
    def __init__(self) -> None:
        self.slept_for: list[float] = []

    def slept(self, seconds: float) -> None:
        self.slept_for.append(seconds)


def test_sessions_are_told_when_the_machine_has_slept() -> None:
    bench = Sleeper()
    sessions = [bench.session(), bench.session()]
    bench.loop.advance(10 * LOOK_SECONDS)
    assert [one.slept_for for one in sessions] == [[], []]
    bench.asleep += 3600.0
    bench.loop.advance(LOOK_SECONDS)
    assert [one.slept_for for one in sessions] == [[3600.0], [3600.0]]
    # Once for each sleep.
    bench.loop.advance(10 * LOOK_SECONDS)
    bench.asleep += 60.0
    bench.loop.advance(LOOK_SECONDS)
    assert [one.slept_for for one in sessions] == [[3600.0, 60.0], [3600.0, 60.0]]


def test_clocks_that_differ_a_little_are_no_sleep() -> None:
    bench = Sleeper()
    session = bench.session()
    for _ in range(20):
        bench.asleep += SLACK_SECONDS * 0.9
        # A little longer than it takes, for timers come in ticks.
        bench.loop.advance(LOOK_SECONDS * 1.1)
    bench.asleep -= 3600.0
    bench.loop.advance(LOOK_SECONDS)
    assert session.slept_for == []


def test_nobody_looks_while_there_is_no_session() -> None:
    bench = Sleeper()
    assert bench.loop.scheduled == []
    session: Any = bench.session()
    assert bench.loop.scheduled != []
    bench.tools.unwatch(session)
    bench.loop.advance(2 * LOOK_SECONDS)
    assert bench.loop.scheduled == []
    # What it slept before a session began does not matter to it.
    bench.asleep += 3600.0
    later = bench.session()
    bench.loop.advance(2 * LOOK_SECONDS)
    assert later.slept_for == []
    # One that is unknown is nobody's.
    bench.tools.unwatch(session)


def test_a_session_that_ends_while_all_are_told_is_not_missed() -> None:
    bench = Sleeper()
    first: Any = bench.session()
    second: Any = bench.session()

    def both_end(seconds: float) -> None:
        bench.tools.unwatch(first)
        bench.tools.unwatch(second)

    first.slept = second.slept = both_end
    bench.asleep += 3600.0
    bench.loop.advance(2 * LOOK_SECONDS)
    assert bench.loop.failures == []
    bench.loop.advance(2 * LOOK_SECONDS)
    assert bench.loop.scheduled == []


def test_real_sessions_can_be_watched() -> None:
    bench = Sleeper()
    session = ClientSession(None, bench.loop, bench.tools.wheel, 1000)
    bench.tools.watch(session)
    bench.asleep += 3600.0
    bench.loop.advance(2 * LOOK_SECONDS)
    # It is not open, so there is nothing to give up.
    assert session.ready_state == "opening"
    bench.tools.unwatch(session)
    assert session.tick == NEVER
