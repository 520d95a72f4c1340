"""Hostile Socket.IO packets over both transports: what they close, and what they leave alone."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nuncio.protocol.json import MAX_READ_DEPTH
from tests.hostile.clients import is_closed, send, transports
from tests.hostile.conftest import LIMITS, MAX_SIZE
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.rawclient import Peer, Polling, WebSocket, websocket_target

HOLE = '{"_placeholder":true,"num":0}'
RESERVED = (
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
)

# Each is sent by a client that has joined the default namespace. A text packet, its attachments,
# and the words that `error` listeners are given.
UNDECODABLE: list[tuple[str, list[bytes], str]] = [
    *((f'42["{name}"]', [], "invalid payload") for name in RESERVED),
    *((f'451-["{name}",{HOLE}]', [], "invalid payload") for name in RESERVED),
    *(
        (f"42{payload}", [], "invalid payload")
        for payload in (
            "",
            "[]",
            "{}",
            "[{}]",
            "[null]",
            '[["x"]]',
            "[true]",
            '"s"',
            "null",
            "[",
            '["a"',
            '["a"]]',
            "NaN",
            "[NaN]",
            "/",
            "/,",
            "1",
            "abc",
            '["a",\x1f]',
        )
    ),
    ("43[]", [], "invalid packet id"),
    ("43", [], "invalid payload"),
    ("431{}", [], "invalid payload"),
    ('431"a"', [], "invalid payload"),
    ("43/admin,[]", [], "invalid packet id"),
    ("40[]", [], "invalid payload"),
    ('40"token"', [], "invalid payload"),
    ("40null", [], "invalid payload"),
    ("40/admin,[]", [], "invalid payload"),
    ("41{}", [], "invalid payload"),
    ("44", [], "invalid payload"),
    ("47", [], "unknown packet type 7"),
    ('49["a"]', [], "unknown packet type 9"),
    ("4x", [], "unknown packet type"),
    ("4", [], "unknown packet type"),
    ("4-1", [], "unknown packet type"),
    *((f'4{type}0-["a"]', [], "Illegal attachments") for type in "56"),
    ('45["a"]', [], "Illegal attachments"),
    ('451["a"]', [], "Illegal attachments"),
    ('451e9-["a"]', [], "Illegal attachments"),
    ('45-1-["a"]', [], "Illegal attachments"),
    ('45١-["a"]', [], "Illegal attachments"),  # noqa: RUF001  # a digit, but none of ASCII's
    ('4511-["a"]', [], "too many attachments"),
    ('4599999999-["a"]', [], "too many attachments"),
    ("45" + "9" * 40_000 + '-["a"]', [], "Illegal attachments"),
    *(
        (f'451-["echo",{{"_placeholder":true,"num":{number}}}]', [b"x"], "illegal attachments")
        for number in ('"0"', '"splice"', "-1", "1", "0.5", "true", "null", "[]", "1e3")
    ),
    ('451-["echo",{"_placeholder":true}]', [b"x"], "illegal attachments"),
    (f'451-["echo",{HOLE},{HOLE}]', [b"x"], "illegal attachments"),
    ('451-["echo"]', [b"x"], "illegal attachments"),
    (f'452-["echo",{HOLE}]', [b"x", b"y"], "illegal attachments"),
    (f'451-["echo",{HOLE}]', [b"x" * (LIMITS.attachment_bytes + 1)], "attachments too large"),
    (f'452-["echo",{HOLE}]', [b"x" * (LIMITS.attachment_bytes // 2 + 1)] * 2, "too large"),
    ('42["echo"]', [b"x"], "got binary data when not reconstructing a packet"),
    ("42" + "9" * 21 + '["echo"]', [], "invalid packet id"),
    ("42" + "1" * (MAX_SIZE - 2), [], "invalid packet id"),
    ("42" + "-" * (MAX_SIZE - 2), [], "invalid payload"),
    ("42" + "[" * (MAX_SIZE - 2), [], "too many lists and objects"),
    ('42["echo"' + ",[]" * 16_000 + "]", [], "too many lists and objects"),
    ('451-["echo"' + ",{}" * 16_000 + f",{HOLE}]", [b"x"], "too many lists and objects"),
    ('40{"":[' + "[]," * 16_000 + "0]}", [], "too many lists and objects"),
    ("42" + '{"":' * 10_000, [], "nested too deeply"),
    ("42" + "[" * 11_000 + "]" * 11_000, [], "nested too deeply"),
    ('42["echo","\\ud800",' + "[" * 11_000, [], "nested too deeply"),
    ("42/" + "," * 40_000, [], "invalid payload"),
]


def label(value: object) -> str | None:
    return value[:40].encode("unicode_escape").decode() if isinstance(value, str) else None


@asynccontextmanager
async def joined(arena: Arena, transport: str) -> AsyncIterator[Polling | Peer]:
    """A client that has joined the default namespace."""
    if transport == "websocket":
        async with await Peer.join(arena.port) as peer:
            yield peer
    else:
        session = await Polling.open(arena.port)
        await session.post("40")
        packet = (await session.receive())[0]
        assert packet.startswith("40{")
        yield session


@transports
@pytest.mark.parametrize(("packet", "attachments", "words"), UNDECODABLE, ids=label)
@run_async
async def test_undecodable_packets_close_their_connection(
    arena: Arena, transport: str, packet: str, attachments: list[bytes], words: str
) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        before = len(arena.errors), len(arena.heard), len(arena.sockets)
        await send(client, packet, *attachments)
        assert await is_closed(arena, client) == "forced close"
        assert len(arena.errors) == before[0] + 1
        assert words in arena.errors[-1]
        assert len(arena.sockets) == before[2] + 1
        if attachments and packet.startswith("42"):
            # What came before the mistake counts.
            before = (before[0], before[1] + 1, before[2])
        assert len(arena.heard) == before[1]


@transports
@pytest.mark.parametrize(
    "packet",
    [
        "40",
        "40{}",
        '42/admin,["echo"]',
        "43/admin,1[]",
        "41/admin,",
        "44/admin,{}",
        '44"no"',
        "44{}",
    ],
)
@run_async
async def test_breaking_the_rules_closes_the_connection(
    arena: Arena, transport: str, packet: str
) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        await send(client, packet)
        reason = await is_closed(arena, client)
        assert reason == ("forced close" if transport == "websocket" else "forced server close")


@transports
@run_async
async def test_an_error_is_told_to_every_socket_of_the_connection_alone(
    arena: Arena, transport: str
) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        await send(client, "40/admin,", "40/other,")
        if isinstance(client, Polling):
            await client.receive()
        before = len(arena.sockets)
        await send(client, "4junk")
        await is_closed(arena, client)
        reasons = list(arena.sockets.values())[before:]
        assert reasons == ["forced close"] * 3


@transports
@run_async
async def test_while_attachments_are_awaited_no_text_may_come(arena: Arena, transport: str) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        await send(client, f'451-["echo",{HOLE}]', '42["echo"]')
        assert await is_closed(arena, client) == "forced close"
        assert arena.errors[-1] == "got plaintext data when reconstructing a packet"


@transports
@run_async
async def test_attachments_must_come_in_time(arena: Arena, transport: str) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        await send(client, f'452-["echo",{HOLE}]', b"x")
        assert await is_closed(arena, client) == "forced close"
        assert arena.errors[-1] == "attachments did not come in time"


@transports
@run_async
async def test_attachments_that_come_in_time_leave_no_deadline(
    arena: Arena, transport: str
) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        for index in range(20):
            await send(client, f'451-["echo",{HOLE}]', b"%d" % index)
        await asyncio.sleep(LIMITS.attachment_seconds + 0.1)
        await send(client, '42["echo","still here"]')
        await eventually(lambda: arena.heard[-1] == ("still here",))
        assert arena.heard[-2] == (b"19",)
        if isinstance(client, Polling):
            await client.post("1")


@transports
@run_async
async def test_many_attachments_are_taken_up_to_the_limit(arena: Arena, transport: str) -> None:
    async with arena.watched(), joined(arena, transport) as client:
        holes = ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(LIMITS.attachments))
        await send(client, f'45{LIMITS.attachments}-["echo",{holes}]', *[b"x"] * LIMITS.attachments)
        await eventually(lambda: arena.heard[-1] == (b"x",) * LIMITS.attachments)
        if isinstance(client, Polling):
            await client.post("1")


# Before anything was joined.


@transports
@pytest.mark.parametrize(
    "packets",
    [
        ['42["echo"]'],
        ["431[]"],
        ["41"],
        ["44{}"],
        [f'451-["echo",{HOLE}]'],
        [f'451-["echo",{HOLE}]', b"x"],
        [b"x"],
        ["4junk"],
        ['42/nowhere,["echo"]'],
    ],
)
@run_async
async def test_nothing_may_come_before_a_namespace_is_joined(
    arena: Arena, transport: str, packets: list[str | bytes]
) -> None:
    # CVE-2026-48804: attachments of clients that never joined were kept, also after they had left.
    async with arena.watched():
        ended = len(arena.sockets)
        if transport == "websocket":
            async with await WebSocket.open(arena.port, websocket_target()) as socket:
                await socket.send(*packets)
                await socket.closed()
            sid = socket.sid
        else:
            session = await Polling.open(arena.port)
            await send(session, *packets)
            assert (await session.receive())[-1] == "1"
            sid = session.sid
        await eventually(lambda: arena.unknown(sid))
        assert arena.sessions[sid] == ("forced close", "")
        assert len(arena.sockets) == ended


@run_async
async def test_an_event_after_its_connect_in_one_payload(arena: Arena) -> None:
    # The reference admits later than it reads, and so closes; here the client is in already.
    async with arena.watched():
        session = await Polling.open(arena.port)
        await session.post('40\x1e423["echo",1]')
        assert (await session.receive())[1] == "433[1]"
        await session.post("1")


@transports
@run_async
async def test_a_second_connect_in_the_same_breath_closes(arena: Arena, transport: str) -> None:
    # The reference makes two sockets of it.
    async with arena.watched():
        if transport == "websocket":
            async with await WebSocket.open(arena.port, websocket_target()) as socket:
                await socket.send("40", "40")
                await socket.closed()
        else:
            session = await Polling.open(arena.port)
            await session.post("40\x1e40")
            packets = await session.receive()
            while packets[-1] != "1":
                packets = await session.receive()
        assert len(arena.io.sockets.sockets) == 1


@run_async
async def test_unknown_namespaces_are_refused_however_they_are_called(arena: Arena) -> None:
    names = ["/nowhere", "/__proto__", "/constructor", "//", "/admin?token=1", "/é", "/%00", "/ "]
    async with arena.watched(), await WebSocket.open(arena.port, websocket_target()) as socket:
        await socket.receive()
        for name in names:
            await socket.send(f"40{name},")
            assert await socket.receive() == f'44{name},{{"message":"Invalid namespace"}}'
        long = "/" + "n" * (MAX_SIZE - 10)
        await socket.send(f"40{long},")
        assert await socket.receive() == f'44{long},{{"message":"Invalid namespace"}}'
        await socket.send("40")
        assert str(await socket.receive()).startswith("40{")


@run_async
async def test_namespaces_of_a_connection_are_limited(arena: Arena) -> None:
    async with arena.watched(), await Peer.join(arena.port) as peer:
        for name in ("/admin", "/other"):
            await peer.socket.send(f"40{name},")
            assert (await peer.receive()).startswith(f"40{name},")
        await peer.socket.send("40/fourth,")
        assert await peer.receive() == '44/fourth,{"message":"Invalid namespace"}'
        arena.io.of("/fourth")
        await peer.socket.send("40/fourth,")
        assert await peer.receive() == '44/fourth,{"message":"Too many namespaces"}'
        assert await peer.ask("echo", 1) == [1]


# What is odd and harmless.


@transports
@pytest.mark.parametrize(
    "packet",
    [
        "431[]",
        "430[]",
        "43" + "9" * 20 + "[1]",
        '42["nobody listens"]',
        '4212["nobody listens"]',
        '42["error","boom"]',
        '42["connection"]',
        '42["__proto__"]',
        '42["__class__",1]',
        '42["toString"]',
        '42["ping"]',
        '42["new_namespace"]',
        '42[""]',
        "42[1]",
        "42[1.5]",
        "42[-1e10]",
        '42["\\ud800"]',
        '42["a",{"_placeholder":true,"num":"x"}]',
        '42["a",{"__proto__":{"x":1}}]',
        "1",
        "6",
        "0",
        "5",
        "3",
    ],
)
@run_async
async def test_odd_packets_are_ignored(arena: Arena, transport: str, packet: str) -> None:
    # CVE-2024-38355: an event named "error" took the process with it.
    if transport == "polling" and packet == "1":
        pytest.skip("that is a goodbye")
    async with arena.watched(), joined(arena, transport) as client:
        errors = len(arena.errors)
        await send(client, packet, '42["echo","still here"]')
        await eventually(lambda: arena.heard[-1] == ("still here",))
        assert len(arena.errors) - errors == (1 if '"error"' in packet else 0)
        if isinstance(client, Polling):
            await client.post("1")


@run_async
async def test_lone_surrogates_come_back(any_arena: Arena) -> None:
    async with any_arena.watched(), await Peer.join(any_arena.port) as peer:
        await peer.socket.send('421["echo","\\ud800",{"\\udfff":1}]')
        assert await peer.receive() == '431["\\ud800",{"\\udfff":1}]'


@run_async
async def test_numbers_beyond_javascript_come_back(any_arena: Arena) -> None:
    async with any_arena.watched(), await Peer.join(any_arena.port) as peer:
        await peer.socket.send('421["echo",123456789012345678901234567890]')
        assert await peer.receive() == "431[123456789012345678901234567890]"


@pytest.mark.parametrize(("head", "tail"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@run_async
async def test_what_is_as_deep_as_may_be_comes_back(any_arena: Arena, head: str, tail: str) -> None:
    # What could be read and not be sent, would fill the log with failures of the handler.
    deep = head * (MAX_READ_DEPTH - 1) + "1" + tail * (MAX_READ_DEPTH - 1)
    async with any_arena.watched(), await Peer.join(any_arena.port) as peer:
        await peer.socket.send(f'421["echo",{deep}]')
        assert await peer.receive() == f"431[{deep}]"
        await peer.socket.send(f'421["echo",{head}{deep}{tail}]')
        assert await is_closed(any_arena, peer) == "forced close"


# Payloads of long-polling.


@pytest.mark.parametrize("size", [1, 1_000, MAX_SIZE])
@run_async
async def test_payloads_of_separators_are_closed_at_once(any_arena: Arena, size: int) -> None:
    # CVE-2026-32689: a list of millions of nothings.
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        tracemalloc.start()
        try:
            response = await session.post(b"\x1e" * size)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (response.status, response.text) == (200, "ok")
        assert peak < 1_000_000
        assert any_arena.sessions[session.sid] == ("parse error", "")


@run_async
async def test_a_million_separators_are_refused_by_size(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        assert (await session.post(b"\x1e" * 1_000_000)).status == 413
        await session.post("1")


@run_async
async def test_packets_of_a_payload_are_limited(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        most = "\x1e".join(['42["echo","many"]'] * LIMITS.payload_packets)
        heard = len(any_arena.heard)
        assert (await session.post(most)).text == "ok"
        assert len(any_arena.heard) == heard + LIMITS.payload_packets
        assert (await session.post(most + '\x1e42["echo"]')).text == "ok"
        assert len(any_arena.heard) == heard + LIMITS.payload_packets
        assert any_arena.sessions[session.sid] == ("parse error", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "parse error"),
        (b"junk", "parse error"),
        (b"7", "parse error"),
        (b"\xff\xfe", "parse error"),
        (b"bA", "parse error"),
        (b"2", "transport error"),
        (b"2probe", "transport error"),
        (b"1", "transport close"),
        (b"1\x1e42", "transport close"),
        (b'{"a":1}', "parse error"),
        (b"12:40", "transport close"),
        (b"d=4a", "parse error"),
    ],
)
@run_async
async def test_hostile_payloads_end_their_session(
    any_arena: Arena, body: bytes, reason: str
) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        await session.receive()
        poll = await session.begin_poll()
        await any_arena.polled(session.sid)
        response = await session.post(body)
        assert (response.status, response.text) == (200, "ok")
        answer = await poll.response()
        assert (answer.status, answer.text) == (200, "6" if reason == "transport close" else "1")
        assert any_arena.sessions[session.sid][0] == reason
        assert list(any_arena.sockets.values())[-1] == reason
        assert (await session.get()).json == {"code": 1, "message": "Session ID unknown"}
        assert (await session.post("4a")).json == {"code": 1, "message": "Session ID unknown"}
        await poll.close()


@run_async
async def test_broken_base64_is_no_way_out(any_arena: Arena) -> None:
    async with any_arena.watched():
        session = await Polling.open(any_arena.port)
        await session.post("40")
        await session.post(f'451-["echo",{HOLE}]\x1eb!!!é AQ==ID')
        assert any_arena.heard[-1] == (b"\x01",)
        await session.post("1")


@run_async
async def test_two_clients_never_see_each_other_s_state(any_arena: Arena) -> None:
    # CVE-2020-35681.
    async with (
        any_arena.watched(),
        await Peer.join(any_arena.port, auth={"who": "a"}) as a,
        await Peer.join(any_arena.port, auth={"who": "b"}) as b,
    ):
        await a.socket.send(f'451-["echo","a",{HOLE}]')
        assert await b.ask("echo", "b") == ["b"]
        await b.socket.send(f'451-["echo","b",{HOLE}]', b"of b")
        await a.socket.send(b"of a")
        await eventually(lambda: ("a", b"of a") in any_arena.heard)
        assert ("b", b"of b") in any_arena.heard
        sockets = any_arena.io.sockets.sockets
        assert sockets[a.sid].handshake.auth == {"who": "a"}
        assert sockets[b.sid].handshake.auth == {"who": "b"}


@run_async
async def test_the_secret_id_is_not_the_public_one(any_arena: Arena) -> None:
    # CVE-2017-16031, and Socket.IO 3.0: who knows a socket's id cannot take its session.
    async with any_arena.watched(), await Peer.join(any_arena.port) as peer:
        assert peer.sid != peer.socket.sid
        socket = any_arena.io.sockets.sockets[peer.sid]
        assert peer.socket.sid not in repr(socket) + repr(socket.conn)
        assert peer.socket.sid not in json.dumps(socket.handshake.query)
        stolen = await WebSocket.open(any_arena.port, "/socket.io/?EIO=4&transport=websocket")
        assert str(await stolen.receive()).startswith("0{")
        await stolen.close()
