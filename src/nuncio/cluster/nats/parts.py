"""Messages that are larger than NATS takes, in parts.

NATS takes a megabyte unless it is told otherwise, and what a server knows of all its sockets may be
more. What one server publishes on one subject arrives in order or not at all, so parts are simply
counted: a part that is not the next one of its message ends it. What is incomplete is bounded.
"""

from __future__ import annotations

import secrets
import struct
from typing import Final

from nuncio.errors import LimitExceeded, PacketError

# The first byte of a part; no message begins with it, for MessagePack does not use it.
MARK: Final = 0xC1

# The mark, the message's own id, the part's number, and how many there are.
_HEAD: Final = struct.Struct("!B8sII")

# The largest message, in how many parts, and how much may be incomplete.
MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_PARTS: Final = 4096
_MOST_OPEN: Final = 64
_MOST_OPEN_BYTES: Final = 2 * MOST_BYTES


def split(data: bytes, most: int) -> list[bytes]:
    """A message as parts of at most so many bytes.

    Raises:
        LimitExceeded: when it is too large even so.
    """
    size = most - _HEAD.size
    count = -(-len(data) // size)
    if len(data) > MOST_BYTES or count > _MOST_PARTS:
        raise LimitExceeded(
            f"a message of {len(data)} bytes is more than goes over NATS, even in parts: that is"
            f" {min(MOST_BYTES, size * _MOST_PARTS)}"
        )
    id = secrets.token_bytes(8)
    return [
        _HEAD.pack(MARK, id, number, count) + data[number * size : (number + 1) * size]
        for number in range(count)
    ]


class _Open:
    """A message of which not all parts have come."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0


class Parts:
    """Messages of which not all parts have come, the oldest first."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Open] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def take(self, part: bytes) -> bytes | None:
        """Take a part.

        Returns:
            The message, once this was its last part.

        Raises:
            PacketError: when it belongs to no message.
        """
        try:
            _, id, number, count = _HEAD.unpack_from(part)
        except struct.error as error:
            raise PacketError("a part without its head") from error
        found = self._forget(id)
        if found is None:
            if number != 0:
                raise PacketError("a part of a message whose beginning is not known")
            found = _Open()
        elif number != len(found.parts):
            raise PacketError("a part of a message is missing")
        found.parts.append(part[_HEAD.size :])
        found.size += len(part)
        if found.size > MOST_BYTES + _MOST_PARTS * _HEAD.size or number >= _MOST_PARTS:
            raise PacketError("a message in parts that is too large")
        if number + 1 >= count:
            return b"".join(found.parts)
        # It has been heard of last, and so stands last.
        self._open[id] = found
        self._bytes += found.size
        while len(self._open) > _MOST_OPEN or self._bytes > _MOST_OPEN_BYTES:
            self._forget(next(iter(self._open)))
        return None

    def _forget(self, id: bytes) -> _Open | None:
        found = self._open.pop(id, None)
        if found is not None:
            self._bytes -= found.size
        return found
