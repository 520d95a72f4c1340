from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
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
    Pending,
    decode,
    encode_ack,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
    encode_event,
    namespace_prefix,
)

HOLE = {"_placeholder": True, "num": 0}


def read(text: str | bytes) -> Packet:
    data = text.encode() if isinstance(text, str) else text
    return decode(data, 0, 10, 100_000)


def fields(packet: Packet) -> tuple[object, ...]:
    return packet.type, packet.nsp, packet.id, packet.data, packet.attachments


def roundtrip(message: Message) -> Packet:
    """What the other side makes of a message."""
    assert message.text is not None
    packet = decode(message.text, 1, 10_000, 100_000)
    if packet.attachments:
        pending = Pending(packet, 1 << 30)
        buffers = message.attachments or []
        assert len(buffers) == packet.attachments
        done = [pending.add(buffer) for buffer in buffers]
        assert done == [False] * (len(buffers) - 1) + [True]
    return packet


# Each was given to the decoder of socket.io-parser 4.2.7, and this is what it said.
OFFICIAL_PACKETS: list[tuple[str, tuple[object, ...]]] = [
    ("0", (CONNECT, "/", -1, None, 0)),
    ("0{}", (CONNECT, "/", -1, {}, 0)),
    ('0{"token":"123"}', (CONNECT, "/", -1, {"token": "123"}, 0)),
    ("0/admin", (CONNECT, "/admin", -1, None, 0)),
    ("0/admin,", (CONNECT, "/admin", -1, None, 0)),
    ('0/admin,{"sid":"a"}', (CONNECT, "/admin", -1, {"sid": "a"}, 0)),
    ("0/admin?uid=1,{}", (CONNECT, "/admin?uid=1", -1, {}, 0)),
    ("1", (DISCONNECT, "/", -1, None, 0)),
    ("1/admin", (DISCONNECT, "/admin", -1, None, 0)),
    ("1/admin,", (DISCONNECT, "/admin", -1, None, 0)),
    ('2["a"]', (EVENT, "/", -1, ["a"], 0)),
    ("2[1]", (EVENT, "/", -1, [1], 0)),
    ("2[1.5]", (EVENT, "/", -1, [1.5], 0)),
    ('2["a",1,{"b":[null]}]', (EVENT, "/", -1, ["a", 1, {"b": [None]}], 0)),
    ('2/woot,["a"]', (EVENT, "/woot", -1, ["a"], 0)),
    ('2/woot,12["a"]', (EVENT, "/woot", 12, ["a"], 0)),
    ('212["a",1]', (EVENT, "/", 12, ["a", 1], 0)),
    ('2/woot,0["a"]', (EVENT, "/woot", 0, ["a"], 0)),
    ('2/a/b-c,["x"]', (EVENT, "/a/b-c", -1, ["x"], 0)),
    ('2["a","1-2"]', (EVENT, "/", -1, ["a", "1-2"], 0)),
    ('2["a-b"]', (EVENT, "/", -1, ["a-b"], 0)),
    ("312[]", (ACK, "/", 12, [], 0)),
    ('312["ok",1]', (ACK, "/", 12, ["ok", 1], 0)),
    ("3/n,1[]", (ACK, "/n", 1, [], 0)),
    ('4"not authorized"', (CONNECT_ERROR, "/", -1, "not authorized", 0)),
    ('4{"message":"no"}', (CONNECT_ERROR, "/", -1, {"message": "no"}, 0)),
    (
        '4/n,{"message":"no","data":{"a":1}}',
        (CONNECT_ERROR, "/n", -1, {"message": "no", "data": {"a": 1}}, 0),
    ),
    ('51-["a"]', (EVENT, "/", -1, ["a"], 1)),
    ('510-["a"]', (EVENT, "/", -1, ["a"], 10)),
    (
        '51-/n,["a",{"_placeholder":true,"num":0}]',
        (EVENT, "/n", -1, ["a", HOLE], 1),
    ),
    (
        '51-/n,7["a",{"_placeholder":true,"num":0}]',
        (EVENT, "/n", 7, ["a", HOLE], 1),
    ),
    ('61-1[{"_placeholder":true,"num":0}]', (ACK, "/", 1, [HOLE], 1)),
    ('2["connection"]', (EVENT, "/", -1, ["connection"], 0)),
    ('2["error"]', (EVENT, "/", -1, ["error"], 0)),
    ('2["message"]', (EVENT, "/", -1, ["message"], 0)),
    ('2["__proto__"]', (EVENT, "/", -1, ["__proto__"], 0)),
    ('2["toString"]', (EVENT, "/", -1, ["toString"], 0)),
    ('2["constructor"]', (EVENT, "/", -1, ["constructor"], 0)),
    ('2["a",{"_placeholder":true,"num":0}]', (EVENT, "/", -1, ["a", HOLE], 0)),
    ('2["é","\\u2028","\\ud800"]', (EVENT, "/", -1, ["é", "\u2028", "\ud800"], 0)),
    ('2["a",{"__proto__":1}]', (EVENT, "/", -1, ["a", {"__proto__": 1}], 0)),
]

