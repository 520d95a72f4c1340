"""Hostile MessagePack that would take memory: declared lengths, floods, what is refused."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable

import pytest

from tests.hostile.clients import is_closed, send, transports
from tests.hostile.conftest import LIMITS, MAX_SIZE
from tests.hostile.packed import (
    BLOB,
    MIB,
    MOST,
    VALUES,
    argument,
    costs_its_sender,
    joined,
    leave,
    modest,
    raw,
    watched,
)
from tests.support.aio import run_async
from tests.support.arena import Arena
from tests.support.packed import (
    ACK,
    PackedPeer,
    as_polled,
    event,
    packet,
)
from tests.support.rawclient import Polling

# Lengths that are lies.

LIES = {
    "str8": b"\xd9\xff",
    "bin8": b"\xc4\xff",
    "ext8": b"\xc7\xff\x00",
    "str16": b"\xda\xff\xff",
    "bin16": b"\xc5\xff\xff",
    "ext16": b"\xc8\xff\xff\x00",
    "array16": b"\xdc\xff\xff",
    "map16": b"\xde\xff\xff",
    **{
        f"{kind} of {size:#x}": head + size.to_bytes(4, "big") + tail
        for size in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
        for kind, head, tail in (
            ("str32", b"\xdb", b""),
            ("bin32", b"\xc6", b""),
            ("array32", b"\xdd", b""),
            ("map32", b"\xdf", b""),
            ("ext32", b"\xc9", b"\x00"),
            ("time", b"\xc9", b"\xff"),
        )
    },
}
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "everything": lambda lie: lie,
    "an argument": argument,
    "an argument's entry": lambda lie: argument(b"\x91" * 100 + lie),
    "an argument's value": lambda lie: argument(b"\x81\xa1a" + lie),
    "a key": lambda lie: argument(b"\x81" + lie),
    "the name": lambda lie: raw(data=b"\x91" + lie),
    "data": lambda lie: raw(data=lie),
    "auth": lambda lie: raw(b"\x00", b"\x81\xa1a" + lie),
    "type": lambda lie: raw(lie),
    "nsp": lambda lie: raw(nsp=lie),
    "id": lambda lie: raw(id=lie),
    "another field": lambda lie: raw(more=lie),
}


@transports
@pytest.mark.parametrize("place", PLACES)
@run_async
async def test_four_gigabytes_declared_take_no_memory(
    packed: Arena, transport: str, place: str
) -> None:
    async with watched(packed):
        for name, lie in LIES.items():
            words = "truncated"
            if place == "a key" and not name.startswith("str"):
                words = "a key that is no text"
            message = PLACES[place](lie)
            for filling in (b"", b"\xc0" * 100):
                # Nothing behind the lie, and a little.
                with modest():
                    await costs_its_sender(packed, transport, message + filling, words)


@transports
@run_async
async def test_lists_in_lists_that_are_lies_take_no_memory(packed: Arena, transport: str) -> None:
    # Each could be as long as it says, were it alone; together they declare 20 million entries.
    lists = b"\xdc\x75\x30" * 700
    maps = b"\xde\x3a\x98\xa0" * 700
    async with watched(packed):
        for lies in (lists, maps):
            message = argument(lies + b"\xc0" * (MOST - len(lies) - 100))
            if lies is maps:
                message = argument(lies + b"\xa0" * (MOST - len(lies) - 100))
            with modest():
                await costs_its_sender(packed, transport, message, "truncated")


@transports
@run_async
async def test_nothing_is_kept_of_what_was_refused(packed: Arena, transport: str) -> None:
    filling = b"\xc5\x75\x30" + bytes(30_000)
    hostile = [argument(filling) + b"\x00", raw(b"\x09", b"\x92\xa4echo" + filling)]
    async with watched(packed):
        for message in hostile * 10:
            await costs_its_sender(packed, transport, message)
        tracemalloc.start()
        try:
            for message in hostile * 50:
                await costs_its_sender(packed, transport, message)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # A hundred messages of 30 kB have three million bytes.
        assert kept < MIB


# Floods.


@run_async
async def test_of_a_flood_of_garbage_the_first_piece_counts(any_packed: Arena) -> None:
    async with watched(any_packed), await PackedPeer.join(any_packed.port) as peer:
        before = len(any_packed.errors), len(any_packed.heard)
        tasks = len(asyncio.all_tasks())
        await peer.socket.send(event("echo", 1), *[b"\xc1", event("echo", 2)] * 2000)
        assert await is_closed(any_packed, peer) == "forced close"
        assert len(any_packed.errors) == before[0] + 1
        assert any_packed.heard[before[1] :] == [(1,)]
        assert len(asyncio.all_tasks()) <= tasks


@run_async
async def test_floods_of_nothing_in_particular_leave_nothing(any_packed: Arena) -> None:
    async with watched(any_packed), await PackedPeer.join(any_packed.port) as peer:
        floods = [
            [packet(ACK, [BLOB], id=id) for id in range(2000)],
            [event(f"nobody listens to {n}", BLOB) for n in range(2000)],
            [raw(data=b"\x91\xa1x", more=VALUES["a date"])] * 2000,
        ]
        for flood in floods:
            with modest(4 * MIB):
                await peer.socket.send(*flood)
                assert await peer.ask("echo", BLOB) == [BLOB]


@run_async
async def test_of_a_payload_what_comes_before_garbage_counts(any_packed: Arena) -> None:
    async with watched(any_packed), joined(any_packed, "polling") as client:
        before = len(any_packed.errors), len(any_packed.heard)
        await send(client, event("echo", BLOB), b"\xc1", *[event("echo", 2)] * 50)
        assert await is_closed(any_packed, client) == "forced close"
        assert len(any_packed.errors) == before[0] + 1
        assert any_packed.heard[before[1] :] == [(BLOB,)]


@run_async
async def test_packets_of_a_payload_are_limited(any_packed: Arena) -> None:
    async with watched(any_packed), joined(any_packed, "polling") as client:
        assert isinstance(client, Polling)
        before = len(any_packed.heard)
        most = [event("echo", b"1")] * LIMITS.payload_packets
        await send(client, *most)
        assert len(any_packed.heard) == before + len(most)
        await send(client, *most, b"")
        assert len(any_packed.heard) == before + len(most)
        assert any_packed.sessions[client.sid] == ("parse error", "")


@pytest.mark.parametrize("body", ["b", "b=", "b====", "b!!!!", "bé", "b\0", "bwQ", "b_w", "bw"])
@run_async
async def test_hostile_base64_ends_its_session(any_packed: Arena, body: str) -> None:
    async with watched(any_packed), joined(any_packed, "polling") as client:
        assert isinstance(client, Polling)
        before = len(any_packed.heard)
        assert (await client.post(body)).text == "ok"
        assert await is_closed(any_packed, client) in ("forced close", "parse error")
        assert len(any_packed.heard) == before


@run_async
async def test_messages_above_the_limit_are_refused_by_size(any_packed: Arena) -> None:
    async with watched(any_packed):
        async with joined(any_packed, "websocket") as peer:
            await send(peer, argument(b"\xc6" + MAX_SIZE.to_bytes(4, "big") + bytes(MAX_SIZE)))
            assert isinstance(peer, PackedPeer)
            assert await peer.socket.closed() == 1009
        async with joined(any_packed, "polling") as client:
            assert isinstance(client, Polling)
            assert (await client.post(as_polled(bytes(MAX_SIZE)))).status == 413
            await leave(client)
