"""JSON as people type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio.cli.problems import WrongUse
from nuncio.cli.relaxed import Reader, TypingError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def read(text: str) -> list[Any]:
    return Reader(text, files=lambda path: f"bytes of {path}".encode()).values()


def wrong(text: str) -> TypingError:
    with pytest.raises(TypingError) as caught:
        read(text)
    return caught.value


@settings(max_examples=50)
@given(st.lists(JSON), st.booleans())
def test_all_json_is_read_as_such(values: list[Any], indented: bool) -> None:
    # Except objects that stand for bytes and the like; no generated key is one of those.
    text = " ".join(json.dumps(value, indent=2 if indented else None) for value in values)
    assert read(text) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("hello", ["hello"]),
        ("hello there", ["hello", "there"]),
        ("it's", ["it's"]),
        ("42 -1.5e3 007 1e999 +1", [42, -1500.0, "007", "1e999", "+1"]),
        ("true null True", [True, None, "True"]),
        ("'42'", ["42"]),
        ("'say \"hi\"'", ['say "hi"']),
        (r"'it\'s' 'a\\b' '\u00fc'", ["it's", "a\\b", "ü"]),
        ('"two\nlines"', ["two\nlines"]),
        ("{name: ada, n: 1}", [{"name": "ada", "n": 1}]),
        ("{'a b': [x, y,], \"c\": {},}", [{"a b": ["x", "y"], "c": {}}]),
        ("[]", [[]]),
        ("[ 1 , [2] ]", [[1, [2]]]),
        ("{url: 'http://x'}", [{"url": "http://x"}]),
        ("a:b http://x,y", ["a:b", "http://x,y"]),
        ("@cat.png", [b"bytes of cat.png"]),
        ('@"my cat.png" x', [b"bytes of my cat.png", "x"]),
        ("{photo: @cat.png}", [{"photo": b"bytes of cat.png"}]),
        ("a@b.example", ["a@b.example"]),
        ('{"$bytes": "aGk="}', [b"hi"]),
        ('[{"$$bytes": 1}]', [[{"$bytes": 1}]]),
    ],
)
def test_shorter_ways_to_write(text: str, values: list[Any]) -> None:
    assert read(text) == values


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ('say "hello', 4, "this quote has no end"),
        ("say 'hello", 4, "this quote has no end"),
        ("{a: 1", 0, "no closing '}'"),
        ("[1, [2, 3]", 0, "no closing ']'"),
        ("{a 1}", 3, "expected a colon after the key 'a'"),
        ("{a: 1 b: 2}", 6, "expected a comma or '}'"),
        ("{a: }", 4, "expected a value"),
        ("{,}", 1, "expected a value"),
        ("[1}", 2, "expected a comma or ']'"),
        ('"a"b', 3, "expected a space"),
        ("{}{}", 2, "expected a space"),
        ("@", 1, "expected a file's name"),
        ('@""', 0, "expected a file's name"),
        (r'"\x"', 0, "in this string"),
        ('{"$bytes": "?"}', 0, "needs Base64"),
        ("[" * 1000 + "]" * 1000, 201, "nested more than 200"),
    ],
)
def test_what_cannot_be_read_is_shown(text: str, position: int, reason: str) -> None:
    error = wrong(text)
    assert reason in error.message
    assert error.position == position
    shown, mark = error.hints
    assert mark.strip() == "^"
    assert shown[mark.index("^") :][:1] == text[position : position + 1]


def test_of_a_long_line_the_part_around_the_error_is_shown() -> None:
    error = wrong("x" * 200 + " ' " + "y" * 200)
    shown, mark = error.hints
    assert len(shown) == 70
    assert shown[mark.index("^")] == "'"


@given(st.text(alphabet="{}[],:'\"@ ab1\\\n"))
def test_whatever_is_typed_is_read_or_refused_in_words(text: str) -> None:
    try:
        read(text)
    except WrongUse as problem:
        assert problem.message


def test_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_bytes(b"\x00\x01")
    assert Reader(f'@"{file}"').values() == [b"\x00\x01"]
    with pytest.raises(WrongUse, match="nothing: No such file"):
        Reader(f"@{tmp_path}/nothing").values()