OFFICIAL_ERRORS: list[tuple[str, str]] = [
    *(
        (text, "invalid payload")
        for text in (
            "0[]",
            "0null",
            '0"x"',
            "1{}",
            "1/admin,[]",
            "2[]",
            "2{}",
            "2[{}]",
            "2[null]",
            '2[["x"]]',
            "2[true]",
            '2"s"',
            '2["a"',
            '2["a"]x',
            '2x["a"]',
            '242abc["a"]',
            '2/a,b["x"]',
            "312{}",
            "4[1]",
            "4null",
            "51-{}",
            "51-[]",
            '2["a",NaN]',
            *(f'2["{name}"]' for name in sorted(RESERVED_EVENTS)),
            '51-["connect",{"_placeholder":true,"num":0}]',
        )
    ),
    *(
        (text, "Illegal attachments")
        for text in (
            "5",
            '50-["a"]',
            '51["b"]',
            '5-["a"]',
            '5a-["a"]',
            '5-1-["a"]',
            '51.5-["a"]',
        )
    ),
    ('511-["a"]', "too many attachments"),
    ('599999999-["a"]', "too many attachments"),
    ("7", "unknown packet type 7"),
    ('9["a"]', "unknown packet type 9"),
    ("x", "unknown packet type 'x'"),
    ("-", "unknown packet type '-'"),
    ('["a"]', "unknown packet type"),
]


@pytest.mark.parametrize(("text", "packet"), OFFICIAL_PACKETS)
def test_packets_are_read_as_the_reference_reads_them(
    text: str, packet: tuple[object, ...]
) -> None:
    assert fields(read(text)) == packet


@pytest.mark.parametrize(("text", "words"), OFFICIAL_ERRORS)
def test_what_the_reference_refuses_is_refused_with_its_words(text: str, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        # The reference lets these through with no name or no id, which no handler can mean.
        "2",
        "2/woot",
        "212",
        "3",
        "312",
        "3[]",
        "4",
        "51-",
        # It reads these counts by JavaScript's rules for numbers.
        '51e0-["a"]',
        '5 1-["a"]',
        '5+1-["a"]',
        "5\u0661-[]",
        # It takes ids that it cannot hold.
        "2" + "9" * 21 + '["a"]',
        "",
    ],
)
def test_what_the_reference_accepts_and_nuncio_does_not(text: str) -> None:
    with pytest.raises(PacketError):
        read(text)


def test_white_space_before_the_payload_is_no_id() -> None:
    # The reference takes the space for an id of 0, and so would send an answer nobody asked for.
    assert fields(read('2 ["x"]')) == (EVENT, "/", -1, ["x"], 0)


def test_ids_of_twenty_digits_are_exact() -> None:
    assert read("2" + "9" * 20 + '["a"]').id == 10**20 - 1


def test_the_packet_may_begin_anywhere_in_the_bytes() -> None:
    assert fields(decode(b'42["a"]', 1, 10, 100_000)) == (EVENT, "/", -1, ["a"], 0)
    assert fields(decode(b'452-/n,3["a",1,2]', 1, 10, 100_000)) == (EVENT, "/n", 3, ["a", 1, 2], 2)
    with pytest.raises(PacketError):
        decode(b"4", 1, 10, 100_000)


