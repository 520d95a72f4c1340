"""Why the tool cannot go on, and the exit status that tells it to scripts."""

from __future__ import annotations

from collections.abc import Sequence

DONE = 0
NOT_CONNECTED = 1
WRONG_USE = 2
TIMED_OUT = 3
DIFFERENT = 4
INTERRUPTED = 130
BROKEN_PIPE = 141


class Problem(Exception):
    """Something for the user to read.

    Args:
        message: what happened, in one line.
        hints: lines that show it, or say what to do next.
        told: whether the user has been told already, as something that happened.

    Attributes:
        status: the exit status where it ends the program.
    """

    status = NOT_CONNECTED

    def __init__(self, message: str, hints: Sequence[str] = (), *, told: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hints = list(hints)
        self.told = told


class NotConnected(Problem):
    """There is no connection, or no longer."""


class WrongUse(Problem):
    """What was typed or given makes no sense."""

    status = WRONG_USE


class TimedOut(Problem):
    """What was waited for did not come in time."""

    status = TIMED_OUT


class Different(Problem):
    """A replay brought something else than what was recorded."""

    status = DIFFERENT


class Interrupted(Problem):
    """The user has pressed Ctrl-C."""

    status = INTERRUPTED
