"""One server's part in a cluster over sharded publish and subscribe. [compiled]"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from nuncio.cluster import envelope
from nuncio.cluster.glance import rooms_of_message
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.redis.adapter import BusAdapter
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.subscriptions import SHARD
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import well_formed
from nuncio.errors import PacketError

if TYPE_CHECKING:
    from nuncio.cluster.redis.sharded import RedisShardedAdapter

STATIC: Final = "static"
DYNAMIC: Final = "dynamic"
DYNAMIC_PRIVATE: Final = "dynamic-private"
MODES: Final = (STATIC, DYNAMIC, DYNAMIC_PRIVATE)

# How long, in JavaScript's characters, a socket's id is.
_ID_LENGTH: Final = 20


class ShardedAdapter(BusAdapter):
    """See `RedisShardedAdapter`."""

    def __init__(self, nsp: Any, bus: Bus, settings: RedisShardedAdapter) -> None:
        super().__init__(nsp, bus, settings)
        self._main = well_formed(f"{settings.channel_prefix}#{nsp.name}#")
        self._own = f"{self._main}{self.uid}#"
        # On all other channels is only what somebody here wants.
        self._common = self._main.encode()
        self._mode = settings.subscription_mode
        # Rooms by their channels: those of 42 and "42" are one, as Node knows strings only.
        self._followed: dict[str, set[Room]] = {}
        self._begun = False
        self.follows = True

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
        data = self.signed(channel, envelope.encode(message))
        self.outgoing.send(channel, ("SPUBLISH", channel, data))

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
            data = self.verified(channel, data)
            if channel == self._common and self.pass_over(rooms_of_message(data)):
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
