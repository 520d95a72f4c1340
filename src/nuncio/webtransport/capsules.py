"""Capsules on the stream of a WebTransport session (RFC 9297, section 3.2).

Only one is of interest: it ends the session and says why (draft-ietf-webtrans-http3, "Session
Termination"). All others are passed over, however long they say they are.
"""

from __future__ import annotations

from typing import Final

CLOSE: Final = 0x2843

# A code of four bytes, and so much text at most.
MOST_REASON: Final = 1024


def write_int(value: int) -> bytes:
    """An integer of variable length (RFC 9000, section 16)."""
    if value < 1 << 6:
        return value.to_bytes(1, "big")
    if value < 1 << 14:
        return (value | 1 << 14).to_bytes(2, "big")
    if value < 1 << 30:
        return (value | 2 << 30).to_bytes(4, "big")
    return (value | 3 << 62).to_bytes(8, "big")


def read_int(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Such an integer and where it ends; None when it is not complete."""
    if at >= len(data):
        return None
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return None
    value = int.from_bytes(data[at : at + size], "big") & ((1 << (size * 8 - 2)) - 1)
    return value, at + size


def close_capsule(code: int, reason: str) -> bytes:
    """The capsule that ends a session."""
    words = reason.encode()[:MOST_REASON].decode("utf-8", "ignore").encode()
    body = code.to_bytes(4, "big") + words
    return write_int(CLOSE) + write_int(len(body)) + body


class CapsuleReader:
    """Finds the capsule that ends a session.

    Attributes:
        closed: its code and reason, once it has come.
    """

    __slots__ = ("_rest", "_skip", "closed")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skip = 0
        self.closed: tuple[int, str] | None = None

    def feed(self, data: bytes) -> None:
        """Take what arrived; what follows the end is not looked at."""
        rest = self._rest
        rest += data
        while self.closed is None:
            if self._skip:
                passed = min(self._skip, len(rest))
                del rest[:passed]
                self._skip -= passed
                if self._skip:
                    return
            kind = read_int(rest, 0)
            size = None if kind is None else read_int(rest, kind[1])
            if kind is None or size is None:
                return
            length, start = size
            if kind[0] != CLOSE or not 4 <= length <= 4 + MOST_REASON:
                del rest[:start]
                self._skip = length
                continue
            if len(rest) < start + length:
                return
            body = bytes(rest[start : start + length])
            self.closed = (int.from_bytes(body[:4], "big"), body[4:].decode("utf-8", "replace"))
        rest.clear()
