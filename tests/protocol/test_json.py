from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
from nuncio.protocol import json as protocol_json
from nuncio.protocol.json import MAX_READ_DEPTH, dumps, simplify

LONE = "\ud800"
MOST = 100_000


def loads(data: bytes, most: int = MOST) -> Any:
    return protocol_json.loads(data, most)


class Point(msgspec.Struct):
    x: int
    label: str


@dataclasses.dataclass
class Card:
    rank: int
    extra: bytes


class Model(pydantic.BaseModel):
    name: str
    tags: list[str]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates among them: strings of JavaScript may hold them.
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=10,
)


@given(values)
def test_what_is_encoded_comes_out_again(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(values)
def test_what_is_encoded_is_json_for_everybody_and_never_holds_a_separator(value: Any) -> None:
    data = dumps(value)
    assert json.loads(data, parse_constant=_no_constant) == value
    assert b"\x1e" not in data
    data.decode("utf-8")


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@given(st.binary())
def test_any_bytes_are_a_value_or_a_packet_error(data: bytes) -> None:
    try:
        loads(data)
    except PacketError:
        pass


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        # Observed with JSON.stringify.
        (["e", None, math.nan, math.inf, -math.inf], b'["e",null,null,null,null]'),
        ({"b": [None], "a": 1}, b'{"b":[null],"a":1}'),
        ("é\u2028\x1e\n\x00", '"é\u2028\\u001e\\n\\u0000"'.encode()),
        (LONE, b'"\\ud800"'),
        ([math.nan, {"a": -math.inf}, LONE, 1.5], b'[null,{"a":null},"\\ud800",1.5]'),
        ({LONE: 1}, b'{"\\ud800":1}'),
        (1e21, b"1e21"),
        (2**70, b"1180591620717411303424"),
        ({1: "a"}, b'{"1":"a"}'),
    ],
)
def test_values_are_written_as_javascript_reads_them(value: object, encoded: bytes) -> None:
    assert dumps(value) == encoded


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, "a"), {"x": 1, "label": "a"}),
        ({"p": [Point(1, LONE)]}, {"p": [{"x": 1, "label": LONE}]}),
        (Model(name="ada", tags=["x"]), {"name": "ada", "tags": ["x"]}),
        ((1, 2), [1, 2]),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00Z"),
        (frozenset(["a"]), ["a"]),
    ],
)
def test_structs_models_and_the_like_become_plain_data(value: object, plain: object) -> None:
    assert loads(dumps(value)) == plain


def test_simplify_leaves_bytes_for_the_attachments() -> None:
    data = bytearray(b"ab")
    plain = simplify(Card(1, b"\x00"))
    assert plain == {"rank": 1, "extra": b"\x00"}
    assert simplify({"a": [data]})["a"][0] is data


@pytest.mark.parametrize("value", [object(), {"a": object()}, [print], 1j])
def test_what_json_cannot_hold_is_refused_with_its_type(value: object) -> None:
    with pytest.raises(TypeError, match=r"of type '(object|builtin_function_or_method|complex)'"):
        dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b'{"a":1,}',
        b"{'a':1}",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'["\\ud800",NaN]',
        b'["\\ud800"',
        b"undefined",
        b"01",
        b"+1",
        b"1 2",
        b'"\x01"',
        b'"\x1e"',
        b"\xff",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b"tru",
        b'["\\u12"]',
    ],
)
def test_what_is_not_json_is_a_packet_error(data: bytes) -> None:
    with pytest.raises(PacketError, match="invalid payload"):
        loads(data)


@pytest.mark.parametrize(
    "head", [b"[", b'{"a":', b'["\\ud800",', b'[{"\\ud800":[', b'{"\\ud800":'], ids=str
)
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_a_packet_error(head: bytes, closed: bool) -> None:
    depth = 100_000
    tail = b"".join({91: b"]", 123: b"}"}.get(c, b"") for c in reversed(head)) if closed else b""
    with pytest.raises(PacketError, match=r"invalid payload|nested too deeply"):
        loads(head * depth + b"1" + tail * depth, 3 * depth)


