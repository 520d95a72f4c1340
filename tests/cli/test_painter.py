"""What each happening looks like."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from nuncio.cli.happenings import (
    Answer,
    Answered,
    Connected,
    ConnectFailed,
    Connecting,
    Difference,
    Disconnected,
    GaveUp,
    Happening,
    NoAnswer,
    Received,
    Reconnected,
    Reconnecting,
    Replayed,
    Sent,
    Upgraded,
)
from nuncio.cli.painter import ASCII, Painter, Signs
from nuncio.cli.text import plain
from tests.cli.test_happenings import KINDS

NOON = time.mktime((2026, 1, 31, 12, 0, 0, 0, 0, -1)) + 0.25
CLOCK = "12:00:00.250 "


def painter(columns: int | None = 200, **options: Any) -> Painter:
    return Painter(Signs(), lambda: columns, **options)


def shown(happening: Happening, by: Painter | None = None) -> list[str]:
    lines = [plain(line) for line in (by or painter()).paint(happening)]
    return [line.removeprefix(CLOCK) for line in lines]


@pytest.mark.parametrize(
    ("happening", "line"),
    [
        (Connecting("http://x", at=NOON), "· connecting to http://x"),
        (
            Connected("/", "abc", "polling", False, at=NOON),
            "● connected to /  id abc, over polling",
        ),
        (
            Connected("/", "abc", "websocket", True, at=NOON),
            "● connected to /  id abc, over websocket, nothing was missed",
        ),
        (Upgraded("websocket", at=NOON), "↑ now over websocket"),
        (
            Disconnected("/", "ping timeout", True, at=NOON),
            "○ disconnected from /: ping timeout, the server was silent for too long; "
            "connecting again",
        ),
        (Disconnected("/", "odd", False, at=NOON), "○ disconnected from /: odd"),
        (GaveUp(at=NOON), "✖ gave up connecting again"),
        (Received("/", "message", ("hi", 1), at=NOON), '← message "hi" 1'),
        (Received("/", "two words", (), at=NOON), '← "two words"'),
        (Received("/", "q", (1,), 3, at=NOON), "← q 1  ? answer #3"),
        (Sent("/", "message", ("hi",), at=NOON), '→ message "hi"'),
        (Sent("/", "join", (), 7, at=NOON), "→ join ?"),
        (Answer("/", "join", ({"ok": True},), 7, 0.0042, at=NOON), '↩ join {"ok": true}  4.2 ms'),
        (Answer("/", "join", (), 7, 0.5, at=NOON), "↩ join (empty)  500 ms"),
        (NoAnswer("/", "join", 7, 20.0, "timeout", at=NOON), "✖ join  no answer within 20 s"),
        (
            NoAnswer("/", "join", 7, 1.0, "disconnected", at=NOON),
            "✖ join  no answer, the connection ended",
        ),
        (Answered("/", "q", ("yes",), 3, at=NOON), '→ q "yes"  in answer to #3'),
        (Replayed("s", 2, None, None, at=NOON), "● replayed s: 2 events sent"),
        (
            Replayed("s", 1, 3, 0, at=NOON),
            "● replayed s: 1 event sent; 3 came as recorded, 0 did not",
        ),
        (
            Replayed("s", 1, 3, 2, at=NOON),
            "✖ replayed s: 1 event sent; 3 came as recorded, 2 did not",
        ),
    ],
)
def test_one_line(happening: Happening, line: str) -> None:
    assert shown(happening) == [line]


def test_a_failure_says_what_to_do() -> None:
    assert shown(ConnectFailed("/", "no such port", None, False, False, ("Look.",), at=NOON)) == [
        "✖ not connected: no such port",
        " " * 15 + "Look.",
    ]


def test_a_refusal_shows_the_servers_words_and_data() -> None:
    refused = ConnectFailed("/admin", "who are you?", {"code": 401}, True, False, at=NOON)
    assert shown(refused) == ['✖ refused by /admin: who are you?  {"code": 401}']


def test_a_difference_shows_both() -> None:
    assert shown(Difference("/", ["a", 1], None, at=NOON)) == [
        '≠ expected "a" 1',
        " " * 15 + "came     nothing",
    ]


def test_on_the_way_back_a_failure_is_shown_once() -> None:
    by = painter()
    failed = ConnectFailed("/", "nobody", None, False, True, ("Look.",), at=NOON)
    other = ConnectFailed("/", "no host", None, False, True, at=NOON)
    assert shown(Reconnecting(1, at=NOON), by) == []
    assert shown(failed, by) == ["↻ not connected: nobody; trying again"]
    assert shown(failed, by) == []
    assert shown(other, by) == ["↻ not connected: no host; trying again"]
    assert shown(Reconnected(3, at=NOON), by) == []
    assert len(shown(Connected("/", "a", "polling", False, at=NOON), by)) == 1
    assert shown(other, by) == ["↻ not connected: no host; trying again"]


def test_namespaces_are_named_where_there_are_several() -> None:
    by = painter()
    by.namespaces.update(["/", "/other"])
    assert shown(Received("/chat", "a", (), at=NOON), by) == ["← /chat a"]


def test_long_values_are_shortened_and_can_be_found_again() -> None:
    by = painter(80)
    lines = shown(Received("/", "big", ("x" * 5000,), at=NOON), by)
    assert lines[-1].endswith("show 1")
    assert len("".join(lines)) < 400
    assert by.kept.find(None) == ("big", ("x" * 5000,))


def test_nothing_is_shortened_where_that_is_not_wanted() -> None:
    for by in (painter(None), painter(80, whole=True)):
        text = "".join(shown(Received("/", "big", ("x" * 5000,), at=NOON), by))
        assert text.count("x") == 5000


def test_lines_fit_the_terminal() -> None:
    lines = painter(60).paint(Received("/", "list", (list(range(50)),), at=NOON))
    assert len(lines) > 2
    assert all(len(plain(line)) <= 60 for line in lines)
    assert all(plain(line).startswith(" " * 15) for line in lines[1:])


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    evil = "\x1b]0;title\x07\u202e"
    happenings: list[Happening] = [
        Connected(evil, evil, "polling", False),
        ConnectFailed(evil, evil, {evil: evil}, True, False, (evil,)),
        ConnectFailed(evil, evil, evil, False, True),
        Disconnected(evil, evil, False),
        Received(evil, evil, (evil, {evil: [evil]}), 1),
        Answer(evil, evil, (evil,), 1, 1.0),
        Difference(evil, [evil], [evil]),
    ]
    by = painter()
    by.namespaces.update(["/", "/other"])
    for happening in happenings:
        text = "".join(shown(happening, by))
        assert "\\u001b" in text
        assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text


def test_signs_for_terminals_without_unicode() -> None:
    line = plain(Painter(ASCII, lambda: None).paint(Sent("/", "a", ("b",)))[0])
    assert line.isascii()
    assert line.endswith('> a "b"')


def test_everything_that_happens_can_be_shown() -> None:
    examples: dict[str, Any] = {
        "args": (), "data": None, "hints": (), "question": 1, "ask": 1, "seconds": 1.0,
        "attempt": 1, "sent": 1, "same": None, "different": None, "expected": None, "got": None,
        "recovered": False, "refused": False, "retrying": False, "reconnecting": False,
    }  # fmt: skip
    for kind in KINDS:
        fields = [field.name for field in dataclasses.fields(kind) if field.name != "at"]
        painter().paint(kind(**{name: examples.get(name, "text") for name in fields}))
