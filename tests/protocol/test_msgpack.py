"""MessagePack packets: what socket.io-msgpack-parser writes, and what nobody should send."""

from __future__ import annotations

import copy
import dataclasses
import math
import struct
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio import MsgPackParser
from nuncio.errors import PacketError
from nuncio.protocol import msgpack
from nuncio.protocol.engineio import Message
from nuncio.protocol.json import MAX_READ_DEPTH
from nuncio.protocol.socketio import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    Packet,
)

PARSER = MsgPackParser()
MAIN = PARSER.prefix("/")
pack = msgspec.msgpack.encode

MOST = 100_000


def decode(data: bytes, most: int = MOST) -> Packet:
    return msgpack.decode(data, most)


def look_through(data: bytes, patches: list[int]) -> int:
    return msgpack.look_through(data, patches, MOST)


# Event "x" with one argument, which is whatever follows.
EVENT_OF_ONE = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x"


def wire(message: Message) -> bytes:
    assert message.text is None
    assert message.attachments is not None
    (packet,) = message.attachments
    return packet


def fields(packet: Packet) -> tuple[object, ...]:
    assert packet.attachments == 0
    return packet.type, packet.nsp, packet.id, packet.data


def sent(*args: object) -> list[Any]:
    """What the other side makes of an event's arguments."""
    data = decode(wire(PARSER.encode_event(MAIN, -1, ["x", *args]))).data
    assert isinstance(data, list)
    return data[1:]


def argument(packed: bytes) -> Any:
    """What a handler gets for an argument that a peer packed."""
    data = decode(EVENT_OF_ONE + packed).data
    assert isinstance(data, list)
    return data[1]


# Taken from the official JavaScript client with socket.io-msgpack-parser 3.0.2.
OFFICIAL_PACKETS: list[tuple[str, tuple[object, ...]]] = [
    ("83a47479706500a464617461d40000a36e7370a12f", (CONNECT, "/", -1, None)),
    (
        "83a47479706500a46461746181a5746f6b656ea131a36e7370a22f61",
        (CONNECT, "/a", -1, {"token": "1"}),
    ),
    ("82a47479706501a36e7370a12f", (DISCONNECT, "/", -1, None)),
    (
        "84a47479706502a46461746192a568656c6c6fa3796f75"
        "a76f7074696f6e7381a8636f6d7072657373c3a36e7370a12f",
        (EVENT, "/", -1, ["hello", "you"]),
    ),
    (
        "85a47479706502a46461746191a178a76f7074696f6e7381a8636f6d7072657373c3a2696400a36e7370a12f",
        (EVENT, "/", 0, ["x"]),
    ),
    ("84a47479706503a2696400a46461746191d40000a36e7370a12f", (ACK, "/", 0, [None])),
]


@pytest.mark.parametrize(("packet", "expected"), OFFICIAL_PACKETS)
def test_packets_of_the_official_client_are_understood(
    packet: str, expected: tuple[object, ...]
) -> None:
    assert fields(decode(bytes.fromhex(packet))) == expected


def test_an_event_is_written_as_the_reference_documents_it() -> None:
    packet = wire(PARSER.encode_event(MAIN, -1, ["hello", "you"]))
    assert packet.hex(" ") == (
        "83 a4 74 79 70 65 02 a3 6e 73 70 a1 2f a4 64 61 74 61 92 a5 68 65 6c 6c 6f a3 79 6f 75"
    )


@pytest.mark.parametrize("id", [0, 1, 127, 128, 255, 2**31, 2**53])
@pytest.mark.parametrize("nsp", ["/", "/admin", "/" + "é" * 40])
def test_every_type_comes_back(nsp: str, id: int) -> None:
    prefix = PARSER.prefix(nsp)
    for message, expected in (
        (PARSER.encode_event(prefix, -1, ["x", 1]), (EVENT, nsp, -1, ["x", 1])),
        (PARSER.encode_event(prefix, id, ["x", 1]), (EVENT, nsp, id, ["x", 1])),
        (PARSER.encode_ack(prefix, id, []), (ACK, nsp, id, [])),
        (PARSER.encode_connect(prefix, None), (CONNECT, nsp, -1, None)),
        (PARSER.encode_connect(prefix, {"sid": "1"}), (CONNECT, nsp, -1, {"sid": "1"})),
        (PARSER.encode_disconnect(prefix), (DISCONNECT, nsp, -1, None)),
        (
            PARSER.encode_connect_error(prefix, "no", None),
            (CONNECT_ERROR, nsp, -1, {"message": "no"}),
        ),
        (
            PARSER.encode_connect_error(prefix, "no", [b"1"]),
            (CONNECT_ERROR, nsp, -1, {"message": "no", "data": [b"1"]}),
        ),
    ):
        assert fields(decode(wire(message))) == expected


