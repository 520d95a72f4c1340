"""Sessions of revision 3, in which the client pings and the server answers. [compiled]"""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.request import Request
from nuncio.engine.session import MOST_OVERDUE, PING_TIMEOUT, Session
from nuncio.engine.settings import SessionConfig
from nuncio.engine.transport import Transport
from nuncio.engine.wheel import TICK
from nuncio.errors import PacketError
from nuncio.protocol.engineio import PONG_PACKET, Message
from nuncio.protocol.engineio3 import MESSAGE_BYTE, as_text, decode_base64

_PONG: Final = Message(PONG_PACKET, control=True)


class Session3(Session):
    """One peer that speaks revision 3 of the Engine.IO protocol."""

    __slots__ = ()

    def __init__(
        self, engine: Any, config: SessionConfig, id: str, transport: Transport, request: Request
    ) -> None:
        super().__init__(engine, config, id, transport, request)
        self.protocol = 3

    def _begin_heartbeat(self) -> None:
        config = self._config
        self._overdue = 0
        # The wheel is late by up to a tick, and silence ends a session after the two together.
        patience = config.ping_interval + config.ping_timeout - TICK
        config.wheel.arm(self, max(patience, TICK))

    def _ping(self) -> None:
        # Whatever else the ping holds is not given back.
        self.push_control(_PONG)
        if self.ready_state != "closed":
            self._begin_heartbeat()
            if self._events is not None:
                self._events.emit("heartbeat")

    def _pong(self) -> None:
        self._wrong_heartbeat()

    def expire(self, now: float) -> None:
        """The wheel: no ping came."""
        if not self._reading and self._overdue < MOST_OVERDUE:
            # It may be waiting behind what we ourselves refuse to read.
            self._overdue += 1
            self._config.wheel.arm(self, self._config.ping_timeout)
        else:
            self._abort_transport(PING_TIMEOUT, "")

    def _binary_text(self, transport: Transport, data: bytes) -> None:
        try:
            packet = decode_base64(data)
        except PacketError:
            self._parse_error()
            return
        if packet[0] == MESSAGE_BYTE:
            self.binary(transport, packet[1:])
        else:
            self.text(transport, as_text(packet))
