"""Redis as the place where workers of several machines meet: what an application says of it."""

from __future__ import annotations

from typing import Any, Final

from nuncio.cluster.envelope import encode_packed
from nuncio.cluster.heartbeats import Pace
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.endpoint import Endpoint
from nuncio.cluster.redis.factory import OUTGOING_BYTES
from nuncio.cluster.redis.factory import prefix as checked_prefix
from nuncio.cluster.redis.sending import BlockingSender, LoopSender
from nuncio.cluster.signing import signer
from nuncio.workers import frames
from nuncio.workers.messages import VERSION

HEARTBEAT_INTERVAL: Final = 2.0
HEARTBEAT_TIMEOUT: Final = 10.0


class RedisMeeting:
    """Where workers of one or several machines meet: no sticky sessions, and one cluster.

        io = nuncio.Server(workers=RedisMeeting("redis://localhost:6379", secret=SECRET))

    An emitter that is made of one, `nuncio.Emitter(RedisMeeting(…))`, reaches their clients.

    Needs `nuncio[redis]`. Each worker can receive any request, and passes on what belongs to a
    session of another. Redis' address alone, as `workers`, is short for this.

    Args:
        url: Redis' address, or a client of `redis.asyncio`, whose settings are taken.
        prefix: of the names in Redis; the same for all workers of a server. Those with other
            prefixes, or in other databases, know nothing of each other.
        secret: signs what workers say, so that nobody else who can write to Redis can speak for
            clients; at least 16 characters, the same for all.
        heartbeat_interval: seconds between two signs of life.
        heartbeat_timeout: seconds of silence after which a worker is taken for gone.

    Raises:
        OptionError: for a wrong option, or when redis-py is not installed.
    """

    def __init__(
        self,
        url: Any,
        *,
        prefix: str = "nuncio",
        secret: str | bytes | None = None,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
    ) -> None:
        self._where = url
        self.endpoint = Endpoint(url)
        self.prefix = checked_prefix("prefix", prefix)
        self.signer = signer(secret)
        self.pace = Pace(heartbeat_interval, heartbeat_timeout)

    @property
    def channel(self) -> str:
        """The name of the channel that all workers hear."""
        return f"{self.prefix}:{VERSION}:{self.endpoint.database}#"

    # Emitters.

    def order(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """The command by which an emitter sends a message, and the key that it concerns."""
        frame = frames.encode(frames.Outside(message.nsp, encode_packed(message)))
        return "", ("PUBLISH", self.channel, self.signer.sign(frame))

    def sender(self) -> LoopSender:
        """See `Target`."""
        return LoopSender(Bus(self.endpoint, OUTGOING_BYTES), self.order)

    def blocking_sender(self) -> BlockingSender:
        """See `Target`."""
        return BlockingSender(self._where, self.order)
