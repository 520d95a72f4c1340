"""Hostile MessagePack that is none, over both transports: it costs its sender the connection."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from nuncio.protocol.json import MAX_READ_DEPTH
from tests.hostile.clients import send, transports
from tests.hostile.packed import (
    BLOB,
    KINDS,
    MOST,
    NUMBERS,
    ROOM,
    VALUES,
    argument,
    costs_its_sender,
    joined,
    leave,
    nested,
    raw,
    valued,
    watched,
)
from tests.support.aio import eventually, run_async
from tests.support.arena import Arena
from tests.support.packed import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    event,
    pack,
    packet_of,
)

# A message and the words that `error` listeners are given for it.
Table = dict[str, tuple[str | bytes, str]]

NONE = ("nil", "undefined")
RESERVED = (
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
)
NAMES = ("-1", "the lowest integer", "text", "no text", *NUMBERS)

FIELDS: Table = {
    **{
        f"type is {name}": (raw(value), "invalid packet")
        for name, value in (*valued(), ("2.0", b"\xcb" + struct.pack(">d", 2)), ("'2'", b"\xa12"))
    },
    **{
        f"nsp is {name}": (raw(nsp=value), "invalid packet")
        for name, value in valued("text", "no text")
    },
    **{
        f"id is {name}": (raw(id=value), "invalid packet id")
        for name, value in valued(*NONE, "five", "the highest integer")
    },
    **{
        f"data of {words} is {name}": (raw(bytes((kind,)), value, id=b"\x01"), "invalid payload")
        for kind, words, fine in (
            (CONNECT, "connect", (*NONE, "a map")),
            (DISCONNECT, "disconnect", NONE),
            (EVENT, "an event", ("a list",)),
            (ACK, "an ack", ("a list",)),
            (CONNECT_ERROR, "a refusal", ("text", "no text", "a map")),
        )
        for name, value in valued(*fine)
    },
    **{
        f"name is {name}": (raw(data=b"\x91" + value), "invalid payload")
        for name, value in valued(*NAMES)
    },
    **{f"name is {name}": (event(name), "invalid payload") for name in RESERVED},
    "no name": (event(), "invalid payload"),
    "no type": (packet_of(("nsp", b"\xa1/"), ("data", b"\x91\xa4echo")), "invalid packet"),
    "no nsp": (packet_of(("type", b"\x02"), ("data", b"\x91\xa4echo")), "invalid packet"),
    "no data": (packet_of(("type", b"\x02"), ("nsp", b"\xa1/")), "invalid payload"),
    "no id": (raw(b"\x03", b"\x90"), "invalid packet id"),
    "types of JSON with attachments": (raw(b"\x05"), "invalid packet type"),
    "another type behind": (
        packet_of(
            ("type", b"\x02"), ("nsp", b"\xa1/"), ("data", b"\x91\xa4echo"), ("type", b"\x09")
        ),
        "invalid packet type",
    ),
    "a reserved name behind": (
        packet_of(
            ("data", b"\x91\xa4echo"),
            ("nsp", b"\xa1/"),
            ("type", b"\x02"),
            ("data", b"\x91" + pack("connect")),
        ),
        "invalid payload",
    ),
}

BROKEN: Table = {
    "nothing": (b"", "truncated"),
    "a list": (pack([2, "/", ["echo"]]), "invalid packet"),
    "one more byte": (raw() + b"\x00", "trailing bytes"),
    "one more nil": (raw() + b"\xc0", "trailing bytes"),
    "the byte that is none": (raw() + b"\xc1", "trailing bytes"),
    "two packets": (raw() + raw(), "trailing bytes"),
    "JSON in bytes": (b'42["echo"]', "trailing bytes"),
    "JSON with attachments in bytes": (b'451-["echo",{"_placeholder":true}]', "trailing bytes"),
    "the byte that is none, as argument": (argument(b"\xc1"), "invalid byte"),
    "the byte that is none, as field": (raw(more=b"\xc1"), "invalid byte"),
    **{
        f"text: {text}": (text, "got plaintext data")
        for text in ('42["echo"]', "4", "40", "41", '451-["echo",{"_placeholder":true,"num":0}]')
    },
    "text that is MessagePack": ("4" + "\x03" * 3, "got plaintext data"),
}

DEEP = "nested too deeply"
MANY = "too many lists and objects"

LARGE: Table = {
    **{
        f"{name} too deep": (argument(nested(ROOM + 1, *kinds)), DEEP)
        for name, kinds in KINDS.items()
    },
    "lists without an end": (b"\x91" * MOST, DEEP),
    "maps without an end": (b"\x81\xa0" * (MOST // 2), DEEP),
    "a field too deep": (raw(more=nested(MAX_READ_DEPTH, b"\x91")), DEEP),
    "auth too deep": (raw(b"\x00", nested(MAX_READ_DEPTH, b"\x81\xa0")), DEEP),
    "a name too deep": (raw(data=nested(MAX_READ_DEPTH, b"\x91")), DEEP),
    "keys too deep": (argument(b"\x81" * 20_000), "a key that is no text"),
    "many lists": (argument(b"\xdc" + b"\x2e\xe0" + b"\x90" * 12_000), MANY),
    "many maps": (argument(b"\xdd\x00\x00\x2e\xe0" + b"\x80" * 12_000), MANY),
    "many in a field": (raw(more=b"\xdc\x75\x30" + b"\x90" * 30_000), MANY),
    "many in a map": (argument(b"\xde\x3e\x80" + b"\xa0\x90" * 16_000), MANY),
    "many in pairs": (argument(b"\xdc\x1f\x40" + b"\x91\x90" * 8_000), MANY),
    "many in auth": (raw(b"\x00", b"\x81\xa0\xdc\x75\x30" + b"\x90" * 30_000), MANY),
    "many, and more than there are": (argument(b"\xdc\xff\xff" + b"\x90" * 30_000), "truncated"),
}

NO_TEXT = {
    "a byte of nothing": b"\xff",
    "a middle": b"\x80",
    "an end that is missing": "é".encode()[:1],
    "NUL in two bytes": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
}
TEXT_PLACES: dict[str, Callable[[bytes], bytes]] = {
    "an argument": argument,
    "a key": lambda text: argument(b"\x81" + text + b"\x01"),
    "the name": lambda text: raw(data=b"\x91" + text),
    "nsp": lambda text: raw(nsp=text),
    "auth": lambda text: raw(b"\x00", b"\x81" + text + text),
}
TEXTS: Table = {
    f"{name} in {place}": (message(bytes((0xA0 | len(text),)) + text), "invalid packet")
    for place, message in TEXT_PLACES.items()
    for name, text in NO_TEXT.items()
}

UNDECODABLE = FIELDS | BROKEN | LARGE | TEXTS


@transports
@run_async
async def test_what_these_were_made_from_is_fine(packed: Arena, transport: str) -> None:
    async with watched(packed), joined(packed, transport) as client:
        await send(client, raw(), argument(VALUES["five"]), event("echo", b"x"))
        await eventually(lambda: packed.heard[-3:] == [(), (5,), (b"x",)])
        await leave(client)


@transports
@pytest.mark.parametrize("name", UNDECODABLE)
@run_async
async def test_undecodable_packets_close_their_connection(
    packed: Arena, transport: str, name: str
) -> None:
    async with watched(packed):
        await costs_its_sender(packed, transport, *UNDECODABLE[name])


@transports
@pytest.mark.parametrize("table", [FIELDS, BROKEN, LARGE, TEXTS])
@run_async
async def test_so_they_do_one_after_the_other(
    any_packed: Arena, transport: str, table: Table
) -> None:
    async with watched(any_packed):
        for message, words in table.values():
            await costs_its_sender(any_packed, transport, message, words)


@transports
@run_async
async def test_a_single_byte_is_no_packet(packed: Arena, transport: str) -> None:
    async with watched(packed):
        for byte in range(256):
            await costs_its_sender(packed, transport, bytes((byte,)))


@transports
@run_async
async def test_a_packet_cut_short_is_none(any_packed: Arena, transport: str) -> None:
    whole = argument(pack([1, -1, 2**40, 1.5, "é" * 40, BLOB[:40], {"a": [None, True]}]))
    whole = whole[:-1] + b"\x93" + VALUES["undefined"] + VALUES["a date"] + VALUES["a timestamp"]
    async with watched(any_packed):
        for size in range(len(whole)):
            await costs_its_sender(any_packed, transport, whole[:size], "truncated")


# Extensions.

# What stands before an extension's type, and how many bytes follow it.
FORMS = {
    "fixext1": (b"\xd4", 1),
    "fixext2": (b"\xd5", 2),
    "fixext4": (b"\xd6", 4),
    "fixext8": (b"\xd7", 8),
    "fixext16": (b"\xd8", 16),
    "ext8": (b"\xc7\x03", 3),
    "ext16": (b"\xc8\x00\x03", 3),
    "ext32": (b"\xc9\x00\x00\x00\x03", 3),
    "none": (b"\xc7\x00", 0),
}


def extension(form: str, kind: int) -> bytes:
    head, size = FORMS[form]
    return head + bytes((kind,)) + bytes(size)


@transports
@run_async
async def test_extensions_that_nobody_knows_are_refused(packed: Arena, transport: str) -> None:
    forms = list(FORMS)
    values = [extension(forms[kind % len(forms)], kind) for kind in range(1, 255)]
    values += [extension(form, kind) for form in forms for kind in (1, 2, 127, 128, 254)]
    # Bytes, and neither undefined nor a date.
    values += [extension(form, 0) for form in ("fixext2", "fixext4", "fixext16")]
    async with watched(packed):
        for value in values:
            await costs_its_sender(packed, transport, argument(value), "unknown extension")
            await costs_its_sender(packed, transport, raw(more=value), "unknown extension")


@transports
@run_async
async def test_times_that_are_none_are_refused(packed: Arena, transport: str) -> None:
    sizes = ("none", "fixext1", "fixext2", "fixext16", "ext8", "ext16", "ext32")
    values = [extension(form, 255) for form in sizes]
    # Years that Python does not have, and seconds with too many nanoseconds.
    values += [
        b"\xd7\x00\x7f" + b"\xff" * 7,
        b"\xd7\x00\x80" + bytes(7),
        b"\xd7\xff" + b"\xff" * 8,
        b"\xc7\x0c\xff" + bytes(4) + b"\x7f" + b"\xff" * 7,
        b"\xc7\x0c\xff" + b"\xff" * 4 + bytes(8),
    ]
    async with watched(packed):
        for value in values:
            await costs_its_sender(packed, transport, argument(value), "invalid packet")


# Keys.


@transports
@run_async
async def test_keys_are_text_and_nothing_else(packed: Arena, transport: str) -> None:
    heads = [byte for byte in range(256) if not (0xA0 <= byte < 0xC0 or 0xD9 <= byte < 0xDC)]
    async with watched(packed):
        for byte in heads:
            entry = bytes((byte,)) + bytes(20)
            for message in (argument(b"\x81" + entry), b"\x81" + entry):
                await costs_its_sender(packed, transport, message, "a key that is no text")
