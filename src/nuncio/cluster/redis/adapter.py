"""What the three families over Redis have in common: the bus that one server's namespaces share."""

from __future__ import annotations

from typing import Any, ClassVar

from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.bus import OUTGOING_BYTES as OUTGOING_BYTES
from nuncio.cluster.bus import BusFactory
from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.endpoint import Endpoint
from nuncio.cluster.redis.sending import BlockingSender, LoopSender
from nuncio.cluster.rooms import Room
from nuncio.cluster.signing import framed, signer


class RedisFactory(BusFactory[Bus]):
    """Makes the adapters of one or more servers.

    Args:
        url: see `Endpoint`.
        outgoing_bytes: how much may wait to be sent while Redis is away.
        secret: with which messages are signed; None where they are not.
    """

    # What is signed for one family is nothing for another, also under the same name.
    family: ClassVar[str]

    def __init__(self, url: Any, outgoing_bytes: int, secret: str | bytes | None) -> None:
        super().__init__(outgoing_bytes)
        self._where = url
        self._endpoint = Endpoint(url)
        self.signer = signer(secret)

    def _new_bus(self, server: Any = None) -> Bus:
        return Bus(self._endpoint, self._outgoing_bytes)

    # Signatures, where there is a secret.

    def signed(self, channel: str, data: bytes) -> bytes:
        """A message as it is published on a channel."""
        if not self.signer.signs:
            return data
        return self.signer.sign(data, self.place("channel", channel.encode(errors="replace")))

    def verified(self, channel: bytes, data: bytes) -> bytes:
        """A message as it was before it was signed.

        Raises:
            PacketError: when it was not.
        """
        if not self.signer.signs:
            return data
        return self.signer.verify(data, self.place("channel", channel))

    def place(self, kind: str, name: bytes) -> bytes:
        """What a signature holds for."""
        return framed(self.family.encode(), kind.encode(), name)

    # Emitters.

    def order(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """The command by which an emitter sends a message, and the key that it concerns."""
        raise NotImplementedError

    def sender(self) -> LoopSender:
        """See `Target`."""
        return LoopSender(self._new_bus(), self.order)

    def blocking_sender(self) -> BlockingSender:
        """See `Target`."""
        return BlockingSender(self._where, self.order)


class BusAdapter(ClusterAdapter):
    """One server's part in a cluster over Redis, for one namespace.

    Args:
        nsp: see `Adapter`.
        bus: the server's connections.
    """

    def __init__(self, nsp: Any, bus: Bus) -> None:
        super().__init__(nsp)
        self.bus = bus
        self.passed_over = 0

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
