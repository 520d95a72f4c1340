"""Redis as the place where workers of several machines meet: what an application says of it."""

from __future__ import annotations

from typing import Any, Final

from nuncio.cluster.heartbeats import Pace
from nuncio.cluster.redis.endpoint import Endpoint
from nuncio.cluster.redis.factory import prefix as checked_prefix
from nuncio.cluster.signing import signer

HEARTBEAT_INTERVAL: Final = 2.0
HEARTBEAT_TIMEOUT: Final = 10.0


class RedisMeeting:
    """Where workers of one or several machines meet: no sticky sessions, and one cluster.

        io = nuncio.Server(workers=RedisMeeting("redis://localhost:6379", secret=SECRET))

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
        self.endpoint = Endpoint(url)
        self.prefix = checked_prefix("prefix", prefix)
        self.signer = signer(secret)
        self.pace = Pace(heartbeat_interval, heartbeat_timeout)
