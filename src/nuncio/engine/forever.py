"""Packets as scripts of a document that never ends: the forever frame. [compiled]

A hidden frame loads the document, and each of its scripts calls one function of the page around it.
What is in the scripts is escaped so that it can end neither its string nor its script; a nonce
lets no other script run; and the function is chosen by a number, never by a name from the request.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nuncio.engine.framing import END_PACKET, PADDING, PASS_ON, Framing
from nuncio.protocol.engineio import NOOP_PACKET, Message

# Where messages keep their form; below are `engineio3`, `dialects` and `bytestream`.
_KEPT: Final = 7

# The record separator, as a string of JavaScript has it.
_SEPARATOR: Final = b"\\u001e"

_HEAD: Final = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"><title></title><script nonce="{nonce}">'
    "function p(n,d){{var s=document.currentScript,f=parent.__nuncio;s.parentNode.removeChild(s);"
    "f&&(f=f[{key}])&&f(n,d)}}"
    "</script></head><body><!--{padding}-->\n"
)


class ForeverFraming(Framing):
    """The scripts of one document.

    Args:
        key: which function of `parent.__nuncio` is called.
        nonce: what the scripts are known by; unguessable, and new for each document.
        beat_seconds: between heartbeats, which the client is told.
    """

    __slots__ = ("_before",)

    def __init__(self, key: int, nonce: str, beat_seconds: float) -> None:
        before = f'<script nonce="{nonce}">p('.encode()
        policy = f"default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors 'self'"
        settings = str(round(beat_seconds * 1000)).encode()
        head = _HEAD.format(nonce=nonce, key=key, padding=" " * PADDING * 2).encode()
        noop = _call(before, b"0", NOOP_PACKET)
        super().__init__(
            [
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Security-Policy", policy),
                ("X-Frame-Options", "SAMEORIGIN"),
                ("Referrer-Policy", "no-referrer"),
                *PASS_ON,
            ],
            head + _call(before, b"-1", settings),
            noop,
            noop,
            _call(before, b"0", END_PACKET),
        )
        self._before = before

    def packets(self, messages: list[Message], last: int) -> bytes:
        """See `Framing.packets`."""
        if len(messages) == 1:
            payload = escaped(messages[0])
        else:
            payload = _SEPARATOR.join([escaped(message) for message in messages])
        return _call(self._before, str(last).encode(), payload)


def _call(before: bytes, number: bytes, payload: bytes) -> bytes:
    return before + number + b',"' + payload + b'")</script>\n'


def escaped(message: Message) -> bytes:
    """A message's payload as it stands between the quotes, the same for every recipient."""
    data = message.kept(_KEPT)
    if data is None:
        text = message.payload().decode("utf-8", "replace")
        data = msgspec.json.encode(text)[1:-1].replace(b"<", b"\\u003c")
        # Line ends to older JavaScript, which no string may hold.
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
        message.keep(_KEPT, data)
    return data