def test_a_namespace_that_is_not_utf8_is_no_way_out() -> None:
    assert read(b'2/\xff,["a"]').nsp == "/\ufffd"


def test_the_limit_of_attachments_is_the_callers() -> None:
    assert decode(b'53-["a"]', 0, 3, 100_000).attachments == 3
    with pytest.raises(PacketError, match="too many attachments"):
        decode(b'53-["a"]', 0, 2, 100_000)


# Written by the encoder of socket.io-parser 4.2.7 (as Engine.IO carries it, with its 4 in front).


@pytest.mark.parametrize(
    ("message", "text", "attachments"),
    [
        (encode_connect(b"", {"token": "1"}), '40{"token":"1"}', None),
        (encode_connect(namespace_prefix("/w"), None), "40/w,", None),
        (encode_disconnect(namespace_prefix("/")), "41", None),
        (encode_disconnect(namespace_prefix("/w")), "41/w,", None),
        (encode_event(b"", -1, ["a", 1, {}]), '42["a",1,{}]', None),
        (encode_event(b"/t,", 1, ["a"]), '42/t,1["a"]', None),
        (encode_ack(b"", 123, ["b", 1]), '43123["b",1]', None),
        (encode_ack(b"", 0, []), "430[]", None),
        (encode_connect_error(b"", "x", None), '44{"message":"x"}', None),
        (
            encode_connect_error(b"/n,", "x", {"a": [1]}),
            '44/n,{"message":"x","data":{"a":[1]}}',
            None,
        ),
        (
            encode_event(b"", -1, ["a", b"\1\2"]),
            '451-["a",{"_placeholder":true,"num":0}]',
            [b"\1\2"],
        ),
        (
            encode_event(b"/c,", 23, ["a", {"x": [b"\1", "s", {"y": b"\2"}], "z": b"\3"}]),
            '453-/c,23["a",{"x":[{"_placeholder":true,"num":0},"s",'
            '{"y":{"_placeholder":true,"num":1}}],"z":{"_placeholder":true,"num":2}}]',
            [b"\1", b"\2", b"\3"],
        ),
        (
            encode_ack(b"/b,", 127, ["a", b"x", {}]),
            '461-/b,127["a",{"_placeholder":true,"num":0},{}]',
            [b"x"],
        ),
        (
            encode_event(b"", -1, ["a", [b""], b"\0"]),
            '452-["a",[{"_placeholder":true,"num":0}],{"_placeholder":true,"num":1}]',
            [b"", b"\0"],
        ),
    ],
)
def test_packets_are_written_as_the_reference_writes_them(
    message: Message, text: str, attachments: list[bytes] | None
) -> None:
    assert message.text == text.encode()
    assert message.attachments == attachments


@pytest.mark.parametrize("value", [0, "", [], {}, False, None, [[]], 0.0])
def test_empty_values_are_kept(value: object) -> None:
    assert roundtrip(encode_event(b"", -1, ["a", value])).data == ["a", value]


def test_views_are_sent_as_the_part_they_show() -> None:
    view = memoryview(b"abcdef")[2:4]
    message = encode_event(b"", -1, ["a", view, bytearray(b"x")])
    assert message.attachments == [b"cd", b"x"]


def test_compression_is_the_callers_choice() -> None:
    assert encode_event(b"", -1, ["a"]).compress
    assert not encode_event(b"", -1, ["a"], False).compress
    assert not encode_event(b"", -1, ["a", b"b"], False).compress


def test_a_value_that_contains_itself_is_refused() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(ValueError, match="contains itself"):
        encode_event(b"", -1, ["a", ring])
    loop: dict[str, object] = {}
    loop["loop"] = [loop]
    with pytest.raises(ValueError, match="contains itself"):
        encode_ack(b"", 1, [loop])


def test_nesting_that_is_accepted_can_be_sent_back() -> None:
    depth = MAX_READ_DEPTH - 1
    packet = read(b'2["a",' + b"[" * depth + b"]" * depth + b"]")
    assert isinstance(packet.data, list)
    assert roundtrip(encode_event(b"", -1, packet.data)).data == packet.data


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(TypeError, match="of type 'object'"):
        encode_event(b"", -1, ["a", {"b": [object()]}])


