"""Values as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio.cli.brief import first_bytes, in_full, in_line
from nuncio.cli.relaxed import Reader
from nuncio.cli.text import plain

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def short(*values: Any, room: int = 200) -> str:
    line, shortened = in_line(values, room)
    assert shortened
    return plain(line)


def whole(*values: Any) -> str:
    line, shortened = in_line(values, 10_000)
    assert not shortened
    return plain(line)


@settings(max_examples=50)
@given(st.lists(VALUES))
def test_what_is_shown_in_line_can_be_typed_in_again(values: list[Any]) -> None:
    assert Reader(plain(in_line(values, None)[0])).values() == values


@settings(max_examples=50)
@given(VALUES)
def test_what_is_shown_in_full_can_be_typed_in_again(value: Any) -> None:
    assert Reader("\n".join(map(plain, in_full(value)))).values() == [value]


def test_values_stand_beside_each_other() -> None:
    assert whole("a", 1, None, True, {"b": [1.5]}) == '"a" 1 null true {"b": [1.5]}'
    assert whole(datetime(2026, 1, 31, tzinfo=UTC)) == "<2026-01-31T00:00:00+00:00>"
    assert whole(float("nan")) == "nan"


def test_bytes_are_their_number_and_the_first_of_them() -> None:
    assert whole(b"") == "<0 bytes>"
    assert whole({"a": b"\x89PNG"}) == '{"a": <4 bytes: 89 50 4e 47>}'
    assert whole(bytes(5000)) == "<4.9 KiB: 00 00 00 00 00 00 00 00 …>"
    assert whole(memoryview(b"x")) == "<1 byte: 78>"
    assert first_bytes(b"", 0) == "<0 bytes>"


def test_a_long_string_is_cut_and_says_so() -> None:
    shown = short("x" * 1000)
    assert shown == '"' + "x" * 80 + '… 920 more characters"'


def test_a_long_list_is_cut_and_says_so() -> None:
    shown = short(list(range(1000)))
    assert shown.startswith("[0, 1, 2, ")
    assert shown.endswith(" more]")
    assert len(shown) < 250


def test_a_long_string_does_not_hide_what_is_beside_it() -> None:
    assert '"id": 7' in short({"text": "x" * 1000, "id": 7})


def test_many_arguments_are_cut() -> None:
    assert short(*range(1000)).endswith(" more")


def test_what_is_nested_deeply_is_cut() -> None:
    value: Any = "x" * 300
    for _ in range(50):
        value = [value]
    assert short(value) == "[" * 6 + "[… 1 more]" + "]" * 6


def test_long_keys_are_cut() -> None:
    assert len(short({"k" * 1000: 1})) < 100


@settings(max_examples=50)
@given(VALUES, st.integers(20, 200))
def test_what_is_cut_is_not_much_longer_than_it_may(value: Any, room: int) -> None:
    line, _ = in_line([value], room)
    # Brackets, and a word at each of a few levels.
    assert len(plain(line)) < room + 200


def test_of_a_huge_value_only_the_beginning_is_looked_at() -> None:
    class Counted(list[int]):
        seen = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                Counted.seen += 1
                yield item

    in_line([Counted(range(1_000_000))], 200)
    assert Counted.seen < 1000


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("a", ['"a"']),
        ({}, ["{}"]),
        ([], ["[]"]),
        ({"a": 1}, ['{"a": 1}']),
        (
            {"a": "x" * 80, "b": [1, 2]},
            ["{", f'  "a": "{"x" * 80}",', '  "b": [1, 2]', "}"],
        ),
        (["x" * 80, {"b": None}], ["[", f'  "{"x" * 80}",', '  {"b": null}', "]"]),
    ],
)
def test_in_full(value: Any, lines: list[str]) -> None:
    assert [plain(line) for line in in_full(value)] == lines


def test_numbers_in_full_share_lines() -> None:
    lines = [plain(line) for line in in_full(list(range(100)))]
    assert lines[0] == "["
    assert lines[1].startswith("  0, 1, 2, ")
    assert len(lines) < 12
    assert all(len(line) <= 80 for line in lines)


def test_more_bytes_are_shown_in_full() -> None:
    assert "01" * 1 in plain(in_full(b"\x01" * 300)[0])
    assert plain(in_full(b"\x01" * 300)[0]).count("01") == 256
