"""Every limit the reference does not have, with safe defaults.

A limit is checked before the memory it guards is taken. A peer that reaches one loses its own
connection, or has its request refused, and nobody else notices.

Rates are off unless they are set, all but one: only an application knows how much is too much for
it, and a rate by address punishes everybody behind the same router, or behind a proxy that is not
trusted, for one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf

from nuncio.errors import OptionError
from nuncio.options import named_options
from nuncio.rate import Rate

# What happens to events beyond a rate.
ON_EVENT_RATE = ("pause", "drop", "disconnect")

# Many times what a client needs that joins all its namespaces, again after each lost connection.
JOINS = Rate(10, burst=1000)

# To be connected to a peer takes some twenty messages.
PEER_SIGNALS = Rate(20, burst=400)


@named_options
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one peer, or the application on behalf of one peer, may hold.

    Attributes:
        outgoing_bytes: what may wait to be sent to one connection; beyond it the connection ends
            with the reason `slow consumer`.
        high_water_bytes: what the operating system's side may be behind before `await emit` waits
            and volatile packets are dropped.
        droppable_bytes: how much of `outgoing_bytes` may be events that a slow-consumer policy
            may drop; beyond it they are dropped.
        payload_packets: packets in one long-polling request.
        unconfirmed_bytes: what is sent over `stream`, `sse` or `forever` and not acknowledged;
            beyond it the response ends, and what comes then waits for the client's next request.
        response_bytes: the length of a response of one of these, after which the client asks for
            the next.
        response_seconds: how long such a response stays open at most.
        heartbeat_seconds: how long nothing may be written to such a response, so that no proxy
            takes it for dead.
        header_bytes: the head of a request.
        header_seconds: how long a peer may take to send one (`io.run` and `io.listen`).
        fragments: frames of one WebSocket message.
        attachments: binary values in one packet.
        attachment_bytes: their size together.
        attachment_seconds: how long a packet may wait for its attachments.
        containers: lists and objects in one packet, all that it holds together.
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
        connections: sessions, all together.
        connections_per_address: sessions of one address; None for no such limit.
        handshakes_per_address: new sessions of one address, refused ones counted only by their
            origin; None for no such limit.
        joins_per_connection: attempts to join a namespace on one connection, the first not
            counted; None for no such limit.
        events_per_connection: events that one client sends, in all its namespaces together; None
            for no such limit.
        event_bytes_per_connection: the bytes of these events, in place of their number; None for
            no such limit.
        events_per_address: events that all clients of one address send; None for no such limit.
        on_event_rate: what happens to events beyond one of these three rates: `pause` reading from
            the connection until they fit, `drop` them, or `disconnect`.
        refusals_per_connection: what rates may refuse to one client: events that are dropped, calls
            of handlers with a rate, attempts to join; who goes on is disconnected. None for no
            such limit.
        peer_links: peers that one connection may have, see `Server.peers`.
        peer_offers: offers to peers that one connection may have open, which nobody has answered.
        peer_seconds: how long an offer stays open.
        peer_sdp_bytes: the session description in an offer or answer.
        peer_candidates: addresses that each of two peers may tell the other.
        peer_relay_bytes: what may be under way to a peer through the server, before the peer has
            said that it took it.
        peer_signals: messages by which one connection arranges its links to peers, without what is
            relayed; None for no such limit.
        addresses: addresses that each rate by address remembers; the one that was quiet for the
            longest time is forgotten.
    """

    outgoing_bytes: int = 16 * 1024 * 1024
    high_water_bytes: int = 64 * 1024
    droppable_bytes: int = 1024 * 1024
    payload_packets: int = 10_000
    unconfirmed_bytes: int = 1024 * 1024
    response_bytes: int = 1024 * 1024
    response_seconds: float = 300.0
    heartbeat_seconds: float = 15.0
    header_bytes: int = 64 * 1024
    header_seconds: float = 20.0
    fragments: int = 4096
    attachments: int = 10
    attachment_bytes: int = 10_000_000
    attachment_seconds: float = 60.0
    containers: int = 100_000
    namespaces: int = 100
    dynamic_namespaces: int = 10_000
    rooms: int = 10_000
    pending_acks: int = 10_000
    unacknowledged_events: int = 1000
    unacknowledged_bytes: int = 4 * 1024 * 1024
    queued_events: int = 100
    handshakes: int = 10_000
    close_seconds: float = 10.0
    connections: int = 1_000_000
    connections_per_address: int | None = None
    handshakes_per_address: Rate | None = None
    joins_per_connection: Rate | None = JOINS
    events_per_connection: Rate | None = None
    event_bytes_per_connection: Rate | None = None
    events_per_address: Rate | None = None
    on_event_rate: str = "pause"
    refusals_per_connection: Rate | None = None
    peer_links: int = 32
    peer_offers: int = 8
    peer_seconds: float = 30.0
    peer_sdp_bytes: int = 16 * 1024
    peer_candidates: int = 64
    peer_relay_bytes: int = 256 * 1024
    peer_signals: Rate | None = PEER_SIGNALS
    addresses: int = 65_536

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in _RATES:
                if value is not None and not isinstance(value, Rate):
                    raise OptionError(
                        f"Limits({name}=…) must be a nuncio.Rate(count, per=seconds) or None, "
                        f"not {value!r}"
                    )
            elif name == "on_event_rate":
                if value not in ON_EVENT_RATE:
                    words = ", ".join(ON_EVENT_RATE)
                    raise OptionError(f"Limits({name}=…) must be one of {words}, not {value!r}")
            elif name != "connections_per_address" or value is not None:
                _check_number(name, value, whole=not isinstance(field.default, float))

    @property
    def event_rates(self) -> bool:
        """Whether events are counted at all."""
        return (
            self.events_per_connection is not None
            or self.event_bytes_per_connection is not None
            or self.events_per_address is not None
        )


_RATES = frozenset(
    {
        "event_bytes_per_connection",
        "events_per_address",
        "events_per_connection",
        "handshakes_per_address",
        "joins_per_connection",
        "peer_signals",
        "refusals_per_connection",
    }
)


def _check_number(name: str, value: object, *, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    valid = isinstance(value, kinds) and not isinstance(value, bool)
    # "No limit" is none of the choices.
    if not valid or not 0 < value < inf:  # type: ignore[operator]  # it is a number, if valid
        kind = "a whole number" if whole else "a number"
        raise OptionError(f"Limits({name}=…) must be {kind} above 0, not {value!r}")
