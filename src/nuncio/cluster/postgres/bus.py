"""Both connections of one server to PostgreSQL: one listens and one sends, for all namespaces."""

from __future__ import annotations

import asyncio
import contextlib

from nuncio.cluster.bus import LAST_SECONDS, LineBus
from nuncio.cluster.line import Line, as_connection_error
from nuncio.cluster.postgres.endpoint import ENGINE, Endpoint
from nuncio.cluster.postgres.intake import Listener
from nuncio.cluster.postgres.link import Link, Notice
from nuncio.cluster.postgres.receiver import Receiver
from nuncio.cluster.postgres.table import Table
from nuncio.cluster.postgres.wire import Wire


class Bus(LineBus):
    """One server's connections to PostgreSQL.

    Args:
        endpoint: where PostgreSQL is.
        wire: writes and reads messages.
        table: the table of attachments.
        most_bytes: how much may wait to be sent.
        cleanup: seconds between two deletions of old attachments; None for no deletions.
    """

    engine = ENGINE

    def __init__(
        self,
        endpoint: Endpoint,
        wire: Wire,
        table: Table,
        most_bytes: int,
        cleanup: float | None = None,
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._wire = wire
        self._table = table
        self._most_bytes = most_bytes
        self._cleanup = cleanup
        self._link: Link | None = None
        self._receiver: Receiver | None = None
        self._cleaning: asyncio.Task[None] | None = None

    # Life.

    async def _connect(self) -> None:
        """See `LineBus._connect`."""
        try:
            await self._endpoint.prepare()
        except Exception as error:
            raise as_connection_error(error, ENGINE) from error
        self._link = Link(
            self._endpoint, self._changed, self._table, self._count_failed, self._most_bytes
        )
        await self._link.open()
        if self._cleanup is not None:
            self._cleaning = asyncio.get_running_loop().create_task(self._clean(self._cleanup))

    async def _clean(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self._link is not None:
                self._link.clean_up()

    async def _settle(self) -> None:
        """See `LineBus._settle`."""
        if self._link is not None and self._link.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._link.drained()

    async def _close_lines(self) -> None:
        """See `LineBus._close_lines`."""
        if self._cleaning is not None:
            self._cleaning.cancel()
        lines = self._lines()
        self._forget_lines()
        await asyncio.gather(*[self._discard(line) for line in lines])

    def _forget_lines(self) -> None:
        """See `LineBus._forget_lines`."""
        self._link = self._receiver = self._cleaning = None

    def _lines(self) -> list[Line]:
        return [line for line in (self._link, self._receiver) if line is not None]

    # Health.

    @property
    def trouble(self) -> Exception | None:
        """Why PostgreSQL cannot be reached; None when it can."""
        return next(iter(self._down.values()), None)

    def stats(self) -> dict[str, int]:
        """See `LineBus.stats`."""
        subscriptions = 0 if self._receiver is None else len(self._receiver)
        return {**super().stats(), "subscriptions": subscriptions}

    def _count_failed(self, count: int) -> None:
        self.failed += count

    # Sending.

    def send(self, notice: Notice) -> None:
        """Have a notification sent, in order."""
        self.published += 1
        if self._link is None or self._opening is None:
            notice.fail(ConnectionError("this server takes no part in the cluster"))
        elif self._link.push(notice):
            return
        self.dropped += 1

    # Receiving.

    async def listen(self, channel: str, nsp: str, listener: Listener) -> None:
        """Receive what is said on a namespace's channel, until `forget`.

        Raises:
            ConnectionError: when PostgreSQL cannot be reached.
        """
        receiver = self._receiver
        if receiver is None:
            receiver = Receiver(self._endpoint, self._changed, self._table.name, self._wire)
            self._receiver = receiver
        confirmed = receiver.add(channel, nsp, listener)
        await receiver.open()
        await confirmed

    def forget(self, channel: str) -> None:
        """Receive it no longer."""
        if self._receiver is not None:
            self._receiver.remove(channel)
