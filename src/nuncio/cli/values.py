"""Values of events as plain JSON, and back: for `--json`, for recordings, and for what is typed.

JSON has no bytes, no dates and no NaN. They are objects with a single key:

    {"$bytes": "aGk="}  {"$date": "2026-01-31T12:00:00+00:00"}  {"$number": "NaN"}

An object of the application's that looks like one of these gets one more `$` before its key, which
is taken away again, so every value comes back as it was.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from datetime import datetime
from typing import Any, Final

BYTES: Final = "$bytes"
DATE: Final = "$date"
NUMBER: Final = "$number"

_MARKS: Final = re.compile(r"\$+(?:bytes|date|number)")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Any) -> Any:
    """A value with nothing in it that JSON does not know."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {NUMBER: _name(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {BYTES: base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {DATE: value.isoformat()}
    if isinstance(value, dict):
        return _escaped({str(key): to_json(item) for key, item in value.items()}, value)
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return str(value)


def _name(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _escaped(plain: dict[str, Any], value: dict[Any, Any]) -> dict[str, Any]:
    if len(plain) == 1:
        key = next(iter(plain))
        if _MARKS.fullmatch(key):
            return {"$" + key: plain[key]}
    return plain


def from_json(value: Any) -> Any:
    """The value that `to_json` was given.

    Raises:
        ValueError: for a mark with something behind it that it does not stand for.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        key, item = next(iter(value.items()))
        if _MARKS.fullmatch(key):
            return {key[1:]: from_json(item)} if key[1] == "$" else _special(key, item)
    return {key: from_json(item) for key, item in value.items()}


def _special(mark: str, text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError(f"{mark} needs a string, not {text!r}")
    if mark == BYTES:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"{mark} needs Base64, not {text!r}: {error}") from error
    if mark == DATE:
        return datetime.fromisoformat(text)
    if text not in _NUMBERS:
        raise ValueError(f"{mark} is one of {', '.join(_NUMBERS)}, not {text!r}")
    return _NUMBERS[text]


def dump(value: Any) -> str:
    """A line of JSON, of a value that is plain already.

    Halves of surrogate pairs, which JavaScript's strings may hold and UTF-8 cannot, are escaped.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
