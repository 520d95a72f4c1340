"""Sessions whose packets are counted. [compiled]

An engine makes sessions of these kinds only where somebody wants to know; see `Engine.meter`. So
nobody else pays for the counting.
"""

from __future__ import annotations

from typing import Any, Final, final

from nuncio.engine.request import Request
from nuncio.engine.sent import Sent
from nuncio.engine.session import CLOSED, OPEN, Session
from nuncio.engine.session3 import Session3
from nuncio.engine.settings import SessionConfig
from nuncio.engine.transport import Transport
from nuncio.protocol.engineio import MESSAGE, Message

_TYPE_DIGIT: Final = 1


@final
class Traffic:
    """What went through an engine's sessions since it was last cleared.

    Messages count, with their attachments each for itself, but no packets of the heartbeat; bytes
    are those of a message without its type digit, before compression.

    Attributes:
        opened: sessions.
        closed: sessions, by their reason.
        packets_in: received messages.
        bytes_in: their size.
        packets_out: sent messages, those among them that wait in a buffer.
        bytes_out: their size.
    """

    __slots__ = ("bytes_in", "bytes_out", "closed", "opened", "packets_in", "packets_out")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.closed: dict[str, int] = {}
        self.opened = 0
        self.packets_in = 0
        self.bytes_in = 0
        self.packets_out = 0
        self.bytes_out = 0

    def ended(self, reason: str) -> None:
        """A session has ended."""
        self.closed[reason] = self.closed.get(reason, 0) + 1

    def received(self, data: bytes) -> None:
        """A text packet came."""
        if data and data[0] == MESSAGE:
            self.packets_in += 1
            self.bytes_in += len(data) - _TYPE_DIGIT

    def received_binary(self, data: bytes) -> None:
        """A binary message came."""
        self.packets_in += 1
        self.bytes_in += len(data)

    def sent(self, message: Message) -> None:
        """A message goes out."""
        if message.text is not None:
            self.packets_out += 1
            self.bytes_out -= _TYPE_DIGIT
        if message.attachments is not None:
            self.packets_out += len(message.attachments)
        self.bytes_out += message.size


class MeteredSession(Session):
    """A session whose packets are counted in its engine's `traffic`."""

    __slots__ = ("_traffic",)

    def __init__(
        self, engine: Any, config: SessionConfig, id: str, transport: Transport, request: Request
    ) -> None:
        super().__init__(engine, config, id, transport, request)
        traffic: Traffic = engine.traffic
        self._traffic = traffic
        traffic.opened += 1

    def push(self, message: Message, volatile: bool = False) -> Sent:
        """See `Session.push`."""
        dropped = self.dropped
        state = self._state
        sent = super().push(message, volatile)
        if state == OPEN and self.dropped == dropped:
            self._traffic.sent(message)
        return sent

    def text(self, transport: Transport, data: bytes) -> None:
        """See `Session.text`."""
        self._traffic.received(data)
        super().text(transport, data)

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `Session.binary`."""
        self._traffic.received_binary(data)
        super().binary(transport, data)

    def _finish(self, reason: str, description: str) -> None:
        if self._state != CLOSED:
            self._traffic.ended(reason)
        super()._finish(reason, description)


class MeteredSession3(Session3):
    """The same for revision 3."""

    __slots__ = ("_traffic",)

    def __init__(
        self, engine: Any, config: SessionConfig, id: str, transport: Transport, request: Request
    ) -> None:
        super().__init__(engine, config, id, transport, request)
        traffic: Traffic = engine.traffic
        self._traffic = traffic
        traffic.opened += 1

    def push(self, message: Message, volatile: bool = False) -> Sent:
        """See `Session.push`."""
        dropped = self.dropped
        state = self._state
        sent = super().push(message, volatile)
        if state == OPEN and self.dropped == dropped:
            self._traffic.sent(message)
        return sent

    def text(self, transport: Transport, data: bytes) -> None:
        """See `Session.text`."""
        self._traffic.received(data)
        super().text(transport, data)

    def binary(self, transport: Transport, data: bytes) -> None:
        """See `Session.binary`."""
        self._traffic.received_binary(data)
        super().binary(transport, data)

    def _finish(self, reason: str, description: str) -> None:
        if self._state != CLOSED:
            self._traffic.ended(reason)
        super()._finish(reason, description)
