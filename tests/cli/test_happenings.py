"""The lines of JSON: their fields are a promise."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nuncio.cli import happenings
from nuncio.cli.happenings import (
    Answer,
    Answered,
    Connected,
    ConnectFailed,
    Happening,
    NoAnswer,
    Received,
    Sent,
    from_record,
)

ROOT = Path(__file__).parent.parent.parent
KINDS = [
    kind
    for kind in vars(happenings).values()
    if isinstance(kind, type) and issubclass(kind, Happening) and kind is not Happening
]


@pytest.mark.parametrize(
    ("happening", "line"),
    [
        (
            Connected("/", "abc", "polling", False, at=0.25),
            '{"type":"connect","time":"1970-01-01T00:00:00.250Z","namespace":"/","id":"abc",'
            '"transport":"polling","recovered":false}',
        ),
        (
            Received("/chat", "photo", ("a", b"hi"), at=1769860800.0),
            '{"type":"event","time":"2026-01-31T12:00:00.000Z","namespace":"/chat","name":"photo",'
            '"args":["a",{"$bytes":"aGk="}],"question":null}',
        ),
        (
            ConnectFailed("/", "no", {"code": 1}, True, False, ("try",), at=0.0),
            '{"type":"connect_error","time":"1970-01-01T00:00:00.000Z","namespace":"/",'
            '"message":"no","data":{"code":1},"refused":true,"retrying":false,"hints":["try"]}',
        ),
        (
            NoAnswer("/", "ask", 3, 0.12345678, "timeout", at=0.0),
            '{"type":"no_answer","time":"1970-01-01T00:00:00.000Z","namespace":"/","name":"ask",'
            '"ask":3,"seconds":0.123457,"reason":"timeout"}',
        ),
    ],
)
def test_a_line(happening: Happening, line: str) -> None:
    assert happening.as_line() == line
    json.loads(line)


def documented() -> dict[str, set[str]]:
    """The types that the guide lists, and the fields of each."""
    page = (ROOT / "docs" / "guide" / "command-line.md").read_text()
    table = page[page.index("| `type` | fields") :].partition("\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", table, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}


def test_every_type_is_documented_with_its_fields() -> None:
    fields = {
        kind.type: {field.name for field in dataclasses.fields(kind)} - {"at"} for kind in KINDS
    }
    assert documented() == fields


@pytest.mark.parametrize(
    "happening",
    [
        Sent("/", "a", (1, b"x", {"$bytes": 2}), 7, at=1.5),
        Received("/chat", "a", (), None, at=2.5),
        Answer("/", "a", (None,), 7, 0.5, at=3.5),
        Answered("/", "a", ("yes",), 1, at=4.5),
    ],
)
def test_what_was_sent_and_came_is_read_back(happening: Happening) -> None:
    assert from_record(json.loads(happening.as_line())) == happening


def test_the_rest_of_a_recording_is_passed_over() -> None:
    assert from_record({"type": "connect"}) is None
    assert from_record({"type": "something new"}) is None


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"type": "sent"}, "Invalid isoformat"),
        ({"type": "sent", "time": "2026-01-31T12:00:00.000Z"}, "namespace is missing"),
        (
            {
                "type": "sent",
                "time": "2026-01-31T12:00:00.000Z",
                "namespace": "/",
                "name": "a",
                "args": 5,
                "ask": None,
            },
            "args a list",
        ),
    ],
)
def test_a_broken_line_is_refused(plain: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_record(plain)
