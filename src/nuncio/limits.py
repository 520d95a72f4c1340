"""Every limit the reference does not have, with safe defaults.

A limit is checked before the memory it guards is taken. A peer that reaches one loses its own
connection, or has its request refused, and nobody else notices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf

from nuncio.errors import OptionError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one peer, or the application on behalf of one peer, may hold.

    Attributes:
        outgoing_bytes: what may wait to be sent to one connection; beyond it the connection ends
            with the reason `slow consumer`.
        high_water_bytes: what the operating system's side may be behind before `await emit` waits
            and volatile packets are dropped.
        payload_packets: packets in one long-polling request.
        header_bytes: the head of a request.
        header_seconds: how long a peer may take to send one (`io.run` and `io.listen`).
        fragments: frames of one WebSocket message.
        attachments: binary values in one packet.
        attachment_bytes: their size together.
        attachment_seconds: how long a packet may wait for its attachments.
        namespaces: namespaces joined on one connection.
        dynamic_namespaces: namespaces made because clients asked for them, all together.
        rooms: rooms that one socket may be in, its own not counted.
        pending_acks: acknowledgements that one socket may be waiting for.
        unacknowledged_events: events promised to one client (`delivery="at-least-once"`) that it
            has not acknowledged; further ones are reported as undelivered.
        unacknowledged_bytes: their size together.
        queued_events: events that may wait for the handlers of one socket before reading from its
            connection pauses.
        handshakes: connections that have not yet joined a namespace, all together.
        close_seconds: how long a closing connection may take to say goodbye.
    """

    outgoing_bytes: int = 16 * 1024 * 1024
    high_water_bytes: int = 64 * 1024
    payload_packets: int = 10_000
    header_bytes: int = 64 * 1024
    header_seconds: float = 20.0
    fragments: int = 4096
    attachments: int = 10
    attachment_bytes: int = 10_000_000
    attachment_seconds: float = 60.0
    namespaces: int = 100
    dynamic_namespaces: int = 10_000
    rooms: int = 10_000
    pending_acks: int = 10_000
    unacknowledged_events: int = 1000
    unacknowledged_bytes: int = 4 * 1024 * 1024
    queued_events: int = 100
    handshakes: int = 10_000
    close_seconds: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(field.default, int)
            kinds = (int,) if whole else (int, float)
            valid = isinstance(value, kinds) and not isinstance(value, bool)
            # "No limit" is none of the choices.
            if not valid or not 0 < value < inf:
                kind = "a whole number" if whole else "a number"
                raise OptionError(f"Limits({field.name}=…) must be {kind} above 0, not {value!r}")
