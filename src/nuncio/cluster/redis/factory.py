"""What the three families over Redis have in common in what an application makes of them."""

from __future__ import annotations

from typing import Any, ClassVar

from nuncio.cluster.bus import OUTGOING_BYTES as OUTGOING_BYTES
from nuncio.cluster.bus import BusFactory
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.endpoint import Endpoint
from nuncio.cluster.redis.sending import BlockingSender, LoopSender
from nuncio.cluster.signing import framed, signer
from nuncio.errors import OptionError


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
        return self.signer.sign(data, self.place("channel", channel.encode(errors="replace")))

    def verified(self, channel: bytes, data: bytes) -> bytes:
        """A message as it was before it was signed.

        Raises:
            PacketError: when it was not.
        """
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


def prefix(name: str, value: object) -> str:
    """A prefix of names in Redis, checked."""
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name} must be a non-empty str, not {value!r}")
    return value
