from __future__ import annotations

import json
from typing import Any

import pytest

from nuncio import Limits, Rate
from tests.support.aio import run_async
from tests.support.door import POLLING, WEBSOCKET, Door, header
from tests.support.fakes import FakeExchange, a_request

WAYS = pytest.mark.parametrize(
    ("query", "upgrade"), [(POLLING, False), (WEBSOCKET, True)], ids=["polling", "websocket"]
)


async def knock_from(door: Door, address: tuple[str, int] | None) -> Any:
    """A handshake from an address."""
    request = a_request(POLLING)
    request.client = address
    exchange = FakeExchange(request)
    waiting = door.engine.handle(exchange, False)
    if waiting is not None:
        await waiting
    return exchange


@WAYS
@run_async
async def test_an_address_that_knocks_too_often_is_told_when_to_come_back(
    query: str, upgrade: bool
) -> None:
    door = Door(limits=Limits(handshakes_per_address=Rate(3, per=3600)))
    for _ in range(3):
        assert (await door.knock(query, upgrade=upgrade)).status in (200, 0)
    exchange = await door.knock(query, upgrade=upgrade)
    assert exchange.status == 429
    assert 1190 <= int(header(exchange, "retry-after") or 0) <= 1200
    assert header(exchange, "connection") == "close"
    if upgrade:
        assert exchange.body == b"Too many requests"
        assert exchange.transport is None
    else:
        assert json.loads(exchange.body) == {"code": 429, "message": "Too many requests"}
    [failure] = door.failures
    assert (failure.code, failure.message) == (429, "Too many requests")
    assert failure.context["name"] == "TOO_MANY_HANDSHAKES_OF_ADDRESS"
    assert failure.context["address"] == "192.0.2.1"
    assert door.engine.counters.refused_handshakes == 1
    assert door.engine.clients_count == 3
    # Others are let in, and who is in stays in.
    assert (await knock_from(door, ("192.0.2.2", 1))).status == 200
    [*_, last] = door.sessions
    poll = await door.knock(f"{POLLING}&sid={last.id}", "POST")
    poll.deliver(b"4a")
    assert poll.status == 200


@run_async
async def test_refused_handshakes_do_not_make_it_worse() -> None:
    door = Door(limits=Limits(handshakes_per_address=Rate(1, per=3600)))
    await door.knock()
    first = int(header(await door.knock(), "retry-after") or 0)
    for _ in range(100):
        exchange = await door.knock()
    assert int(header(exchange, "retry-after") or 0) <= first
    assert door.engine.counters.refused_handshakes == 101


@run_async
async def test_the_application_is_not_asked_about_who_knocks_too_often() -> None:
    asked: list[object] = []

    async def allow(request: object) -> bool:
        asked.append(request)
        return True

    door = Door(allow_request=allow, limits=Limits(handshakes_per_address=Rate(2, per=3600)))
    for _ in range(10):
        await door.knock()
    assert len(asked) == 2


@run_async
async def test_neighbours_in_a_network_share_a_rate_and_strangers_do_not() -> None:
    door = Door(limits=Limits(handshakes_per_address=Rate(1, per=3600)))
    assert (await knock_from(door, ("2001:db8::1", 1))).status == 200
    assert (await knock_from(door, ("2001:db8::2", 1))).status == 429
    assert (await knock_from(door, ("2001:db8:0:1::1", 1))).status == 200
    # Who has no address is nobody's neighbour.
    for _ in range(5):
        assert (await knock_from(door, None)).status == 200


@run_async
async def test_an_address_may_have_so_many_sessions() -> None:
    door = Door(limits=Limits(connections_per_address=2))
    for _ in range(2):
        assert (await door.knock()).status == 200
    exchange = await door.knock()
    assert exchange.status == 429
    assert json.loads(exchange.body) == {"code": 429, "message": "Too many requests"}
    assert (await door.knock(WEBSOCKET, upgrade=True)).answer == (429, b"Too many requests")
    assert door.failures[0].context == {
        "name": "TOO_MANY_CONNECTIONS_OF_ADDRESS",
        "address": "192.0.2.1",
        "limit": 2,
    }
    assert (await knock_from(door, ("192.0.2.2", 1))).status == 200
    # The second connection of an upgrade is not a second session.
    probe = await door.knock(f"{WEBSOCKET}&sid={door.sessions[0].id}", upgrade=True)
    assert probe.transport is not None
    # Whoever leaves makes room, for one.
    door.sessions[0].close(discard=True)
    assert (await door.knock()).status == 200
    assert (await door.knock()).status == 429
    assert door.engine.counters.refused_connections == 3
    for session in door.sessions:
        session.close(discard=True)
    assert door.engine._door._of_address == {}


@run_async
async def test_there_may_be_so_many_sessions_all_together() -> None:
    door = Door(limits=Limits(connections=2))
    assert (await knock_from(door, ("192.0.2.1", 1))).status == 200
    assert (await knock_from(door, None)).status == 200
    exchange = await knock_from(door, ("192.0.2.3", 1))
    assert exchange.status == 503
    assert json.loads(exchange.body) == {"code": 503, "message": "Too many connections"}
    assert header(exchange, "retry-after") == "5"
    assert door.failures[0].context == {"name": "TOO_MANY_CONNECTIONS", "limit": 2}
    door.sessions[0].close(discard=True)
    assert (await door.knock()).status == 200
    assert door.engine.counters.refused_connections == 1


@run_async
async def test_a_house_that_fills_up_while_the_application_decides() -> None:
    async def allow(request: object) -> bool:
        await door.knock_quietly()
        return True

    class Busy(Door):
        async def knock_quietly(self) -> None:
            """Somebody else is faster."""
            if not self.sessions:
                self.engine._open(FakeExchange(a_request(POLLING)), False, "other")

    door = Busy(allow_request=allow, limits=Limits(connections_per_address=1))
    assert (await door.knock()).status == 429
    assert list(door.engine.sessions) == ["other"]


@run_async
async def test_addresses_are_not_counted_unless_somebody_asked_for_it() -> None:
    door = Door()
    for _ in range(500):
        assert (await door.knock()).status == 200
    assert door.engine._door._of_address is None
    assert door.engine._door._handshakes is None
    assert not any(door.engine.counters.snapshot().values())


@run_async
async def test_refusals_of_the_reference_are_counted_apart() -> None:
    door = Door()
    await door.knock("EIO=4&transport=tobi")
    await door.knock("EIO=3&transport=polling")
    assert door.engine.counters.refused_requests == 2
    assert repr(door.engine.counters) == "<Counters {'refused_requests': 2}>"
