"""The lines that were typed, in this run and earlier ones. The file is bounded, and private."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit.history import History as Base

# The file is cut to the first number of lines once it has the second.
KEPT: Final = 1000
MOST: Final = 2000


class History(Base):
    """Keeps lines in a file: each is a JSON string, so lines that were pasted stay whole.

    Args:
        path: the file. Where it cannot be used, lines are kept for this run alone.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._last: str | None = None

    def load_history_strings(self) -> Iterable[str]:
        """See `prompt_toolkit.history.History`: the latest first."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            if len(lines) > MOST:
                lines = lines[-KEPT:]
                self._write("w", lines)
        except (OSError, ValueError):
            return []
        return [line for line in map(_decoded, reversed(lines)) if line is not None]

    def store_string(self, string: str) -> None:
        """See `prompt_toolkit.history.History`."""
        if string == self._last:
            return
        self._last = string
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write("a", [json.dumps(string)])
        except OSError:
            pass

    def _write(self, mode: str, lines: list[str]) -> None:
        with open(self._path, mode, encoding="utf-8", opener=_private) as file:
            file.writelines(line + "\n" for line in lines)


def _private(path: str, flags: int) -> int:
    """Only the user may read it: credentials may be among what was typed."""
    return os.open(path, flags, 0o600)


def _decoded(line: str) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
