"""An event on its way through the log, and to whom it was said."""

from __future__ import annotations

import asyncio
from typing import Any

from nuncio.cluster.options import BroadcastOptions
from nuncio.engine.sent import SentLater


class Pending:
    """An event of this server on its way through the log, or one of another that arrived.

    Args:
        number: its number at this server; 0 for those of others.
        payload: its name and arguments.
        options: to whom and how.
        sockets: who was meant when it was emitted.
    """

    __slots__ = ("number", "options", "payload", "sent", "sockets", "timer")

    def __init__(
        self, number: int, payload: list[Any], options: BroadcastOptions, sockets: list[Any]
    ) -> None:
        self.number = number
        self.payload = payload
        self.options = options
        self.sockets = sockets
        self.sent = SentLater()
        self.timer: asyncio.TimerHandle | None = None
