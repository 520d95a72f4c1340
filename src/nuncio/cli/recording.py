"""A recording, read: what was sent, when, and what came.

It is the journal's lines of JSON: what `save` wrote, or `--json` printed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nuncio.cli.happenings import Answer, Answered, Happening, Received, Sent, from_record
from nuncio.cli.problems import WrongUse


@dataclass
class Recording:
    """What a replay needs of one.

    Attributes:
        sent: with their times, in order.
        came: the events that came.
        answers: the values of acknowledgements, by the number of the ask.
        answered: what the tool answered to events that asked, in order.
        end: when the last of all this happened.
    """

    sent: list[Sent] = field(default_factory=list)
    came: list[Received] = field(default_factory=list)
    answers: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)
    end: float = 0.0

    def add(self, happening: Happening) -> None:
        """Sort something in."""
        self.end = max(self.end, happening.at)
        if isinstance(happening, Sent):
            self.sent.append(happening)
        elif isinstance(happening, Received):
            self.came.append(happening)
        elif isinstance(happening, Answer):
            self.answers[happening.ask] = happening.args
        elif isinstance(happening, Answered):
            self.answered.append(happening)


def load(name: str) -> Recording:
    """Read a recording.

    Raises:
        WrongUse: when it cannot be read, or is none.
    """
    recording, path = Recording(), Path(name).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    _add(recording, line, f"{path}, line {number}")
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{path} is no recording: it is no text") from error
    if not recording.sent:
        raise WrongUse(f"{path} has nothing that was sent, so there is nothing to replay")
    return recording


def _add(recording: Recording, line: str, where: str) -> None:
    try:
        plain = json.loads(line)
    except ValueError as error:
        raise WrongUse(f"{where}: this is no JSON: {error}") from error
    if not isinstance(plain, dict) or "type" not in plain:
        raise WrongUse(f"{where}: this is no line of a recording; each is an object with a type")
    try:
        happening = from_record(plain)
    except ValueError as error:
        raise WrongUse(f"{where}: {error}") from error
    if happening is not None:
        recording.add(happening)
