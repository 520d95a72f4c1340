"""Offsets: what servers that recover clients put behind the arguments of an event.

A handler may have a parameter for it, as in JavaScript. But one that has a parameter with a default
means an argument that the server may leave out, and shall not be given an offset there. Events that
cannot be recovered have none, and nothing says so. So an offset is known by what it looks like.
"""

from __future__ import annotations

import re
import time
from typing import Final

from nuncio.handlers.handler import Handler

# Of our servers; of streams of Redis and JetStream, and of MongoDB, the latter with what was given
# before these had it.
_FORM: Final = re.compile(
    r"[A-Za-z0-9_-]{8}\.[0-9]{1,18}"
    r"|(?:[0-9]{1,18}-[0-9]{1,18}|[0-9a-f]{24})(?:\+[0-9a-f]{1,32}\.[0-9]{1,18})?"
)

# Of Node's servers: when it was made, in milliseconds, and what tells those of the same one apart.
_MOMENT: Final = re.compile(r"([0-9A-Za-z_-]{7})(?:\.[0-9A-Za-z_-]{1,6})?")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"

# Clocks differ, but not by more seconds than this.
_NEAR: Final = 86_400.0


def is_offset(text: str) -> bool:
    """Whether a text looks like an offset."""
    if _FORM.fullmatch(text):
        return True
    moment = _MOMENT.fullmatch(text)
    if moment is None:
        return False
    milliseconds = 0
    for digit in moment[1]:
        milliseconds = milliseconds * len(_DIGITS) + _DIGITS.index(digit)
    return abs(milliseconds / 1000 - time.time()) < _NEAR


def is_mistaken(index: int, handlers: list[Handler] | None) -> bool:
    """Whether an offset would be given to a parameter with a default.

    Args:
        index: where among the event's arguments it stands.
        handlers: the event's; where one of them needs so many arguments, it is no mistake.
    """
    found = False
    for handler in handlers or ():
        if index < handler.least:
            return False
        found = found or index < len(handler.defaults)
    return found
