"""Time passes only when it is told to, and everything in it happens."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
import uvloop

import nuncio
from nuncio import auth
from nuncio.testing import Clock, connect, pulse, run, settle
from nuncio.testing import clock as module
from tests.testing.stages import staged, timed


def stall() -> None:
    """Let real time pass, in which the loop does nothing."""
    time.sleep(0.01)


@timed
async def test_time_stands_still(clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    sleeping = asyncio.ensure_future(asyncio.sleep(0.001))
    stall()
    await settle()
    assert loop.time() == before
    assert clock.now == 0
    assert not sleeping.done()
    await clock.advance(0.001)
    assert sleeping.done()


@timed
async def test_timers_run_in_order_and_at_their_times(clock: Clock) -> None:
    ran: list[tuple[str, float]] = []

    async def sleep(name: str, *seconds: float) -> None:
        for one in seconds:
            await asyncio.sleep(one)
            ran.append((name, round(clock.now, 6)))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep("a", 1, 2, 3))
        group.create_task(sleep("b", 2, 2))
        group.create_task(clock_forward(clock, 10))
    assert ran == [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 6)]
    assert clock.now == 10


async def clock_forward(clock: Clock, seconds: float) -> None:
    await clock.advance(seconds)


@timed
async def test_what_follows_has_happened_when_it_has_passed(clock: Clock) -> None:
    steps: list[int] = []

    async def work() -> None:
        await asyncio.sleep(5)
        for number in range(100):
            await asyncio.sleep(0)
            steps.append(number)

    working = asyncio.ensure_future(work())
    await clock.advance(5)
    assert working.done()
    assert len(steps) == 100


@timed
async def test_advancing_by_nothing_lets_happen_what_is_due(clock: Clock) -> None:
    done: list[str] = []
    asyncio.get_running_loop().call_later(0, done.append, "due")
    asyncio.get_running_loop().call_later(1, done.append, "later")
    await clock.advance(0)
    assert done == ["due"]


@timed
async def test_a_day_is_not_too_long(clock: Clock) -> None:
    sleeping = asyncio.ensure_future(asyncio.sleep(40 * 86_400))
    await clock.advance(40 * 86_400)
    assert sleeping.done()


@timed
async def test_threads_are_waited_for_and_take_no_time(clock: Clock) -> None:
    release = threading.Event()
    threading.Timer(0.05, release.set).start()
    async with asyncio.timeout(1):
        waiting = asyncio.ensure_future(asyncio.to_thread(release.wait, 30))
        await clock.advance(0.5)
        assert waiting.done()


def test_a_thread_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        release = threading.Event()
        waiting = asyncio.ensure_future(asyncio.to_thread(release.wait))
        try:
            await clock.advance(10)
            monkeypatch.setattr(pulse, "PATIENCE", 3600)
            await clock.advance(10)
            assert not waiting.done()
        finally:
            release.set()
        await waiting

    monkeypatch.setattr(pulse, "PATIENCE", 0.05)
    clock = Clock()
    run(scenario(), clock=clock)


# What Nuncio times.


@timed
async def test_heartbeats(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io)
    pings: list[float] = []
    client.io.engine.on("ping", lambda: pings.append(round(clock.now)))
    await clock.advance(25)
    assert pings == [25]
    # Each is due an interval behind the answer to the last.
    await clock.advance(101)
    assert pings == [25, 50, 75, 100, 125]
    assert client.connected


@timed
async def test_acknowledgements_time_out(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io)
    client.on("think", lambda ack: None)
    asked = asyncio.ensure_future(client.emit_with_ack("nobody answers", timeout=30))
    asking = asyncio.ensure_future(client.server_socket.timeout(60).emit_with_ack("what"))
    await clock.advance(29.9)
    assert not asked.done()
    await clock.advance(0.1)
    with pytest.raises(nuncio.AckTimeout):
        asked.result()
    await clock.advance(30)
    with pytest.raises(nuncio.AckTimeout):
        asking.result()


@timed
async def test_reconnection_backs_off(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io, reconnection_delay=1, reconnection_delay_max=5)
    attempts: list[float] = []
    client.io.on("reconnect_attempt", lambda _: attempts.append(round(clock.now)))
    client.network.down()
    await clock.advance(20)
    assert attempts == [1, 3, 7, 12, 17]


@timed
async def test_a_users_time_is_up(clock: Clock) -> None:
    io = nuncio.Server()

    @io.use
    @auth.middleware(notice=30.0)
    def who(socket: nuncio.Socket, credentials: dict[str, Any]) -> auth.Identity:
        return auth.Identity(credentials["user"], expires_at=time.time() + 3600)

    client = await connect(io, auth={"user": "ada"})
    await clock.advance(3569)
    assert not client.received
    await clock.advance(2)
    [notice] = client.received
    assert notice.args[0]["expires_in"] == pytest.approx(30, abs=2)
    answer = asyncio.ensure_future(client.emit_with_ack("auth:refresh", {"user": "ada"}))
    await settle()
    assert answer.result()["ok"]
    await clock.advance(3599)
    assert client.connected
    await clock.advance(2)
    await client.expect("disconnect_reason", "auth expired")
    await client.expect("disconnect", "io server disconnect")


@timed
async def test_clients_are_remembered_for_a_while(clock: Clock) -> None:
    io = nuncio.Server(connection_state_recovery={"max_disconnection_duration": 120})
    client = await connect(io)
    first = client.id
    client.network.down(100)
    await clock.advance(60)
    io.emit("news", 1)
    await clock.advance(60)
    assert client.recovered
    assert client.id == first
    await client.expect("news", 1)
    client.network.down(121)
    await clock.advance(60)
    io.emit("news", 2)
    await clock.advance(70)
    assert client.connected
    assert not client.recovered
    await client.expect_nothing()


@timed
async def test_the_client_does_not_take_standing_time_for_a_sleep(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io)
    for _ in range(4):
        await clock.advance(5)
        # Real time, that the loop knows nothing of, as under a debugger.
        stall()
    await clock.advance(100)
    await client.expect_nothing("disconnect")


# Jumping.


def test_time_jumps_when_nothing_is_to_be_done() -> None:
    io = nuncio.Server()

    @io.event
    async def slow(socket: nuncio.Socket) -> str:
        await asyncio.sleep(3600)
        return "done"

    async def scenario() -> None:
        client = await connect(io)
        assert await client.emit_with_ack("slow") == "done"
        assert 3599.999 < clock.now < 3601
        with pytest.raises(AssertionError, match="within 60 s"):
            await client.next("never", timeout=60)
        assert 3659.999 < clock.now < 3661

    clock = Clock(autojump=True)
    run(scenario(), clock=clock)


def test_time_jumps_only_after_a_while_if_asked_to() -> None:
    async def scenario() -> None:
        # Whoever calls is not known to the loop, as the threads of drivers are not.
        loop = asyncio.get_running_loop()
        called = loop.create_future()
        timer = threading.Timer(0.05, loop.call_soon_threadsafe, (called.set_result, None))
        timer.start()
        async with asyncio.timeout(10):
            await called
        assert clock.now < 10

    clock = Clock(autojump=5.0)
    run(scenario(), clock=clock)


@timed
async def test_jumping_can_be_switched(clock: Clock) -> None:
    assert not clock.jumps
    clock.autojump = True
    await asyncio.sleep(10)
    assert clock.now == pytest.approx(10)
    clock.autojump = False
    sleeping = asyncio.ensure_future(asyncio.sleep(1))
    await settle()
    assert not sleeping.done()
    sleeping.cancel()
    with pytest.raises(nuncio.OptionError, match="autojump must be"):
        clock.autojump = -1


# In and out of force.


@staged
async def test_time_does_not_go_back_when_it_ends() -> None:
    loop = asyncio.get_running_loop()
    async with Clock() as clock:
        await clock.advance(1000)
        inside = loop.time()
    assert inside <= loop.time() < inside + 60
    async with asyncio.timeout(30):
        await asyncio.sleep(0.001)
    async with Clock() as clock:
        assert loop.time() >= inside
        await clock.advance(5)
        assert clock.now == 5


@staged
async def test_one_is_in_force_at_a_time() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError, match="not in force"):
        await clock.advance(1)
    async with clock:
        with pytest.raises(RuntimeError, match="another Clock"):
            async with Clock():
                pass
        advancing = asyncio.ensure_future(clock.advance(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="advanced already"):
            await clock.advance(1)
        await advancing
        with pytest.raises(nuncio.OptionError, match="seconds must be"):
            await clock.advance(-1)
    assert repr(clock) == "<Clock at 1 s>"


@staged
async def test_advancing_may_be_given_up() -> None:
    async with Clock() as clock:
        advancing = asyncio.ensure_future(clock.advance(1))
        await asyncio.sleep(0)
        advancing.cancel()
        await asyncio.wait((advancing,))
        assert advancing.cancelled()
        await clock.advance(2)
        assert clock.now == 2


def test_loops_that_keep_their_own_time_are_refused() -> None:
    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="cannot be changed"):
            async with Clock():
                pass

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def test_a_test_that_waits_for_time_that_stands_still_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.01)
    told = threading.Event()

    class Telling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        sleeping = asyncio.ensure_future(asyncio.sleep(7))
        wake = loop.create_future()

        def watch() -> None:
            assert told.wait(60)
            loop.call_soon_threadsafe(wake.set_result, None)

        threading.Thread(target=watch).start()
        await wake
        sleeping.cancel()

    handler = Telling()
    logging.getLogger("nuncio.testing").addHandler(handler)
    try:
        run(scenario(), clock=Clock())
    finally:
        logging.getLogger("nuncio.testing").removeHandler(handler)
    [record] = caplog.records
    assert "the next timer is due in 7: await clock.advance" in record.getMessage()
