"""Lines become commands."""

from __future__ import annotations

import pytest

from nuncio.cli.commands import (
    COMMANDS,
    AnswerTo,
    Auth,
    Command,
    Connect,
    Disconnect,
    Emit,
    Filter,
    Help,
    Quit,
    Replay,
    Save,
    Show,
    Status,
    Use,
    Wait,
    near_command,
    parse,
    parse_as,
)
from nuncio.cli.problems import WrongUse


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "  # another"])
def test_nothing_is_said(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("emit message lobby 'hello there'", Emit("message", ("lobby", "hello there"))),
        ("message lobby {text: hi}", Emit("message", ("lobby", {"text": "hi"}))),
        ("ping", Emit("ping")),
        ("ping?", Emit("ping", ask=True)),
        ("join lobby ?", Emit("join", ("lobby",), ask=True)),
        ("join {room: 5}?", Emit("join", ({"room": 5},), ask=True)),
        ("say how are you?", Emit("say", ("how", "are", "you"), ask=True)),
        ("say 'how are you?'", Emit("say", ("how are you?",))),
        ("say 'how are you?' ?", Emit("say", ("how are you?",), ask=True)),
        ("emit 'an event'", Emit("an event")),
        ("emit status now", Emit("status", ("now",))),
        ("emit /x", Emit("/x")),
        ("ask join lobby", Emit("join", ("lobby",), ask=True)),
        ("answer", AnswerTo(None)),
        ("answer yes 5", AnswerTo(None, ("yes", 5))),
        ("answer #3 {ok: true}", AnswerTo(3, ({"ok": True},))),
        ("answer '#3'", AnswerTo(None, ("#3",))),
        ("wait message", Wait("message")),
        ("wait message={room: lobby}", Wait("message", ({"room": "lobby"},))),
        ("wait message = 'a b' 7", Wait("message", ("a b", 7))),
        ("wait 'an event'=1", Wait("an event", (1,))),
        ("wait 'a=b'", Wait("a=b")),
        ("filter", Filter()),
        ("filter mess* !typing", Filter(("mess*", "!typing"))),
        ("show", Show()),
        ("show 12", Show(12)),
        ("show #12", Show(12)),
        ("save", Save()),
        ("save 'my file'", Save("my file")),
        ("replay a.jsonl", Replay("a.jsonl")),
        (
            "replay --speed 2.5 'a b' --compare --ignore id --ignore at",
            Replay("a b", 2.5, True, ("id", "at")),
        ),
        ("auth", Auth(None)),
        ("auth token=a user=b", Auth({"token": "a", "user": "b"})),
        ("auth {token: a}", Auth({"token": "a"})),
        ("connect", Connect()),
        ("disconnect", Disconnect()),
        ("status", Status()),
        ("help", Help()),
        ("?", Help()),
        ("help emit", Help("emit")),
        ("quit", Quit()),
        ("exit", Quit()),
        ("/", Use(namespace="/")),
        ("/admin", Use(namespace="/admin")),
        ("/admin stats 1", Emit("stats", (1,), namespace="/admin")),
        ("/admin connect", Connect(namespace="/admin")),
        ("/ wait x", Wait("x", namespace="/")),
    ],
)
def test_a_line_is_a_command(line: str, command: Command) -> None:
    assert parse(f"  {line} ") == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("emit", "which event"),
        ("emit ?", "which event"),
        ("emit 'x", "no end"),
        ("emit {a: 1}", "expected an event's name"),
        ("[1]", "expected an event's name"),
        ("'x'y", "expected a space"),
        ("wait", "which event"),
        ("wait =1", "before ="),
        ("wait x 1", "expected ="),
        ("wait 'x", "no end"),
        ("show all", "expected a number"),
        ("show ²", "expected a number"),
        ("save a b", "one file"),
        ("save 'a", "cannot be read"),
        ("replay", "one file"),
        ("replay a b", "one file"),
        ("replay a --speed", "needs something"),
        ("replay a --speed fast", "above 0"),
        ("replay a --speed 0", "above 0"),
        ("replay a --fast", "no option --fast"),
        ("auth token", "no credential"),
        ("quit now", "takes nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(line: str, words: str) -> None:
    with pytest.raises(WrongUse, match=words):
        parse(line)


def test_what_looks_like_a_command_with_arguments_says_how_to_send_it() -> None:
    with pytest.raises(WrongUse) as caught:
        parse("status verbose")
    assert "emit status" in caught.value.hints[0]


def test_whether_an_event_was_written_short_is_known() -> None:
    short, long = parse("stauts"), parse("emit stauts")
    assert isinstance(short, Emit) and isinstance(long, Emit)
    assert short.short and not long.short
    assert near_command("stauts") == "status"
    assert near_command("message") is None


def test_options_are_commands_without_their_name() -> None:
    assert parse_as("ask", " join lobby ") == Emit("join", ("lobby",), ask=True)
    assert parse_as("ask", "/admin join lobby") == Emit(
        "join", ("lobby",), ask=True, namespace="/admin"
    )
    assert parse_as("wait", "/admin stats={a: 1}") == Wait("stats", ({"a": 1},), namespace="/admin")
    assert parse_as("emit", "status") == Emit("status")


def test_every_command_is_read_by_its_own_name() -> None:
    for name, entry in COMMANDS.items():
        assert entry.usage.split()[0] == name
        assert entry.summary
