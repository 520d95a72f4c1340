"""Messages as documents, through real BSON: what it holds, and what it does not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.mongo import wire
from nuncio.errors import OptionError, PacketError


def sent(value: Any, kind: int = Kind.SERVER_SIDE_EMIT) -> ClusterMessage:
    """What arrives of something that was sent."""
    message = ClusterMessage("u", "/", kind, {"packet": ["e", value]})
    return wire.decode(wire.encode(message, ObjectId(), False))


def arrived(value: Any) -> Any:
    """The value of what arrives."""
    return sent(value).data["packet"][1]


def foreign(**fields: Any) -> RawBSONDocument:
    """A document that somebody else wrote."""
    document = {"_id": ObjectId(), "type": 9, "uid": "u", "nsp": "/", **fields}
    return RawBSONDocument(bson.encode(document), wire.RAW)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 2**31, -(2**63), 2**63 - 1, 0.5, "", "é☃😀", "a\0b"),
        *(b"", b"\x00\xff", [], {}, [[None], {"a": [1.5, b"x"]}]),
        {"$set": 1, "a.b": 2, "$ref": "x", "$id": 5, "": 3, "_id": 4},
        {"$ref": "collection", "$id": 1, "$db": "x", "more": [b"1"]},
        {"$numberDecimal": "1", "$date": 0, "$binary": "x"},
    ],
)
def test_what_bson_holds_arrives_as_it_was(value: Any) -> None:
    found = arrived(value)
    assert found == value
    assert type(found) is type(value)


def test_binary_arrives_as_bytes() -> None:
    assert arrived([bytearray(b"a"), memoryview(b"b")]) == [b"a", b"b"]
    document = wire.encode(
        ClusterMessage("u", "/", 9, {"packet": ["e", b"\x01"]}), ObjectId(), False
    )
    # Of the general kind, which Node's servers take for their Buffers.
    assert b"\x01\x00\x00\x00\x00\x01" in bytes(document.raw)
    old = foreign(data={"packet": ["e", Binary(b"x", 0x80), Binary(b"y", 4)]})
    assert wire.decode(old).data["packet"][1:] == [b"x", b"y"]


def test_dates_are_moments() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone(timedelta(hours=2)))
    message = sent(moment)
    assert message.dated
    assert message.data["packet"][1] == moment
    assert message.data["packet"][1].utcoffset() == timedelta(0)
    # Without a zone it is none; it goes as the text that clients receive.
    assert arrived(datetime(2026, 1, 2)) == "2026-01-02T00:00:00"
    assert not sent("2026").dated


def test_what_clients_may_say_and_bson_cannot_hold_is_replaced() -> None:
    assert arrived([2**63, -(2**63) - 1, 10**400]) == [float(2**63), float(-(2**63)), float("inf")]
    assert arrived("\ud800") == "\ufffd"
    assert arrived({"a\0b": "\udfff"}) == {"a\ufffdb": "\ufffd"}


def test_what_is_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(90):
        value = [value]
    assert arrived(value) == value
    for _ in range(50):
        value = {"a": value}
    with pytest.raises(wire.Refused):
        arrived(value)


def test_what_is_too_large_is_told() -> None:
    with pytest.raises(OptionError, match="16777216"):
        arrived("x" * wire.MOST_BYTES)


def test_what_else_there_is_becomes_plain() -> None:
    id = ObjectId()
    given = [id, Decimal128("1.5"), Int64(5), bson.Code("x")]
    found = wire.decode(foreign(data={"packet": ["e", *given]})).data["packet"][1:]
    assert found == [str(id), {"$numberDecimal": "1.5"}, 5, "x"]
    assert [type(one) for one in found] == [str, dict, int, str]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "3"},
        {"type": None},
        {"uid": 5},
        {"uid": None},
        {"nsp": {}},
        {"data": Timestamp(1, 1)},
        {"data": [Regex("x")]},
        {"data": {"a": MaxKey()}},
        {"data": DatetimeMS(2**62)},
    ],
)
def test_what_is_no_message_is_dropped(fields: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        wire.decode(foreign(**fields))


def test_damaged_documents_are_dropped() -> None:
    raw = bytes(foreign(data={"packet": ["e", "text"]}).raw)
    for place in range(4, len(raw)):
        damaged = raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :]
        try:
            wire.decode(RawBSONDocument(damaged, wire.RAW))
        except (PacketError, bson.errors.InvalidBSON):
            continue


def test_when_it_was_made_is_told_where_it_is_wanted() -> None:
    message = ClusterMessage("u", "/", Kind.HEARTBEAT)
    plain = bson.decode(wire.encode(message, ObjectId(), False).raw)
    dated = bson.decode(wire.encode(message, ObjectId(), True).raw)
    assert list(plain) == ["_id", "type", "uid", "nsp"]
    assert list(dated) == ["_id", "type", "uid", "nsp", "createdAt"]
    assert isinstance(dated["createdAt"], datetime)


def test_a_reference_is_an_object() -> None:
    assert wire.decode(foreign(data=DBRef("a", 1))).data == {"$ref": "a", "$id": 1}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON)
@settings(max_examples=40, deadline=None)
def test_anything_can_be_sent(value: Any) -> None:
    def expected(one: Any) -> Any:
        if isinstance(one, int) and not isinstance(one, bool) and not -(2**63) <= one < 2**63:
            return float(one)
        if isinstance(one, list):
            return [expected(each) for each in one]
        if isinstance(one, dict):
            return {key.replace("\0", "\ufffd"): expected(each) for key, each in one.items()}
        return one

    assert arrived(value) == expected(value)
