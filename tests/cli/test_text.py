"""Text that is safe to print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.cli import text

ANY = st.text(alphabet=st.characters(exclude_categories=[]))


@given(ANY)
def test_nothing_that_comes_from_a_server_can_steer_the_terminal(words: str) -> None:
    for shown in (text.safe(words), text.quoted(words), text.name(words)):
        assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in shown)
        assert not any(c in "\u202e\u2066\u200f\u2028" for c in shown)
        shown.encode()


@given(ANY)
def test_a_quoted_string_is_json_for_it(words: str) -> None:
    assert json.loads(text.quoted(words)) == words


def test_names_stand_without_quotes_where_they_can_be_typed_so() -> None:
    assert text.name("user:new") == "user:new"
    for odd in ("two words", "", "what?", "@x", "a'b", "a\x1b"):
        assert text.name(odd) == text.quoted(odd)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0000021, "2 µs"),
        (0.0042, "4.2 ms"),
        (0.042, "42 ms"),
        (3.14, "3.1 s"),
        (20.0, "20 s"),
        (600.0, "10 min"),
    ],
)
def test_durations(value: float, shown: str) -> None:
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**31, "2.0 GiB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert text.size(count) == shown


def test_numbers_of_things() -> None:
    assert text.plural(1, "event") == "1 event"
    assert text.plural(1200, "event") == "1,200 events"


def test_how_wide_text_is() -> None:
    assert text.width("abc") == 3
    assert text.width("日本") == 4
    assert text.width("e\u0301") == 1
