"""Settling waits for all that follows, and for nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

import nuncio
from nuncio.testing import Clock, Stage, connect, run, settle, settling
from nuncio.testing.running import new_event_loop
from tests.testing.stages import staged, timed


def own() -> asyncio.AbstractEventLoop:
    return new_event_loop()


LOOPS = pytest.mark.parametrize("loop_factory", [own, uvloop.new_event_loop], ids=["own", "uvloop"])


def run_in(loop_factory: Callable[[], Any], scenario: Any) -> None:
    """Run a scenario in another loop than `run` makes."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


@LOOPS
def test_a_chain_of_handlers_and_packets_comes_to_its_end(loop_factory: Callable[[], Any]) -> None:
    io = nuncio.Server()

    @io.event
    async def count(socket: nuncio.Socket, number: int) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        socket.emit("count", number + 1)

    async def scenario() -> None:
        async with Stage() as stage:
            client = await stage.connect(io)

            @client.on("count")
            async def counted(number: int) -> None:
                await asyncio.sleep(0)
                if number < 20:
                    client.emit("count", number)

            client.emit("count", 0)
            await settle()
            assert [event.args for event in client.received] == [[n] for n in range(1, 21)]

    run_in(loop_factory, scenario)


@LOOPS
def test_handlers_in_threads_are_waited_for(loop_factory: Callable[[], Any]) -> None:
    io = nuncio.Server()
    release = threading.Event()
    heard: list[str] = []

    @io.on("work", thread=True)
    def work(socket: nuncio.Socket) -> None:
        assert release.wait(60)
        heard.append("work")

    async def scenario() -> None:
        async with Stage() as stage:
            client = await stage.connect(io)
            client.emit("work")
            threading.Timer(0.02, release.set).start()
            await settle(patience=60)
            assert heard == ["work"]

    run_in(loop_factory, scenario)


@LOOPS
def test_handlers_that_wait_for_something_outside_are_waited_for(
    loop_factory: Callable[[], Any],
) -> None:
    io = nuncio.Server()
    heard: list[str] = []

    @io.event
    async def ask(socket: nuncio.Socket) -> None:
        # As a driver of a database with threads of its own.
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        threading.Timer(0.02, loop.call_soon_threadsafe, (answered.set_result, None)).start()
        await answered
        heard.append("answer")

    async def scenario() -> None:
        async with Stage() as stage:
            client = await stage.connect(io)
            client.emit("ask")
            await settle(patience=60)
            assert heard == ["answer"]

    run_in(loop_factory, scenario)


@LOOPS
def test_handlers_that_wait_for_the_test_are_not_waited_for_long(
    loop_factory: Callable[[], Any],
) -> None:
    io = nuncio.Server()
    may_go_on: list[asyncio.Event] = []

    @io.event
    async def wait(socket: nuncio.Socket) -> None:
        await may_go_on[0].wait()
        socket.emit("done")

    async def scenario() -> None:
        may_go_on.append(asyncio.Event())
        async with Stage() as stage:
            client = await stage.connect(io)
            client.emit("wait")
            await settle(patience=0.05)
            assert not client.received
            may_go_on[0].set()
            await client.expect("done")

    run_in(loop_factory, scenario)


@staged
async def test_a_handler_that_settles_does_not_wait_for_itself() -> None:
    io = nuncio.Server()

    @io.event
    async def settled(socket: nuncio.Socket) -> str:
        await settle(patience=3600)
        return "yes"

    client = await connect(io)
    assert await client.emit_with_ack("settled") == "yes"


def test_a_handler_that_waits_for_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "PATIENCE", 3600)
    clock = Clock()
    run(_ticking(clock), clock=clock)


async def _ticking(clock: Clock) -> None:
    io = nuncio.Server()

    @io.on("connection")
    async def connection(socket: nuncio.Socket) -> None:
        while True:
            await asyncio.sleep(1)
            socket.emit("tick")

    client = await connect(io)
    await settle()
    assert not client.received
    await clock.advance(3)
    assert len(client.received) == 3
    await client.expect("tick")


@staged
async def test_delayed_packets_are_waited_for_in_real_time() -> None:
    io = nuncio.Server()
    client = await connect(io)
    client.network.delay = 0.02
    io.emit("news")
    await settle(patience=60)
    assert len(client.received) == 1


@timed
async def test_delayed_packets_are_not_waited_for_while_time_stands_still(clock: Clock) -> None:
    io = nuncio.Server()
    client = await connect(io)
    client.network.delay = 0.02
    io.emit("news")
    await settle()
    assert not client.received
    await clock.advance(0.02)
    assert len(client.received) == 1


def test_there_need_not_be_anybody() -> None:
    run(settle())
