"""What one client was promised and has not acknowledged yet. [compiled]

The outbox of at-least-once delivery belongs to a client's session: it outlives its connection.
"""

from __future__ import annotations

from typing import Any, Final

from nuncio.protocol.engineio import Message

# Bookkeeping of one event, counted beside its bytes.
ENTRY_OVERHEAD: Final = 200

# Why a promised event is not delivered, where it is not the client's leaving.
OVERFLOW: Final = "too many unacknowledged events"
NOT_CONNECTED: Final = "not connected"
NOT_RECOVERED: Final = "the client did not come back"
FORGOTTEN: Final = "the client came back, but what it missed is no longer known"
CROWDED_OUT: Final = "too many clients are away"


class _Promise:
    """One event of the outbox."""

    __slots__ = ("message", "number", "payload")

    def __init__(self, number: int, message: Message, payload: list[Any]) -> None:
        self.number = number
        self.message = message
        self.payload = payload


class Outbox:
    """Promised events by their acknowledgements' ids, in the order in which they were emitted.

    Args:
        max_events: how many there may be.
        max_bytes: how many bytes they may have together.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_events", "_promises")

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._promises: dict[int, _Promise] = {}

    def __len__(self) -> int:
        return len(self._promises)

    def add(self, id: int, number: int, message: Message, payload: list[Any]) -> bool:
        """Keep an event until it is acknowledged.

        Args:
            id: of the acknowledgement.
            number: the event's number in the log.
            message: as it is sent.
            payload: its name, its arguments and its offset.

        Returns:
            False when there is no room for it.
        """
        size = message.size + ENTRY_OVERHEAD
        if len(self._promises) >= self._max_events or self._bytes + size > self._max_bytes:
            return False
        self._bytes += size
        self._promises[id] = _Promise(number, message, payload)
        return True

    def acknowledge(self, id: int) -> None:
        """The client has it; what is unknown or came before is ignored."""
        promise = self._promises.pop(id, None)
        if promise is not None:
            self._bytes -= promise.message.size + ENTRY_OVERHEAD

    def unacknowledged(self) -> list[tuple[int, Message]]:
        """What is to be sent again, with its numbers, in order."""
        return [(promise.number, promise.message) for promise in self._promises.values()]

    def payloads(self) -> list[list[Any]]:
        """The names, arguments and offsets of what is not acknowledged."""
        return [promise.payload for promise in self._promises.values()]

    def promises(self) -> list[tuple[int, int, bool, list[Any]]]:
        """All of it, to be told to another server.

        Returns:
            Of each event the acknowledgement's id, its number, whether it may be compressed, and
            its name, arguments and offset.
        """
        return [
            (id, promise.number, promise.message.compress, promise.payload)
            for id, promise in self._promises.items()
        ]
