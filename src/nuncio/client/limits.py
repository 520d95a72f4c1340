"""Bounds on what a client may hold, with safe defaults."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from nuncio.errors import OptionError
from nuncio.options import named_options, whole

# More than any machine has, and little enough to be counted with.
MOST: Final = 1 << 60


@named_options
@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may hold, whatever the server or the application does.

    Attributes:
        buffered_events: events that wait while there is no connection, for each namespace; the
            option `buffer` says what becomes of more.
        buffered_bytes: their size together.
        outgoing_bytes: what may wait for a server that is connected and behind.
        high_water_bytes: what the operating system's side may be behind before `await emit` waits
            and volatile events are dropped.
        message_bytes: the largest message the server may send.
        attachments: binary values in one packet.
        attachment_bytes: their size together.
        containers: lists and objects in one packet.
        pending_acks: acknowledgements that one socket may be waiting for.
        queued_events: events that may wait for handlers, or for who iterates over them, before
            reading from the connection pauses.
        queued_retries: events with `retries` that may wait for their turn.
    """

    buffered_events: int = 10_000
    buffered_bytes: int = 16 * 1024 * 1024
    outgoing_bytes: int = 16 * 1024 * 1024
    high_water_bytes: int = 64 * 1024
    message_bytes: int = 100_000_000
    attachments: int = 10
    attachment_bytes: int = 100_000_000
    containers: int = 1_000_000
    pending_acks: int = 10_000
    queued_events: int = 1000
    queued_retries: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            name = f"ClientLimits({field.name}=…)"
            if whole(name, getattr(self, field.name)) > MOST:
                raise OptionError(f"{name} must be at most 2**60, which is as good as no limit")
