"""How an emitter's messages travel over NATS."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from nuncio.cluster import sending
from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.stream import stored
from nuncio.cluster.nats.subjects import Subjects, subject_of

if TYPE_CHECKING:
    from nuncio.cluster.nats.adapter import NatsAdapter


class LoopSender(sending.LoopSender[Bus]):
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connection.
        settings: the servers' adapter.
    """

    def __init__(self, bus: Bus, settings: NatsAdapter) -> None:
        super().__init__(bus)
        self._settings = settings

    def prepare(self, message: ClusterMessage) -> ClusterMessage:
        """See `LoopSender.prepare` of all engines: how large it may be is not known yet."""
        return message

    def give(self, prepared: ClusterMessage) -> Awaitable[None]:
        """See `LoopSender.give` of all engines.

        Raises:
            LimitExceeded: when it is too large.
        """
        bus, wire = self.bus, self._settings.wire
        subjects = Subjects(self._settings.subject_prefix, prepared.nsp)
        if self._settings.is_logged(prepared):
            entry = wire.encode_entry(prepared, subjects.log)
            return stored(bus.request(subjects.log, entry, secrets.token_hex(12)))
        subject = subject_of(subjects, prepared)
        bus.publish(subject, *wire.encode(prepared, subject, bus.most_payload))
        return bus.flush()
