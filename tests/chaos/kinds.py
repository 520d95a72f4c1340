"""The clusters that are put through the storm, and what each of them promises.

A new kind is one more entry here: how its servers are joined, and what holds with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nuncio.cluster import RedisAdapter, RedisStreamsAdapter

# The stream that is read to know what has been handed on, and in which order.
STREAM = "chaos"


@dataclass(frozen=True, eq=False)
class Kind:
    """One way to join servers.

    Attributes:
        name: for the test's name, and for processes that are told which it is.
        adapter: makes the adapter, given the bus's address.
        keeps: whether what is emitted while a client is away is kept for it, on any server; and so
            whether it is promised.
        options: more of the server's options.
    """

    name: str
    adapter: Callable[[str], Any]
    keeps: bool
    options: dict[str, Any] = field(default_factory=dict)


STREAMS = Kind(
    "streams",
    lambda url: RedisStreamsAdapter(
        url, stream_name=STREAM, channel_prefix=STREAM, max_len=100_000, block_time=1.0
    ),
    keeps=True,
    options={"connection_state_recovery": True, "delivery": "at-least-once"},
)
CLASSIC = Kind("classic", lambda url: RedisAdapter(url, key="chaos"), keeps=False)

KINDS = {kind.name: kind for kind in (STREAMS, CLASSIC)}