# Attachments.


def pending(text: str, max_size: int = 1000) -> Pending:
    return Pending(read(text), max_size)


def test_attachments_take_the_places_of_their_placeholders() -> None:
    waiting = pending(
        '52-["a",{"_placeholder":true,"num":1},[{"b":{"_placeholder":true,"num":0}}],"c"]'
    )
    assert not waiting.add(b"first")
    assert waiting.add(b"second")
    assert waiting.packet.data == ["a", b"second", [{"b": b"first"}], "c"]
    assert waiting.packet.attachments == 0


@pytest.mark.parametrize(
    "number",
    [
        '"0"',
        '"splice"',
        "-1",
        "1",
        "10000",
        "0.0",
        "0.5",
        "true",
        "false",
        "null",
        "[0]",
        "{}",
        "1e400",
        "9" * 40,
    ],
)
def test_a_wrong_placeholder_is_refused(number: str) -> None:
    with pytest.raises(PacketError):
        pending(f'51-["a",{{"_placeholder":true,"num":{number}}}]').add(b"x")


def test_a_placeholder_without_number_is_refused() -> None:
    with pytest.raises(PacketError, match="illegal attachments"):
        pending('51-["a",{"_placeholder":true}]').add(b"x")


def test_an_attachment_may_be_used_once() -> None:
    # The reference gives the same bytes twice.
    hole = json.dumps(HOLE)
    with pytest.raises(PacketError, match="illegal attachments"):
        pending(f'51-["a",{hole},{hole}]').add(b"x")


def test_every_attachment_must_be_used() -> None:
    with pytest.raises(PacketError, match="illegal attachments"):
        pending('51-["a"]').add(b"x")


@pytest.mark.parametrize("mark", ["1", '"true"', "null", "false", "[]"])
def test_only_true_makes_a_placeholder(mark: str) -> None:
    value = f'{{"_placeholder":{mark},"num":0}}'
    waiting = pending(f'51-["a",{value},{json.dumps(HOLE)}]')
    assert waiting.add(b"x")
    assert waiting.packet.data == ["a", json.loads(value), b"x"]


def test_attachments_are_limited_in_size_together() -> None:
    holes = ",".join(json.dumps({"_placeholder": True, "num": n}) for n in range(3))
    waiting = pending(f'53-["a",{holes}]', 10)
    assert not waiting.add(b"x" * 6)
    assert not waiting.add(b"x" * 4)
    with pytest.raises(PacketError, match="attachments too large"):
        waiting.add(b"x")


def test_placeholders_nested_too_deeply_are_a_packet_error() -> None:
    depth = 940
    inner = json.dumps(HOLE)
    try:
        waiting = pending('51-["a",' + "[" * depth + inner + "]" * depth + "]")
    except PacketError:
        return  # the interpreter's stack was already too deep to read it
    with pytest.raises(PacketError):
        waiting.add(b"x")


# Properties.


data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k[:1] != "_"), inner)
    ),
    max_leaves=12,
)
names = st.text(st.characters()).filter(lambda name: name not in RESERVED_EVENTS) | st.integers(
    0, 10**9
)
namespaces = st.just("/") | st.text(st.characters(exclude_categories=["Cs"])).map(
    lambda name: "/" + name.replace(",", "")
)


@given(namespaces, names, st.lists(data), st.integers(-1, 2**60))
def test_events_come_out_as_they_went_in(nsp: str, name: Any, args: list[Any], id: int) -> None:
    given_args = [name, *args]
    before = copy.deepcopy(given_args)
    packet = roundtrip(encode_event(namespace_prefix(nsp), id, given_args))
    assert fields(packet) == (EVENT, nsp, id, before, 0)
    assert given_args == before


@given(namespaces, st.lists(data), st.integers(0, 2**60))
def test_acknowledgements_come_out_as_they_went_in(nsp: str, args: list[Any], id: int) -> None:
    before = copy.deepcopy(args)
    packet = roundtrip(encode_ack(namespace_prefix(nsp), id, args))
    assert fields(packet) == (ACK, nsp, id, before, 0)
    assert args == before


