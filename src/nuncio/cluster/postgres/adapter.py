"""The adapter over LISTEN and NOTIFY of PostgreSQL, as @socket.io/postgres-adapter does."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable
from typing import Any

from nuncio.cluster.bus import OUTGOING_BYTES, BusFactory
from nuncio.cluster.heartbeats import (
    HEARTBEAT_INTERVAL,
    HEARTBEAT_TIMEOUT,
    HeartbeatAdapter,
    Pace,
)
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.postgres.bus import Bus
from nuncio.cluster.postgres.endpoint import ENGINE, Endpoint
from nuncio.cluster.postgres.link import Notice
from nuncio.cluster.postgres.table import Table
from nuncio.cluster.postgres.wire import LIMIT, Wire, channel_of
from nuncio.cluster.sending import BlockingSender, LoopSender
from nuncio.cluster.signing import signer
from nuncio.errors import OptionError
from nuncio.options import seconds, whole


class PostgresAdapter(BusFactory[Bus]):
    """Joins servers over PostgreSQL, beside Node servers with @socket.io/postgres-adapter.

        io = nuncio.Server(adapter=PostgresAdapter("postgresql://localhost/chat"))

    Needs `nuncio[postgres]`. One object serves all namespaces, and may serve several servers. Each
    server has two connections. The name of a namespace with `channel_prefix` and `#` before it may
    have 63 bytes.

    Args:
        url: the database's address, or a pool of asyncpg, of which two connections are kept.
        channel_prefix: of the channels' names; the same on all servers.
        table_name: the table for what is binary, or too long for a notification, as it stands in
            SQL; the same on all servers. It is made if it is not there.
        payload_threshold: notifications of so many bytes or more go to the table; PostgreSQL takes
            less than 8000.
        cleanup_interval: seconds between two deletions of what is in the table for as long.
        heartbeat_interval: seconds after which a server says that it is there.
        heartbeat_timeout: seconds of silence after which a server counts no longer.
        secret: what all servers and emitters know, to sign their messages; Node's cannot. None for
            messages as Node's write them.
        outgoing_bytes: how much may wait to be sent while PostgreSQL is away; what is more is
            dropped.

    Raises:
        OptionError: for a wrong option, or when asyncpg is not installed.
    """

    def __init__(
        self,
        url: Any,
        *,
        channel_prefix: str = "socket.io",
        table_name: str = "socket_io_attachments",
        payload_threshold: int = LIMIT,
        cleanup_interval: float = 30.0,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        secret: str | bytes | None = None,
        outgoing_bytes: int = OUTGOING_BYTES,
    ) -> None:
        super().__init__(outgoing_bytes)
        self._endpoint = Endpoint(url)
        if not isinstance(channel_prefix, str) or not channel_prefix:
            raise OptionError(f"channel_prefix must be a non-empty str, not {channel_prefix!r}")
        # Of the shortest name there is.
        channel_of(channel_prefix, "/")
        self.channel_prefix = channel_prefix
        self._cleanup = seconds("cleanup_interval", cleanup_interval)
        self._table = Table(table_name, self._cleanup)
        if whole("payload_threshold", payload_threshold) > LIMIT:
            raise OptionError(
                f"payload_threshold must be at most {LIMIT}, for PostgreSQL takes less than that;"
                f" not {payload_threshold}"
            )
        self._wire = Wire(signer(secret), payload_threshold)
        self._pace = Pace(heartbeat_interval, heartbeat_timeout)

    def __call__(self, nsp: Any) -> PostgresServerAdapter:
        """The adapter of one server's namespace."""
        return PostgresServerAdapter(nsp, self._pace, self.bus_of(nsp.server), self)

    def _new_bus(self, server: Any = None) -> Bus:
        # What is old is deleted by servers.
        cleanup = None if server is None else self._cleanup
        return Bus(self._endpoint, self._wire, self._table, self._outgoing_bytes, cleanup)

    def notice(self, message: ClusterMessage, answer: asyncio.Future[None] | None = None) -> Notice:
        """A message as it is sent.

        Raises:
            OptionError: when its namespace cannot have a channel.
        """
        channel = channel_of(self.channel_prefix, message.nsp)
        text, attachment = self._wire.encode(message)
        header = functools.partial(self._wire.header, message)
        return Notice(channel, text, attachment, header, answer)

    # Emitters.

    def sender(self) -> PostgresSender:
        """See `Target`."""
        return PostgresSender(self._new_bus(), self)

    def blocking_sender(self) -> BlockingSender:
        """See `Target`.

        Raises:
            OptionError: for a pool, which belongs to one event loop.
        """
        if self._endpoint.address is None:
            raise OptionError("url: a blocking emitter needs PostgreSQL's address, not a pool")
        return BlockingSender(self.sender, ENGINE)


class PostgresServerAdapter(HeartbeatAdapter):
    """See `PostgresAdapter`."""

    def __init__(self, nsp: Any, pace: Pace, bus: Bus, settings: PostgresAdapter) -> None:
        super().__init__(nsp, pace)
        self.bus = bus
        self._settings = settings
        self._channel = ""

    async def init(self) -> None:
        """See `Adapter.init`.

        Raises:
            OptionError: when the namespace cannot have a channel.
            ConnectionError: when PostgreSQL cannot be reached.
        """
        self._channel = channel_of(self._settings.channel_prefix, self.nsp.name)
        await self.bus.enter(self)
        await self.bus.listen(self._channel, self.nsp.name, self)
        self.bus_changed(self.bus.trouble)
        self.say_hello()

    async def close(self) -> None:
        """See `Adapter.close`."""
        self.say_goodbye()
        self.bus.forget(self._channel)
        await self.bus.leave(self)

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        self.bus.send(self._settings.notice(message))

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`: everybody hears it, and knows by the request whose it is."""
        self.publish(message)

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`; numbers of connections are those of all namespaces."""
        return {**super().stats(), **self.bus.stats()}


class PostgresSender(LoopSender[Bus]):
    """Sends an emitter's messages.

    Args:
        bus: the connections.
        settings: how messages look.
    """

    def __init__(self, bus: Bus, settings: PostgresAdapter) -> None:
        super().__init__(bus)
        self._settings = settings

    def prepare(self, message: ClusterMessage) -> Notice:
        """See `LoopSender.prepare`."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return self._settings.notice(message, answer)

    def give(self, prepared: Notice) -> Awaitable[None]:
        """See `LoopSender.give`."""
        self.bus.send(prepared)
        assert prepared.answer is not None
        return prepared.answer
