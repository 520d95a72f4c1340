"""What the Engine.IO protocol, revision 3, asks of servers that let old clients in.

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
    Headers,
    Refused,
    Response,
    WebSocket,
    fetch,
)

PATH = "/engine.io/"
OCTETS = [("Content-Type", "application/octet-stream")]


def echoing(host: str, **options: Any) -> Iterator[Home]:
    """An engine that sends every message back."""
    engine = Engine(allow_eio3=True, **options)

    @engine.on("connection")
    def connection(session: Session) -> None:
        session.on("message", session.send)

    home = Home(engine, host)
    yield home
    home.close()


@pytest.fixture(scope="module", params=HOSTS)
def home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """An engine whose patience no test outlives."""
    yield from echoing(request.param)


@pytest.fixture(scope="module", params=HOSTS)
def impatient(request: pytest.FixtureRequest) -> Iterator[Home]:
    """An engine that wants to hear from its clients often."""
    yield from echoing(request.param, ping_interval=0.3, ping_timeout=0.2)


class OldPolling:
    """A session of revision 3 over long-polling."""

    def __init__(self, port: int, extra: str, opening: Response) -> None:
        self.port = port
        self.opening = opening
        length, _, packet = opening.text.partition(":")
        assert int(length) == len(packet) and packet[0] == "0"
        self.opened: dict[str, Any] = json.loads(packet[1:])
        self.sid = self.opened["sid"]
        self.target = f"{PATH}?EIO=3&transport=polling{extra}&sid={self.sid}"

    @classmethod
    async def open(cls, port: int, extra: str = "") -> OldPolling:
        opening = await fetch(port, f"{PATH}?EIO=3&transport=polling{extra}")
        assert opening.status == 200
        return cls(port, extra, opening)

    async def get(self) -> Response:
        return await fetch(self.port, self.target)

    async def post(self, body: str | bytes, headers: Headers | None = None) -> Response:
        data = body.encode() if isinstance(body, str) else body
        headers = headers or [("Content-Type", "text/plain;charset=UTF-8")]
        return await fetch(self.port, self.target, "POST", headers, data)

    async def is_gone(self) -> None:
        response = await self.get()
        assert response.status == 400
        assert response.json == {"code": 1, "message": "Session ID unknown"}


async def open_websocket(port: int, extra: str = "") -> WebSocket:
    socket = await WebSocket.open(port, f"{PATH}?EIO=3&transport=websocket{extra}")
    opening = await socket.receive()
    assert isinstance(opening, str)
    assert json.loads(opening[1:])["upgrades"] == []
    return socket


# Handshake.


@run_async
async def test_a_polling_session_opens(home: Home) -> None:
    session = await OldPolling.open(home.port)
    assert session.opened == {
        "sid": session.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }
    assert session.opening.header("content-type") == "text/plain; charset=UTF-8"


@pytest.mark.parametrize("query", ["EIO=3", "EIO=3&transport=abc", "transport=abc"])
@run_async
async def test_a_session_needs_a_known_transport(home: Home, query: str) -> None:
    assert (await fetch(home.port, f"{PATH}?{query}")).status == 400
    with pytest.raises(Refused):
        await WebSocket.open(home.port, f"{PATH}?{query}")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@run_async
async def test_a_polling_session_opens_with_get_alone(home: Home, method: str) -> None:
    response = await fetch(home.port, f"{PATH}?EIO=3&transport=polling", method, body=b"")
    assert response.status == 400


@pytest.mark.parametrize("query", ["", "EIO=&", "EIO=abc&", "EIO=2&", "EIO=5&", "EIO=4.0&"])
@run_async
async def test_whatever_is_not_revision_4_is_taken_for_3(home: Home, query: str) -> None:
    response = await fetch(home.port, f"{PATH}?{query}transport=polling")
    assert response.text.partition(":")[2].startswith("0{")


@run_async
async def test_both_revisions_have_sessions_side_by_side(home: Home) -> None:
    old = await OldPolling.open(home.port)
    new = await fetch(home.port, f"{PATH}?EIO=4&transport=polling")
    assert new.text.startswith("0{")
    for query in (f"EIO=4&sid={old.sid}", f"EIO=3&sid={json.loads(new.text[1:])['sid']}"):
        response = await fetch(home.port, f"{PATH}?{query}&transport=polling")
        assert (response.status, response.json["code"]) == (400, 3)


# Messages.


@pytest.mark.parametrize(
    "payload",
    ["6:4hello", "2:4a2:4b2:4c", "3:4é€2:4z", "5:4🎉🎉10:b4AQIDBA==2:4z", "6:4hello10:b4AQIDBA=="],
)
@run_async
async def test_payloads_go_both_ways_as_text(home: Home, payload: str) -> None:
    session = await OldPolling.open(home.port, "&b64=1")
    posted = await session.post(payload)
    assert (posted.status, posted.text) == (200, "ok")
    answer = await session.get()
    assert (answer.text, answer.header("content-type")) == (payload, "text/plain; charset=UTF-8")


@run_async
async def test_payloads_go_both_ways_as_bytes(home: Home) -> None:
    session = await OldPolling.open(home.port)
    text, binary = b"\x00\x06\xff4hello", b"\x01\x05\xff\x04\x01\x02\x03\x04"
    assert (await session.post(text + binary, OCTETS)).text == "ok"
    answer = await session.get()
    assert (answer.body, answer.header("content-type")) == (
        text + binary,
        "application/octet-stream",
    )
    # Where nothing is binary, text is shorter; and bytes may come as text.
    assert (await session.post(text, OCTETS)).text == "ok"
    assert (await session.get()).text == "6:4hello"
    assert (await session.post("10:b4AQIDBA==")).text == "ok"
    assert (await session.get()).body == binary


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("abc", None),
        ("", None),
        ("1:7", None),
        ("1:x", None),
        ("9:4", None),
        ("2:b8", None),
        ("1:b", None),
        ("3:b4A", None),
        (b"", OCTETS),
        (b"\x00\x01\xff7", OCTETS),
        (b"\x00" * 100_000, OCTETS),
        (b"\x01\x01\xff\x09", OCTETS),
    ],
)
@run_async
async def test_garbage_in_a_payload_closes_the_session(
    home: Home, body: str | bytes, headers: Headers | None
) -> None:
    session = await OldPolling.open(home.port)
    posted = await session.post(body, headers)
    assert (posted.status, posted.text) == (200, "ok")
    await session.is_gone()


@run_async
async def test_what_comes_before_garbage_is_handled(home: Home) -> None:
    engine = home.engine
    heard: list[Any] = []
    session = await OldPolling.open(home.port)
    engine.sessions[session.sid].on("message", heard.append)
    await session.post("2:4a2:4b?")
    assert heard == ["a", "b"]
    await session.is_gone()


@run_async
async def test_two_polls_at_once_close_the_session(home: Home) -> None:
    session = await OldPolling.open(home.port)
    first, second = await asyncio.gather(session.get(), session.get())
    assert sorted([first.status, second.status]) == [200, 400]
    assert (first if first.status == 200 else second).text == "1:1"
    await session.is_gone()


@pytest.mark.parametrize(
    "message", ["4hello", b"\x04\x01\x02\x03\x04", "4é🎉", b"\x04", "4", "4\x1e"]
)
@run_async
async def test_messages_go_both_ways_over_a_websocket(home: Home, message: str | bytes) -> None:
    async with await open_websocket(home.port) as socket:
        await socket.send(message)
        assert await socket.receive() == message


@pytest.mark.parametrize("revision", [3, 4])
@run_async
async def test_clients_that_cannot_read_bytes_get_text(home: Home, revision: int) -> None:
    target = f"{PATH}?EIO={revision}&transport=websocket&b64=1"
    async with await WebSocket.open(home.port, target) as socket:
        await socket.receive()
        text = "b4AQID" if revision == 3 else "bAQID"
        await socket.send(text)
        assert await socket.receive() == text
        await socket.send(b"\x04\x01" if revision == 3 else b"\x01")
        assert await socket.receive() == ("b4AQ==" if revision == 3 else "bAQ==")


@pytest.mark.parametrize("garbage", ["abc", "", "7", "bAQID", b"", b"\x07", b"4a"])
@run_async
async def test_garbage_closes_a_websocket(home: Home, garbage: str | bytes) -> None:
    async with await open_websocket(home.port) as socket:
        await socket.send(garbage)
        assert await socket.closed() == (1005 if home.host == "native" else 1000)


# Heartbeat.


@run_async
async def test_pings_over_polling(home: Home) -> None:
    session = await OldPolling.open(home.port)
    for _ in range(3):
        assert (await session.post("1:2")).text == "ok"
        assert (await session.get()).text == "1:3"


@run_async
async def test_pings_over_a_websocket(home: Home) -> None:
    async with await open_websocket(home.port) as socket:
        # What a ping holds does not come back.
        for ping in ("2", "2hello", "2probe", b"\x02"):
            await socket.send(ping)
            assert await socket.receive() == "3"


@run_async
async def test_who_does_not_ping_is_closed(impatient: Home) -> None:
    session = await OldPolling.open(impatient.port)
    async with await open_websocket(impatient.port) as socket:
        with pytest.raises(Closed):
            await socket.receive()
    await eventually(lambda: impatient.unknown(session.sid))
    await session.is_gone()


@run_async
async def test_messages_are_no_pings(impatient: Home) -> None:
    async with await open_websocket(impatient.port) as socket:
        with pytest.raises(Closed):
            while True:
                await socket.send("4still here")
                assert await socket.receive() == "4still here"
                await asyncio.sleep(0.01)


@run_async
async def test_a_pong_from_the_client_closes_the_session(home: Home) -> None:
    session = await OldPolling.open(home.port)
    assert (await session.post("1:3")).text == "ok"
    await session.is_gone()


# Close.


@run_async
async def test_a_client_closes_its_polling_session(home: Home) -> None:
    session = await OldPolling.open(home.port)

    async def close() -> Response:
        await eventually(lambda: home.engine.sessions[session.sid].transport.writable)
        return await session.post("1:1")

    poll, posted = await asyncio.gather(session.get(), close())
    assert (posted.status, posted.text) == (200, "ok")
    assert (poll.status, poll.text) == (200, "1:6")
    await session.is_gone()


@run_async
async def test_the_server_closes_a_polling_session(home: Home) -> None:
    session = await OldPolling.open(home.port)
    home.engine.sessions[session.sid].close()
    assert (await session.get()).text == "1:61:1"
    await session.is_gone()


# Upgrade.


async def upgrade(session: OldPolling) -> WebSocket:
    target = f"{PATH}?EIO=3&transport=websocket&sid={session.sid}"
    socket = await WebSocket.open(session.port, target)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    return socket


@run_async
async def test_a_session_moves_to_a_websocket(home: Home) -> None:
    session = await OldPolling.open(home.port)
    poll = asyncio.ensure_future(session.get())
    await eventually(lambda: home.engine.sessions[session.sid].transport.writable)
    async with await upgrade(session) as socket:
        assert (await poll).text == "1:6"
        await socket.send(b"\x04\x01")
        assert await socket.receive() == b"\x04\x01"
        for response in (await session.get(), await session.post("4:4abc")):
            assert (response.status, response.json["code"]) == (400, 3)
        target = f"{PATH}?EIO=3&transport=websocket&sid={session.sid}"
        async with await WebSocket.open(home.port, target) as second:
            await second.closed()
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@run_async
async def test_a_session_does_not_change_its_revision(home: Home) -> None:
    session = await OldPolling.open(home.port)
    with pytest.raises(Refused) as refused:
        await WebSocket.open(home.port, f"{PATH}?EIO=4&transport=websocket&sid={session.sid}")
    assert (refused.value.response.status, refused.value.response.text) == (400, "Bad request")


# JSONP.


@pytest.mark.parametrize("revision", [3, 4])
@run_async
async def test_scripts_and_forms(home: Home, revision: int) -> None:
    query = f"EIO={revision}&transport=polling&b64=1&j=5"
    opening = await fetch(home.port, f"{PATH}?{query}")
    assert opening.header("content-type") == "text/plain; charset=UTF-8"
    payload = _called(opening)
    if revision == 3:
        length, _, packet = payload.partition(":")
        assert int(length) == len(packet)
    sid = json.loads(payload[payload.index("{") :])["sid"]
    target = f"{PATH}?{query}&sid={sid}"
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    message = 'é "quoted" \\n \u2028 \n & + %'
    sent = f"4{message}" if revision == 4 else f"{len(message) + 1}:4{message}"
    body = f"d={_form(sent)}".encode()
    assert (await fetch(home.port, target, "POST", form, body)).text == "ok"
    answer = await fetch(home.port, target)
    assert "\u2028" not in answer.text
    assert _called(answer) == sent
    # Bytes are text in a script.
    binary = "bAQID" if revision == 4 else "6:b4AQID"
    await fetch(home.port, target, "POST", form, f"d={binary}".encode())
    assert _called(await fetch(home.port, target)) == binary
    # A form without the field brings nothing.
    assert (await fetch(home.port, target, "POST", form, b"x=1")).text == "ok"
    assert sid in home.engine.sessions


def _called(response: Response) -> str:
    """What the function of a script is called with."""
    head, tail = "___eio[5](", ");"
    assert response.text.startswith(head) and response.text.endswith(tail)
    payload: str = json.loads(response.text[len(head) : -len(tail)])
    return payload


def _form(payload: str) -> str:
    from urllib.parse import quote_plus

    return quote_plus(payload.replace("\\n", "\\\\n").replace("\n", "\\n"))