def test_whether_it_may_be_compressed_is_kept() -> None:
    assert PARSER.encode_event(MAIN, -1, ["x"]).compress
    assert not PARSER.encode_event(MAIN, -1, ["x"], False).compress


# Values.

keys = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | keys
    | st.binary()
    | st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=0)),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)


@given(st.lists(values))
def test_what_is_sent_arrives_and_stays_as_it_was(args: list[Any]) -> None:
    before = copy.deepcopy(args)
    assert sent(*args) == args
    assert args == before


@given(values)
def test_anything_that_can_be_packed_is_looked_through_whole(value: Any) -> None:
    if not isinstance(value, datetime):
        packed = wire(PARSER.encode_event(MAIN, 1, ["x", value]))
        assert look_through(packed, []) == len(packed)
        assert look_through(packed + b"\x01", []) == len(packed)


@dataclasses.dataclass
class Point:
    x: int
    at: datetime
    raw: bytes = b"raw"


def test_values_that_json_takes_are_taken() -> None:
    at = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=2)))
    assert sent(Point(1, at)) == [{"x": 1, "at": at, "raw": b"raw"}]
    assert sent([(1, {2: {"a": at}})]) == [[[1, {"2": {"a": at}}]]]
    assert sent(bytearray(b"1"), memoryview(b"0123")[1:3], [memoryview(b"0123")[::2]]) == [
        b"1",
        b"12",
        [b"02"],
    ]
    assert sent({1, 2}, Decimal("1.5"), datetime(2020, 1, 1)) == [
        [1, 2],
        "1.5",
        "2020-01-01T00:00:00",
    ]
    (nan,) = sent(math.nan)
    assert math.isnan(nan)
    assert sent(math.inf, -math.inf) == [math.inf, -math.inf]


def test_a_date_is_written_as_javascript_writes_it() -> None:
    at = datetime(1970, 1, 1, 0, 0, 1, 5_999, tzinfo=UTC)
    assert wire(PARSER.encode_event(MAIN, -1, ["x", at])).endswith(
        b"\xd7\x00" + struct.pack(">q", 1005)
    )
    assert sent(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC))[0].timestamp() == -1


def test_surrogates_without_a_partner_are_replaced() -> None:
    assert sent("a\ud800b", {"\udc00": ["\ud83d\ude00"]}) == ["a\ufffdb", {"\ufffd": ["😀"]}]


def test_what_cannot_be_sent_is_told_as_with_json() -> None:
    with pytest.raises(TypeError, match="'object' cannot be sent"):
        sent(object())
    with pytest.raises(TypeError, match="'object' cannot be sent"):
        sent({"a": [object()]})
    with pytest.raises(TypeError):
        sent({(1, 2): 3})
    with pytest.raises(ValueError, match="64 bits"):
        sent(2**64)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        sent(loop)
    with pytest.raises(TypeError):
        sent(msgspec.msgpack.Ext(5, b"1"))


def test_a_hook_sends_what_is_unknown() -> None:
    def hook(value: Any) -> Any:
        if isinstance(value, complex):
            return {"re": value.real, "im": value.imag, "at": datetime(2020, 1, 1, tzinfo=UTC)}
        raise TypeError("no way")

    parser = MsgPackParser(enc_hook=hook)
    data = decode(wire(parser.encode_event(MAIN, -1, ["x", [1 + 2j]]))).data
    assert data == ["x", [{"re": 1.0, "im": 2.0, "at": datetime(2020, 1, 1, tzinfo=UTC)}]]
    with pytest.raises(TypeError, match="no way"):
        parser.encode_ack(MAIN, 1, [object()])


# What peers may send.


