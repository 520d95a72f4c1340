"""How each happening looks: a time, a sign, what happened; with styles, not yet with colours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any, Final

from nuncio.cli import text
from nuncio.cli.brief import in_line
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
from nuncio.cli.kept import Kept
from nuncio.cli.text import Line
from nuncio.cli.wrapping import wrap

# What is longer than so many lines of the terminal is shortened.
_LINES: Final = 4

# Where the text of a line begins: behind the time and the sign.
INDENT: Final = 15

_ENDS: Final = {
    "io server disconnect": "the server ended it",
    "io client disconnect": "as you wished",
    "ping timeout": "the server was silent for too long",
    "transport close": "the connection was closed",
    "transport error": "the connection broke",
    "parse error": "the server sent what is no Socket.IO packet",
    "forced close": "the connection was ended here",
}


@dataclass(frozen=True)
class Signs:
    """The signs that begin lines."""

    came: str = "←"
    sent: str = "→"
    answer: str = "↩"
    good: str = "●"
    ended: str = "○"
    bad: str = "✖"
    up: str = "↑"
    again: str = "↻"
    different: str = "≠"
    note: str = "·"


ASCII: Final = Signs("<", ">", "=", "*", "o", "x", "^", "~", "!", "-")


class Painter:
    """Makes lines of happenings.

    Args:
        signs: for the terminal's encoding.
        columns: gives the width of the terminal; None where there is none.
        whole: whether values are never shortened.

    Attributes:
        namespaces: those in which something has happened; if there are several, each is named.
        kept: what was shortened.
    """

    def __init__(
        self, signs: Signs, columns: Callable[[], int | None], *, whole: bool = False
    ) -> None:
        self.signs = signs
        self.namespaces: set[str] = set()
        self.kept = Kept()
        self._columns = columns
        self._whole = whole
        # Why the latest attempt to connect failed.
        self._failure = ""

    def paint(self, happening: Happening) -> list[Line]:
        """The lines that show it."""
        self._note_namespace(happening)
        if self._says_nothing_new(happening):
            return []
        sign, style, line, *more = self._paint(happening)
        clock = time.strftime("%H:%M:%S", time.localtime(happening.at))
        milliseconds = f".{int(happening.at % 1 * 1000):03}"
        first: Line = [("time", clock + milliseconds + " "), (style, f"{sign:<2}"), *line]
        lines: list[Line] = [first, *([("", " " * INDENT), *rest] for rest in more)]
        columns = self._columns()
        if columns is None:
            return lines
        return [part for each in lines for part in wrap(each, columns, INDENT)]

    def _note_namespace(self, happening: Happening) -> None:
        namespace = getattr(happening, "namespace", None)
        if isinstance(namespace, str):
            self.namespaces.add(namespace)

    def _says_nothing_new(self, happening: Happening) -> bool:
        """Whether something is left out on the way back to a lost connection."""
        if isinstance(happening, ConnectFailed) and happening.retrying:
            known, self._failure = self._failure, happening.message
            return known == happening.message
        if isinstance(happening, Connected):
            self._failure = ""
        # An attempt is followed by what comes of it.
        return isinstance(happening, (Reconnecting, Reconnected))

    def _room(self) -> int | None:
        """How many characters the values of one event may take."""
        columns = self._columns()
        return None if columns is None or self._whole else max(200, _LINES * (columns - INDENT))

    @singledispatchmethod
    def _paint(self, happening: Happening) -> tuple[Any, ...]:
        raise NotImplementedError(type(happening).__name__)

    @_paint.register
    def _(self, it: Connecting) -> tuple[Any, ...]:
        return self.signs.note, "dim", [("dim", f"connecting to {text.safe(it.url)}")]

    @_paint.register
    def _(self, it: Connected) -> tuple[Any, ...]:
        line: Line = [
            ("good", "connected"),
            ("", f" to {text.safe(it.namespace)}"),
            ("dim", f"  id {text.safe(it.id)}, over {it.transport}"),
        ]
        if it.recovered:
            line.append(("good", ", nothing was missed"))
        return self.signs.good, "good", line

    @_paint.register
    def _(self, it: Upgraded) -> tuple[Any, ...]:
        return self.signs.up, "good", [("dim", f"now over {it.transport}")]

    @_paint.register
    def _(self, it: ConnectFailed) -> tuple[Any, ...]:
        what = "refused" if it.refused else "not connected"
        where = f" by {text.safe(it.namespace)}" if it.refused and it.namespace != "/" else ""
        line: Line = [("bad", what), ("", f"{where}: {text.safe(it.message)}")]
        if it.data is not None:
            values, _ = in_line([it.data], self._room())
            line += [("", "  "), *values]
        if it.retrying:
            return self.signs.again, "bad", [*line, ("dim", "; trying again")]
        return self.signs.bad, "bad", line, *([("hint", text.safe(hint))] for hint in it.hints)

    @_paint.register
    def _(self, it: Disconnected) -> tuple[Any, ...]:
        line: Line = [("bad", "disconnected"), ("", f" from {text.safe(it.namespace)}: ")]
        line.append(("", text.safe(it.reason)))
        if it.reason in _ENDS:
            line.append(("dim", f", {_ENDS[it.reason]}"))
        if it.reconnecting:
            line.append(("dim", "; connecting again"))
        return self.signs.ended, "bad", line

    @_paint.register
    def _(self, it: GaveUp) -> tuple[Any, ...]:
        return self.signs.bad, "bad", [("bad", "gave up"), ("", " connecting again")]

    @_paint.register
    def _(self, it: Received) -> tuple[Any, ...]:
        line = self._event("came", it.namespace, it.name, it.args)
        if it.question is not None:
            line += [("", "  "), ("asks", "?"), ("hint", f" answer #{it.question}")]
        return self.signs.came, "came", line

    @_paint.register
    def _(self, it: Sent) -> tuple[Any, ...]:
        line = self._event("sent", it.namespace, it.name, it.args)
        if it.ask is not None:
            line += [("asks", " ?")]
        return self.signs.sent, "sent", line

    @_paint.register
    def _(self, it: Answer) -> tuple[Any, ...]:
        line = self._event("answer", it.namespace, it.name, it.args)
        if not it.args:
            line.append(("dim", " (empty)"))
        line.append(("dim", f"  {text.seconds(it.seconds)}"))
        return self.signs.answer, "answer", line

    @_paint.register
    def _(self, it: NoAnswer) -> tuple[Any, ...]:
        why = (
            f"no answer within {text.seconds(it.seconds)}"
            if it.reason == "timeout"
            else "no answer, the connection ended"
        )
        line = [*self._named("bad", it.namespace, it.name), ("", f"  {why}")]
        return self.signs.bad, "bad", line

    @_paint.register
    def _(self, it: Answered) -> tuple[Any, ...]:
        line = self._event("sent", it.namespace, it.name, it.args)
        line.append(("dim", f"  in answer to #{it.question}"))
        return self.signs.sent, "sent", line

    @_paint.register
    def _(self, it: Difference) -> tuple[Any, ...]:
        expected = self._side("expected", it.expected)
        return self.signs.different, "bad", expected, self._side("came    ", it.got)

    def _side(self, word: str, value: Any) -> Line:
        if value is None:
            return [("dim", f"{word} "), ("dim", "nothing")]
        values, _ = in_line(value, self._room())
        return [("dim", f"{word} "), *values]

    @_paint.register
    def _(self, it: Replayed) -> tuple[Any, ...]:
        style = "bad" if it.different else "good"
        line: Line = [
            (style, "replayed"),
            ("", f" {text.safe(it.file)}: {text.plural(it.sent, 'event')} sent"),
        ]
        if it.same is not None and it.different is not None:
            line.append(("", f"; {it.same:,} came as recorded, {it.different:,} did not"))
        return (self.signs.bad if it.different else self.signs.good), style, line

    def _named(self, style: str, namespace: str, name: str) -> Line:
        where: Line = []
        if len(self.namespaces) > 1:
            where = [("space", f"{text.safe(namespace)} ")]
        return [*where, (style + " name", text.name(name))]

    def _event(self, style: str, namespace: str, name: str, args: Sequence[Any]) -> Line:
        values, shortened = in_line(args, self._room())
        line = self._named(style, namespace, name)
        if values:
            line += [("", " "), *values]
        if shortened:
            line += [("", "  "), ("hint", f"show {self.kept.keep(name, args)}")]
        return line
