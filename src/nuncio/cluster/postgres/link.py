"""The connection that sends: notifications and attachments, in the order in which they are given.

Who gives one never waits. What was given in one turn of the loop leaves in one transaction. While
PostgreSQL is away notifications wait, up to a bound; what was sent and not confirmed when the
connection is lost has failed, for nobody knows whether it was carried out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import Changed, Line, as_connection_error
from nuncio.cluster.order import Order
from nuncio.cluster.postgres.endpoint import ENGINE, Endpoint
from nuncio.cluster.postgres.session import Session
from nuncio.cluster.postgres.table import Table

logger = logging.getLogger("nuncio.cluster")

_MOST_BYTES: Final = 1 << 20
_MOST_NOTICES: Final = 1000

# What a notification costs beside its text.
_OVERHEAD: Final = 200

# Connections that are lost, servers that end, and those that have become replicas: a new connection
# may find the right one.
_USELESS: Final = ("08", "57P", "25006")

_NOTIFY: Final = (
    "SELECT pg_notify(one.channel, one.payload)"
    " FROM unnest($1::text[], $2::text[]) AS one(channel, payload)"
)


class Notice(Order):
    """One notification.

    Attributes:
        channel: where it is heard.
        text: what it says; of an attachment it becomes known when that is written.
        attachment: what is written first; None for nothing.
        header: makes the text of the attachment's row.
    """

    __slots__ = ("attachment", "channel", "header", "text")

    def __init__(
        self,
        channel: str,
        text: str,
        attachment: bytes | None,
        header: Callable[[int], str],
        answer: asyncio.Future[None] | None = None,
    ) -> None:
        self.channel = channel
        self.text = text
        self.attachment = attachment
        self.header = header
        self.answer = answer
        self.size = _OVERHEAD + len(text) + (0 if attachment is None else len(attachment))


class Link(Line):
    """Sends notifications.

    Args:
        endpoint: where PostgreSQL is.
        changed: see `Line`.
        table: the table of attachments.
        failed: told of how many PostgreSQL refused, or were lost.
        most_bytes: how much may wait to be sent.
    """

    engine = ENGINE

    def __init__(
        self,
        endpoint: Endpoint,
        changed: Changed,
        table: Table,
        failed: Callable[[int], None],
        most_bytes: int,
    ) -> None:
        super().__init__(changed)
        self._endpoint = endpoint
        self._table = table
        self._failed = failed
        self._most_bytes = most_bytes
        self._queue: deque[Notice] = deque()
        self._queued_bytes = 0
        self._sent: list[Notice] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._cleanup_due = False
        self._refused = False

    def push(self, notice: Notice) -> bool:
        """Have a notification sent; False when too much waits already."""
        if self._queued_bytes + notice.size > self._most_bytes:
            notice.fail(ConnectionError(f"too much waits for {ENGINE}"))
            return False
        self._queue.append(notice)
        self._queued_bytes += notice.size
        self._idle.clear()
        self._wake.set()
        return True

    def clean_up(self) -> None:
        """Delete old attachments, if PostgreSQL is there."""
        if self.connected:
            self._cleanup_due = True
            self._wake.set()

    async def drained(self) -> None:
        """Wait until all that was given is sent."""
        await self._idle.wait()

    async def connect(self) -> Session:
        """See `Line.connect`."""
        return Session(await self._endpoint.connect(), self._wake)

    async def disconnect(self, connection: Session) -> None:
        """See `Line.disconnect`."""
        await self._endpoint.disconnect(connection.raw)

    async def begin(self, connection: Session) -> None:
        """See `Line.begin`: the table is there, or will be."""
        self._refused = False
        await self._table.ensure(connection)

    async def use(self, connection: Session) -> None:
        """See `Line.use`."""
        while True:
            if self._queue:
                await self._send(connection, self._take())
            if self._cleanup_due:
                self._cleanup_due = False
                await self._unless_refused(self._table.clean_up(connection), 0)
            if not self._queue:
                self._idle.set()
                await connection.wait()

    def _take(self) -> list[Notice]:
        batch: list[Notice] = []
        size = 0
        texts: set[tuple[str, str]] = set()
        queue = self._queue
        while queue and size < _MOST_BYTES and len(batch) < _MOST_NOTICES:
            notice = queue[0]
            if notice.attachment is None:
                # Of those that are the same in one transaction PostgreSQL passes on one.
                told = (notice.channel, notice.text)
                if told in texts:
                    break
                texts.add(told)
            queue.popleft()
            self._queued_bytes -= notice.size
            if not notice.abandoned:
                size += notice.size
                batch.append(notice)
        return batch

    async def _send(self, connection: Session, batch: list[Notice]) -> None:
        self._sent = batch
        attached = [notice for notice in batch if notice.attachment is not None]
        if attached:
            written = self._table.write(connection, [one.attachment for one in attached])
            rows = await self._unless_refused(written, len(attached))
            if rows is None:
                self._sent = batch = [one for one in batch if one.attachment is None]
                for notice in attached:
                    notice.fail(ConnectionError("the attachment could not be written"))
            else:
                for notice, row in zip(attached, rows, strict=True):
                    notice.text = notice.header(row)
        if batch:
            channels = [notice.channel for notice in batch]
            texts = [notice.text for notice in batch]
            asked = connection.ask(connection.raw.execute(_NOTIFY, channels, texts))
            told = await self._unless_refused(asked, len(batch))
            self._sent = []
            for notice in batch:
                if told is None:
                    notice.fail(ConnectionError("the notification was refused"))
                else:
                    notice.succeed()

    async def _unless_refused(self, asked: Any, count: int) -> Any:
        """What something gives; None when PostgreSQL refuses it and yet remains of use."""
        from asyncpg import PostgresError

        try:
            return await asked
        except PostgresError as error:
            if str(error.sqlstate).startswith(_USELESS):
                raise as_connection_error(error, ENGINE) from error
            self._failed(count)
            # Once for each connection: it will be the same reason again and again.
            level = logging.DEBUG if self._refused else logging.WARNING
            logger.log(level, "PostgreSQL refuses what it is told: %s", error)
            self._refused = True
            return None

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        sent, self._sent = self._sent, []
        if sent:
            self._failed(len(sent))
        for notice in sent:
            notice.fail(error)

    async def close(self) -> None:
        """See `Line.close`; what was not sent is lost."""
        await super().close()
        ended = ConnectionError("the server has left the cluster")
        self.lost(ended)
        while self._queue:
            self._queue.popleft().fail(ended)
        self._queued_bytes = 0