@pytest.mark.parametrize(("head", "tail"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"[":', b"}]")])
def test_what_can_be_read_can_be_sent_inside_something_else(head: bytes, tail: bytes) -> None:
    levels = MAX_READ_DEPTH // len(tail)
    value = loads(head * levels + b'"[[["' + tail * levels)
    wrapped: Any = value
    for _ in range(50):
        wrapped = [{"a": wrapped}]
    assert len(dumps(wrapped)) > 100 + len(dumps(value))
    with pytest.raises(PacketError, match="nested too deeply"):
        loads(b"[" + head * levels + b"1" + tail * levels + b"]")


def test_brackets_beside_each_other_or_in_text_are_not_deep() -> None:
    wide = b"[" + b"[]," * 5000 + b'{"a":[{}]}' + b"]"
    assert len(loads(wide)) == 5001
    text = b'["' + b"[{" * 5000 + b'","\\\\",' + b"[" * 700 + b"]" * 700 + b"]"
    assert len(loads(text)[0]) == 10_000


@pytest.mark.parametrize("data", [b"1" * 1_000_000, b"-" * 1_000_000, b"[" + b"1" * 1_000_000])
def test_endless_numbers_are_refused(data: bytes) -> None:
    with pytest.raises(PacketError, match="invalid payload"):
        loads(data)


def test_names_that_mean_something_to_javascript_are_plain_data() -> None:
    assert loads(b'{"__proto__":1,"constructor":2}') == {"__proto__": 1, "constructor": 2}


def test_of_keys_that_come_twice_the_last_wins() -> None:
    assert loads(b'{"a":1,"a":2}') == {"a": 2}
    assert loads(b'{"a":1,"a":"\\ud800"}') == {"a": LONE}


def test_large_whole_numbers_stay_exact() -> None:
    assert loads(b"123456789012345678901234567890") == 123456789012345678901234567890


def containers(value: Any) -> int:
    """How many lists and objects a value consists of."""
    if isinstance(value, dict):
        return 1 + sum(containers(item) for item in value.values())
    return 1 + sum(containers(item) for item in value) if isinstance(value, list) else 0


# Strings that look as if they were lists and objects, or as if they ended.
TEXT = st.text(st.sampled_from('[]{}"\\ a,:é\n'))
TREES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(TREES, st.booleans())
def test_lists_and_objects_are_counted_as_they_are(value: Any, ascii: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii).encode()
    count = containers(value)
    assert loads(data, count) == value
    if count > 0:
        with pytest.raises(PacketError, match="too many lists and objects"):
            loads(data, count - 1)


@pytest.mark.parametrize(
    "item", ["[]", "{}", "[[]]", '{"":[]}', '"[{",[]', r'"\"",{}', r'"\\",[]', '"é",[]', "[0]"]
)
def test_no_more_lists_and_objects_than_may_be(item: str) -> None:
    text = "[" + ",".join([item] * 100) + "]"
    each = containers(json.loads(f"[{item}]")) - 1
    assert len(loads(text.encode(), 100 * each + 1)) >= 100
    for most in (100 * each, each, 1):
        with pytest.raises(PacketError, match="too many lists and objects"):
            loads(text.encode(), most)


@pytest.mark.parametrize("end", ["", "]", '"', '"\\', "\\", "garbage", '"\\ud800"]'])
def test_what_is_no_json_hides_none_of_them(end: str) -> None:
    data = ("[" + "[]," * 1000 + end).encode()
    with pytest.raises(PacketError, match="too many lists and objects"):
        loads(data, 1000)


@pytest.mark.parametrize(
    "text",
    ['"' + "[{" * 500_000 + '"', '"' + '\\"[' * 300_000 + '"', "[" + '"[",' * 200_000 + "0]"],
    ids=["one", "escapes", "many"],
)
def test_in_strings_they_are_text(text: str) -> None:
    assert loads(text.encode(), 2) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"[' * 300_000, '"' * 900_001 + "[" * 10, "\\" * 900_000 + "[" * 10],
    ids=["escapes", "quotes", "backslashes"],
)
def test_what_never_ends_is_looked_at_once(text: str) -> None:
    with pytest.raises(PacketError):
        loads(text.encode(), 2)


def test_a_million_bytes_of_lists_are_refused_before_one_is_made() -> None:
    data = b"[" + b"[]," * 333_000 + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(PacketError, match="too many lists and objects"):
            loads(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Nothing is made but what is left of it without its strings.
    assert most < 2 * len(data)


def test_json_is_utf8_and_nothing_is_guessed() -> None:
    data = json.dumps(["\ud800", []]).encode("utf-16-le")
    assert json.loads(data) == ["\ud800", []]
    with pytest.raises(PacketError):
        loads(data)
    with pytest.raises(PacketError):
        loads(b'["\\ud800\xff"]')
