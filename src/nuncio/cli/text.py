"""Text with styles: what is printed, before it is known whether colours can be shown.

A fragment is a style's name and some text. Text that comes from a server never gets to the terminal
as it is: a control character could move the cursor, hide lines or change the title.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

Fragment = tuple[str, str]
Line = list[Fragment]

# Control characters, halves of surrogate pairs, and what changes the direction of writing.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_PLAIN_NAME: Final = re.compile(r"[^\s\"'?@]+")


def safe(text: str) -> str:
    """Text with what could disturb the terminal written as an escape."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def quoted(text: str) -> str:
    """A JSON string that is safe to print, and means the same."""
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for character, escape in short.items():
        escaped = escaped.replace(character, escape)
    return f'"{safe(escaped)}"'


def name(text: str) -> str:
    """An event's name, in quotes where it would not be read as one otherwise."""
    return text if _PLAIN_NAME.fullmatch(text) and safe(text) == text else quoted(text)


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for _, text in line)


def width(text: str) -> int:
    """How many columns text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def seconds(value: float) -> str:
    """A duration for people: `850 µs`, `3.1 ms`, `12 s`."""
    if value < 0.001:
        return f"{value * 1_000_000:.0f} µs"
    if value < 1.0:
        milliseconds = value * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    if value < 10:
        return f"{value:.1f} s".replace(".0 ", " ")
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def size(count: int) -> str:
    """A number of bytes for people: `12 bytes`, `4.2 KiB`."""
    if count < 1024:
        return "1 byte" if count == 1 else f"{count} bytes"
    number = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024 or unit == "GiB":
            break
    return f"{number:.1f} {unit}"


def plural(count: int, word: str) -> str:
    """`1 event`, `2 events`, `1,200 events`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
