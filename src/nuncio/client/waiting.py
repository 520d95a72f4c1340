"""Events that wait for a connection: the send buffer of one socket. [compiled]

It is bounded by number and by bytes. What becomes of more is the application's choice, in the words
of `nuncio.slow`.
"""

from __future__ import annotations

from typing import Any, Final, final

from nuncio.errors import LimitExceeded
from nuncio.protocol.engineio import Message
from nuncio.slow import BLOCK, CONFLATE, DROP_NEWEST, SlowConsumer

# Bookkeeping of one message, counted beside its bytes so that many tiny ones are bounded.
MESSAGE_OVERHEAD: Final = 100


@final
class Waiting:
    """One event that waits.

    Attributes:
        message: as it will be sent.
        payload: its name and arguments, for those who watch what leaves.
        id: the acknowledgement's, or -1.
        key: events of the same key replace each other; None for none.
    """

    __slots__ = ("id", "key", "message", "payload")

    def __init__(self, message: Message, payload: list[Any], id: int, key: object) -> None:
        self.message = message
        self.payload = payload
        self.id = id
        self.key = key


@final
class SendBuffer:
    """What one socket sends once it is connected.

    Args:
        nsp: its namespace.
        policy: what becomes of more than fits.
        most: how many events may wait.
        most_bytes: their size together.
    """

    __slots__ = (
        "_bytes",
        "_events",
        "_keys",
        "_most",
        "_most_bytes",
        "_nsp",
        "_number",
        "_numbers",
        "_policy",
    )

    def __init__(self, nsp: str, policy: SlowConsumer, most: int, most_bytes: int) -> None:
        self._nsp = nsp
        self._policy = policy
        self._most = most
        self._most_bytes = most_bytes
        # By a number that grows, so that one in the middle can go.
        self._events: dict[int, Waiting] = {}
        self._number = 0
        # Where the event of an acknowledgement is, and that of a key.
        self._numbers: dict[int, int] = {}
        self._keys: dict[object, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def add(self, message: Message, payload: list[Any], id: int) -> list[int]:
        """Let an event wait.

        Returns:
            the ids of acknowledgements that will not come, since their events were dropped.

        Raises:
            LimitExceeded: when there is no room, and the policy is to tell.
        """
        policy = self._policy
        lost: list[int] = []
        key: object = None
        if policy.kind == CONFLATE:
            key = policy.of_event(self._nsp, payload).key
            if self._replace(message, payload, id, key, lost):
                return lost
        size = message.size + MESSAGE_OVERHEAD
        while self._events and (
            len(self._events) >= self._most or self._bytes + size > self._most_bytes
        ):
            if policy.kind == BLOCK:
                raise LimitExceeded(
                    f"{len(self._events)} events, {self._bytes} bytes, wait for a connection; "
                    "wait until socket.connected, choose another policy with buffer=…, or raise "
                    "ClientLimits(buffered_events=…, buffered_bytes=…)"
                )
            if policy.kind == DROP_NEWEST:
                lost.append(id)
                return lost
            lost.append(self._drop(next(iter(self._events))).id)
        self._number += 1
        self._events[self._number] = Waiting(message, payload, id, key)
        self._bytes += size
        if id >= 0:
            self._numbers[id] = self._number
        if policy.kind == CONFLATE:
            self._keys[key] = self._number
        return lost

    def _replace(
        self, message: Message, payload: list[Any], id: int, key: object, lost: list[int]
    ) -> bool:
        number = self._keys.get(key, -1)
        if number < 0:
            return False
        waiting = self._events[number]
        lost.append(waiting.id)
        self._numbers.pop(waiting.id, None)
        self._bytes += message.size - waiting.message.size
        waiting.message = message
        waiting.payload = payload
        waiting.id = id
        if id >= 0:
            self._numbers[id] = number
        while self._bytes > self._most_bytes and len(self._events) > 1:
            # It is larger than the older one was.
            for other in self._events:
                if other != number:
                    lost.append(self._drop(other).id)
                    break
        return True

    def _drop(self, number: int) -> Waiting:
        waiting = self._events.pop(number)
        self._bytes -= waiting.message.size + MESSAGE_OVERHEAD
        self._numbers.pop(waiting.id, None)
        if self._policy.kind == CONFLATE:
            self._keys.pop(waiting.key, None)
        return waiting

    def forget(self, id: int) -> bool:
        """Drop the event whose acknowledgement has this id; whether it was there."""
        number = self._numbers.get(id, -1)
        if number < 0:
            return False
        self._drop(number)
        return True

    def holds(self, id: int) -> bool:
        """Whether the event waits whose acknowledgement has this id."""
        return id in self._numbers

    def take(self) -> list[Waiting]:
        """All that waits, in order; it does so no longer."""
        events = list(self._events.values())
        self._events = {}
        self._numbers = {}
        self._keys = {}
        self._bytes = 0
        return events
