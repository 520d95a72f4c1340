"""The layer above a session where there is none: the events of a stand-alone engine's sessions."""

from __future__ import annotations

from nuncio.engine.listener import Listener
from nuncio.engine.session import Session


class EventListener(Listener):
    """Turns what arrives into `message` events; the session itself emits `close`.

    Args:
        session: whose events they are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def text(self, data: bytes) -> None:
        """See `Listener.text`."""
        self._session.events.emit("message", data[1:].decode("utf-8", "replace"))

    def binary(self, data: bytes) -> None:
        """See `Listener.binary`."""
        self._session.events.emit("message", data)

    def closed(self, reason: str, description: str) -> None:
        """See `Listener.closed`."""