@pytest.mark.parametrize("id", [0, 2**53, 2**64 - 1, 0.0, 2.0**63, 2.0**64 - 2048])
def test_an_event_with_an_id_that_is_taken_can_be_answered(id: int | float) -> None:
    number = decode(pack({"type": EVENT, "nsp": "/", "data": ["x"], "id": id})).id
    assert number == id
    assert decode(wire(PARSER.encode_ack(MAIN, number, []))).id == id


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        ("c0", None),
        ("d40000", None),  # undefined
        ("93d40000d40000c3", [None, None, True]),
        ("c7010000", b"\0"),  # an ArrayBuffer of one byte, not undefined
        ("c70800000000000000000f", b"\0\0\0\0\0\0\0\x0f"),  # and one of eight, not a date
        ("c70000", b""),
        ("c8000200ffff", b"\xff\xff"),
        ("c90000000200ffff", b"\xff\xff"),
        ("c403010203", b"\1\2\3"),
        ("c500030102ff", b"\1\2\xff"),
        ("c6000000020102", b"\1\2"),
        ("d70000000000000003ed", datetime(1970, 1, 1, 0, 0, 1, 5_000, UTC)),
        ("d6ff5e0be100", datetime(2020, 1, 1, tzinfo=UTC)),
        ("d7ff00000004" + "00000001", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("c70cff00000000" + "0000000000000001", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("ca3fc00000", 1.5),
        ("cb4000000000000000", 2.0),
        ("cc80", 128),
        ("cd0100", 256),
        ("ce00010000", 65536),
        ("cfffffffffffffffff", 2**64 - 1),
        ("d080", -128),
        ("d18000", -32768),
        ("d280000000", -(2**31)),
        ("d38000000000000000", -(2**63)),
        ("d90161", "a"),
        ("da000161", "a"),
        ("db0000000161", "a"),
        ("dc000101", [1]),
        ("dd0000000101", [1]),
        ("de0001a16101", {"a": 1}),
        ("df00000001d9016101", {"a": 1}),
        ("82a16101a16102", {"a": 2}),
        ("81a16182a162c3a16390", {"a": {"b": True, "c": []}}),
        ("e0", -32),
        ("7f", 127),
    ],
)
def test_everything_messagepack_has(packed: str, value: object) -> None:
    found = argument(bytes.fromhex(packed))
    assert found == value
    assert type(found) is type(value)


