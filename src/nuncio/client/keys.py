"""Keys for the frames that a client sends. [compiled]

Each is fresh and nobody can predict it (RFC 6455, section 5.3). The operating system is asked for
many at a time, since asking costs as much as all else that a short frame takes.
"""

from __future__ import annotations

import os
from typing import Final, final

_SIZE: Final = 4
_BLOCK: Final = 4096

_urandom: Final = os.urandom


@final
class Keys:
    """Hands out keys; one for all connections of a loop."""

    __slots__ = ("_block", "_position")

    def __init__(self) -> None:
        self._block = b""
        self._position = 0

    def next(self) -> bytes:
        """Four random bytes that were never given before."""
        start = self._position
        end = start + _SIZE
        if end > len(self._block):
            self._block = _urandom(_BLOCK)
            start, end = 0, _SIZE
        self._position = end
        return self._block[start:end]
