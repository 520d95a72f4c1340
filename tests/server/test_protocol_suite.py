"""What the Socket.IO protocol, revision 5, asks of every server.

The ground of the test suite that is published with the protocol, walked in other words, over both
ways in which requests reach the server. The Engine.IO half of it is in `tests/engine`; here it is
walked again on a Socket.IO server's path.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio
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

PATH = "/socket.io/"


def serving(host: str, **options: Any) -> Iterator[Home]:
    """A server with two namespaces that send back what they get."""
    io = nuncio.Server(**options)

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        socket.emit("auth", socket.handshake.auth)

    @io.event
    def message(socket: nuncio.Socket, *args: Any) -> None:
        socket.emit("message-back", *args)

    @io.on("message-with-ack")
    def message_with_ack(socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
        return nuncio.Ack(*args)

    @io.of("/custom").on("connection")
    def custom(socket: nuncio.Socket) -> None:
        socket.emit("auth", socket.handshake.auth)

    home = Home(io, host)
    yield home

    async def end() -> None:
        io.engine.close(discard=True)
        await eventually(lambda: not io.engine.sessions)

    home.run(end())
    assert io.handshakes == 0
    home.close()


@pytest.fixture(scope="module", params=HOSTS)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A server whose patience no test outlives."""
    yield from serving(request.param)


