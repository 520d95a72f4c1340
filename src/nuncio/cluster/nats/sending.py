"""How an emitter's messages travel over NATS."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from nuncio.cluster import sending
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.stream import stored
from nuncio.cluster.nats.subjects import LOGGED, Subjects, subject_of

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
        self._has_stream = False
        self._looking: asyncio.Task[None] | None = None

    def prepare(self, message: ClusterMessage) -> ClusterMessage:
        """See `LoopSender.prepare` of all engines: how large it may be is not known yet."""
        return message

    async def give(self, prepared: ClusterMessage) -> None:
        """See `LoopSender.give` of all engines.

        Raises:
            ConnectionError: when it was not taken.
            LimitExceeded: when it is too large.
        """
        bus, wire = self.bus, self._settings.wire
        subjects = Subjects(self._settings.subject_prefix, prepared.nsp)
        if self._settings.logs_emitters and not self._has_stream:
            # What has no place in the stream waits as well, or it would come first.
            await self._look(subjects.log)
        if self._has_stream and prepared.type in LOGGED:
            entry = wire.encode_entry(prepared, subjects.log)
            await stored(bus.request(subjects.log, entry, secrets.token_hex(12)))
            return
        subject = subject_of(subjects, prepared)
        bus.publish(subject, *wire.encode(prepared, subject, bus.most_payload))
        await bus.flush()

    async def _look(self, subject: str) -> None:
        """Look whether there is a stream: where no server recovers clients, nobody has made one.

        All messages that wait for the same answer go on in order.
        """
        looking = self._looking
        if looking is None:
            looking = self._looking = asyncio.ensure_future(self._ask(subject))
        await asyncio.shield(looking)

    async def _ask(self, subject: str) -> None:
        from nats.errors import NoRespondersError
        from nats.js.errors import NotFoundError, ServiceUnavailableError

        try:
            await self.bus.connection.jetstream().find_stream_name_by_subject(subject)
            self._has_stream = True
        except (NotFoundError, NoRespondersError, ServiceUnavailableError):
            pass
        except Exception as error:
            raise ConnectionError(
                f"NATS does not say whether there is a stream ({error}): an emitter with stream="
                " must be allowed to ask, at $JS.API.STREAM.NAMES"
            ) from error
        finally:
            self._looking = None
