"""Both connections of one server to PostgreSQL: one listens and one sends, for all namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final, Protocol

from nuncio.cluster.line import Line, as_connection_error
from nuncio.cluster.postgres.endpoint import ENGINE, Endpoint
from nuncio.cluster.postgres.intake import Listener
from nuncio.cluster.postgres.link import Link, Notice
from nuncio.cluster.postgres.receiver import Receiver
from nuncio.cluster.postgres.table import Table
from nuncio.cluster.postgres.wire import Wire

logger = logging.getLogger("nuncio.cluster")

# What was said last may take so long to leave.
_LAST_SECONDS: Final = 1.0


class Member(Protocol):
    """An adapter, as the bus knows it."""

    def bus_changed(self, why: Exception | None) -> None:
        """PostgreSQL was lost, and why; or None: it is there again."""


class Bus:
    """One server's connections to PostgreSQL.

    Args:
        endpoint: where PostgreSQL is.
        wire: writes and reads messages.
        table: the table of attachments.
        most_bytes: how much may wait to be sent.
        cleanup: seconds between two deletions of old attachments; None for no deletions.

    Attributes:
        published: how many notifications were given.
        dropped: how many of them were not taken, as too much waited.
        failed: how many PostgreSQL refused, or were lost with a connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        wire: Wire,
        table: Table,
        most_bytes: int,
        cleanup: float | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._wire = wire
        self._table = table
        self._most_bytes = most_bytes
        self._cleanup = cleanup
        self._members: set[Member] = set()
        self._opening: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._receiver: Receiver | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._down: dict[Line, Exception] = {}
        self._losses = 0
        self.published = 0
        self.dropped = 0
        self.failed = 0

    # Members.

    async def enter(self, member: Member) -> None:
        """Be open for an adapter.

        Raises:
            ConnectionError: when PostgreSQL cannot be reached.
        """
        self._members.add(member)
        opening = self._opening
        if opening is None or opening.get_loop() is not asyncio.get_running_loop():
            opening = asyncio.get_running_loop().create_task(self._open())
            self._opening = opening
        try:
            await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def leave(self, member: Member) -> None:
        """An adapter needs it no longer; after the last one it is closed."""
        if member not in self._members:
            return
        self._members.discard(member)
        if not self._members:
            await self._close()

    async def _open(self) -> None:
        try:
            await self._endpoint.prepare()
        except Exception as error:
            raise as_connection_error(error, ENGINE) from error
        self._link = Link(
            self._endpoint, self._changed, self._table, self._count_failed, self._most_bytes
        )
        try:
            await self._link.open()
        except BaseException:
            await self._close_lines()
            raise
        if self._cleanup is not None:
            self._cleaning = asyncio.get_running_loop().create_task(self._clean(self._cleanup))

    async def _clean(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self._link is not None:
                self._link.clean_up()

    async def _close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.cancel()
            await asyncio.wait((opening,))
        if self._link is not None and self._link.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._link.drained()
        await self._close_lines()

    async def _close_lines(self) -> None:
        cleaning, self._cleaning = self._cleaning, None
        if cleaning is not None:
            cleaning.cancel()
        lines = self._lines()
        self._link = self._receiver = None
        self._down.clear()
        await asyncio.gather(*[line.close() for line in lines])
        self._losses += sum(line.losses for line in lines)

    def _lines(self) -> list[Line]:
        return [line for line in (self._link, self._receiver) if line is not None]

    # Health.

    @property
    def trouble(self) -> Exception | None:
        """Why PostgreSQL cannot be reached; None when it can."""
        return next(iter(self._down.values()), None)

    def stats(self) -> dict[str, int]:
        """Numbers as they are now."""
        return {
            "published": self.published,
            "dropped_outgoing": self.dropped,
            "failed": self.failed,
            "subscriptions": 0 if self._receiver is None else len(self._receiver),
            "losses": self._losses + sum(line.losses for line in self._lines()),
        }

    def _count_failed(self, count: int) -> None:
        self.failed += count

    def _changed(self, line: Line, error: Exception | None) -> None:
        if line not in self._lines():
            return
        was_healthy = not self._down
        if error is None:
            self._down.pop(line, None)
        else:
            self._down[line] = error
        if was_healthy == (not self._down):
            return
        if error is not None:
            logger.warning("PostgreSQL is lost, and will be tried again: %s", error)
        else:
            logger.info("PostgreSQL is there again")
        for member in list(self._members):
            member.bus_changed(error)

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
