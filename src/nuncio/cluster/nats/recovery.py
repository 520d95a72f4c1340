"""Connection state recovery over JetStream: the log is a stream, and sessions are in a bucket.

All that changes something for clients goes into the stream: events, and joins, leaves and
disconnects, which would otherwise overtake them. So with recovery what is said in a room reaches
every server, for each has to know the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nuncio.cluster.logged import LoggedAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.nats.adapter import NatsAdapter, RoutedAdapter
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.stream import Log
from nuncio.cluster.nats.subjects import LOGGED
from nuncio.cluster.numbered import Origin
from nuncio.cluster.signing import Signer
from nuncio.errors import LimitExceeded, PacketError


class RecoveringAdapter(LoggedAdapter, RoutedAdapter):
    """See `NatsAdapter`, with connection state recovery.

    Args:
        nsp: see `Adapter`.
        bus: the server's connection.
        settings: the options.
        log: what all namespaces of the server read.
    """

    def __init__(self, nsp: Any, bus: Bus, settings: NatsAdapter, log: Log) -> None:
        super().__init__(nsp, bus, settings)
        self._stream = log
        self._signer: Signer = settings.signer

    def _common(self) -> tuple[str, ...]:
        return (self._own, self.subjects.all)

    async def begin(self) -> None:
        """See `RoutedAdapter.begin`."""
        await self._stream.listen(self.subjects.log, self)

    async def end(self) -> None:
        """See `RoutedAdapter.end`."""
        self.end_log()
        self._stream.forget(self.subjects.log)

    # The stream.

    @property
    def reachable(self) -> bool:
        """See `LoggedAdapter.reachable`."""
        return self.bus.healthy

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        if message.type in LOGGED and self._has_place(message):
            try:
                self.append(message, 0)
                return
            except LimitExceeded:
                # In parts, without a place.
                pass
        super().publish(message)

    def _has_place(self, message: ClusterMessage) -> bool:
        """Whether it belongs into the stream: not what may be lost, and no questions."""
        told = message.data
        return getattr(told, "request", None) is None and not told.opts.flags.volatile

    def append(
        self, message: ClusterMessage, number: int, promised: bool = False
    ) -> asyncio.Future[None]:
        """See `LoggedAdapter.append`; all is sent again that may not have arrived, and is known."""
        data = self._wire.encode_entry(message, self.subjects.log, number)
        return self._stream.append(self.subjects.log, data, self.new_id())

    def entry_arrived(self, position: int, data: bytes) -> None:
        """An entry of the stream for this namespace."""
        try:
            message, number = self._wire.decode_entry(data, self.subjects.log)
        except PacketError as error:
            self.drop(str(error))
            return
        if message.uid == self.uid:
            self.mine(position, (message, number), number)
        else:
            self.others(position, (message, number), lambda: self.received(message))

    def message_of(self, entry: Any) -> ClusterMessage:
        """See `LoggedAdapter.message_of`."""
        return self._entry(entry)[0]

    def origin_of(self, entry: Any) -> Origin:
        """See `LoggedAdapter.origin_of`."""
        message, number = self._entry(entry)
        return Origin(message.uid, number)

    def _entry(self, entry: Any) -> tuple[ClusterMessage, int]:
        """A message and its number: as it was read, or as the stream says it."""
        if isinstance(entry, bytes):
            return self._wire.decode_entry(entry, self.subjects.log)
        found: tuple[ClusterMessage, int] = entry
        return found

    def position(self) -> int:
        """See `LoggedAdapter.position`."""
        return self._stream.position

    async def read_after(self, position: int, known: bool) -> list[tuple[int, Any]] | None:
        """See `LoggedAdapter.read_after`."""
        # What this server's clients have been given early, and it has not read yet, the stream has.
        lately = not self._numbered
        return await self._stream.read_after(position, self.subjects.log, lately)

    # Sessions.

    def keep_session(self, pid: str, data: bytes, seconds: float) -> asyncio.Future[Any]:
        """See `LoggedAdapter.keep_session`; the bucket keeps all of them equally long."""
        return self._stream.sessions.keep(pid, self._signer.sign(data, pid.encode()))

    async def take_session(
        self, pid: str, wanted: Callable[[bytes], bool] | None = None
    ) -> bytes | None:
        """See `LoggedAdapter.take_session`."""
        wants = None if wanted is None else lambda data: wanted(self._verified(pid, data))
        data = await self._stream.sessions.take(pid, wants)
        return None if data is None else self._verified(pid, data)

    def _verified(self, pid: str, data: bytes) -> bytes:
        return self._signer.verify(data, pid.encode())
