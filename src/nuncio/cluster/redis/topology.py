"""Which of Redis' servers has which key. Most often there is but one; else it is Redis Cluster."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

from nuncio.cluster.redis.endpoint import Address

# Stands for the one server that is known from the start.
SEED: Final[Address] = ("", 0)


class Topology:
    """The servers that have keys, and their slots.

    Args:
        slots: where each range of slots begins, and whose it is, in order; empty for one server.
    """

    def __init__(self, slots: list[tuple[int, Address]]) -> None:
        self._starts = [start for start, _ in slots]
        self._owners = [owner for _, owner in slots]

    @property
    def clustered(self) -> bool:
        """Whether it is Redis Cluster."""
        return bool(self._owners)

    @property
    def nodes(self) -> list[Address]:
        """Every server that has keys, always in the same order."""
        return sorted(set(self._owners)) or [SEED]

    def node_of(self, key: str) -> Address:
        """The server that has a key, or a sharded channel; for no key, the first."""
        if not self._owners:
            return SEED
        if not key:
            return self.nodes[0]
        from redis.crc import key_slot

        return self._owners[max(bisect_right(self._starts, key_slot(key.encode())) - 1, 0)]


def topology_of(told: Any, seed: str) -> Topology:
    """What the answer to CLUSTER SLOTS says.

    Args:
        told: the answer.
        seed: the name of the server that gave it, which may leave its own out.
    """
    slots = [
        (int(start), (node[0].decode() if node[0] else seed, int(node[1])))
        for start, _, node, *_ in told
    ]
    return Topology(sorted(slots))
