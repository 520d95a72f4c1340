"""Whom an operation concerns, and how: what every adapter is given. [compiled]"""

from __future__ import annotations

from typing import Final

from nuncio.cluster.rooms import Room

_NOBODY: Final[frozenset[Room]] = frozenset()


class BroadcastOptions:
    """Recipients and flags of an operation on many sockets.

    An operator owns one until it is used; adapters treat it as unchangeable.

    Attributes:
        rooms: whose members are meant; empty for everybody in the namespace.
        excepted: whose members are not.
        volatile: those who are not ready to receive are left out.
        compress: whether transports may compress it.
        local: only the sockets of this server.
        promised: at-least-once delivery: recipients acknowledge it, or the application is told.
        timeout: seconds to wait for answers; 0 for none.
    """

    __slots__ = ("compress", "excepted", "local", "promised", "rooms", "timeout", "volatile")

    def __init__(
        self, rooms: frozenset[Room] = _NOBODY, excepted: frozenset[Room] = _NOBODY
    ) -> None:
        self.rooms = rooms
        self.excepted = excepted
        self.volatile = False
        self.compress = True
        self.local = False
        self.promised = False
        self.timeout = 0.0

    def copy(self) -> BroadcastOptions:
        """Another one with the same values."""
        options = BroadcastOptions(self.rooms, self.excepted)
        options.volatile = self.volatile
        options.compress = self.compress
        options.local = self.local
        options.promised = self.promised
        options.timeout = self.timeout
        return options
