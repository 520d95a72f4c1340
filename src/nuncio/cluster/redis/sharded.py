"""The adapter over sharded publish and subscribe, as `createShardedAdapter` does for Node."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nuncio.cluster import envelope
from nuncio.cluster.following import FollowingAdapter
from nuncio.cluster.glance import rooms_of_message
from nuncio.cluster.messages import ClusterMessage, Kind
from nuncio.cluster.redis.adapter import OUTGOING_BYTES, BusAdapter, RedisFactory
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.classic import prefix
from nuncio.cluster.redis.subscriber import SHARD
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import well_formed
from nuncio.errors import OptionError, PacketError

STATIC: Final = "static"
DYNAMIC: Final = "dynamic"
DYNAMIC_PRIVATE: Final = "dynamic-private"
MODES: Final = (STATIC, DYNAMIC, DYNAMIC_PRIVATE)

# How long, in JavaScript's characters, a socket's id is.
_ID_LENGTH: Final = 20


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


class ShardedAdapter(FollowingAdapter, BusAdapter):
    """See `RedisShardedAdapter`."""

    def __init__(self, nsp: Any, bus: Bus, settings: RedisShardedAdapter) -> None:
        super().__init__(nsp, bus)
        self._settings = settings
        self._main = well_formed(f"{settings.channel_prefix}#{nsp.name}#")
        self._own = f"{self._main}{self.uid}#"
        self._mode = settings.subscription_mode
        # Rooms by their channels: those of 42 and "42" are one, as Node knows strings only.
        self._followed: dict[str, set[Room]] = {}
        self._begun = False

    # To other servers.

    async def begin(self) -> None:
        """See `BusAdapter.begin`."""
        self._begun = True
        rooms = list(self.rooms) if self._mode != STATIC else []
        confirmed = [self.bus.subscribe(SHARD, self._own, self._arrived)]
        confirmed += [one for room in rooms if (one := self.follow(room)) is not None]
        await asyncio.gather(*confirmed)
        # The last, for it is by this one that servers are counted.
        await self.bus.subscribe(SHARD, self._main, self._arrived)

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        self._begun = False
        for channel in (self._main, self._own, *self._followed):
            self.bus.unsubscribe(SHARD, channel)
        self._followed.clear()

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        self._post(channel_of(self._main, self._mode, message), message)

    def _post(self, channel: str, message: ClusterMessage) -> None:
        data = self._settings.signed(channel, envelope.encode(message))
        self.bus.send(channel, "SPUBLISH", channel, data)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`."""
        self._post(f"{self._main}{uid}#", message)

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: when Redis cannot be asked.
        """
        return await self.bus.count(self._main, sharded=True)

    def _arrived(self, channel: bytes, data: bytes) -> None:
        try:
            data = self._settings.verified(channel, data)
            if self.pass_over(rooms_of_message(data)):
                return
            message = envelope.decode(data)
        except PacketError as error:
            self.drop(str(error))
        else:
            self.received(message)

    # Rooms and their channels.

    def follow(self, room: Room) -> asyncio.Future[None] | None:
        """See `FollowingAdapter.follow`: subscribe to the room's channel, or no longer."""
        if not self._begun or not has_channel(self._mode, room):
            return None
        channel = _channel_of(self._main, room)
        rooms = self._followed.get(channel)
        if self.has_room(room):
            if rooms is None:
                self._followed[channel] = {room}
                return self.bus.subscribe(SHARD, channel, self._arrived)
            rooms.add(room)
        elif rooms is not None:
            rooms.discard(room)
            if not rooms:
                del self._followed[channel]
                self.bus.unsubscribe(SHARD, channel)
        return None


def has_channel(mode: str, room: Room) -> bool:
    """Whether broadcasts to one room go over a channel of its own."""
    if mode != DYNAMIC:
        return mode == DYNAMIC_PRIVATE
    return not isinstance(room, str) or _length(room) != _ID_LENGTH


def channel_of(main: str, mode: str, message: ClusterMessage) -> str:
    """Where a message to all servers is published."""
    told = message.data
    if message.type == Kind.BROADCAST and told.request is None and len(told.opts.rooms) == 1:
        (room,) = told.opts.rooms
        if has_channel(mode, room):
            return _channel_of(main, room)
    return main


def _channel_of(main: str, room: Room) -> str:
    return well_formed(f"{main}{room}#")


def _length(room: str) -> int:
    """How long JavaScript takes a room's name to be."""
    return len(room) if room.isascii() else len(room.encode("utf-16-le", "surrogatepass")) // 2
