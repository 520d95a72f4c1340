"""A test leaves nothing to the next, and handlers that fail make it fail."""

from __future__ import annotations

import asyncio
import gc
import unittest
import weakref
from typing import Any

import pytest

import nuncio
from nuncio.testing import Clock, Stage, connect, run, settle
from tests.testing.stages import staged


def failing() -> nuncio.Server:
    io = nuncio.Server()

    @io.event
    def fail(socket: nuncio.Socket) -> None:
        raise KeyError("oops")

    @io.event
    def double(socket: nuncio.Socket, number: int) -> int:
        return number * 2

    return io


@staged
async def test_its_clients_and_servers_end_with_it() -> None:
    io = nuncio.Server(connection_state_recovery=True)
    reasons: list[str] = []
    cancelled: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: nuncio.Socket, reason: str) -> None:
        reasons.append(reason)

    @io.on("connection")
    async def connection(socket: nuncio.Socket) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(socket.id)
            raise

    async with Stage() as stage:
        ada = await stage.connect(io)
        bob = await stage(io)
        assert stage.clients == [ada, bob]
        assert stage.is_open
        sids = [ada.id, bob.id]
    assert reasons == ["client namespace disconnect"] * 2
    assert sorted(cancelled) == sorted(sids)
    assert not io.running
    assert not stage.is_open
    # The server may be used again.
    async with connect(io) as client:
        assert client.connected


@pytest.mark.parametrize("how", ["hold", "down", "refuse"])
def test_a_network_that_is_wrong_does_not_keep_it_from_ending(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nuncio.testing.stage, "CLOSE_SECONDS", 3600)
    io = nuncio.Server()

    async def scenario() -> None:
        async with Stage() as stage:
            ada = await stage.connect(io)
            getattr(ada.network, how)()
            ada.emit("something")
        await settle()
        assert not io.engine.sessions

    run(scenario())


@staged
async def test_time_that_stands_still_does_not_keep_it_from_ending() -> None:
    io = nuncio.Server()
    async with Clock(), Stage() as stage:
        ada = await stage.connect(io)
        ada.network.hold()
        bob = await stage.connect(io)
        bob.network.down()
        await settle()
    assert not io.engine.sessions


@staged
async def test_what_a_servers_handler_raises_is_raised() -> None:
    io = failing()
    with pytest.raises(ExceptionGroup) as caught:
        async with Stage() as stage:
            ada = await stage.connect(io)
            ada.emit("fail")
            await settle()
    [error] = caught.value.exceptions
    assert isinstance(error, KeyError)
    assert error.__notes__ == ["It was raised by a handler of 'fail' on the server."]


@staged
async def test_what_was_sent_at_the_end_is_handled_before_it_ends() -> None:
    io = nuncio.Server()

    @io.event
    async def fail_late(socket: nuncio.Socket) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        raise KeyError("oops")

    with pytest.raises(ExceptionGroup):
        async with Stage() as stage:
            ada = await stage.connect(io)
            ada.emit("fail_late")


@staged
async def test_what_a_clients_handler_raises_is_raised_once() -> None:
    io = failing()
    io.of("/other")
    with pytest.raises(ExceptionGroup) as caught:
        async with Stage() as stage:
            ada = await stage.connect(io)
            other = await stage.connect(ada, "/other")

            @other.on("news")
            async def news() -> None:
                await asyncio.sleep(0)
                raise ValueError("oops")

            io.of("/other").emit("news")
            await settle()
    [error] = caught.value.exceptions
    assert error.__notes__ == ["It was raised by a handler of 'news' on the client."]


@staged
async def test_what_was_taken_is_forgiven() -> None:
    io = failing()
    async with Stage() as stage:
        ada = await stage.connect(io)
        ada.emit("fail")
        await settle()
        assert [type(error) for error in stage.errors] == [KeyError]
        assert [type(error) for error in stage.take_errors()] == [KeyError]


@staged
async def test_what_is_the_clients_fault_is_no_failure() -> None:
    io = failing()
    async with Stage() as stage:
        ada = await stage.connect(io)
        answer = await ada.emit_with_ack("double", "text")
        assert answer["error"]["argument"] == "number"


@staged
async def test_a_failure_of_the_test_itself_comes_first() -> None:
    io = failing()
    with pytest.raises(AssertionError) as caught:
        async with Stage() as stage:
            ada = await stage.connect(io)
            ada.emit("fail")
            await ada.expect("answer", timeout=0.05)
    assert caught.value.__notes__ == ["Beside that, a handler raised KeyError('oops')."]


@staged
async def test_each_hears_of_its_own_servers_only_and_no_longer_than_it_lives() -> None:
    io = failing()
    async with Stage() as first:
        async with Stage() as second:
            await second.connect(nuncio.Server())
            ada = await first.connect(io)
            ada.emit("fail")
            await settle()
        assert len(first.take_errors()) == 1
    async with connect(io) as bob:
        bob.emit("fail")
        await settle()
    assert first.errors == []
    stage = nuncio.testing.here.here().stage
    assert stage is not None
    assert len(stage.take_errors()) == 1


# `run`.


def test_run_gives_what_the_coroutine_returns() -> None:
    async def answer() -> int:
        return 42

    assert run(answer()) == 42


def test_run_ends_what_is_left() -> None:
    io = nuncio.Server()

    async def scenario() -> None:
        await connect(io)
        assert io.engine.sessions

    run(scenario())
    assert not io.engine.sessions


def test_run_raises_what_handlers_raise() -> None:
    io = failing()

    async def scenario() -> None:
        ada = await connect(io)
        ada.emit("fail")
        await settle()

    with pytest.raises(ExceptionGroup, match="handlers raised"):
        run(scenario())


def test_run_may_be_given_a_clock() -> None:
    async def scenario() -> float:
        await asyncio.sleep(10)
        return clock.now

    clock = Clock(autojump=True)
    assert run(scenario(), clock=clock) == pytest.approx(10)


def test_loops_that_have_ended_are_forgotten() -> None:
    async def scenario() -> weakref.ref[Any]:
        await connect(nuncio.Server())
        return weakref.ref(asyncio.get_running_loop())

    loops = [run(scenario()) for _ in range(3)]
    gc.collect()
    # The last one is, when there is another.
    assert [loop() is None for loop in loops[:2]] == [True, True]


def test_it_serves_unittest() -> None:
    io = failing()

    class Tests(unittest.IsolatedAsyncioTestCase):
        async def test_double(self) -> None:
            async with Stage() as stage:
                ada = await stage.connect(io)
                self.assertEqual(await ada.emit_with_ack("double", 21), 42)

        async def test_fail(self) -> None:
            async with Clock() as clock, Stage() as stage:
                ada = await stage.connect(io)
                ada.emit("fail")
                await clock.advance(100)
                self.assertTrue(ada.connected)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Tests).run(result)
    assert result.testsRun == 2
    [(test, trace)] = result.errors
    assert test.id().endswith("test_fail")
    assert "KeyError: 'oops'" in trace
    assert not result.failures


def test_run_makes_a_loop_of_asyncios_own() -> None:
    async def scenario() -> Any:
        return asyncio.get_running_loop()

    assert isinstance(run(scenario()), asyncio.BaseEventLoop)
