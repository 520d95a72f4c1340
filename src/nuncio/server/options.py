"""The options of a Socket.IO server that the engine does not know."""

from __future__ import annotations

from dataclasses import dataclass, field

from nuncio.errors import OptionError
from nuncio.options import seconds, whole
from nuncio.protocol.parser import JSONParser, Parser


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a Socket.IO server, beside those of `EngineOptions`.

    Attributes:
        connect_timeout: seconds a client has to join a namespace.
        parser: how packets are written: `JSONParser`, `MsgPackParser`, or one of your own. All
            clients must use the same.
        concurrency: how many handlers of one socket may run at once; 1 makes them strictly serial.
    """

    connect_timeout: float = 45.0
    concurrency: int = 64
    parser: Parser = field(default_factory=JSONParser)

    def __post_init__(self) -> None:
        seconds("connect_timeout", self.connect_timeout)
        whole("concurrency", self.concurrency)
        if not isinstance(self.parser, Parser):
            raise OptionError(
                "parser must be an object whose class derives from nuncio.Parser, "
                f"not {self.parser!r}"
            )
