"""JSON as people type it: every JSON value, and what one writes instead when in a hurry.

hello                       a bare word is a string
42  true  null              these are what they are in JSON; "42" is a string
'single quotes'             are quotes, too
{name: ada, tags: [a, b,]}  keys and words need no quotes; a last comma does not matter
@photo.png  @"my photo.png" the bytes of a file
{"$bytes": "aGk="}          bytes, as `--json` prints them
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from nuncio.cli.problems import WrongUse
from nuncio.cli.values import from_json

_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"\S+")
# Inside of brackets a word also ends where JSON goes on.
_INNER_WORD: Final = re.compile(r"[^\s,:{}\[\]]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SINGLE: Final = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPED_QUOTE: Final = re.compile(r"""\\'|(")""")
_ATOMS: Final = {"true": True, "false": False, "null": None}
_DEEPEST: Final = 200


class TypingError(WrongUse):
    """What was typed cannot be read.

    Args:
        text: the line.
        position: where in it.
        reason: what is wrong there.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        shown, at = _around(text, position)
        super().__init__(reason, [shown, " " * at + "^"])
        self.position = position


def _around(text: str, position: int, width: int = 70) -> tuple[str, int]:
    """The part of a line that shows a position, and the position in it."""
    start = max(0, min(position - width // 2, len(text) - width))
    shown = "".join(c if c.isprintable() else " " for c in text[start : start + width])
    return shown, position - start


def read_file(path: str) -> bytes:
    """What `@path` stands for.

    Raises:
        WrongUse: when the file cannot be read.
    """
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise WrongUse(f"cannot read {path}: {error.strerror or error}") from error


class Reader:
    """Reads values off a line, from left to right.

    Args:
        text: the line.
        position: where to begin.
        files: gives the bytes of a file.
    """

    def __init__(
        self, text: str, position: int = 0, files: Callable[[str], bytes] = read_file
    ) -> None:
        self.text = text
        self.position = position
        self._files = files

    def at_end(self) -> bool:
        """Whether nothing follows but space."""
        self._skip()
        return self.position == len(self.text)

    def values(self) -> list[Any]:
        """All that follow, with space between them.

        Raises:
            TypingError: at what cannot be read.
            WrongUse: for a file that cannot be read.
        """
        found = []
        while not self.at_end():
            found.append(self.value())
        return found

    def value(self) -> Any:
        """The next one; see `values`."""
        self._skip()
        start = self.position
        value = self._value(_WORD, 0)
        if self.position < len(self.text) and not self.text[self.position].isspace():
            raise self._wrong("expected a space here")
        try:
            return from_json(value)
        except ValueError as error:
            raise TypingError(self.text, start, str(error)) from error

    def word(self) -> str:
        """The next word, or what stands in quotes, as text.

        Raises:
            TypingError: for a quote without its end.
        """
        self._skip()
        if self._next() in ('"', "'"):
            word = self._string()
            if self.position < len(self.text) and not self.text[self.position].isspace():
                raise self._wrong("expected a space here")
            return word
        return self._match(_WORD)

    def _value(self, word: re.Pattern[str], depth: int) -> Any:
        first = self._next()
        if depth > _DEEPEST:
            raise self._wrong(f"nested more than {_DEEPEST} levels deep")
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first in ('"', "'"):
            return self._string()
        if first == "@":
            return self._file(word)
        return _plain(self._match(word))

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        opened = self.position
        self.position += 1
        while not self._closed("}", opened):
            key = self._string() if self._next() in ('"', "'") else self._match(_INNER_WORD)
            self._skip()
            if self._next() != ":":
                raise self._wrong(f"expected a colon after the key {key!r}")
            self.position += 1
            self._skip()
            found[key] = self._value(_INNER_WORD, depth + 1)
            self._separated("}", opened)
        return found

    def _array(self, depth: int) -> list[Any]:
        found: list[Any] = []
        opened = self.position
        self.position += 1
        while not self._closed("]", opened):
            found.append(self._value(_INNER_WORD, depth + 1))
            self._separated("]", opened)
        return found

    def _closed(self, bracket: str, opened: int) -> bool:
        self._skip()
        if self.position == len(self.text):
            raise TypingError(self.text, opened, f"this has no closing {bracket!r}")
        if self._next() != bracket:
            return False
        self.position += 1
        return True

    def _separated(self, bracket: str, opened: int) -> None:
        self._skip()
        if self._next() == ",":
            self.position += 1
        elif self._next() not in (bracket, ""):
            raise self._wrong(f"expected a comma or {bracket!r}")

    def _string(self) -> str:
        start = self.position
        single = self._next() == "'"
        match = (_SINGLE if single else _QUOTED).match(self.text, start)
        if match is None:
            raise TypingError(self.text, start, "this quote has no end")
        self.position = match.end()
        return self._unescaped(match, start, single)

    def _unescaped(self, match: re.Match[str], start: int, single: bool) -> str:
        source = match[0]
        if single:
            # Turned into the JSON string that means the same.
            inner = _ESCAPED_QUOTE.sub(lambda found: '\\"' if found[1] else "'", match[1])
            source = f'"{inner}"'
        try:
            text = json.loads(source, strict=False)
        except ValueError as error:
            raise TypingError(self.text, start, f"in this string: {error}") from error
        assert isinstance(text, str)
        return text

    def _file(self, word: re.Pattern[str]) -> bytes:
        start = self.position
        self.position += 1
        quoted = self._next() in ('"', "'")
        path = self._string() if quoted else self._match(word, "a file's name after @")
        if not path:
            raise TypingError(self.text, start, "expected a file's name after @")
        return self._files(path)

    def _match(self, pattern: re.Pattern[str], what: str = "a value") -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise self._wrong(f"expected {what}")
        self.position = match.end()
        return match[0]

    def _next(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def _wrong(self, reason: str) -> TypingError:
        return TypingError(self.text, self.position, reason)


def _plain(word: str) -> Any:
    if word in _ATOMS:
        return _ATOMS[word]
    if _NUMBER.fullmatch(word):
        number = json.loads(word)
        # What JSON cannot hold was hardly meant as a number.
        return number if math.isfinite(number) else word
    return word
