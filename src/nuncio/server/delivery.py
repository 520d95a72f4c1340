"""What an application learns of events that it promised and that were not delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UndeliveredEvent:
    """One event.

    Attributes:
        id: what the client would have recognised it by; it may have received it, without having
            acknowledged it.
        event: its name.
        args: its arguments.
    """

    id: str
    event: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What a handler of `undelivered` receives: a client did not acknowledge these events.

    Attributes:
        socket_id: the client's.
        namespace: its namespace's name.
        data: its `socket.data`; None if the application never used it.
        user: its `socket.user`.
        reason: the disconnect reason, or in words why it was not delivered.
        events: in the order in which they were emitted.
    """

    socket_id: str
    namespace: str
    data: Any
    user: Any
    reason: str
    events: tuple[UndeliveredEvent, ...]
