"""A balancer in front of the servers: round robin over TCP, past those that are not there.

A connection stays with the server that it has reached, so clients that use WebSocket alone need
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.support.faults import FaultProxy


class Balancer(FaultProxy):
    """The balancer, with all that can go wrong with a `FaultProxy`.

    Args:
        ports: the servers'.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(ports[0])
        self._ports = list(ports)
        self._turn = 0

    async def dial(self, make: Callable[[], asyncio.Protocol]) -> None:
        """See `FaultProxy.dial`: to the next server that accepts a connection."""
        self._turn += 1
        first = self._turn % len(self._ports)
        *others, last = self._ports[first:] + self._ports[:first]
        loop = asyncio.get_running_loop()
        for port in others:
            try:
                await loop.create_connection(make, "127.0.0.1", port)
                return
            except OSError:
                continue
        await loop.create_connection(make, "127.0.0.1", last)
