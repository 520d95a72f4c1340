"""The attempt of a client to move its session to another transport. [compiled]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nuncio.engine.settings import SessionConfig
from nuncio.engine.transport import PacketSink, Transport
from nuncio.protocol.engineio import PROBE_PING, PROBE_PONG, UPGRADE, Message

if TYPE_CHECKING:
    from nuncio.engine.session import Session

# How often polls are let go while a client moves to another transport.
RELEASE_SECONDS: Final = 0.05

_PROBE_PONG: Final = Message(PROBE_PONG, control=True)


class Probe(PacketSink):
    """The sink of a transport that a client tries while its session goes on over another.

    The dance: `2probe` is answered by `3probe`; a waiting poll is let go, at once and then every
    50 ms, for the client leaves long-polling when none is under way; `5` moves the session.
    Anything else, or silence, ends the attempt and leaves the session as it is.

    Attributes:
        transport: what the client tries.
    """

    __slots__ = ("_config", "_limit", "_session", "transport")

    def __init__(self, session: Session, transport: Transport, config: SessionConfig) -> None:
        super().__init__()
        self._session: Session | None = session
        self.transport = transport
        self._config = config
        transport.sink = self
        self._limit = config.wheel.now() + config.upgrade_timeout
        config.wheel.arm(self, config.upgrade_timeout)

    def text(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.text`."""
        session = self._session
        if session is None:
            return
        if self._config.wheel.now() >= self._limit:
            # Probing again and again is no way to stay.
            self._fail()
        elif data == PROBE_PING:
            transport.send(_PROBE_PONG)
            session.probed(transport)
            # The answer must not arrive after the client has begun its next poll.
            transport.flush()
            session.transport.release()
            self._config.wheel.arm(self, RELEASE_SECONDS)
        elif data and data[0] == UPGRADE:
            self._session = None
            self._config.wheel.cancel(self)
            session.move_to(transport)
        else:
            self._fail()

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `PacketSink.binary`."""
        self._fail()

    def drained(self, transport: Transport) -> None:
        """See `PacketSink.drained`."""

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """See `PacketSink.ended`."""
        self._fail()

    def host_stopping(self) -> None:
        """See `PacketSink.host_stopping`."""
        session = self._session
        if session is not None:
            session.host_stopping()

    def expire(self, now: float) -> None:
        """The wheel: let polls go, or give up."""
        session = self._session
        if session is None:
            return
        if now >= self._limit:
            self._fail()
        else:
            session.transport.release()
            self._config.wheel.arm(self, RELEASE_SECONDS)

    def cancel(self) -> None:
        """The session ended meanwhile."""
        self._session = None
        self._config.wheel.cancel(self)
        self.transport.discard()

    def _fail(self) -> None:
        session = self._session
        if session is not None:
            session.probe_ended()
            self.cancel()
