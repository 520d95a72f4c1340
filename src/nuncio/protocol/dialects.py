"""How packets stand in WebSocket frames, where that is not revision 4's plain way. [compiled]

Revision 3 puts a type byte in front of binary messages. A client of either revision that cannot
read binary frames says so with `b64` in its handshake, and gets text instead.
"""

from __future__ import annotations

from typing import Final

from nuncio.protocol import engineio, engineio3
from nuncio.protocol.engineio import Message
from nuncio.protocol.frames import BINARY, TEXT, encode

# Where messages keep their frames; below are the payloads of `engineio3`.
_FIRST_KEPT: Final = 2


class Dialect:
    """One way to write frames.

    Args:
        revision: of the Engine.IO protocol, 3 or 4.
        text_only: whether the client reads no binary frames.

    Attributes:
        revision: of the Engine.IO protocol.
    """

    __slots__ = ("_kept", "_text_only", "revision")

    def __init__(self, revision: int, text_only: bool) -> None:
        self.revision = revision
        self._text_only = text_only
        self._kept = _FIRST_KEPT + 2 * (revision - 3) + (1 if text_only else 0)

    def packets(self, message: Message) -> list[tuple[int, bytes]]:
        """What a message's frames hold, each with its opcode."""
        packets: list[tuple[int, bytes]] = []
        if message.text is not None:
            packets.append((TEXT, message.text))
        if message.attachments is not None:
            for attachment in message.attachments:
                packets.append(self._binary(attachment))
        return packets

    def _binary(self, data: bytes) -> tuple[int, bytes]:
        if self.revision == 3:
            if self._text_only:
                return (TEXT, engineio3.encode_base64(data))
            return (BINARY, engineio3.encode_binary(data))
        return (TEXT, engineio.encode_binary(data)) if self._text_only else (BINARY, data)

    def frames(self, message: Message) -> bytes:
        """A message's frames, the same bytes for every recipient of this dialect."""
        frames = message.kept(self._kept)
        if frames is None:
            frames = b"".join([encode(opcode, data) for opcode, data in self.packets(message)])
            message.keep(self._kept, frames)
        return frames


V3: Final = Dialect(3, False)
V3_TEXT: Final = Dialect(3, True)
V4_TEXT: Final = Dialect(4, True)


def dialect_of(revision: int, text_only: bool) -> Dialect | None:
    """The dialect of a client; None for revision 4's plain way."""
    if revision == 3:
        return V3_TEXT if text_only else V3
    return V4_TEXT if text_only else None
