"""Messages of MessagePack, right and wrong, and clients that send them."""

from __future__ import annotations

import math
import struct
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from nuncio.protocol.json import MAX_READ_DEPTH
from tests.hostile.clients import is_closed, send
from tests.hostile.conftest import MAX_SIZE
from tests.support.arena import Arena
from tests.support.packed import CONNECT, PackedPeer, from_poll, packet, packet_of
from tests.support.rawclient import Peer, Polling

MIB = 1 << 20
# So large may messages be that also fit into base64.
MOST = MAX_SIZE // 4 * 3 - 10
BLOB = bytes(range(256))


def raw(
    type: bytes = b"\x02",
    data: bytes = b"\x91\xa4echo",
    *,
    nsp: bytes = b"\xa1/",
    id: bytes = b"\xc0",
    more: bytes = b"\xc0",
) -> bytes:
    """A packet whose fields are given as bytes; without any, an event that reaches a handler."""
    return packet_of(("type", type), ("nsp", nsp), ("id", id), ("more", more), ("data", data))


def argument(value: bytes) -> bytes:
    """An event with one argument, which is packed already."""
    return raw(data=b"\x92\xa4echo" + value)


def nested(count: int, *openings: bytes) -> bytes:
    """So many lists or maps in each other, of these kinds in turn, each with one entry."""
    return b"".join(openings[level % len(openings)] for level in range(count)) + b"\xc0"


VALUES = {
    "nil": b"\xc0",
    "undefined": b"\xd4\x00\x00",
    "false": b"\xc2",
    "true": b"\xc3",
    "five": b"\x05",
    "-1": b"\xff",
    "the lowest integer": b"\xd3\x80" + bytes(7),
    "the highest integer": b"\xcf" + b"\xff" * 8,
    "a half": b"\xcb" + struct.pack(">d", 0.5),
    "NaN": b"\xcb" + struct.pack(">d", math.nan),
    "infinity": b"\xcb" + struct.pack(">d", math.inf),
    "-infinity": b"\xca" + struct.pack(">f", -math.inf),
    "a float beyond integers": b"\xcb" + struct.pack(">d", 2.0**64),
    "the highest float": b"\xcb" + struct.pack(">d", 1.7e308),
    "text": b"\xa1x",
    "no text": b"\xa0",
    "bytes": b"\xc4\x01x",
    "bytes as an extension": b"\xc7\x01\x00x",
    "a list": b"\x91\x01",
    "a map": b"\x81\xa1a\x01",
    "a date": b"\xd7\x00" + bytes(8),
    "a timestamp": b"\xd6\xff" + bytes(4),
}
# Those that can be the name of an event.
NUMBERS = [name for name, value in VALUES.items() if value[0] < 0x80 or value[0] in b"\xca\xcb\xcf"]

# So many levels are above an argument.
ROOM = MAX_READ_DEPTH - 2
KINDS = {
    "lists": [b"\x91"],
    "maps": [b"\x81\xa1a"],
    "both": [b"\x91", b"\x81\xa0"],
    "long lists": [b"\xdc\x00\x01"],
    "longest maps": [b"\xdf\x00\x00\x00\x01\xd9\x01a"],
    "all kinds": [b"\xdd\x00\x00\x00\x01", b"\xde\x00\x01\xa1a", b"\x91", b"\x81\xda\x00\x01a"],
}


def valued(*but: str) -> Iterator[tuple[str, bytes]]:
    return ((name, value) for name, value in VALUES.items() if name not in but)


@asynccontextmanager
async def watched(arena: Arena) -> AsyncIterator[Peer]:
    """See `Arena.watched`; the well-behaved one gets its bytes back, too."""
    async with arena.watched() as witness:
        yield witness
        assert await witness.ask("echo", BLOB, {"a": [BLOB, None]}) == [BLOB, {"a": [BLOB, None]}]


@asynccontextmanager
async def joined(arena: Arena, transport: str) -> AsyncIterator[Polling | PackedPeer]:
    """A client that has joined the default namespace."""
    if transport == "websocket":
        async with await PackedPeer.join(arena.port) as peer:
            yield peer
    else:
        session = await Polling.open(arena.port)
        await send(session, packet(CONNECT))
        (answer,) = from_poll(await session.receive())
        assert answer["type"] == CONNECT
        yield session


async def leave(client: Polling | PackedPeer) -> None:
    """Go in peace."""
    if isinstance(client, Polling):
        await client.post("1")


async def costs_its_sender(
    arena: Arena, transport: str, message: str | bytes, words: str = ""
) -> None:
    """Send a message that nobody understands: the connection ends, and no handler hears of it."""
    async with joined(arena, transport) as client:
        before = len(arena.errors), len(arena.heard), len(arena.sockets)
        await send(client, message)
        assert await is_closed(arena, client) == "forced close", message
        assert len(arena.errors) == before[0] + 1
        assert words in arena.errors[-1]
        assert (len(arena.heard), len(arena.sockets)) == (before[1], before[2] + 1)


@contextmanager
def modest(most: int = 2 * MIB) -> Iterator[None]:
    """What happens inside takes little memory; whoever sends is part of it."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most
