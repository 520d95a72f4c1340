"""Whom an operation concerns, and how: what every adapter is given. [compiled]"""

from __future__ import annotations

from typing import Any, Final

from nuncio.cluster.rooms import Room
from nuncio.slow import SlowConsumer

# No rooms.
NOBODY: Final[frozenset[Room]] = frozenset()


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
        single: it is an operation on one socket of another server, which servers tell each other.
        timeout: seconds to wait for answers; 0 for none.
        slow: what becomes of it for those who are behind; None when they are disconnected once too
            much waits for them.
        reason: what clients are told who are disconnected; None to tell them nothing.
        data: plain data that goes with the reason.
    """

    __slots__ = (
        "compress",
        "data",
        "excepted",
        "local",
        "promised",
        "reason",
        "rooms",
        "single",
        "slow",
        "timeout",
        "volatile",
    )

    def __init__(self, rooms: frozenset[Room] = NOBODY, excepted: frozenset[Room] = NOBODY) -> None:
        self.rooms = rooms
        self.excepted = excepted
        self.volatile = False
        self.compress = True
        self.local = False
        self.promised = False
        self.single = False
        self.timeout = 0.0
        self.slow: SlowConsumer | None = None
        self.reason: str | None = None
        self.data: Any = None

    def copy(self) -> BroadcastOptions:
        """Another one with the same values."""
        options = BroadcastOptions(self.rooms, self.excepted)
        options.volatile = self.volatile
        options.compress = self.compress
        options.local = self.local
        options.promised = self.promised
        options.single = self.single
        options.timeout = self.timeout
        options.slow = self.slow
        options.reason = self.reason
        options.data = self.data
        return options
