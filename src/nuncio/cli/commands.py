"""The commands that are typed, read from a script or given as options, and how a line becomes one.

A line that begins with no command is an event: `message lobby hello` is `emit message lobby hello`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from nuncio.cli.credentials import read_auth
from nuncio.cli.problems import WrongUse
from nuncio.cli.relaxed import Reader, TypingError

_NAME_BEFORE_EQUALS: Final = re.compile(r"[^\s=]+")
_QUESTION: Final = re.compile(r"\s*\?\s*$")


@dataclass(frozen=True)
class Command:
    """Something to do.

    Attributes:
        namespace: where; None for the chosen one.
    """

    namespace: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Emit(Command):
    """Send an event; with `ask` an acknowledgement is wanted.

    Attributes:
        short: whether it was written without the word `emit`, and may be a mistyped command.
    """

    name: str
    args: tuple[Any, ...] = ()
    ask: bool = False
    short: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class AnswerTo(Command):
    """Answer an event of the server that asks; `number` says which, None the latest."""

    number: int | None
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Wait(Command):
    """Wait for an event; `args` are what its first arguments must be."""

    name: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Filter(Command):
    """Show only events that match; none: all."""

    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Show(Command):
    """Show something that was shortened in full; None: the latest."""

    number: int | None = None


@dataclass(frozen=True)
class Save(Command):
    """Write what happens to a file; None: no longer."""

    path: str | None = None


@dataclass(frozen=True)
class Replay(Command):
    """Send again what a recording says was sent.

    Attributes:
        path: the recording.
        speed: how much faster than it was.
        compare: whether to compare what comes.
        ignore: keys of objects, and names of events, that are not compared.
    """

    path: str
    speed: float = 1.0
    compare: bool = False
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Use(Command):
    """Choose the namespace for what follows."""


@dataclass(frozen=True)
class Auth(Command):
    """Credentials for the next connection."""

    value: Any


@dataclass(frozen=True)
class Connect(Command):
    """Connect the namespace."""


@dataclass(frozen=True)
class Disconnect(Command):
    """Leave the namespace."""


@dataclass(frozen=True)
class Status(Command):
    """Say how things are."""


@dataclass(frozen=True)
class Help(Command):
    """Explain one command, or list all."""

    topic: str | None = None


@dataclass(frozen=True)
class Quit(Command):
    """End."""


def _emit(rest: str, ask: bool = False, short: bool = False) -> Command:
    wants = _QUESTION.search(rest)
    reader = Reader(rest[: wants.start()] if wants else rest)
    if reader.at_end():
        raise WrongUse("which event?", ["For example: emit message lobby hello"])
    if rest[reader.position] in "{[":
        raise TypingError(
            rest, reader.position, "expected an event's name, the arguments behind it"
        )
    name = reader.word()
    return Emit(name, tuple(reader.values()), ask or wants is not None, short)


def _ask(rest: str) -> Command:
    return _emit(rest, ask=True)


def _answer(rest: str) -> Command:
    reader = Reader(rest)
    number = re.match(r"\s*#(\d+)(?:\s|$)", rest)
    if number:
        reader.position = number.end()
    return AnswerTo(int(number[1]) if number else None, tuple(reader.values()))


def _wait(rest: str) -> Command:
    reader = Reader(rest)
    if reader.at_end():
        raise WrongUse("wait for which event?", ["For example: wait message"])
    if rest[reader.position] in "\"'":
        quoted = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""").match(rest)
        if quoted is None:
            raise TypingError(rest, reader.position, "this quote has no end")
        name, end = Reader(quoted[0]).word(), quoted.end()
    else:
        bare = _NAME_BEFORE_EQUALS.match(rest, reader.position)
        if bare is None:
            raise TypingError(rest, reader.position, "expected an event's name before =")
        name, end = bare[0], bare.end()
    reader.position = end
    if reader.at_end():
        return Wait(name)
    if rest[reader.position] != "=":
        raise TypingError(rest, reader.position, "expected = and what the event brings")
    reader.position += 1
    return Wait(name, tuple(reader.values()))


def _filter(rest: str) -> Command:
    return Filter(tuple(rest.split()))


def _number(rest: str) -> int | None:
    text = rest.strip().removeprefix("#")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise WrongUse(f"expected a number, not {rest.strip()!r}")
    return int(text)


def _show(rest: str) -> Command:
    return Show(_number(rest))


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise WrongUse(f"{rest.strip()!r} cannot be read: {error}") from error


def _save(rest: str) -> Command:
    words = _words(rest)
    if len(words) > 1:
        raise WrongUse("save takes one file", ['Put a name with spaces in quotes: save "my file"'])
    return Save(words[0] if words else None)


def _replay(rest: str) -> Command:
    words = _words(rest)
    files: list[str] = []
    ignore: list[str] = []
    speed, compare = 1.0, False
    while words:
        word = words.pop(0)
        if word == "--compare":
            compare = True
        elif word in ("--speed", "--ignore"):
            if not words:
                raise WrongUse(f"{word} needs something behind it")
            value = words.pop(0)
            if word == "--speed":
                speed = read_speed(value)
            else:
                ignore.append(value)
        elif word.startswith("--"):
            raise WrongUse(f"replay has no option {word}", ["It has --speed, --compare, --ignore"])
        else:
            files.append(word)
    if len(files) != 1:
        raise WrongUse("replay takes one file", ["For example: replay session.jsonl --speed 10"])
    return Replay(files[0], speed, compare, tuple(ignore))


