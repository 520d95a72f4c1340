"""What the Engine.IO protocol, revision 4, asks of every server.

The ground of the test suite that is published with the protocol, walked in other words, over both
ways in which requests reach the engine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from nuncio.engine import Engine
from nuncio.engine.session import Session
from tests.support.aio import eventually, run_async
from tests.support.live import HOSTS, Home
from tests.support.rawclient import (
    Closed,
    Polling,
    Refused,
    WebSocket,
    fetch,
    websocket_target,
)

PATH = "/engine.io/"


def echoing(host: str, **options: Any) -> Iterator[Home]:
    """An engine that sends every message back."""
    engine = Engine(**options)

    @engine.on("connection")
    def connection(session: Session) -> None:
        session.on("message", session.send)

    home = Home(engine, host)
    yield home
    home.close()


@pytest.fixture(scope="module", params=HOSTS)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """An engine whose heartbeat no test lives to see."""
    yield from echoing(request.param)


@pytest.fixture(scope="module", params=HOSTS)
def pinging(request: pytest.FixtureRequest) -> Iterator[Home]:
    """An engine that pings often and waits long."""
    yield from echoing(request.param, ping_interval=0.3)


@pytest.fixture(scope="module", params=HOSTS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Home]:
    """An engine that pings often and does not wait."""
    yield from echoing(request.param, ping_interval=0.3, ping_timeout=0.2)


def check_open_packet(opened: dict[str, Any], upgrades: list[str]) -> None:
    assert isinstance(opened["sid"], str)
    assert opened["upgrades"] == upgrades
    assert opened["pingInterval"] == 25_000
    assert opened["pingTimeout"] == 20_000
    assert opened["maxPayload"] == 1_000_000


async def open_websocket(port: int) -> WebSocket:
    socket = await WebSocket.open(port, websocket_target(PATH))
    assert str(await socket.receive()).startswith("0{")
    return socket


async def is_gone(session: Polling) -> None:
    response = await session.get()
    assert response.status == 400
    assert response.json == {"code": 1, "message": "Session ID unknown"}


# Handshake.


@run_async
async def test_a_polling_session_opens(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    assert session.opening.text.startswith("0{")
    check_open_packet(session.open_packet, ["websocket"])


@pytest.mark.parametrize(
    "query",
    [
        "transport=polling",
        "EIO=abc&transport=polling",
        "EIO=4",
        "EIO=4&transport=abc",
    ],
)
@run_async
async def test_a_polling_session_needs_a_known_protocol_and_transport(
    home: Home, query: str
) -> None:
    response = await fetch(home.port, f"{PATH}?{query}")
    assert response.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
@run_async
async def test_a_polling_session_opens_with_get_alone(home: Home, method: str) -> None:
    response = await fetch(home.port, f"{PATH}?EIO=4&transport=polling", method, body=b"")
    assert response.status == 400


@run_async
async def test_a_websocket_session_opens(home: Home) -> None:
    async with await WebSocket.open(home.port, websocket_target(PATH)) as socket:
        opening = await socket.receive()
        assert isinstance(opening, str) and opening[0] == "0"
        check_open_packet(json.loads(opening[1:]), [])


@pytest.mark.parametrize(
    "query",
    [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4",
        "EIO=4&transport=abc",
    ],
)
@run_async
async def test_a_websocket_session_needs_a_known_protocol_and_transport(
    home: Home, query: str
) -> None:
    with pytest.raises(Refused) as refused:
        await WebSocket.open(home.port, f"{PATH}?{query}")
    assert refused.value.response.status == 400


# Messages.


@pytest.mark.parametrize(
    "packets",
    [
        ["4hello"],
        ["4a", "4b", "4c"],
        ["4hello", "bAQIDBA==", "4é€"],
    ],
)
@run_async
async def test_payloads_go_both_ways(home: Home, packets: list[str]) -> None:
    session = await Polling.open(home.port, PATH)
    posted = await session.post("\x1e".join(packets))
    assert (posted.status, posted.text) == (200, "ok")
    assert await session.receive() == packets


@pytest.mark.parametrize("payload", ["abc", "", "4a\x1e"])
@run_async
async def test_garbage_in_a_payload_closes_the_session(home: Home, payload: str) -> None:
    session = await Polling.open(home.port, PATH)
    posted = await session.post(payload)
    assert (posted.status, posted.text) == (200, "ok")
    await is_gone(session)


@run_async
async def test_two_polls_at_once_close_the_session(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    first, second = await asyncio.gather(session.get(), session.get())
    assert sorted([first.status, second.status]) == [200, 400]
    assert (first if first.status == 200 else second).text == "1"
    await is_gone(session)


@run_async
async def test_a_poll_that_is_cancelled_closes_the_session(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    poll = await session.begin_poll()
    await home.polled(session.sid)
    await poll.close()
    await eventually(lambda: home.unknown(session.sid))
    await is_gone(session)


@pytest.mark.parametrize("message", ["4hello", b"\x01\x02\x03\x04", "4é€", b"", "4"])
@run_async
async def test_messages_go_both_ways_over_a_websocket(home: Home, message: str | bytes) -> None:
    async with await open_websocket(home.port) as socket:
        await socket.send(message)
        assert await socket.receive() == message


@run_async
async def test_garbage_closes_a_websocket(home: Home) -> None:
    async with await open_websocket(home.port) as socket:
        await socket.send("abc")
        assert await socket.closed() == (1005 if home.host == "native" else 1000)


# Heartbeat.


@run_async
async def test_pings_over_polling(pinging: Home) -> None:
    session = await Polling.open(pinging.port, PATH)
    for _ in range(3):
        assert await session.receive() == ["2"]
        assert (await session.post("3")).text == "ok"


@run_async
async def test_a_polling_session_that_does_not_answer_pings_is_closed(impatient: Home) -> None:
    session = await Polling.open(impatient.port, PATH)
    await eventually(lambda: impatient.unknown(session.sid))
    await is_gone(session)


@run_async
async def test_pings_over_a_websocket(pinging: Home) -> None:
    async with await open_websocket(pinging.port) as socket:
        for _ in range(3):
            assert await socket.receive() == "2"
            await socket.send("3")


@run_async
async def test_a_websocket_that_does_not_answer_pings_is_closed(impatient: Home) -> None:
    async with await open_websocket(impatient.port) as socket:
        assert await socket.receive() == "2"
        with pytest.raises(Closed):
            await socket.receive()


# Close.


@run_async
async def test_a_client_closes_its_polling_session(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    poll = asyncio.ensure_future(session.get())
    await home.polled(session.sid)
    posted = await session.post("1")
    assert (posted.status, posted.text) == (200, "ok")
    assert ((await poll).status, (await poll).text) == (200, "6")
    await is_gone(session)


@run_async
async def test_a_client_closes_its_websocket(home: Home) -> None:
    socket = await open_websocket(home.port)
    await socket.close()
    await eventually(lambda: home.unknown(socket.sid))


# Upgrade.


async def upgrade(session: Polling) -> WebSocket:
    socket = await session.probe()
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    return socket


@run_async
async def test_a_session_moves_to_a_websocket(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    async with await upgrade(session) as socket:
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@run_async
async def test_polls_are_refused_after_the_move(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    async with await upgrade(session) as socket:
        for response in (await session.get(), await session.post("4abc")):
            assert response.status == 400
            assert response.json == {"code": 3, "message": "Bad request"}
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@run_async
async def test_a_second_websocket_is_closed_after_the_move(home: Home) -> None:
    session = await Polling.open(home.port, PATH)
    async with await upgrade(session) as socket:
        async with await session.probe() as second:
            await second.closed()
        await socket.send("4hello")
        assert await socket.receive() == "4hello"
