"""One server's part in a cluster of the classic family over Redis. [compiled]"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nuncio.cluster.base import CountedRequest
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.redis import classic_wire as wire
from nuncio.cluster.redis.adapter import BusAdapter
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.subscriptions import CHANNEL, PATTERN
from nuncio.cluster.rooms import Room
from nuncio.errors import (
    ClusterTimeout,
    ClusterUnavailable,
    LimitExceeded,
    PacketError,
)

if TYPE_CHECKING:
    from nuncio.cluster.redis.classic import RedisAdapter


class ClassicAdapter(BusAdapter):
    """See `RedisAdapter`.

    Joins, leaves and disconnects take effect here at once. Node servers wait for their own to come
    back from Redis; that makes no difference to others.
    """

    def __init__(self, nsp: Any, bus: Bus, settings: RedisAdapter) -> None:
        super().__init__(nsp, bus, settings)
        self._channels = wire.Channels(settings.key, nsp.name)
        self._specific = settings.publish_on_specific_response_channel
        self._own_channel = f"{self._channels.response}{self.uid}#"
        self.request_seconds = settings.requests_timeout
        self._own_beginning = wire.beginning_of(self.uid)
        self._handlers[wire.LIST_SOCKETS] = self._on_list_sockets
        self._handlers[wire.LIST_ROOMS] = self._on_list_rooms
        self._handlers[wire.LISTED_ROOMS] = self._on_listed_rooms
        self._handlers[wire.OF_ONE_SOCKET] = self._on_one_socket

    def new_id(self) -> str:
        """See `ClusterAdapter.new_id`."""
        return wire.new_uid()

    # To other servers.

    async def begin(self) -> None:
        """See `BusAdapter.begin`."""
        channels = self._channels
        subscribe = self.bus.subscribe
        confirmed = [
            subscribe(CHANNEL, channels.response, self._response_arrived),
            subscribe(CHANNEL, self._own_channel, self._response_arrived),
            subscribe(PATTERN, channels.pattern, self._broadcast_arrived),
            # The last, for it is by this one that servers are counted.
            subscribe(CHANNEL, channels.request, self._request_arrived),
        ]
        await asyncio.gather(*confirmed)

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        channels = self._channels
        self.bus.unsubscribe(PATTERN, channels.pattern)
        for channel in (channels.request, channels.response, self._own_channel):
            self.bus.unsubscribe(CHANNEL, channel)

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        told = message.data
        if message.type == Kind.BROADCAST and told.request is None:
            data = wire.encode_broadcast(message.uid, message.nsp, told)
            channel = self._channels.for_rooms(told.opts.rooms)
        else:
            data = wire.encode_request(message)
            channel = self._channels.request
        self._post(channel, data)

    def _post(self, channel: str, data: bytes) -> None:
        self.outgoing.send("", ("PUBLISH", channel, self.signed(channel, data)))

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`."""
        channel = self._channels.response
        if self._specific and message.type != Kind.SERVER_SIDE_EMIT_RESPONSE:
            channel = f"{channel}{uid}#"
        self._post(channel, wire.encode_response(message))

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: when Redis cannot be asked.
        """
        return await self.bus.count(self._channels.request, sharded=False)

    # From other servers.

    def _broadcast_arrived(self, channel: bytes, data: bytes) -> None:
        try:
            room = self._channels.room_of(channel.decode())
            if room is not None and not self._has_room(room):
                self.passed_over += 1
                return
            data = self.verified(channel, data)
            if data.startswith(self._own_beginning):
                return
            message = wire.decode_broadcast(data)
        except (PacketError, UnicodeDecodeError) as error:
            self.drop(str(error))
        else:
            self.received(message)

    def _has_room(self, room: str) -> bool:
        if self.has_room(room):
            return True
        # A channel does not tell numbers from text.
        digits = room.removeprefix("-")
        return digits.isascii() and digits.isdigit() and self.has_room(int(room))

    def _request_arrived(self, channel: bytes, data: bytes) -> None:
        self._arrived(wire.decode_request, channel, data)

    def _response_arrived(self, channel: bytes, data: bytes) -> None:
        self._arrived(wire.decode_response, channel, data)

    def _arrived(
        self, decode: Callable[[bytes, str], ClusterMessage], channel: bytes, data: bytes
    ) -> None:
        try:
            message = decode(self.verified(channel, data), self.nsp.name)
        except PacketError as error:
            self.drop(str(error))
        else:
            self.received(message)

    # What only this family has.

    async def all_rooms(self) -> set[Room]:
        """The rooms of all servers.

        Raises:
            ClusterTimeout: when a server did not answer; `responses` holds the rooms of the others.
            ClusterUnavailable: when nobody could be asked.
        """
        found: set[Room] = set(self.rooms)
        try:
            others = await self._others(self.request_seconds)
        except ConnectionError as error:
            raise ClusterUnavailable(str(error), list(found)) from error
        if others <= 0:
            return found
        asked = CountedRequest(others)
        request = self._new_request(asked)
        self.publish(ClusterMessage(self.uid, self.nsp.name, wire.LIST_ROOMS, request))
        complete = await self._wait(request, asked, self.request_seconds)
        for rooms in asked.responses:
            found.update(rooms)
        if not complete:
            raise ClusterTimeout(len(asked.responses), others, list(found))
        return found

    def _on_list_sockets(self, message: ClusterMessage) -> None:
        said = message.data
        rooms: Iterable[Any] = said.get("rooms") or ()
        ids = [socket.id for socket in self.targets(frozenset(rooms), frozenset())]
        self._list(message, {"requestId": said["requestId"], "sockets": ids})

    def _on_list_rooms(self, message: ClusterMessage) -> None:
        request = message.data["requestId"]
        self._list(message, {"requestId": request, "rooms": list(self.rooms)})

    def _list(self, message: ClusterMessage, told: dict[str, Any]) -> None:
        self.reply(message.uid, ClusterMessage(self.uid, message.nsp, message.type, told))

    def _on_listed_rooms(self, message: ClusterMessage) -> None:
        request = self._requests.get(message.data.get("requestId"))
        rooms = message.data["rooms"]
        if isinstance(request, CountedRequest):
            request.add("", [room for room in rooms if isinstance(room, (str, int))])

    def _on_one_socket(self, message: ClusterMessage) -> None:
        """What servers before version 7 of the package asked of one socket."""
        said = message.data
        socket = self.sockets.get(said["sid"])
        if socket is None:
            return
        try:
            if said["type"] == wire.REMOTE_JOIN:
                socket.join(said.get("room"))
            elif said["type"] == wire.REMOTE_LEAVE:
                socket.leave(said.get("room"))
            else:
                socket.disconnect(bool(said.get("close")))
        except LimitExceeded as error:
            self.drop(str(error))
        if isinstance(said.get("requestId"), str):
            told = {"requestId": said["requestId"]}
            self._list(ClusterMessage("", message.nsp, wire.LISTED_ROOMS), told)
