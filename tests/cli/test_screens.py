"""What goes where."""

from __future__ import annotations

import json

import pytest

from nuncio.cli.happenings import Connected, Disconnected, Received, Reconnecting, Sent
from nuncio.cli.painter import Painter, Signs
from nuncio.cli.problems import NotConnected, WrongUse
from nuncio.cli.screens import Coloured, JsonScreen, Plain, Screen

Streams = pytest.CaptureFixture[str]


def screen(kind: type[Screen] = Screen) -> Screen:
    return kind(Painter(Signs(), lambda: None), Plain())


def test_events_are_what_was_asked_for_and_the_rest_is_not(capsys: Streams) -> None:
    show = screen()
    show(Connected("/", "id", "polling", False))
    show(Received("/", "came", ()))
    show(Sent("/", "went", ()))
    show(Reconnecting(1))
    out, errors = capsys.readouterr()
    assert [line.split()[2] for line in out.splitlines()] == ["came", "went"]
    assert "connected" in errors
    assert len(errors.splitlines()) == 1


def test_as_json_everything_is_on_standard_output(capsys: Streams) -> None:
    show = screen(JsonScreen)
    show(Connected("/", "id", "polling", False))
    show(Received("/", "came", ("\x1b",)))
    show.problem(WrongUse("mistake", ["mend it"]))
    out, errors = capsys.readouterr()
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["connect", "event"]
    assert "mistake" in errors and "mend it" in errors


def test_a_filter_hides_events_and_counts_them(capsys: Streams) -> None:
    show = screen()
    show.patterns = ("a",)
    for name in "aba":
        show(Received("/", name, ()))
    show(Sent("/", "b", ()))
    assert (show.shown, show.hidden) == (2, 1)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_what_was_shown_as_it_happened_is_not_told_again(capsys: Streams) -> None:
    told = NotConnected("refused", told=True)
    screen().problem(told)
    assert capsys.readouterr() == ("", "")
    # Programs read the one stream, and people the other.
    screen(JsonScreen).problem(told)
    assert "refused" in capsys.readouterr().err


def test_the_goodbye_is_shown_to_programs_only(capsys: Streams) -> None:
    for kind in (Screen, JsonScreen):
        show = screen(kind)
        show.closing = True
        show(Disconnected("/", "io client disconnect", False))
    out, errors = capsys.readouterr()
    assert json.loads(out)["type"] == "disconnect"
    assert errors == ""


def test_what_is_said_cannot_steer_the_terminal(capsys: Streams) -> None:
    screen().problem(WrongUse("\x1b[2J", ["\x1b[2J"]))
    assert "\x1b" not in capsys.readouterr().err


def test_where_there_is_no_terminal_there_are_no_colours(capsys: Streams) -> None:
    show = Screen(Painter(Signs(), lambda: None), Coloured())
    show(Received("/", "came", ("text",)))
    out = capsys.readouterr().out
    assert '← came "text"\n' in out
    assert "\x1b" not in out
