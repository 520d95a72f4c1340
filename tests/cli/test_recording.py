"""Recordings are read, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from nuncio.cli.happenings import Answer, Answered, Connected, Received, Sent
from nuncio.cli.problems import WrongUse
from nuncio.cli.recording import load


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def test_what_was_sent_and_what_came(tmp_path: Path) -> None:
    happenings = [
        Connected("/", "id", "polling", False, at=1.0),
        Received("/", "hello", ("x",), at=2.0),
        Sent("/", "ask", (), 1, at=3.0),
        Answer("/", "ask", (b"42",), 1, 0.5, at=4.0),
        Answered("/", "question", (True,), 1, at=5.0),
    ]
    lines = [happening.as_line() for happening in happenings]
    recording = load(write(tmp_path / "s", *lines[:2], "", *lines[2:]))
    assert recording.sent == [happenings[2]]
    assert recording.came == [happenings[1]]
    assert recording.answers == {1: (b"42",)}
    assert recording.answered == [happenings[4]]
    assert recording.end == 5.0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], "line 1: this is no JSON"),
        (["[]"], "line 1: this is no line of a recording"),
        (['{"a":1}'], "line 1: this is no line of a recording"),
        ([Sent("/", "a", ()).as_line(), '{"type":"sent"}'], "line 2: Invalid isoformat"),
        ([Received("/", "a", ()).as_line()], "nothing that was sent"),
        ([], "nothing that was sent"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        load(write(tmp_path / "s", *lines))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot read"):
        load(str(tmp_path / "nothing"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUse, match="it is no text"):
        load(str(tmp_path / "binary"))
