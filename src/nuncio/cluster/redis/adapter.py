"""What the adapters of all families over Redis have in common. [compiled]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.outgoing import Outgoing
from nuncio.cluster.rooms import Room

if TYPE_CHECKING:
    from nuncio.cluster.redis.factory import RedisFactory


@mypyc_attr(allow_interpreted_subclasses=True)
class BusAdapter(ClusterAdapter):
    """One server's part in a cluster over Redis, for one namespace.

    Args:
        nsp: see `Adapter`.
        bus: the server's connections.
        factory: what the application has said of them.
    """

    def __init__(self, nsp: Any, bus: Bus, factory: RedisFactory) -> None:
        super().__init__(nsp)
        self.bus = bus
        self.outgoing: Outgoing = bus.outgoing
        self.passed_over = 0
        self._factory = factory
        self._signs: bool = factory.signer.signs

    def signed(self, channel: str, data: bytes) -> bytes:
        """See `RedisFactory.signed`."""
        return self._factory.signed(channel, data) if self._signs else data

    def verified(self, channel: bytes, data: bytes) -> bytes:
        """See `RedisFactory.verified`.

        Raises:
            PacketError: when it is not signed.
        """
        return self._factory.verified(channel, data) if self._signs else data

    async def init(self) -> None:
        """See `Adapter.init`.

        Raises:
            ConnectionError: when Redis cannot be reached.
        """
        await self.bus.enter(self)
        await self.begin()
        self.bus_changed(None)

    async def begin(self) -> None:
        """Subscribe."""
        raise NotImplementedError

    async def end(self) -> None:
        """Take back what `begin` did."""
        raise NotImplementedError

    async def close(self) -> None:
        """See `Adapter.close`."""
        await self.end()
        await self.bus.leave(self)

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`; numbers of Redis' connections are those of all namespaces.

        Besides, `passed_over`: messages for rooms that are not here, which were not even read.
        """
        return {**super().stats(), "passed_over": self.passed_over, **self.bus.stats()}

    def pass_over(self, rooms: list[Room]) -> bool:
        """Whether a message for these rooms, or for everybody, is for nobody here."""
        for room in rooms:
            if self.has_room(room):
                return False
        self.passed_over += bool(rooms)
        return bool(rooms)
