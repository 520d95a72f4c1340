"""Long lines are broken between values."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nuncio.cli.brief import in_line
from nuncio.cli.text import Line, plain, width
from nuncio.cli.wrapping import wrap


def broken(line: Line, columns: int = 20, indent: int = 4) -> list[str]:
    return [plain(part) for part in wrap(line, columns, indent)]


def test_a_short_line_stays_as_it_is() -> None:
    line: Line = [("", "short "), ("string", '"and good"')]
    assert wrap(line, 20, 4) == [line]


def test_words_go_to_the_next_line() -> None:
    assert broken([("dim", "one two three four five six seven")]) == [
        "one two three four",
        "    five six seven",
    ]


def test_strings_are_not_broken() -> None:
    assert broken([("", "0123456789 "), ("string", '"one two"'), ("", " x")]) == [
        '0123456789 "one two"',
        "    x",
    ]
    assert broken([("", "0123456789 "), ("string", '"one two th"')]) == [
        "0123456789",
        '    "one two th"',
    ]


def test_what_is_too_long_for_any_line_is_left_to_the_terminal() -> None:
    assert broken([("", "abcdef "), ("string", "x" * 50), ("", " b c")]) == [
        "abcdef",
        "    " + "x" * 50 + " b c",
    ]


def test_a_narrow_terminal_is_left_alone() -> None:
    line: Line = [("", "one two three four five")]
    assert wrap(line, 7, 4) == [line]


@given(st.lists(st.integers() | st.text(max_size=15)), st.integers(60, 100))
def test_nothing_is_lost_and_no_line_too_long(values: list[Any], columns: int) -> None:
    line, _ = in_line(values, None)
    parts = wrap(line, columns, 15)
    text = "".join(plain(part).strip(" ") for part in parts).replace(" ", "")
    assert text == plain(line).replace(" ", "")
    for part in parts:
        assert width(plain(part)) <= columns or len(part) == 2
