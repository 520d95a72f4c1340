"""What servers tell each other about who is there: plain data, in one event of `server_side_emit`.

Every server numbers what it tells. Who has missed something asks for all of it. A server of another
kind in the cluster has no handler of this name, and is not disturbed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nuncio.presence.roll import Key, Room

EVENT: Final = "nuncio:presence"


class Told(msgspec.Struct, omit_defaults=True):
    """One message.

    Attributes:
        server: who tells.
        version: the number of the last change that it has told.
        joins: who came: room, key, socket, meta.
        leaves: who left: room, key, socket.
        state: everybody there is, in place of all before.
        ask: whose state is wanted; `*` for everybody's.
        bye: whether the server ends.
    """

    server: str
    version: int
    joins: list[tuple[Room, Key, str, Any]] = []
    leaves: list[tuple[Room, Key, str]] = []
    state: list[tuple[Room, Key, str, Any]] | None = None
    ask: str = ""
    bye: bool = False
