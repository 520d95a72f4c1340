"""Long lines, broken where JSON may be broken: between values, never within a string.

The lines that follow are indented, so that times and signs stay a column of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from nuncio.cli.text import Fragment, Line, width

_PIECES: Final = re.compile(r"\S+ *| +")
# What is written in one piece, with the spaces in it.
_WHOLE: Final = ("string", "key", "binary")


def wrap(line: Line, columns: int, indent: int) -> list[Line]:
    """A line as several, none longer than there are columns where that is possible.

    Args:
        line: in one piece.
        columns: how many there are.
        indent: how many of them the lines that follow leave empty.
    """
    if sum(width(piece) for _, piece in line) <= columns or indent >= columns // 2:
        return [line]
    lines: list[Line] = [[]]
    used = 0
    for style, piece in _pieces(line):
        needed = width(piece.rstrip(" "))
        if used + needed > columns and used > indent:
            lines.append([("", " " * indent)])
            used = indent
        lines[-1].append((style, piece))
        used += width(piece)
        if needed > columns - indent:
            # A piece that is too long by itself is broken by the terminal.
            used %= columns
    return [_stripped(each) for each in lines]


def _stripped(line: Line) -> Line:
    """A line without space at its end, which the terminal might put on a line of its own."""
    *before, (style, piece) = line
    return [*before, (style, piece.rstrip(" "))]


def _pieces(line: Line) -> Iterator[Fragment]:
    for style, piece in line:
        if style in _WHOLE:
            yield style, piece
        else:
            yield from ((style, found) for found in _PIECES.findall(piece))
