"""Servers that do not keep to the protocol, and some that mean harm.

Every failure to connect is a `TransportError` whose text says what was wrong; after the handshake
nonsense ends the connection, with the documented reason, and the client comes back.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import nuncio
from nuncio import ClientLimits, TransportError
from tests.support.aio import run_async, within
from tests.support.node import POLLING, WEBSOCKET
from tests.support.nodeserver import NodeHome
from tests.support.oddserver import BINARY, CLOSE, OPEN, PING, TEXT, OddServer, Request, Wire
from tests.support.ours import ours

Play = Callable[[Wire], Awaitable[None]]


async def refused(odd: OddServer, *transports: str, **options: Any) -> TransportError:
    """Connecting fails; returns the error."""
    with pytest.raises(TransportError) as caught:
        await within(
            _await(nuncio.connect(odd.url, transports=transports, force_new=True, **options))
        )
    return caught.value


async def _await(connecting: Any) -> None:
    await connecting


# --- the first answer, over long-polling


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"<html><body>Welcome</body></html>",
        b"0",
        b"0{",
        b"0[]",
        b"0null",
        b'0{"upgrades":[]}',
        b'0{"sid":5,"upgrades":[],"pingInterval":1,"pingTimeout":1}',
        b'0{"sid":"","upgrades":[],"pingInterval":25000,"pingTimeout":20000}',
        b'0{"sid":"x","upgrades":"websocket","pingInterval":25000,"pingTimeout":20000}',
        b'0{"sid":"x","upgrades":[],"pingInterval":-1,"pingTimeout":20000}',
        b'0{"sid":"x","upgrades":[],"pingInterval":1e300,"pingTimeout":20000}',
        b"4hello",
        b"1",
        b"2",
        b"6",
        b"\xff\xfe",
        b"\x1e\x1e\x1e",
        b"x" * 200_000,
    ],
    ids=repr,
)
@run_async
async def test_a_first_answer_that_is_no_handshake(home: NodeHome, body: bytes) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(200, body)

    async with OddServer(answer) as odd:
        error = await refused(odd, "polling", limits=ClientLimits(message_bytes=100_000), timeout=5)
        assert not isinstance(error, TimeoutError)
        assert str(error)


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 413, 429, 500, 502, 503])
@run_async
async def test_a_first_answer_with_a_status(home: NodeHome, status: int) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        if status == 204:
            wire.raw(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            wire.reply(status, "because of this")

    for transport in ("polling", "websocket"):
        async with OddServer(answer) as odd:
            error = await refused(odd, transport)
            assert error.status == status
            assert str(status) in str(error)
            if status != 204:
                assert "because of this" in str(error)
            # It is told once, and nothing follows.
            assert len(odd.requests) == 1


@run_async
async def test_endless_redirects(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(302, headers={"Location": request.target + "x"})

    for transport in ("polling", "websocket"):
        async with OddServer(answer) as odd:
            error = await refused(odd, transport)
            assert "redirect" in str(error)
            assert len(odd.requests) < 20


@run_async
async def test_credentials_do_not_go_where_a_redirect_leads(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(403)

    async with OddServer(answer) as other:

        async def redirect(request: Request, wire: Wire) -> None:
            wire.reply(307, headers={"Location": other.url + request.target})

        async with OddServer(redirect) as odd:
            headers = {"Authorization": "Bearer secret", "Cookie": "session=secret"}
            await refused(odd, "polling", extra_headers=headers, cookies={"more": "secret"})
        for request in other.requests:
            assert "secret" not in str(request.headers)


@run_async
async def test_an_answer_that_is_cut(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0{")
        wire.close()

    async with OddServer(answer) as odd:
        await refused(odd, "polling")


@run_async
async def test_no_answer_but_an_end(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.close()

    for transport in ("polling", "websocket"):
        async with OddServer(answer) as odd:
            await refused(odd, transport)
            # It is not asked again behind the caller's back.
            assert len(odd.requests) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=lambda head: repr(head[:40]),
)
@run_async
async def test_an_answer_that_is_no_http(home: NodeHome, head: bytes) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.raw(head)
        wire.close()

    for transport in ("polling", "websocket"):
        async with OddServer(answer) as odd:
            await refused(odd, transport)


@run_async
async def test_an_answer_that_unpacks_to_more_than_is_allowed(home: NodeHome) -> None:
    bomb = gzip.compress(b"0" + b" " * 20_000_000)

    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(200, bomb, {"Content-Encoding": "gzip"})

    async with OddServer(answer) as odd:
        error = await refused(odd, "polling", limits=ClientLimits(message_bytes=1_000_000))
        assert "message_bytes" in str(error)


# --- the first answer, over WebSocket


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Sec-WebSocket-Accept": "d3Jvbmc="}, "Sec-WebSocket-Accept"),
        ({"Upgrade": "h2c"}, "upgrade"),
        ({"Connection": "close"}, "connection"),
        ({"Sec-WebSocket-Extensions": "x-unknown"}, "extension"),
        ({"Sec-WebSocket-Extensions": "permessage-deflate; unknown=1"}, ""),
        ({"Sec-WebSocket-Protocol": "uninvited"}, "protocol"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@run_async
async def test_an_upgrade_that_is_none(home: NodeHome, headers: dict[str, str], words: str) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request, headers)
        await wire.gone()

    async with OddServer(answer) as odd:
        error = await refused(odd, "websocket")
        assert words.lower() in str(error).lower()


@run_async
async def test_200_in_place_of_101(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.reply(200, OPEN)

    async with OddServer(answer) as odd:
        error = await refused(odd, "websocket")
        assert error.status == 200


def frame(first: int, second: int, rest: bytes = b"") -> bytes:
    return bytes([first, second]) + rest


NO_FRAMES = {
    "masked": frame(0x81, 0x80 | 2, b"\x00\x00\x00\x00ab"),
    "reserved bit": frame(0xA1, 1, b"2"),
    "unknown opcode": frame(0x83, 1, b"2"),
    "unknown control": frame(0x8B, 0),
    "long control": frame(0x80 | PING, 126, b"\x00\x80" + b"x" * 128),
    "control in pieces": frame(PING, 0),
    "continuation of nothing": frame(0x80, 1, b"2"),
    "text within text": frame(TEXT, 1, b"2") + frame(0x81, 1, b"2"),
    "no UTF-8": frame(0x81, 2, b"\xff\xfe"),
    "compressed without being agreed": frame(0xC1, 1, b"2"),
    "far too long": frame(0x80 | BINARY, 127, struct.pack("!Q", 1 << 62)),
    "negative length": frame(0x80 | BINARY, 127, struct.pack("!Q", 1 << 63)),
    "close with half a code": frame(0x80 | CLOSE, 1, b"\x03"),
    "close with a forbidden code": frame(0x80 | CLOSE, 2, struct.pack("!H", 1005)),
}


@pytest.mark.parametrize("data", NO_FRAMES.values(), ids=NO_FRAMES)
@pytest.mark.parametrize("early", [True, False], ids=["before the handshake", "behind it"])
@run_async
async def test_what_is_no_frame(home: NodeHome, data: bytes, early: bool) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        if not early:
            wire.frame(OPEN)
            assert (await wire.receive()).data == b"40"
            wire.frame('40{"sid":"1"}')
        wire.raw(data)
        await wire.gone()

    async with OddServer(answer) as odd:
        if early:
            await refused(odd, "websocket")
            return
        async with ours(odd.url) as clients:
            client = await clients.connect()
            reason, _ = await client.next("disconnect")
            assert reason in ("transport error", "transport close")
            # It comes back, in vain.
            await client.next("connect")


@run_async
async def test_a_close_with_a_code_and_a_reason(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.frame(OPEN)
        assert (await wire.receive()).data == b"40"
        wire.frame('40{"sid":"1"}')
        wire.frame(struct.pack("!H", 1011) + b"out of order", CLOSE)
        assert (await wire.receive()).opcode == CLOSE

    async with OddServer(answer) as odd, ours(odd.url) as clients:
        client = await clients.connect()
        reason, description = await client.next("disconnect")
        assert reason == "transport close"
        assert "1011" in description and "out of order" in description


@run_async
async def test_pings_of_websocket_and_messages_in_pieces(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.frame(OPEN[:10], TEXT, fin=False)
        wire.frame(b"between", PING)
        wire.frame(OPEN[10:], 0)
        pong = await wire.receive()
        assert (pong.opcode, pong.data) == (10, b"between")
        assert (await wire.receive()).data == b"40"
        for byte in b'\x81\x0d40{"sid":"1"}':
            wire.raw(bytes([byte]))
            await wire.writer.drain()
        await wire.gone()

    async with OddServer(answer) as odd, ours(odd.url) as clients:
        await clients.connect()


# --- packets of Engine.IO


def served(*packets: str | bytes) -> Callable[[Request, Wire], Awaitable[None]]:
    """A server that lets clients in, over either transport, and then sends packets."""
    sessions: set[str] = set()

    async def over_websocket(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.frame(OPEN)
        assert (await wire.receive()).data == b"40"
        wire.frame('40{"sid":"1"}')
        for packet in packets:
            wire.frame(packet)
        await wire.gone()

    async def over_polling(request: Request, wire: Wire) -> None:
        if request.method == "POST":
            wire.reply(200, "ok")
        elif request.handshake:
            sid = f"odd{len(sessions)}"
            sessions.add(sid)
            wire.reply(200, OPEN.replace("odd", sid))
        elif request.query["sid"] in sessions:
            sessions.discard(request.query["sid"])
            body = "\x1e".join(['40{"sid":"1"}', *(p for p in packets if isinstance(p, str))])
            wire.reply(200, body)
        else:
            await wire.gone()

    async def answer(request: Request, wire: Wire) -> None:
        if request.query["transport"] == "websocket":
            await over_websocket(request, wire)
        else:
            await over_polling(request, wire)

    return answer


@pytest.mark.parametrize("packet", ["", "9", "x", "hello", "\u20ac", "b!!!", "bA"], ids=repr)
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_what_is_no_packet_of_engine_io(home: NodeHome, packet: str, way: Any) -> None:
    async with OddServer(served(packet)) as odd, ours(odd.url) as clients:
        client = await clients.connect(way=way)
        # Bytes of which nothing is left when their nonsense is left out belong to no packet.
        reason = "parse error" if packet == "b!!!" else "transport error"
        assert (await client.next("disconnect"))[0] == reason
        await client.next("connect")


@pytest.mark.parametrize("packet", [OPEN, "3", "3probe", "5", "6"], ids=lambda packet: packet[:6])
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_packets_that_mean_nothing_here_are_ignored(
    home: NodeHome, packet: str, way: Any
) -> None:
    async with OddServer(served(packet, '42["after"]')) as odd, ours(odd.url) as clients:
        client = await clients.connect(way=way)
        assert await client.next("after") == []
        assert client.socket.id == "1"


# --- packets of Socket.IO


@pytest.mark.parametrize(
    "packet",
    [
        "4",
        "47",
        "4x",
        "42",
        "42{}",
        "42[]",
        "42[1",
        "42[null]",
        '42["connect"]',
        '42["disconnect","a"]',
        '42["connect_error"]',
        "43",
        "43[]",
        "431",
        "431{}",
        '42-1["a"]',
        '421e9["a"]',
        '42["a"]]',
        '450-["a"]',
        '451-["a"]',
        '451-["a",{"_placeholder":true,"num":5}]',
        '4599-["a",{"_placeholder":true,"num":0}]',
        '4551["a",{"_placeholder":true,"num":0}]',
        '42["a",NaN]',
        "42" + "[" * 5000,
        '44"text"x',
    ],
    ids=lambda packet: packet[:24],
)
@run_async
async def test_what_is_no_packet_of_socket_io(home: NodeHome, packet: str) -> None:
    for way in (POLLING, WEBSOCKET):
        # A binary packet is complete, or wrong, with what follows.
        async with OddServer(served(packet, '42["after"]')) as odd, ours(odd.url) as clients:
            client = await clients.connect(way=way)
            assert (await client.next("disconnect"))[0] == "parse error"
            await client.next("connect")
            assert client.count("after") == 0


@pytest.mark.parametrize(
    "packet",
    [
        '42/other,["after",1]',
        '40/other,{"sid":"2"}',
        "41/other,",
        "4399[1]",
        '44/other,{"message":"x"}',
        '42["unknown",{"__proto__":{"a":1}}]',
        '4212["unknown to handlers"]',
    ],
    ids=lambda packet: packet[:24],
)
@run_async
async def test_what_concerns_nobody_is_ignored(home: NodeHome, packet: str) -> None:
    for way in (POLLING, WEBSOCKET):
        async with OddServer(served(packet, '42["after"]')) as odd, ours(odd.url) as clients:
            client = await clients.connect(way=way)
            assert await client.next("after") == []
            assert client.count("disconnect") == 0


@run_async
async def test_bytes_that_belong_to_nothing(home: NodeHome) -> None:
    async with OddServer(served(b"bytes")) as odd, ours(odd.url) as clients:
        client = await clients.connect()
        assert (await client.next("disconnect"))[0] == "parse error"


@run_async
async def test_half_a_binary_packet_does_not_spoil_the_next_connection(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.frame(OPEN)
        assert (await wire.receive()).data == b"40"
        wire.frame('40{"sid":"1"}')
        if len(odd.requests) == 1:
            wire.frame('451-["half",{"_placeholder":true,"num":0}]')
        else:
            wire.frame('42["whole"]')
            await wire.gone()

    async with OddServer(answer) as odd, ours(odd.url) as clients:
        client = await clients.connect()
        await client.next("disconnect")
        assert await client.next("whole") == []
        assert client.count("half") == 0


@run_async
async def test_events_without_end_before_the_namespace_is_joined(home: NodeHome) -> None:
    async def answer(request: Request, wire: Wire) -> None:
        wire.upgrade(request)
        wire.frame(OPEN)
        for _ in range(100_000):
            wire.frame('42["flood"]')
            if wire.writer.is_closing():
                return
        await wire.gone()

    limits = ClientLimits(queued_events=10)
    async with OddServer(answer) as odd, ours(odd.url, limits=limits) as clients:
        client = clients.start(reconnection=False)
        await client.next("connect_error")
        assert client.count("flood") == 0