BUILDERS: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda packet: packet,
    lambda packet: {**packet, "options": {"compress": True}, "more": [1]},
    lambda packet: dict(reversed(packet.items())),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_neither_order_nor_further_keys_matter(
    build: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    packet = build({"type": EVENT, "nsp": "/", "data": ["x"], "id": 1})
    assert fields(decode(pack(packet))) == (EVENT, "/", 1, ["x"])


def test_forms_that_mean_the_same_are_taken() -> None:
    packet = {"type": EVENT, "nsp": "/", "data": ["x"]}
    assert decode(pack({**packet, "id": 7.0})).id == 7
    assert decode(pack({**packet, "id": None})).id == -1
    assert decode(pack({"type": CONNECT, "nsp": "/", "data": None})).data is None
    assert decode(pack({"type": DISCONNECT, "nsp": "/", "data": None})).data is None
    assert decode(pack({"type": CONNECT_ERROR, "nsp": "/", "data": "no"})).data == "no"
    assert decode(pack({"type": EVENT, "nsp": "/", "data": [5]})).data == [5]


WRONG_DATA: list[tuple[int, list[Any]]] = [
    (CONNECT, [[], "x", 5, True, b""]),
    (DISCONNECT, [[], {}, "x", False]),
    (EVENT, ["x", [], {}, None, [None], [[]], [True], *([name] for name in RESERVED_EVENTS)]),
    (ACK, [{}, "x", None]),
    (CONNECT_ERROR, [[], 5, None]),
]
WRONG_TYPES: list[Any] = [-1, 5, 6, "2", None, True, [2], 2.5]
WRONG_IDS: list[Any] = [-1, 1.5, "1", True, [], {}, math.nan, math.inf, 2.0**64, 1e300, -1e300]
WRONG: list[Any] = [
    None,
    5,
    "42",
    [],
    {},
    {"type": 2},
    {"type": 2, "nsp": "/"},
    {"type": 2, "data": ["x"]},
    {"type": 2, "nsp": 5, "data": ["x"]},
    {"type": 2, "nsp": b"/", "data": ["x"]},
    {"type": 2, "nsp": None, "data": ["x"]},
    {"type": 2, "nsp": "/", "data": ["x"], 5: 1},
    {"type": 3, "nsp": "/", "data": []},
    *({"type": kind, "nsp": "/", "data": ["x"]} for kind in WRONG_TYPES),
    *({"type": 2, "nsp": "/", "data": ["x"], "id": id} for id in WRONG_IDS),
    *(
        {"type": kind, "nsp": "/", "id": 1, "data": data}
        for kind, several in WRONG_DATA
        for data in several
    ),
]


@pytest.mark.parametrize("packet", WRONG)
def test_what_is_no_packet_is_refused(packet: object) -> None:
    with pytest.raises(PacketError):
        decode(pack(packet))


@pytest.mark.parametrize(
    "packed",
    [
        "",
        "c1",
        "0101",  # bytes behind the end
        "a1ff",  # no UTF-8
        "a5" + "61" * 4,
        "dbffffffff",
        "c6ffffffff00",
        "ddffffffff",
        "dfffffffff",
        "dd7fffffff" + "c0" * 100,
        "df00000002a161" + "c0",
        "c9ffffffff00",
        "cf00",
        "cb00",
        "d700",
        "d4",
        "c7",
        "d9",
        # keys that are no text
        "8101c0",
        "81c0c0",
        "81c401610f",
        "819001",
        "818001",
        "81d4000001",
        "81cb000000000000000001",
        "82a16101" + "0102",
        # extensions
        "d401ff",
        "d402ff",
        "d50000ff",
        "d60000000000",
        "d800" + "00" * 16,
        "c70101ff",
        "c70802" + "00" * 8,
        "c8000105ff",
        "d4ff00",  # a timestamp of one byte
        "d7ffffffffffffffffff",  # with more nanoseconds than a second has
        "c70cff000000007fffffffffffffff",
        # dates that Python cannot hold
        "d7007fffffffffffffff",
        "d7008000000000000000",
    ],
)
def test_what_is_no_messagepack_is_refused(packed: str) -> None:
    with pytest.raises(PacketError):
        argument(bytes.fromhex(packed))


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xde\x00\x01\xa1a"])
def test_depth_is_limited(opening: bytes) -> None:
    with pytest.raises(PacketError):
        argument(opening * 100_000 + b"\xc0")
    with pytest.raises(PacketError, match="deeply"):
        argument(opening * (MAX_READ_DEPTH + 1) + b"\xc0")
    argument(opening * 300 + b"\xc0")


EMPTY = {
    "lists": b"\x90",
    "maps": b"\x80",
    "long lists": b"\xdc\x00\x00",
    "longest maps": b"\xdf\x00\x00\x00\x00",
    "in pairs": b"\x91\x90",
    "under a key": b"\x81\xa0\x80",
}


@pytest.mark.parametrize("name", EMPTY)
def test_no_more_lists_and_maps_than_may_be(name: str) -> None:
    item = EMPTY[name]
    each = 2 if name in ("in pairs", "under a key") else 1

    def event(count: int) -> bytes:
        return EVENT_OF_ONE + b"\xdd" + count.to_bytes(4, "big") + item * count

    # The packet itself, its data and the list.
    assert len(decode(event(100), 100 * each + 3).data[1]) == 100  # type: ignore[index]
    for most in (100 * each + 2, each, 1):
        with pytest.raises(PacketError, match="too many lists and objects"):
            decode(event(100), most)
    # What is no container does not count.
    packed = pack({"type": EVENT, "nsp": "/", "data": ["x", [*range(1000)], ["text"] * 1000]})
    assert decode(packed, 4).type == EVENT


def test_a_million_lists_are_refused_before_one_is_made() -> None:
    packet = EVENT_OF_ONE + b"\xdd\x00\x0f\x42\x40" + b"\x90" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(PacketError, match="too many lists and objects"):
            decode(packet)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000


@given(st.binary())
def test_garbage_is_a_packet_error_and_nothing_else(data: bytes) -> None:
    for packed in (data, EVENT_OF_ONE + data):
        try:
            decode(packed)
        except PacketError:
            continue
        assert look_through(packed, []) == len(packed)


@given(values, st.integers(0, 1000))
def test_what_is_cut_short_is_refused(value: Any, at: int) -> None:
    packet = wire(PARSER.encode_event(MAIN, 1, ["x", value]))
    with pytest.raises(PacketError):
        decode(packet[: at % len(packet)])


@given(values, st.data())
def test_what_is_damaged_is_refused_or_read(value: Any, data: st.DataObject) -> None:
    packet = bytearray(wire(PARSER.encode_event(MAIN, 1, ["x", value])))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(packet))
    except PacketError:
        pass


def test_text_is_not_for_this_parser() -> None:
    reader = PARSER.reader(10, 1000, 100)
    with pytest.raises(PacketError):
        reader.text(b'42["x"]')
    assert reader is PARSER.reader(10, 1000, 100)
