"""Where things are shown: as JSON, as plain lines, or as coloured lines above a prompt.

On standard output goes what was asked for: events, acknowledgements, with `--json` everything that
happens. How the connection is, and what went wrong, goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from nuncio.cli import text
from nuncio.cli.happenings import (
    Answer,
    Answered,
    Difference,
    Disconnected,
    Happening,
    NoAnswer,
    Received,
    Replayed,
    Sent,
)
from nuncio.cli.matching import admits
from nuncio.cli.painter import INDENT, Painter
from nuncio.cli.problems import Problem
from nuncio.cli.text import Line

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import FormattedText
    from prompt_toolkit.styles import BaseStyle

_ASKED_FOR: Final = (Received, Sent, Answer, NoAnswer, Answered, Difference, Replayed)


class Printer(Protocol):
    """Prints styled lines to standard output or standard error."""

    def __call__(self, lines: Sequence[Line], errors: bool) -> None:
        """Print lines."""


class Screen:
    """What the user sees.

    Args:
        painter: makes lines of happenings.
        printer: prints them.

    Attributes:
        patterns: the filter for events.
        hidden: how many events it has hidden.
        shown: how many it has shown.
        closing: whether the tool is about to end, and says goodbye to the server.
        painter, printer: as given.
    """

    def __init__(self, painter: Painter, printer: Printer) -> None:
        self.painter = painter
        self.patterns: tuple[str, ...] = ()
        self.shown = 0
        self.hidden = 0
        self.closing = False
        self.printer = printer

    def __call__(self, happening: Happening) -> None:
        """Show a happening, if the filter lets it; a listener of the journal."""
        if isinstance(happening, Received):
            if not admits(self.patterns, happening.name):
                self.hidden += 1
                return
            self.shown += 1
        if not self.closing or not isinstance(happening, Disconnected):
            self.show(happening)

    def show(self, happening: Happening) -> None:
        """Show a happening."""
        lines = self.painter.paint(happening)
        if lines:
            self.printer(lines, not isinstance(happening, _ASKED_FOR))

    def say(self, *lines: Line) -> None:
        """Tell the user something that was asked for."""
        self.printer(lines, False)

    def note(self, message: str) -> None:
        """Tell the user something by the way."""
        sign = self.painter.signs.note
        self.printer([[("", " " * 13), ("dim", f"{sign:<2}{message}")]], True)

    def problem(self, problem: Problem) -> None:
        """Tell the user what is wrong, and what to do; unless that was shown as it happened."""
        if not problem.told:
            self._problem(problem)

    def _problem(self, problem: Problem) -> None:
        sign = self.painter.signs.bad
        first: Line = [("", " " * 13), ("bad", f"{sign:<2}{text.safe(problem.message)}")]
        hints: list[Line] = [
            [("", " " * INDENT), ("hint", text.safe(hint))] for hint in problem.hints
        ]
        self.printer([first, *hints], True)


class JsonScreen(Screen):
    """Everything that happens as lines of JSON."""

    def __call__(self, happening: Happening) -> None:
        """See `Screen`; a goodbye is something that happens, too."""
        super().__call__(happening)
        if self.closing and isinstance(happening, Disconnected):
            self.show(happening)

    def show(self, happening: Happening) -> None:
        """See `Screen.show`."""
        print(happening.as_line(), flush=True)

    def problem(self, problem: Problem) -> None:
        """See `Screen.problem`: people read the other stream."""
        self._problem(problem)


class Plain:
    """Prints without colours."""

    def __call__(self, lines: Sequence[Line], errors: bool) -> None:
        """See `Printer`."""
        file = sys.stderr if errors else sys.stdout
        print(*map(text.plain, lines), sep="\n", file=file, flush=True)


class Coloured:
    """Prints with colours, on each of the two streams that is a terminal."""

    def __init__(self) -> None:
        from prompt_toolkit.output import create_output

        self._out = create_output(stdout=sys.stdout) if sys.stdout.isatty() else None
        self._errors = create_output(stdout=sys.stderr) if sys.stderr.isatty() else None
        self._style = sheet()
        self._plain = Plain()

    def __call__(self, lines: Sequence[Line], errors: bool) -> None:
        """See `Printer`."""
        output = self._errors if errors else self._out
        if output is None:
            self._plain(lines, errors)
            return
        from prompt_toolkit import print_formatted_text

        print_formatted_text(
            formatted(lines),
            end="",
            style=self._style,
            output=output,
            include_default_pygments_style=False,
        )


def sheet() -> BaseStyle:
    """The colours, as prompt_toolkit wants them."""
    from prompt_toolkit.styles import Style

    from nuncio.cli.colours import STYLES

    return Style.from_dict(STYLES)


def formatted(lines: Sequence[Line]) -> FormattedText:
    """Lines, each with its end, as prompt_toolkit wants them."""
    from prompt_toolkit.formatted_text import FormattedText

    found: list[tuple[str, str]] = []
    for line in lines:
        found.extend((classes(style), piece) for style, piece in line)
        found.append(("", "\n"))
    return FormattedText(found)


def classes(style: str) -> str:
    """A style's name, as prompt_toolkit wants it."""
    return " ".join(f"class:{name}" for name in style.split())
