"""MessagePack that is right at the wrong time, or odd and harmless."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from tests.hostile.clients import is_closed, send, transports
from tests.hostile.conftest import LIMITS, MAX_SIZE
from tests.hostile.packed import (
    BLOB,
    KINDS,
    NUMBERS,
    ROOM,
    VALUES,
    joined,
    leave,
    nested,
    raw,
    watched,
)
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.packed import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    PackedPeer,
    event,
    from_poll,
    pack,
    packet,
    packet_of,
)
from tests.support.rawclient import Polling, WebSocket, websocket_target

# Right packets at the wrong time.


@transports
@pytest.mark.parametrize(
    "message",
    [
        packet(CONNECT),
        packet(CONNECT, {}),
        packet(CONNECT, {"token": b"1"}),
        event("echo", nsp="/admin"),
        event("echo", nsp="/nowhere"),
        event("echo", nsp=""),
        event("echo", nsp="admin"),
        event("echo", nsp="/\0"),
        event("echo", nsp="/ "),
        packet(ACK, [], id=1, nsp="/admin"),
        packet(DISCONNECT, nsp="/admin"),
        packet(CONNECT_ERROR, {}, nsp="/admin"),
        packet(CONNECT_ERROR, "no"),
        packet(CONNECT_ERROR, {}),
    ],
    ids=repr,
)
@run_async
async def test_breaking_the_rules_closes_the_connection(
    packed: Arena, transport: str, message: bytes
) -> None:
    async with watched(packed), joined(packed, transport) as client:
        errors = len(packed.errors)
        await send(client, message)
        reason = await is_closed(packed, client)
        assert reason == ("forced close" if transport == "websocket" else "forced server close")
        assert len(packed.errors) == errors


@transports
@pytest.mark.parametrize(
    "message",
    [
        event("echo"),
        event("echo", id=1),
        packet(ACK, [], id=1),
        packet(DISCONNECT),
        packet(CONNECT_ERROR, {}),
        event("echo", nsp="/nowhere"),
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        packet(CONNECT) + b"\x00",
        packet(CONNECT, []),
        "40",
        "4junk",
    ],
    ids=repr,
)
@run_async
async def test_nothing_may_come_before_a_namespace_is_joined(
    any_packed: Arena, transport: str, message: str | bytes
) -> None:
    async with watched(any_packed):
        ended = len(any_packed.sockets)
        if transport == "websocket":
            async with await WebSocket.open(any_packed.port, websocket_target()) as socket:
                await socket.send(message)
                await socket.closed()
            sid = socket.sid
        else:
            session = await Polling.open(any_packed.port)
            await send(session, message)
            assert (await session.receive())[-1] == "1"
            sid = session.sid
        await eventually(lambda: any_packed.unknown(sid))
        assert any_packed.sessions[sid] == ("forced close", "")
        assert len(any_packed.sockets) == ended


@transports
@run_async
async def test_a_second_connect_in_the_same_breath_closes(packed: Arena, transport: str) -> None:
    async with watched(packed):
        if transport == "websocket":
            async with await WebSocket.open(packed.port, websocket_target()) as socket:
                await socket.send(packet(CONNECT), packet(CONNECT))
                await socket.closed()
        else:
            session = await Polling.open(packed.port)
            await send(session, packet(CONNECT), packet(CONNECT))
            while (await session.receive())[-1] != "1":
                pass
        assert len(packed.io.sockets.sockets) == 1


@run_async
async def test_unknown_namespaces_are_refused_however_they_are_called(any_packed: Arena) -> None:
    names = [
        "/nowhere",
        "",
        "admin",
        "//",
        "/admin,",
        "/admin?token=1",
        "/é",
        "\0",
        "/ ",
        "__proto__",
    ]
    names.append("/" + "n" * (MAX_SIZE - 100))
    async with watched(any_packed), await PackedPeer.join(any_packed.port) as peer:
        for name in names:
            await peer.socket.send(packet(CONNECT, nsp=name))
            assert await peer.packet() == {
                "type": CONNECT_ERROR,
                "nsp": name,
                "data": {"message": "Invalid namespace"},
            }
        assert await peer.ask("echo", BLOB) == [BLOB]


# What is odd and harmless.

ODD: dict[str, bytes] = {
    **{
        f"an answer that nobody awaits, to {id}": packet(ACK, [BLOB], id=id)
        for id in (0, 1, 2**53, 2**64 - 1, 7.0)
    },
    "an event that nobody awaits": event("nobody listens", id=1),
    "an error": event("error", BLOB),
    **{f"the event {name!r}": event(name) for name in ("connection", "__proto__", "", "ping")},
    **{f"a name that is {name}": raw(data=b"\x91" + VALUES[name], id=b"\x01") for name in NUMBERS},
    "a placeholder": event("a", {"_placeholder": True, "num": 0}),
    **{
        f"attachments that are {name}": packet_of(
            ("type", b"\x02"), ("nsp", b"\xa1/"), ("data", b"\x91\xa1x"), ("attachments", value)
        )
        for name, value in VALUES.items()
    },
    "fields twice": packet_of(
        ("type", b"\x09"),
        ("type", b"\x02"),
        ("nsp", b"\xa1/"),
        ("id", b"\xff"),
        ("id", b"\xc0"),
        ("data", b"\x91\x00"),
        ("data", b"\x91\xa1x"),
    ),
    "text that is none where nobody looks": raw(data=b"\x91\xa1x", more=b"\xa1\xff"),
    "as many lists as may be": raw(
        data=b"\x92\xa1x\xdc" + (LIMITS.containers - 3).to_bytes(2, "big") + b"\x90" * 11_997
    ),
    **{
        f"{name} as deep as may be": raw(data=b"\x92\xa1x" + nested(ROOM, *kinds))
        for name, kinds in KINDS.items()
    },
}


@transports
@pytest.mark.parametrize("name", ODD)
@run_async
async def test_odd_packets_are_ignored(packed: Arena, transport: str, name: str) -> None:
    async with watched(packed), joined(packed, transport) as client:
        errors = len(packed.errors)
        await send(client, ODD[name], event("echo", "still here", name))
        await eventually(lambda: packed.heard[-1] == ("still here", name))
        assert len(packed.errors) - errors == (1 if name == "an error" else 0)
        await leave(client)


BACK: list[Any] = [
    math.inf,
    -math.inf,
    2**64 - 1,
    -(2**63),
    5e-324,
    b"",
    "\0",
    "\U0010ffff",
    {"": {"": []}},
    {"__proto__": {"a": b"\x00"}, "constructor": 1},
    {"_placeholder": True, "num": 0},
]


@run_async
async def test_odd_values_come_back(any_packed: Arena) -> None:
    async with watched(any_packed), await PackedPeer.join(any_packed.port) as peer:
        assert await peer.ask("echo", *BACK) == BACK
        ((nan, [other]),) = [await peer.ask("echo", math.nan, [-math.nan])]
        assert math.isnan(nan) and math.isnan(other)
        for id in (0, 127, 128, 2**53 + 1, 2**63, 2**64 - 1):
            await peer.socket.send(event("echo", 1, id=id))
            assert await peer.packet() == {"type": ACK, "nsp": "/", "id": id, "data": [1]}
        for name, value in {
            "first": struct.pack(">q", -62_135_596_800_000),
            "last": struct.pack(">q", 253_402_300_799_999),
        }.items():
            await peer.socket.send(raw(data=b"\x93\xa4echo" + pack(name) + b"\xd7\x00" + value))
            assert await peer.ask("echo", name) == [name]
            assert any_packed.heard[-2][1].year == (1 if name == "first" else 9999)


@transports
@pytest.mark.parametrize("name", KINDS)
@run_async
async def test_what_is_as_deep_as_may_be_comes_back(
    any_packed: Arena, transport: str, name: str
) -> None:
    # What could be read and not be written, would fill the log with failures of the handler.
    message = raw(data=b"\x92\xa4echo" + nested(ROOM, *KINDS[name]), id=b"\x01")
    async with watched(any_packed), joined(any_packed, transport) as client:
        await send(client, message)
        if isinstance(client, Polling):
            (answer,) = from_poll(await client.receive())
        else:
            answer = await client.packet()
        assert (answer["type"], answer["id"], len(answer["data"])) == (ACK, 1, 1)
        await leave(client)
