"""The classic family over Redis: publish and subscribe, as @socket.io/redis-adapter does."""

from __future__ import annotations

from typing import Any

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.redis import classic_wire as wire
from nuncio.cluster.redis.classic_adapter import ClassicAdapter
from nuncio.cluster.redis.factory import OUTGOING_BYTES, RedisFactory, prefix
from nuncio.options import seconds


class RedisAdapter(RedisFactory):
    """Joins servers over Redis, beside Node servers with @socket.io/redis-adapter.

        io = nuncio.Server(adapter=RedisAdapter("redis://localhost:6379"))

    Needs `nuncio[redis]`. One object serves all namespaces, and may serve several servers.

    Args:
        url: Redis' address, or a client of `redis.asyncio`, whose settings are taken.
        key: the prefix of the channels' names; the same on all servers.
        requests_timeout: seconds that other servers may take to answer.
        publish_on_specific_response_channel: send answers only to the server that asked. Servers
            with and without it may be mixed.
        outgoing_bytes: how much may wait to be sent while Redis is away; what is more is dropped.
        secret: signs all messages, so that others who can write to this Redis are not listened to:
            at least 16 characters, the same on all servers and emitters. Node's servers cannot take
            part then.

    Raises:
        OptionError: for a wrong option, or when redis-py is not installed.
    """

    family = "classic"

    def __init__(
        self,
        url: Any,
        *,
        key: str = "socket.io",
        requests_timeout: float = 5.0,
        publish_on_specific_response_channel: bool = False,
        outgoing_bytes: int = OUTGOING_BYTES,
        secret: str | bytes | None = None,
    ) -> None:
        super().__init__(url, outgoing_bytes, secret)
        self.key = prefix("key", key)
        self.requests_timeout = seconds("requests_timeout", requests_timeout)
        self.publish_on_specific_response_channel = publish_on_specific_response_channel

    def __call__(self, nsp: Any) -> ClassicAdapter:
        """The adapter of one server's namespace."""
        return ClassicAdapter(nsp, self.bus_of(nsp.server), self)

    def order(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """See `RedisFactory.order`."""
        channels = wire.Channels(self.key, message.nsp)
        told = message.data
        if message.type == Kind.BROADCAST:
            channel = channels.for_rooms(told.opts.rooms)
            data = wire.encode_broadcast(message.uid, message.nsp, told)
        else:
            channel, data = channels.request, wire.encode_request(message)
        return "", ("PUBLISH", channel, self.signed(channel, data))