@given(st.dictionaries(st.text(), st.integers()) | st.none(), namespaces)
def test_connects_come_out_as_they_went_in(auth: dict[str, int] | None, nsp: str) -> None:
    packet = roundtrip(encode_connect(namespace_prefix(nsp), auth))
    assert fields(packet) == (CONNECT, nsp, -1, auth, 0)


@given(st.binary(), st.integers(0, 4))
def test_any_bytes_are_a_packet_or_a_packet_error(noise: bytes, start: int) -> None:
    try:
        packet = decode(noise, start, 10, 100_000)
    except PacketError:
        return
    assert packet.type in (CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR)


@given(
    st.sampled_from("0123456789"),
    st.sampled_from(["", "-", "0-", "1-", "2-", "10-", "11-", "1", "-1-", "99999999999999-"]),
    st.sampled_from(["", "/", "/a", "/a,", "/,", "/a?b=1,", "/é,"]),
    st.sampled_from(["", "0", "12", "-1", "9" * 20, "9" * 21, " "]),
    st.sampled_from(
        ["", "[]", "{}", '["a"]', '["a",{"_placeholder":true,"num":0}]', "null", "1", '"', "[1,"]
    ),
    st.lists(st.binary(max_size=3), max_size=3),
)
def test_anything_shaped_like_a_packet_is_one_or_a_packet_error(
    kind: str, count: str, nsp: str, id: str, payload: str, buffers: list[bytes]
) -> None:
    try:
        packet = read(kind + count + nsp + id + payload)
        if packet.attachments:
            waiting = Pending(packet, 5)
            for buffer in buffers:
                if waiting.add(buffer):
                    assert packet.attachments == 0
                    break
    except PacketError:
        return
    assert packet.nsp.startswith("/")
    assert -1 <= packet.id < 10**20


holes = st.recursive(
    st.sampled_from(
        [HOLE, {"_placeholder": True, "num": 1}, {"_placeholder": True}, {"_placeholder": 1}, 1]
    )
    | st.builds(
        lambda number: {"_placeholder": True, "num": number},
        st.integers(-3, 3) | st.booleans() | st.floats() | st.text(max_size=2),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@given(st.lists(holes, max_size=3), st.integers(1, 3))
def test_placeholders_are_filled_each_once_or_refused(values: list[Any], count: int) -> None:
    waiting = pending(
        f"5{count}-" + json.dumps(["a", *values]).replace("NaN", "0").replace("Infinity", "1")
    )
    buffers = [b"%d" % index for index in range(count)]
    try:
        for buffer in buffers:
            waiting.add(buffer)
    except PacketError:
        return
    found: list[bytes] = []
    collect(waiting.packet.data, found)
    assert sorted(found) == buffers


def collect(value: Any, found: list[bytes]) -> None:
    if isinstance(value, bytes):
        found.append(value)
    elif isinstance(value, list):
        for item in value:
            collect(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            collect(item, found)


# Long and deep input: none of these may take more than time in proportion to its length.


@pytest.mark.parametrize(
    "head",
    ["2", "3", "5", "6", "51-", "2/", "2/,", "0", "4", '2["a",', "42", "2/n,"],
)
@pytest.mark.parametrize("filling", ["1", "-", "/", ",", "[", "{", '"', " ", "\\"])
def test_a_megabyte_of_anything_is_judged_at_once(head: str, filling: str) -> None:
    try:
        packet = read(head + filling * 1_000_000)
    except PacketError:
        return
    # Only a namespace may be that long, and only in packets that need no payload.
    assert packet.type == CONNECT and len(packet.nsp) >= 1_000_000


@pytest.mark.parametrize("text", ["2", "21", "2/a,", "312", "51-", "0"])
@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deep_nesting_is_a_packet_error(text: str, depth: int) -> None:
    with pytest.raises(PacketError):
        read(text + "[" * depth + "]" * depth)
    with pytest.raises(PacketError):
        read(text + '["a",' * depth)
    with pytest.raises(PacketError):
        read(text + '{"a":' * depth)
