"""JSONP: long-polling for pages that can load scripts and nothing else. [compiled]

A poll's answer is a script that calls a function with the payload; what the client sends comes as a
form (Engine.IO protocol, "JSONP polling").
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from nuncio.protocol.json import dumps

_NOT_A_DIGIT: Final = re.compile(r"[^0-9]")
_NEWLINE: Final = re.compile(rb"(\\)?\\n")
_FIELD: Final = b"d="

MAX_FIELDS: Final = 16

# More digits than any page has polls.
MAX_DIGITS: Final = 20


def callback_of(index: str) -> bytes:
    """The function that an answer calls, from the `j` of a request; never more than digits."""
    return b"___eio[" + _NOT_A_DIGIT.sub("", index)[:MAX_DIGITS].encode() + b"]"


def wrap(callback: bytes, payload: bytes) -> bytes:
    """A payload as a script."""
    literal = dumps(payload.decode("utf-8", "replace"))
    # Line ends in JavaScript of old, though not in JSON.
    literal = literal.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return callback + b"(" + literal + b");"


def unwrap(body: bytes) -> bytes | None:
    """The payload in a form; None when there is none."""
    for field in body.split(b"&", MAX_FIELDS)[:MAX_FIELDS]:
        if field.startswith(_FIELD):
            data = unquote_to_bytes(field[len(_FIELD) :].replace(b"+", b" "))
            # Forms turn newlines into others, so clients write them with a backslash.
            return _NEWLINE.sub(_newline, data)
    return None


def _newline(match: re.Match[bytes]) -> bytes:
    return b"\n" if match.group(1) is None else b"\\n"
