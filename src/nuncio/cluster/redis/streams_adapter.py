"""One server's part in a cluster of the family over streams. [compiled]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from nuncio.cluster import envelope
from nuncio.cluster.glance import rooms_of_entry
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.redis.adapter import BusAdapter
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.entries import Fields
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.redis.subscriptions import CHANNEL, SHARD
from nuncio.cluster.values import well_formed
from nuncio.errors import PacketError

if TYPE_CHECKING:
    from nuncio.cluster.redis.streams import RedisStreamsAdapter

_TO_STREAM: Final = (
    Kind.BROADCAST,
    Kind.SOCKETS_JOIN,
    Kind.SOCKETS_LEAVE,
    Kind.DISCONNECT_SOCKETS,
)


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamsAdapter(BusAdapter):
    """See `RedisStreamsAdapter`."""

    def __init__(self, nsp: Any, bus: Bus, hub: Hub, settings: RedisStreamsAdapter) -> None:
        super().__init__(nsp, bus, settings)
        self.hub = hub
        self.settings = settings
        self.stream = stream_of(settings.stream_name, settings.stream_count, nsp.name)
        self._adding = settings.adding_to(self.stream)
        self._sharded = settings.use_sharded_pub_sub
        self._publish = "SPUBLISH" if self._sharded else "PUBLISH"
        self._main = well_formed(f"{settings.channel_prefix}#{nsp.name}#")
        self._own = f"{self._main}{self.uid}#"

    async def begin(self) -> None:
        """See `BusAdapter.begin`."""
        kind = SHARD if self._sharded else CHANNEL
        await self.hub.listen(self.stream, well_formed(self.nsp.name), self)
        await self.bus.subscribe(kind, self._own, self._arrived)
        # The last, for it is by this one that servers are counted.
        await self.bus.subscribe(kind, self._main, self._arrived)

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        kind = SHARD if self._sharded else CHANNEL
        self.bus.unsubscribe(kind, self._main)
        self.bus.unsubscribe(kind, self._own)
        await self.hub.forget(self.stream, well_formed(self.nsp.name))

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        if message.type in _TO_STREAM and getattr(message.data, "request", None) is None:
            fields = envelope.to_fields(message, self.settings.only_plaintext)
            self.outgoing.send(self.stream, self.entry(fields))
        else:
            self._post(self._main, message)

    def entry(self, fields: list[bytes]) -> tuple[Any, ...]:
        """The command that adds an entry to the stream."""
        if self._signs:
            fields = self.settings.signed_entry(self.stream, fields)
        return (*self._adding, *fields)

    def verify(self, fields: Fields) -> None:
        """Look whether an entry was added by somebody who knows the secret, if there is one.

        Raises:
            PacketError: when it was not.
        """
        if self._signs:
            self.settings.verify_entry(self.stream, fields)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`."""
        self._post(f"{self._main}{uid}#", message)

    def _post(self, channel: str, message: ClusterMessage) -> None:
        key = channel if self._sharded else ""
        data = self.signed(channel, envelope.encode_packed(message))
        self.outgoing.send(key, (self._publish, channel, data))

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: when Redis cannot be asked.
        """
        return await self.bus.count(self._main, self._sharded)

    def _arrived(self, channel: bytes, data: bytes) -> None:
        try:
            message = envelope.decode_packed(self.verified(channel, data))
        except PacketError as error:
            self.drop(str(error))
        else:
            self.received(message)

    def entry_arrived(self, id: str, fields: Fields) -> None:
        """An entry of the stream for this namespace."""
        try:
            self.verify(fields)
        except PacketError as error:
            self.drop(str(error))
        else:
            self.entry_read(id, fields)

    def entry_read(self, id: str, fields: Fields) -> None:
        """An entry of a server of this cluster, or an emitter."""
        if fields.get(b"uid") == self.uid.encode():
            return
        if self.pass_over(rooms_of_entry(fields)):
            return
        try:
            message = envelope.from_fields(fields)
        except PacketError as error:
            self.drop(str(error))
        else:
            self.received(message)


def stream_of(name: str, count: int, nsp: str) -> str:
    """The stream of a namespace, as Node finds it: also where it finds one of a negative number."""
    if count == 1:
        return name
    code = 0
    units = nsp.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        code = (code * 31 + (high << 8 | low)) & 0xFFFFFFFF
    if code >= 1 << 31:
        code -= 1 << 32
    index = code % count if code >= 0 else -(-code % count)
    return f"{name}-{index}"