@pytest.fixture(scope="module", params=HOSTS)
def pinging(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A server that pings often, and waits long enough for who does answer."""
    yield from serving(request.param, ping_interval=0.3, ping_timeout=1)


@pytest.fixture(scope="module", params=HOSTS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Home]:
    """A server where one has to join soon."""
    yield from serving(request.param, connect_timeout=0.4)


async def connect(port: int) -> WebSocket:
    """A WebSocket whose open packet is read."""
    socket = await WebSocket.open(port, websocket_target(PATH))
    assert str(await socket.receive()).startswith("0{")
    return socket


async def join(port: int) -> WebSocket:
    """A WebSocket that has joined the default namespace."""
    socket = await connect(port)
    await socket.send("40")
    assert (await receive(socket)).startswith('40{"sid":')
    assert await receive(socket) == '42["auth",{}]'
    return socket


async def receive(socket: WebSocket) -> str:
    """The next text packet; pings are answered and passed over."""
    while True:
        message = await socket.receive()
        if message != "2":
            assert isinstance(message, str)
            return message
        await socket.send("3")


async def is_closed(socket: WebSocket) -> None:
    with pytest.raises(Closed):
        while True:
            await receive(socket)


# The engine below.


@run_async
async def test_sessions_open(home: Home) -> None:
    session = await Polling.open(home.port)
    opened = session.open_packet
    assert opened == {
        "sid": session.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }
    async with await connect(home.port):
        pass


@pytest.mark.parametrize(
    "query",
    [
        "transport={}",
        "EIO=abc&transport={}",
        "EIO=4",
        "EIO=4&transport=abc",
    ],
)
@run_async
async def test_sessions_need_a_known_protocol_and_transport(home: Home, query: str) -> None:
    assert (await fetch(home.port, f"{PATH}?{query.format('polling')}")).status == 400
    with pytest.raises(Refused) as refused:
        await WebSocket.open(home.port, f"{PATH}?{query.format('websocket')}")
    assert refused.value.response.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
@run_async
async def test_sessions_open_with_get_alone(home: Home, method: str) -> None:
    target = f"{PATH}?EIO=4&transport=polling"
    assert (await fetch(home.port, target, method, body=b"")).status == 400


@run_async
async def test_heartbeats_over_polling(pinging: Home) -> None:
    session = await Polling.open(pinging.port)
    await session.post("40")
    assert len(await session.receive()) == 2
    for _ in range(2):
        assert await session.receive() == ["2"]
        assert (await session.post("3")).text == "ok"
    assert await session.receive() == ["2"]
    assert await session.receive() == ["1"]
    assert (await session.get()).status == 400


@run_async
async def test_heartbeats_over_a_websocket(pinging: Home) -> None:
    async with await join(pinging.port) as socket:
        for _ in range(2):
            assert await socket.receive() == "2"
            await socket.send("3")
        assert await socket.receive() == "2"
        with pytest.raises(Closed):
            await socket.receive()


@run_async
async def test_clients_close_their_sessions(home: Home) -> None:
    session = await Polling.open(home.port)
    poll = asyncio.ensure_future(session.get())
    await home.polled(session.sid)
    assert (await session.post("1")).text == "ok"
    assert (await poll).text == "6"
    assert (await session.get()).status == 400
    socket = await connect(home.port)
    await socket.close()


@run_async
async def test_a_session_moves_to_a_websocket_and_stays_there(home: Home) -> None:
    session = await Polling.open(home.port)
    async with await session.probe() as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.send("5", "40")
        assert (await receive(socket)).startswith('40{"sid":')
        assert (await session.get()).status == 400
        async with await session.probe() as second:
            await second.closed()
        await socket.send('42["message",1]')
        assert await receive(socket) == '42["auth",{}]'
        assert await receive(socket) == '42["message-back",1]'


# Connecting.


@pytest.mark.parametrize("nsp", ["", "/custom,"])
@pytest.mark.parametrize(("auth", "seen"), [("", "{}"), ('{"token":"123"}', '{"token":"123"}')])
@run_async
async def test_clients_join_namespaces(home: Home, nsp: str, auth: str, seen: str) -> None:
    async with await connect(home.port) as socket:
        await socket.send(f"40{nsp}{auth}")
        answer = await receive(socket)
        assert answer.startswith(f"40{nsp}")
        joined = json.loads(answer[2 + len(nsp) :])
        assert list(joined) == ["sid"]
        assert isinstance(joined["sid"], str)
        assert await receive(socket) == f'42{nsp}["auth",{seen}]'


@run_async
async def test_unknown_namespaces_are_refused(home: Home) -> None:
    async with await connect(home.port) as socket:
        await socket.send("40/random")
        assert await receive(socket) == '44/random,{"message":"Invalid namespace"}'
        # The connection can still be used.
        await socket.send("40")
        assert (await receive(socket)).startswith("40{")


@run_async
async def test_an_invalid_handshake_closes_the_connection(home: Home) -> None:
    async with await connect(home.port) as socket:
        await socket.send("4abc")
        await is_closed(socket)


@run_async
async def test_who_never_joins_a_namespace_is_closed(impatient: Home) -> None:
    async with await connect(impatient.port) as socket:
        await is_closed(socket)
    async with await connect(impatient.port) as socket:
        await socket.send("40/random")
        await is_closed(socket)


# Disconnecting.


@run_async
async def test_a_client_leaves_a_namespace_and_keeps_the_connection(home: Home) -> None:
    async with await join(home.port) as socket:
        await socket.send("40/custom,")
        first = await receive(socket)
        assert await receive(socket) == '42/custom,["auth",{}]'
        await socket.send("41/custom,", '42["message","a"]')
        assert await receive(socket) == '42["message-back","a"]'
        await socket.send("40/custom,")
        again = await receive(socket)
        assert again.startswith("40/custom,") and again != first
        assert await receive(socket) == '42/custom,["auth",{}]'
        await socket.send("41")
        # What comes in one piece with the goodbye would be ignored.
        await socket.send("40/unknown,")
        assert await receive(socket) == '44/unknown,{"message":"Invalid namespace"}'
        # Nothing else was joined there any more, and so this is a violation.
        await socket.send('42["message","a"]')
        await is_closed(socket)


# Messages.


@run_async
async def test_text_goes_both_ways(home: Home) -> None:
    async with await join(home.port) as socket:
        await socket.send('42["message",1,"2",{"3":[true]}]')
        assert await receive(socket) == '42["message-back",1,"2",{"3":[true]}]'


@run_async
async def test_bytes_go_both_ways(home: Home) -> None:
    async with await join(home.port) as socket:
        await socket.send(
            '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            b"\x01\x02\x03",
            b"\x04\x05\x06",
        )
        assert await receive(socket) == (
            '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        )
        assert await socket.receive() == b"\x01\x02\x03"
        assert await socket.receive() == b"\x04\x05\x06"


@run_async
async def test_text_is_acknowledged(home: Home) -> None:
    async with await join(home.port) as socket:
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await receive(socket) == '43456[1,"2",{"3":[false]}]'


@run_async
async def test_bytes_are_acknowledged(home: Home) -> None:
    async with await join(home.port) as socket:
        await socket.send(
            '452-789["message-with-ack",{"_placeholder":true,"num":0},'
            '{"_placeholder":true,"num":1}]',
            b"\x01\x02\x03",
            b"\x04\x05\x06",
        )
        assert await receive(socket) == (
            '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        )
        assert await socket.receive() == b"\x01\x02\x03"
        assert await socket.receive() == b"\x04\x05\x06"


@pytest.mark.parametrize(
    "packet",
    ["4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]'],
    ids=["unknown type", "invalid payload", "invalid id"],
)
@run_async
async def test_what_is_no_packet_closes_the_connection(home: Home, packet: str) -> None:
    async with await join(home.port) as socket:
        await socket.send(packet)
        await is_closed(socket)


@run_async
async def test_everything_works_over_polling_too(home: Home) -> None:
    session = await Polling.open(home.port)
    await session.post('40{"token":"1"}')
    joined, auth = await take(session, 2)
    assert joined.startswith('40{"sid":')
    assert auth == '42["auth",{"token":"1"}]'
    await session.post(
        '42["message","é"]\x1e427["message-with-ack"]\x1e'
        '451-["message",{"_placeholder":true,"num":0}]\x1ebAQI='
    )
    assert await take(session, 4) == [
        '42["message-back","é"]',
        "437[]",
        '451-["message-back",{"_placeholder":true,"num":0}]',
        "bAQI=",
    ]
    await session.post("1")


async def take(session: Polling, count: int) -> list[str]:
    """So many packets; pings are answered and passed over."""
    found: list[str] = []
    while len(found) < count:
        for packet in await session.receive():
            if packet == "2":
                await session.post("3")
            else:
                found.append(packet)
    return found
