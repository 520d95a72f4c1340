"""Values as they are shown: coloured JSON, in one line and shortened, or in full over many.

Bytes, which JSON has not, are shown as their number and the first of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nuncio.cli.text import Fragment, Line, plain, plural, quoted, size

# What a string is cut to where the whole does not fit, and the least that is left of it.
_SHORT: Final = 80
_LEAST: Final = 20
_FIRST_BYTES: Final = 8
_ALL_BYTES: Final = 256
_DEEPEST: Final = 6
# In full, what fits into so many columns is one line.
_WIDE: Final = 80
_ELLIPSIS: Final = "…"


class _Full(Exception):
    """There is no room for more."""


class _Writer:
    """Writes values in one line.

    Args:
        room: characters that may be used.
        cutting: whether to cut what has no room; else `_Full` is raised.
    """

    def __init__(self, room: int, cutting: bool) -> None:
        self.line: Line = []
        self.room = room
        self.cutting = cutting

    def add(self, style: str, text: str) -> None:
        self.room -= len(text)
        if self.room < 0 and not self.cutting:
            raise _Full
        self.line.append((style, text))

    def value(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, str):
            self.string(value)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self.add("binary", first_bytes(bytes(value[:_FIRST_BYTES]), len(value)))
        elif isinstance(value, dict):
            self.mapping(value, depth)
        elif isinstance(value, (list, tuple)):
            self.sequence(value, depth)
        else:
            self.add(*_atom(value))

    def string(self, value: str) -> None:
        limit = max(_LEAST, min(_SHORT, self.room // 2)) if self.cutting else self.room
        if len(value) <= limit:
            self.add("string", quoted(value))
            return
        if not self.cutting:
            raise _Full
        self.add("string", quoted(value[:limit])[:-1])
        self.add("more", f"{_ELLIPSIS} {plural(len(value) - limit, 'more character')}")
        self.add("string", '"')

    def mapping(self, value: dict[Any, Any], depth: int) -> None:
        self.add("mark", "{")
        for index, (key, item) in enumerate(value.items()):
            if self.stops(index, len(value), depth):
                break
            self.add("mark", ", " if index else "")
            self.key(str(key))
            self.add("mark", ": ")
            self.value(item, depth + 1)
        self.add("mark", "}")

    def key(self, key: str) -> None:
        cut = self.cutting and len(key) > _SHORT
        self.add("key", quoted(key[:_SHORT] + _ELLIPSIS if cut else key))

    def sequence(self, value: Sequence[Any], depth: int) -> None:
        self.add("mark", "[")
        for index, item in enumerate(value):
            if self.stops(index, len(value), depth):
                break
            self.add("mark", ", " if index else "")
            self.value(item, depth + 1)
        self.add("mark", "]")

    def stops(self, index: int, count: int, depth: int) -> bool:
        """Whether the rest of a list or an object is left out; then it says so."""
        if not self.cutting or (self.room > 0 and depth < _DEEPEST):
            return False
        self.add("mark", ", " if index else "")
        self.add("more", f"{_ELLIPSIS} {count - index:,} more")
        return True


def in_line(values: Sequence[Any], room: int | None) -> tuple[Line, bool]:
    """Values with spaces between them.

    Args:
        values: the arguments of an event.
        room: about how many characters there are; None for as many as it takes.

    Returns:
        The line, and whether it was shortened.
    """
    try:
        return _write(values, _Writer(2**62 if room is None else room, cutting=False)), False
    except _Full:
        assert room is not None
        return _write(values, _Writer(room, cutting=True)), True


def _write(values: Sequence[Any], writer: _Writer) -> Line:
    for index, value in enumerate(values):
        if writer.stops(index, len(values), 0):
            break
        writer.add("", " " if index else "")
        writer.value(value)
    return writer.line


def in_full(value: Any, indent: int = 0) -> list[Line]:
    """A value over as many lines as it needs."""
    if isinstance(value, (dict, list, tuple)):
        line, too_long = in_line([value], _WIDE - 2 * indent)
        if not too_long:
            return [line]
    if isinstance(value, dict):
        pairs = [([("key", quoted(str(key))), ("mark", ": ")], item) for key, item in value.items()]
        return _block("{", "}", pairs, indent)
    if isinstance(value, (list, tuple)):
        return _block("[", "]", [([], item) for item in value], indent)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return [[("binary", first_bytes(bytes(value[:_ALL_BYTES]), len(value)))]]
    return [in_line([value], None)[0]]


def _block(
    opening: str, closing: str, items: list[tuple[list[Fragment], Any]], indent: int
) -> list[Line]:
    lines: list[Line] = [[("mark", opening)]]
    space = "  " * (indent + 1)
    for index, (head, item) in enumerate(items):
        inner = in_full(item, indent + 1)
        if index and not head and _continues(item, lines[-1]):
            lines[-1] += [("", " "), *inner[0]]
        else:
            lines.append([("", space), *head, *inner[0]])
            lines.extend(inner[1:])
        if index < len(items) - 1:
            lines[-1].append(("mark", ","))
    lines.append([("", "  " * indent), ("mark", closing)])
    return lines


def _continues(item: Any, line: Line) -> bool:
    """Whether a number of a list goes on the line of the one before."""
    return (
        (item is None or isinstance(item, (bool, int, float)))
        and line[-2][0] in ("number", "atom")
        and len(plain(line)) < _WIDE - _LEAST
    )


def first_bytes(start: bytes, count: int) -> str:
    """Bytes as their number and the first of them."""
    dots = " " + _ELLIPSIS if count > len(start) else ""
    return f"<{size(count)}{': ' if start else ''}{start.hex(' ')}{dots}>"


def _atom(value: Any) -> Fragment:
    if value is None or isinstance(value, bool):
        return "atom", json.dumps(value)
    if isinstance(value, float):
        return "number", json.dumps(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return "number", str(value)
    if isinstance(value, datetime):
        return "string", f"<{value.isoformat()}>"
    return "string", quoted(str(value))
