"""What was refused, dropped or cut off: one number for each kind, counted only when it happens."""

from __future__ import annotations


class Counters:
    """Since the server was made. Read them as attributes, or all at once with `snapshot`.

    Attributes:
        refused_requests: HTTP requests and WebSocket handshakes refused with a code from 0 to 5.
        refused_handshakes: handshakes beyond `handshakes_per_address`.
        refused_connections: handshakes beyond `connections`, `connections_per_address` or
            `handshakes`.
        refused_joins: attempts to join a namespace beyond `namespaces`, `dynamic_namespaces` or
            `joins_per_connection`.
        refused_sign_ins: wrong or too many attempts to sign in to the console or the admin page.
        refused_peers: offers to a peer that were refused: by the application, by a limit, or
            because there is nobody who can be connected to.
        refused_peer_messages: what browsers sent to peers, or about them, and was not passed on.
        rate_limited_events: events dropped, or answered by a disconnect, because of a rate.
        rate_limited_connections: connections ended because of a rate.
        rate_pauses: how often reading from a connection paused because of a rate.
        queue_pauses: how often it paused because events waited for handlers: `queued_events`.
        dropped_events: outgoing events dropped by a slow-consumer policy.
        dropped_volatile: volatile events dropped because the client was not ready.
        slow_consumers: connections ended because the client did not read.
        limits_exceeded: how often `LimitExceeded` was raised to the application.
        parse_errors: connections ended because of bytes that are no packet.
        protocol_errors: connections ended because of packets in the wrong place.
    """

    __slots__ = (
        "dropped_events",
        "dropped_volatile",
        "limits_exceeded",
        "parse_errors",
        "protocol_errors",
        "queue_pauses",
        "rate_limited_connections",
        "rate_limited_events",
        "rate_pauses",
        "refused_connections",
        "refused_handshakes",
        "refused_joins",
        "refused_peer_messages",
        "refused_peers",
        "refused_requests",
        "refused_sign_ins",
        "slow_consumers",
    )

    def __init__(self) -> None:
        self.refused_requests = 0
        self.refused_handshakes = 0
        self.refused_connections = 0
        self.refused_joins = 0
        self.refused_sign_ins = 0
        self.refused_peers = 0
        self.refused_peer_messages = 0
        self.rate_limited_events = 0
        self.rate_limited_connections = 0
        self.rate_pauses = 0
        self.queue_pauses = 0
        self.dropped_events = 0
        self.dropped_volatile = 0
        self.slow_consumers = 0
        self.limits_exceeded = 0
        self.parse_errors = 0
        self.protocol_errors = 0

    def __repr__(self) -> str:
        counted = {name: count for name, count in self.snapshot().items() if count}
        return f"<Counters {counted}>"

    def snapshot(self) -> dict[str, int]:
        """All of them by name, as they are now."""
        return {name: getattr(self, name) for name in self.__slots__}
