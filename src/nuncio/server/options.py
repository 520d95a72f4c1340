"""The options of a Socket.IO server that the engine does not know."""

from __future__ import annotations

from dataclasses import dataclass

from nuncio.options import seconds, whole


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a Socket.IO server, beside those of `EngineOptions`.

    Attributes:
        connect_timeout: seconds a client has to join a namespace.
        concurrency: how many handlers of one socket may run at once; 1 makes them strictly serial.
    """

    connect_timeout: float = 45.0
    concurrency: int = 64

    def __post_init__(self) -> None:
        seconds("connect_timeout", self.connect_timeout)
        whole("concurrency", self.concurrency)
