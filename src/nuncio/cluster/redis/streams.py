"""The family over streams, as @socket.io/redis-streams-adapter 0.3: what was missed can be read.

What changes something for clients goes over a stream, where it can be read later; questions and
answers over publish and subscribe, for nobody needs them then.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from nuncio.cluster import envelope
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.redis.entries import Fields, mapped
from nuncio.cluster.redis.factory import OUTGOING_BYTES, RedisFactory, prefix
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.redis.streams_adapter import StreamsAdapter, stream_of
from nuncio.cluster.signing import framed
from nuncio.options import seconds, whole

# The field of an entry that vouches for all others.
SIGNATURE: Final = b"sig"


class RedisStreamsAdapter(RedisFactory):
    """Joins servers over streams, beside Node servers with @socket.io/redis-streams-adapter 0.3.

        io = nuncio.Server(
            adapter=RedisStreamsAdapter("redis://localhost:6379"),
            connection_state_recovery=True,
        )

    What is emitted while Redis is away arrives later. With `connection_state_recovery` a client
    that lost its connection may come back to any of the servers. Needs `nuncio[redis]`.

    Args:
        url: Redis' address, or a client of `redis.asyncio`, whose settings are taken.
        stream_name: the stream's name; it and the following three are the same on all servers.
        stream_count: among how many streams namespaces are divided.
        channel_prefix: of the channels' names.
        use_sharded_pub_sub: whether they are sharded channels.
        max_len: how many entries a stream keeps, roughly.
        read_count: how many entries are read at once.
        block_time: seconds for which Redis waits for a new entry.
        session_key_prefix: of the names under which clients that lost their connection are kept.
        only_plaintext: write no MessagePack to streams; binary arrives as Node's Buffers in JSON.
        outgoing_bytes: how much may wait to be sent while Redis is away; what is more is dropped.
        secret: signs all messages, so that others who can write to this Redis are not listened to:
            at least 16 characters, the same on all servers and emitters. Node's servers cannot take
            part then.

    Raises:
        OptionError: for a wrong option, or when redis-py is not installed.
    """

    family = "streams"

    def __init__(
        self,
        url: Any,
        *,
        stream_name: str = "socket.io",
        stream_count: int = 1,
        channel_prefix: str = "socket.io",
        use_sharded_pub_sub: bool = False,
        max_len: int = 10_000,
        read_count: int = 100,
        block_time: float = 5.0,
        session_key_prefix: str = "sio:session:",
        only_plaintext: bool = False,
        outgoing_bytes: int = OUTGOING_BYTES,
        secret: str | bytes | None = None,
    ) -> None:
        super().__init__(url, outgoing_bytes, secret)
        self.stream_name = prefix("stream_name", stream_name)
        self.stream_count = whole("stream_count", stream_count)
        self.channel_prefix = prefix("channel_prefix", channel_prefix)
        self.use_sharded_pub_sub = use_sharded_pub_sub
        self.max_len = whole("max_len", max_len)
        self.read_count = whole("read_count", read_count)
        self.block_time = seconds("block_time", block_time, most=60.0)
        self.session_key_prefix = prefix("session_key_prefix", session_key_prefix)
        self.only_plaintext = only_plaintext
        self._hubs: WeakKeyDictionary[Any, Hub] = WeakKeyDictionary()

    def __call__(self, nsp: Any) -> StreamsAdapter:
        """The adapter of one server's namespace."""
        from nuncio.cluster.redis.recovery import RecoveringAdapter

        server = nsp.server
        bus = self.bus_of(server)
        hub = self._hubs.get(server)
        if hub is None:
            hub = Hub(bus, self.read_count, self.block_time)
            self._hubs[server] = hub
        kind = StreamsAdapter if server.recovery is None else RecoveringAdapter
        return kind(nsp, bus, hub, self)

    def order(self, message: ClusterMessage) -> tuple[str, tuple[Any, ...]]:
        """See `RedisFactory.order`: all that emitters say goes over streams."""
        stream = stream_of(self.stream_name, self.stream_count, message.nsp)
        fields = envelope.to_fields(message, self.only_plaintext)
        if self.signer.signs:
            fields = self.signed_entry(stream, fields)
        return stream, (*self.adding_to(stream), *fields)

    def adding_to(self, stream: str) -> tuple[Any, ...]:
        """The command that adds an entry to a stream, without its fields."""
        return ("XADD", stream, "MAXLEN", "~", self.max_len, "*")

    def signed_entry(self, stream: str, fields: list[bytes]) -> list[bytes]:
        """An entry's fields, and what vouches for them."""
        place = self.place("stream", stream.encode())
        return [*fields, SIGNATURE, self.signer.signature(_all_of(mapped(fields)), place)]

    def verify_entry(self, stream: str, fields: Fields) -> None:
        """Look whether an entry was added by somebody who knows the secret.

        Raises:
            PacketError: when it was not.
        """
        told = {name: value for name, value in fields.items() if name != SIGNATURE}
        signature = fields.get(SIGNATURE, b"")
        self.signer.check(signature, _all_of(told), self.place("stream", stream.encode()))


def _all_of(fields: Fields) -> bytes:
    """An entry as it is signed."""
    return framed(*[part for one in sorted(fields.items()) for part in one])
