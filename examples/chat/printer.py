"""Lines for a person at a terminal, or for a log: the same words, colours only where they show."""

from __future__ import annotations

import os
from typing import TextIO

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"


class Printer:
    """Prints the steps of the demo.

    Args:
        out: where to. Colour codes are left out unless it is a terminal, marks that its encoding
            lacks are replaced by words.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colours = (
            out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        )
        try:
            "✓✗".encode(out.encoding or "ascii")
            self._tick, self._cross = "✓", "✗"
        except UnicodeEncodeError:
            self._tick, self._cross = "ok", "FAILED"

    def title(self, name: str, subtitle: str) -> None:
        """The first line."""
        self._line(f"\n  {self._in(BOLD, name)}  {self._in(DIM, subtitle)}\n")

    def passed(self, text: str, seconds: float) -> None:
        """A step that worked."""
        took = self._in(DIM, f"{seconds * 1000:7.1f} ms")
        self._line(f"  {self._in(GREEN, self._tick)} {text:<72} {took}")

    def failed(self, step: str, reason: str, likely: str, remedy: str) -> None:
        """A step that did not work, why that may be, and what to do about it."""
        self._line(f"  {self._in(RED, self._cross)} {self._in(BOLD, step)}: {reason}")
        self._line(f"      likely cause  {likely}")
        self._line(f"      what to do    {remedy}\n")

    def good(self, text: str) -> None:
        """The good end."""
        self._line(f"\n  {self._in(GREEN, text)}\n")

    def note(self, text: str) -> None:
        """Anything else worth a line."""
        self._line("  " + text.strip().replace("\n", "\n  ") + "\n")

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)