def read_speed(text: str) -> float:
    """How much faster to replay.

    Raises:
        WrongUse: when it is no number above 0.
    """
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise WrongUse(f"the speed is a number above 0, such as 2 or 0.5, not {text!r}")
    return speed


def _auth(rest: str) -> Command:
    return Auth(read_auth([rest] if rest.lstrip().startswith("{") else _words(rest)))


def _help(rest: str) -> Command:
    return Help(rest.strip() or None)


def _bare(command: type[Command]) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        if rest.strip():
            name = command.__name__.lower()
            raise WrongUse(
                f"{name} takes nothing behind it",
                [f"To send an event of that name: emit {name} …"],
            )
        return command()

    return read


@dataclass(frozen=True)
class Entry:
    """A command as `help` tells it.

    Attributes:
        usage: how it is written.
        summary: what it does, in one line.
        read: makes a command of what stands behind its name.
        more: examples and details, in lines.
    """

    usage: str
    summary: str
    read: Callable[[str], Command]
    more: tuple[str, ...] = ()


_VALUES: Final = (
    "Arguments are JSON, or shorter: hello is a string, {name: ada} an object,",
    "@photo.png the bytes of a file. 42 is a number, and '42' a string.",
    "A ? at the end asks for an acknowledgement; '?' in quotes is a question mark.",
)

COMMANDS: Final[dict[str, Entry]] = {
    "emit": Entry(
        "emit NAME [ARGUMENT…] [?]",
        "send an event; the word emit may be left out",
        _emit,
        (*_VALUES, "", "message lobby hello", "emit status {verbose: true}", "join lobby ?"),
    ),
    "ask": Entry(
        "ask NAME [ARGUMENT…]",
        "send an event and wait for its acknowledgement",
        _ask,
        (*_VALUES, "", "ask join lobby"),
    ),
    "answer": Entry(
        "answer [#N] [VALUE…]",
        "acknowledge an event that asks for it; the latest, or number N",
        _answer,
        ("answer yes", "answer #3 {ok: true}"),
    ),
    "wait": Entry(
        "wait NAME[=VALUE…]",
        "wait for an event; of an object, the keys that are given must be so",
        _wait,
        ("wait welcome", "wait message={room: lobby}"),
    ),
    "filter": Entry(
        "filter [PATTERN…]",
        "show only events whose names match; filter alone shows all again",
        _filter,
        ("filter message user:*", "filter !typing", "* stands for anything, ! for all others."),
    ),
    "show": Entry(
        "show [N]",
        "show in full what was shortened; the latest, or number N",
        _show,
    ),
    "save": Entry(
        "save [FILE]",
        "record to a file, also what happened so far; save alone stops",
        _save,
    ),
    "replay": Entry(
        "replay FILE [--speed X] [--compare] [--ignore NAME]",
        "send what a recording says was sent, with the same pauses",
        _replay,
        (
            "--speed 10 is ten times as fast.",
            "--compare says what came and what did not, compared with the recording.",
            "--ignore id leaves out a key of objects, or an event, that is new each time.",
        ),
    ),
    "connect": Entry(
        "connect", "connect again, also another namespace: /admin connect", _bare(Connect)
    ),
    "auth": Entry(
        "auth [JSON]",
        "credentials for the next connection: JSON, key=text, @file",
        _auth,
        ("auth token=secret", "/admin auth {token: secret}", "auth alone forgets them."),
    ),
    "disconnect": Entry("disconnect", "leave the namespace", _bare(Disconnect)),
    "status": Entry("status", "id, transport, latency, counts", _bare(Status)),
    "help": Entry("help [COMMAND]", "this list, or one command", _help),
    "quit": Entry("quit", "end; Ctrl-D does, too", _bare(Quit)),
}

NAMESPACE_USAGE: Final = "/NAMESPACE [COMMAND]"
NAMESPACE_SUMMARY: Final = "choose the namespace; or use it for one command only"

_ALIASES: Final = {"?": "help", "exit": "quit"}


def parse(line: str) -> Command | None:
    """What a line says; None for an empty one and for a comment, which begins with `#`.

    Raises:
        WrongUse: when it cannot be read.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if line.startswith("/"):
        namespace, _, rest = line.partition(" ")
        return _in_namespace(namespace, rest.strip())
    return _parse(line)


def _in_namespace(namespace: str, rest: str) -> Command:
    if not rest:
        return Use(namespace=namespace)
    return dataclasses.replace(_parse(rest), namespace=namespace)


def _parse(line: str) -> Command:
    first, _, rest = line.partition(" ")
    entry = COMMANDS.get(_ALIASES.get(first, first))
    return entry.read(rest) if entry is not None else _emit(line, short=True)


def parse_as(name: str, text: str) -> Command:
    """What stands behind a command's name, with a namespace before it perhaps.

    Raises:
        WrongUse: when it cannot be read.
    """
    text = text.strip()
    read = COMMANDS[name].read
    if not text.startswith("/"):
        return read(text)
    namespace, _, rest = text.partition(" ")
    return dataclasses.replace(read(rest), namespace=namespace)


def near_command(name: str) -> str | None:
    """The command that a mistyped name was perhaps meant to be."""
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.8)
    return near[0] if near else None
