"""How an emitter's messages travel over NATS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.stream import stored
from nuncio.cluster.nats.subjects import Subjects, subject_of

if TYPE_CHECKING:
    from nuncio.cluster.nats.adapter import NatsAdapter

logger = logging.getLogger("nuncio.cluster")


class LoopSender:
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connection.
        settings: the servers' adapter.
    """

    def __init__(self, bus: Bus, settings: NatsAdapter) -> None:
        self._bus = bus
        self._settings = settings
        self._sending: set[asyncio.Future[None]] = set()

    def bus_changed(self, why: Exception | None) -> None:
        """See `Member`: what is sent waits or fails by itself."""

    def send(self, message: ClusterMessage) -> Awaitable[None]:
        """Send a message.

        Returns:
            What raises ConnectionError when NATS did not take it, and LimitExceeded when it is too
            large.
        """
        sending = asyncio.ensure_future(self._send(message))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return sending

    async def _send(self, message: ClusterMessage) -> None:
        # Who waits for the same connection goes on in the order in which it came.
        await self._bus.enter(self)
        subjects = Subjects(self._settings.subject_prefix, message.nsp)
        wire = self._settings.wire
        if self._settings.is_logged(message):
            await stored(self._bus.request(subjects.log, wire.encode_entry(message)))
            return
        for data in wire.encode(message, self._bus.most_payload):
            self._bus.publish(subject_of(subjects, message), data)
        await self._bus.flush()

    def _sent(self, sending: asyncio.Future[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            logger.warning("what an emitter sent is lost: %s", error)

    def close(self) -> Awaitable[None]:
        """Wait for what is being sent, then end the connection."""
        return self._close()

    async def _close(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending)
        await self._bus.leave(self)
