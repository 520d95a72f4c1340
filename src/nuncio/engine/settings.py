"""What all sessions of an engine share. [compiled]"""

from __future__ import annotations

from asyncio import AbstractEventLoop

from nuncio.engine.counters import Counters
from nuncio.engine.transport import Flusher
from nuncio.engine.wheel import TimerWheel


class SessionConfig:
    """What all sessions of an engine share."""

    __slots__ = (
        "counters",
        "droppable_bytes",
        "flusher",
        "loop",
        "outgoing_bytes",
        "ping_interval",
        "ping_timeout",
        "upgrade_timeout",
        "wheel",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        wheel: TimerWheel,
        flusher: Flusher,
        ping_interval: float,
        ping_timeout: float,
        upgrade_timeout: float,
        outgoing_bytes: int,
        droppable_bytes: int,
        counters: Counters,
    ) -> None:
        self.loop = loop
        self.wheel = wheel
        self.flusher = flusher
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.upgrade_timeout = upgrade_timeout
        self.outgoing_bytes = outgoing_bytes
        self.droppable_bytes = droppable_bytes
        self.counters = counters
