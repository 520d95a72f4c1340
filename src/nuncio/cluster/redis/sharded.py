"""The family over sharded publish and subscribe, as `createShardedAdapter` does for Node."""

from __future__ import annotations

from typing import Any

from nuncio.cluster import envelope
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.redis.factory import OUTGOING_BYTES, RedisFactory, prefix
from nuncio.cluster.redis.sharded_adapter import DYNAMIC, MODES, ShardedAdapter, channel_of
from nuncio.cluster.values import well_formed
from nuncio.errors import OptionError


class RedisShardedAdapter(RedisFactory):
    """Joins servers over sharded publish and subscribe, beside Node's `createShardedAdapter`.

        io = nuncio.Server(adapter=RedisShardedAdapter("redis://localhost:6379"))

    Needs `nuncio[redis]`, and Redis 7. With Redis Cluster the work is divided among its servers;
    that it is one is found out.

    Args:
        url: Redis' address, or a client of `redis.asyncio`, whose settings are taken.
        channel_prefix: of the channels' names; the same on all servers.
        subscription_mode: `"dynamic"`: a channel for each room, so that a server receives only what
            concerns it; `"dynamic-private"`: for each client as well; `"static"`: one for all. The
            same on all servers.
        outgoing_bytes: how much may wait to be sent while Redis is away; what is more is dropped.
        secret: signs all messages, so that others who can write to this Redis are not listened to:
            at least 16 characters, the same on all servers and emitters. Node's servers cannot take
            part then.

    Raises:
        OptionError: for a wrong option, or when redis-py is not installed.
    """

    family = "sharded"

    def __init__(
        self,
        url: Any,
        *,
        channel_prefix: str = "socket.io",
        subscription_mode: str = DYNAMIC,
        outgoing_bytes: int = OUTGOING_BYTES,
        secret: str | bytes | None = None,
    ) -> None:
        super().__init__(url, outgoing_bytes, secret)
        self.channel_prefix = prefix("channel_prefix", channel_prefix)
        if subscription_mode not in MODES:
            named = ", ".join(map(repr, MODES))
            raise OptionError(
                f"subscription_mode must be one of {named}, not {subscription_mode!r}"
            )
        self.subscription_mode = subscription_mode

    def __call__(self, nsp: Any) -> ShardedAdapter:
        """The adapter of one server's namespace."""
        return ShardedAdapter(nsp, self.bus_of(nsp.server), self)

    def order(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """See `RedisFactory.order`."""
        main = well_formed(f"{self.channel_prefix}#{message.nsp}#")
        channel = channel_of(main, self.subscription_mode, message)
        return channel, ("SPUBLISH", channel, self.signed(channel, envelope.encode(message)))
