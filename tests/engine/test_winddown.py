"""An engine that ends: what is buffered still leaves, within a time."""

from __future__ import annotations

import asyncio

from nuncio.engine import Session
from tests.support.aio import eventually, run_async, within
from tests.support.door import WEBSOCKET, Door
from tests.support.fakes import FakeTransport


def polls(sid: str) -> str:
    return f"EIO=4&transport=polling&sid={sid}"


@run_async
async def test_a_client_without_a_waiting_poll_gets_what_is_buffered_and_then_the_goodbye() -> None:
    door = Door()
    sid = await door.open()
    reasons: list[str] = []
    door.sessions[0].on("close", lambda reason, _: reasons.append(reason))
    door.sessions[0].send("last")
    door.engine.close()
    ending = asyncio.ensure_future(door.engine.wind_down(30))
    await asyncio.sleep(0)
    assert (await door.knock(polls(sid))).answer == (200, b"4last")
    assert not ending.done()
    assert reasons == []
    assert (await door.knock(polls(sid))).answer == (200, b"6\x1e1")
    assert reasons == ["forced close"]
    await within(ending)
    assert door.engine.clients_count == 0


@run_async
async def test_a_peer_that_reads_on_gets_what_is_buffered() -> None:
    door = Door()
    wire = await websocket(door)
    door.sessions[0].send("last")
    door.engine.close()
    ending = asyncio.ensure_future(door.engine.wind_down(30))
    await asyncio.sleep(0)
    assert wire.take() == []
    wire.drain()
    assert wire.take() == [b"4last"]
    assert wire.ending == ["close"]
    await within(ending)


@run_async
async def test_who_does_not_read_is_cut_off_after_the_time() -> None:
    door = Door()
    wire = await websocket(door)
    await door.open()
    for session in door.sessions:
        session.send("last")
    door.engine.close()
    await within(door.engine.wind_down(0.05))
    assert wire.ending == ["abort"]
    assert [session.ready_state for session in door.sessions] == ["closed", "closed"]
    assert door.engine.clients_count == 0


@run_async
async def test_who_has_everything_does_not_hold_it_up() -> None:
    # Gone, perhaps; it would have had time to poll.
    door = Door()
    await door.open()
    door.engine.close()
    assert door.engine.clients_count == 1
    await within(door.engine.wind_down(60), 30)
    assert door.engine.clients_count == 0


@run_async
async def test_closing_may_drop_what_is_buffered() -> None:
    door = Door()
    reasons: list[str] = []
    await websocket(door)
    await door.open()
    for session in door.sessions:
        session.on("close", lambda reason, _: reasons.append(reason))
        session.send("dropped")
    door.engine.close(discard=True)
    assert reasons == ["forced close"] * 2
    assert door.engine.clients_count == 0
    door.engine.close()


@run_async
async def test_handlers_have_what_is_left_of_the_time() -> None:
    door = Door()
    given: list[float] = []

    async def settle(seconds: float) -> None:
        given.append(seconds)

    door.engine.settle = settle
    await websocket(door)
    door.sessions[0].send("never read")
    door.engine.close()
    await within(door.engine.wind_down(0.05))
    assert given == [0.0]
    # Once.
    await within(door.engine.wind_down(5))
    assert given == [0.0]
    # And again when it has served again.
    door.engine.resume()
    await within(door.engine.wind_down(5))
    assert given[1:] and 0 < given[1] <= 5


@run_async
async def test_who_asks_while_it_is_under_way_waits_for_it() -> None:
    door = Door()
    wire = await websocket(door)
    door.sessions[0].send("last")
    door.engine.close()
    first = asyncio.ensure_future(door.engine.wind_down(30))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(door.engine.wind_down(30))
    impatient = asyncio.ensure_future(door.engine.wind_down(0.02))
    await within(impatient)
    assert not first.done() and not second.done()
    wire.drain()
    await within(asyncio.gather(first, second))


@run_async
async def test_when_it_is_cancelled_nobody_is_left_behind() -> None:
    door = Door()
    await websocket(door)
    door.sessions[0].send("last")
    door.engine.close()
    ending = asyncio.ensure_future(door.engine.wind_down(30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ending.cancel()
    await eventually(ending.done)
    assert door.engine.clients_count == 0


async def websocket(door: Door) -> FakeTransport:
    """Open a session over a WebSocket whose peer does not read now."""
    exchange = await door.knock(WEBSOCKET, upgrade=True)
    wire: FakeTransport = exchange.transport
    wire.take()
    wire.writable = False
    assert isinstance(door.sessions[-1], Session)
    return wire
