"""The clusters that are put through the storm, and what each of them promises.

A new kind is one more entry here: over which bus its servers are joined and how, and what holds
with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nuncio.cluster import NatsAdapter, RedisAdapter, RedisMeeting, RedisStreamsAdapter
from tests.chaos.buses import NAME, Bus, JetStreamBus, RedisBus, StreamBus

# How a question ends that cannot be answered: where it is known that nobody can be asked, and where
# it was asked in vain.
UNAVAILABLE = "ClusterUnavailable"
IN_VAIN = "ClusterTimeout"


@dataclass(frozen=True, eq=False)
class Kind:
    """One way to join servers.

    Attributes:
        name: for the test's name, and for processes that are told which it is.
        bus: makes the bus, given the path of its program.
        join: the servers' options by which they are joined, given the bus's address.
        adapter: makes emitters' adapter, given the bus's address; None where there are none.
        keeps: whether what is emitted while a client is away is kept for it, on any server; and so
            whether it is promised.
        size: how many servers there are.
        ways: the transports of one client after the other, each as the client's option.
        ping_timeout: see the server's option.
        silent: how a question ends while the bus says nothing.
        away: how it ends while the bus is not there.
        options: more of the server's options.
    """

    name: str
    bus: type[Bus]
    join: Callable[[str], dict[str, Any]]
    adapter: Callable[[str], Any] | None
    keeps: bool
    size: int = 3
    ways: tuple[tuple[str, ...], ...] = (("websocket",),)
    ping_timeout: float = 10.0
    silent: str = UNAVAILABLE
    away: str = UNAVAILABLE
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def passes_on(self) -> bool:
        """Whether what belongs to a session may come to any server, which others then depend on."""
        return any("polling" in way for way in self.ways)

    def way(self, index: int) -> list[str]:
        """The transports of the client with this number."""
        return list(self.ways[index % len(self.ways)])


def _over(name: str, bus: type[Bus], adapter: Callable[[str], Any], **more: Any) -> Kind:
    """Servers with an adapter, which emitters have, too."""
    return Kind(name, bus, lambda url: {"adapter": adapter(url)}, adapter, **more)


# With these nothing is lost, whatever happens to connections.
LASTING = {"connection_state_recovery": True, "delivery": "at-least-once"}

STREAMS = _over(
    "streams",
    StreamBus,
    lambda url: RedisStreamsAdapter(
        url, stream_name=NAME, channel_prefix=NAME, max_len=100_000, block_time=1.0
    ),
    keeps=True,
    options=LASTING,
)
CLASSIC = _over("classic", RedisBus, lambda url: RedisAdapter(url, key=NAME), keeps=False)

# Who is there is known by what they say, so silence is noticed late.
JETSTREAM = _over(
    "jetstream",
    JetStreamBus,
    lambda url: NatsAdapter(url, subject_prefix=NAME, stream=NAME),
    keeps=True,
    silent=IN_VAIN,
    options=LASTING,
)

# As two machines of two workers each; any request may come to any of them. What they say to each
# other waits for Redis, questions too.
WORKERS = Kind(
    "workers",
    RedisBus,
    lambda url: {"workers": RedisMeeting(url, prefix=NAME)},
    None,
    keeps=True,
    size=4,
    ways=(("websocket",), ("polling", "websocket"), ("polling",)),
    # Heartbeats that are passed on wait for Redis, too.
    ping_timeout=20.0,
    silent=IN_VAIN,
    away=IN_VAIN,
    options=LASTING,
)

KINDS = {kind.name: kind for kind in (STREAMS, CLASSIC, JETSTREAM, WORKERS)}
