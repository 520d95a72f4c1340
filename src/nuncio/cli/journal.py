"""Everything that happens goes through here: it is counted, remembered, recorded and passed on.

What is remembered is bounded; whoever begins to save late gets what is still known.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

from nuncio.cli.happenings import Happening, Received, Sent
from nuncio.cli.problems import Problem, WrongUse

# How much of the past a recording may begin with.
REMEMBERED: Final = 10_000
REMEMBERED_CHARACTERS: Final = 16 * 1024 * 1024
# How many names are remembered for completion.
NAMES: Final = 1000

Listener = Callable[[Happening], None]


def _raised(error: Exception) -> None:
    raise error


class Journal:
    """What happens, in order.

    Attributes:
        listeners: are told of each happening.
        counts: how many of each type there were.
        names: the events that were sent or came, the latest last; as the keys.
        path: the file that is written to, or None.
        trouble: is told when that can no longer be done.
        failed: is told of what a listener raises, such as a terminal that is gone. Who tells what
            happens can do nothing about it.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.counts: Counter[str] = Counter()
        self.names: dict[str, None] = {}
        self.path: Path | None = None
        self.trouble: Callable[[Problem], object] = _raised
        self.failed: Callable[[Exception], object] = _raised
        self._file: TextIO | None = None
        self._past: deque[str] = deque()
        self._characters = 0
        self._forgotten = 0

    def tell(self, happening: Happening) -> None:
        """Something has happened."""
        self.counts[happening.type] += 1
        if isinstance(happening, (Received, Sent)):
            self._remember_name(happening.name)
        line = happening.as_line()
        self._remember(line)
        if self._file is not None:
            self._write(self._file, line)
        for listener in list(self.listeners):
            try:
                listener(happening)
            except Exception as error:
                self.failed(error)

    def _remember_name(self, name: str) -> None:
        self.names.pop(name, None)
        self.names[name] = None
        if len(self.names) > NAMES:
            del self.names[next(iter(self.names))]

    def _remember(self, line: str) -> None:
        self._past.append(line)
        self._characters += len(line)
        while len(self._past) > REMEMBERED or self._characters > REMEMBERED_CHARACTERS:
            self._characters -= len(self._past.popleft())
            self._forgotten += 1

    def _write(self, file: TextIO, line: str) -> None:
        try:
            # Line by line, so that the file is whole however the tool ends.
            file.write(line + "\n")
            file.flush()
        except OSError as error:
            path = self.path
            self.stop_saving()
            self.trouble(WrongUse(f"cannot write {path} any more: {error.strerror or error}"))

    def save(self, path: Path) -> tuple[int, int]:
        """Write what is still known to a file, and from now on everything.

        Args:
            path: an existing file is replaced.

        Returns:
            How many happenings of the past were written, and how many are no longer known.

        Raises:
            WrongUse: when the file cannot be written.
        """
        self.stop_saving()
        try:
            self._file = path.open("w", encoding="utf-8")
            for line in self._past:
                self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self.stop_saving()
            raise WrongUse(f"cannot write {path}: {error.strerror or error}") from error
        self.path = path
        return len(self._past), self._forgotten

    def stop_saving(self) -> Path | None:
        """Close the file; which one it was, if there was one."""
        path, self.path = self.path, None
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                # What could not be written before cannot be written now.
                pass
        return path
