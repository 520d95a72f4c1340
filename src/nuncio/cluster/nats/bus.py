"""The connection of one server to NATS, for all its namespaces.

The bus knows no adapters. It tells them when the other servers cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nuncio.cluster import bus
from nuncio.cluster.line import Line, outcome
from nuncio.cluster.nats.endpoint import Endpoint
from nuncio.cluster.nats.link import ENGINE, MOST_PAYLOAD, Link, Receiver

logger = logging.getLogger("nuncio.cluster")


class Bus(bus.Bus):
    """One server's connection to NATS.

    Args:
        endpoint: where NATS is.
        most_bytes: how much may wait to be sent.
    """

    engine = ENGINE

    def __init__(self, endpoint: Endpoint, most_bytes: int) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._most_bytes = most_bytes
        self._link: Link | None = None
        self._starters: list[Callable[[Any], Awaitable[None]]] = []
        self._ended: dict[str, int] = {}

    # Life.

    async def _open(self) -> None:
        """See `Bus._open` of all engines."""
        link = self._link
        if link is None:
            link = Link(self._dial, self._changed, self._most_bytes)
            link.starters = self._starters
            self._link = link
        try:
            await link.open()
        except ConnectionError:
            if self._link is link:
                self._link = None
                await self._end(link)
            raise

    async def _close(self) -> None:
        """See `Bus._close` of all engines."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            if link.connected:
                async with asyncio.timeout(bus.LAST_SECONDS):
                    await link.flush()
        except (ConnectionError, TimeoutError) as error:
            logger.debug("what was said last may be lost: %s", error)
        finally:
            # Also when there is no time for that.
            await self._end(link)

    def _forget(self) -> None:
        """See `Bus._forget` of all engines."""
        self._link = None

    async def _end(self, link: Link) -> None:
        await link.close()
        for name, value in _numbers(link).items():
            self._ended[name] = self._ended.get(name, 0) + value

    def _dial(self, receivers: dict[int, Receiver]) -> Any:
        from nuncio.cluster.nats.connection import Connection

        return Connection(self._endpoint, receivers)

    # Health.

    @property
    def healthy(self) -> bool:
        """Whether NATS is there."""
        return self._link is not None and self._link.connected

    def stats(self) -> dict[str, int]:
        """Numbers as they are now."""
        link = self._link
        found = dict(self._ended)
        if link is not None:
            for name, value in _numbers(link).items():
                found[name] = found.get(name, 0) + value
        return {
            "published": self.published,
            "dropped_outgoing": self.dropped + found.get("dropped", 0),
            "failed": found.get("failed", 0),
            "losses": found.get("losses", 0),
            "slow": found.get("slow", 0),
            "refused": found.get("refused", 0),
            "subscriptions": 0 if link is None else link.subscriptions,
        }

    def _changed(self, line: Line, error: Exception | None) -> None:
        if line is not self._link:
            return
        if error is None:
            logger.info("NATS is there")
        self._tell(error)

    # Messages and subscriptions.

    def publish(self, subject: str, *parts: bytes) -> None:
        """Send messages that belong together; see `Link.publish`."""
        self.published += 1
        if self._link is None:
            self.dropped += 1
        else:
            self._link.publish(subject, *parts)

    def request(self, subject: str, data: bytes, id: str = "") -> asyncio.Future[bytes]:
        """Send a message that is answered; see `Link.request`."""
        self.published += 1
        if self._link is not None:
            return self._link.request(subject, data, id)
        self.dropped += 1
        answer = outcome()
        answer.set_exception(ConnectionError("this server takes no part in the cluster"))
        return answer

    def subscribe(self, subject: str, receiver: Receiver) -> None:
        """Receive what is published on a subject; see `Link.subscribe`."""
        if self._link is not None:
            self._link.subscribe(subject, receiver)

    def unsubscribe(self, subject: str) -> None:
        """Receive no more."""
        if self._link is not None:
            self._link.unsubscribe(subject)

    async def flush(self) -> None:
        """Wait until NATS has seen to all that was said; see `Link.flush`."""
        if self._link is not None:
            await self._link.flush()

    @property
    def most_payload(self) -> int:
        """How many bytes a message may have."""
        return self._link.most_payload if self._link is not None else MOST_PAYLOAD

    @property
    def connection(self) -> Any:
        """The present connection.

        Raises:
            ConnectionError: when there is none.
        """
        if self._link is None:
            raise ConnectionError("this server takes no part in the cluster")
        return self._link.connection

    async def on_connection(self, starter: Callable[[Any], Awaitable[None]]) -> None:
        """Have something done with each new connection before it is of use, the present one first.

        Raises:
            ConnectionError: when it fails with that one.
        """
        self._starters.append(starter)
        try:
            await starter(self.connection)
        except BaseException:
            self._starters.remove(starter)
            raise

    def off_connection(self, starter: Callable[[Any], Awaitable[None]]) -> None:
        """Have it done no longer."""
        if starter in self._starters:
            self._starters.remove(starter)


def _numbers(link: Link) -> dict[str, int]:
    return {
        "dropped": link.dropped,
        "failed": link.failed,
        "losses": link.losses,
        "slow": link.slow,
        "refused": link.refused,
    }
