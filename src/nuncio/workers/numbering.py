"""What each worker has heard of the others: events have numbers, and workers can be asked for more.

Each event has its number at the worker that emitted it, and each worker knows of all others up to
which number it has heard them. So it can be told what has not been heard, see decision 16.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.recovery import RecoveryLog
from nuncio.cluster.travel import first_id
from nuncio.workers.adapter import WorkersAdapter
from nuncio.workers.estate import (
    POSITION,
    SAID,
    SINCE,
    Event,
    Position,
    Said,
    Since,
    size_of,
    told_events,
)
from nuncio.workers.hearing import Hearing
from nuncio.workers.mesh import Mesh
from nuncio.workers.questions import Question, Questions
from nuncio.workers.rendezvous import TAG_LENGTH

# Workers without recovery, of a deployment that ends, do not say how far they have come.
BEGIN_SECONDS: Final = 2.0

# Who has to be heard out before a client moves may be busy.
HEARING_SECONDS: Final = 1.5

# What a worker may have emitted while a client was on its way.
MOST_SAID: Final = 8 * 1024 * 1024


class NumberingAdapter(WorkersAdapter):
    """See `WorkersAdapter`; what it emits has numbers, and it can ask others, and be asked.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    log: RecoveryLog

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp, mesh)
        nsp.number_acks_from(first_id())
        engine, away = nsp.server.engine.options, nsp.server.recovery.max_disconnection_duration
        # How long a client may be remembered: it may take two heartbeats until it is known that it
        # is away.
        self._kept_for = 2.0 * (away + engine.ping_interval + engine.ping_timeout)
        self._hearing = Hearing(lambda uid: self._meeting(uid[:TAG_LENGTH]) > 0, self._kept_for)
        self._began = 0
        # Who was lost, until when clients elsewhere may know what it said meanwhile.
        self._unheard: dict[str, float] = {}
        self._away_seconds = float(away)
        self._hearing_out: asyncio.Task[None] | None = None
        self._hearing_next: asyncio.Task[None] | None = None
        self._questions = Questions(self._meeting)
        self._handlers |= {
            POSITION: self._on_position,
            SINCE: self._on_since,
            SAID: self._on_said,
        }

    async def init(self) -> None:
        """See `Adapter.init`: from the beginning it is known how far the others have come."""
        await super().init()
        self._began = self.log.last
        there = self._there()
        told = Position("", self._began, ask=True, joins=True)
        question = self._ask(POSITION, lambda id: msgspec.structs.replace(told, request=id), there)
        await self._questions.wait(question, BEGIN_SECONDS)

    # What is emitted, and heard.

    def _tell(self, kind: int, data: Any, *rest: Any) -> None:
        """Say the number of an event that is logged here next."""
        if kind == Kind.BROADCAST and data.request is None and not data.opts.flags.volatile:
            data.number = self.log.last + 1
        super()._tell(kind, data, *rest)

    def _on_broadcast(self, message: ClusterMessage) -> None:
        number = message.data.get("number", 0) if isinstance(message.data, dict) else 0
        if not isinstance(number, int) or number <= 0:
            # Of a worker without recovery: what it emits just while a client moves may be missed.
            number = 0
        else:
            self._hearing.heard(message.uid, number)
            if self._unheard:
                self._unheard.pop(message.uid[:TAG_LENGTH], None)
        self.log.coming(message.uid, number)
        try:
            super()._on_broadcast(message)
        finally:
            self.log.coming("", 0)

    def _on_position(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Position)
        tag = message.uid[:TAG_LENGTH]
        if told.joins:
            self._hearing.began(message.uid, told.number)
        else:
            self._is_at(message.uid, told.number)
        if told.ask:
            self._say(tag, POSITION, Position(told.request, self.log.last))
            return
        question = self._questions.find(told.request)
        if question is not None:
            question.answered(tag)

    def _is_at(self, uid: str, number: int) -> None:
        """A worker has said nothing up to a number that has not come here.

        Unless it was lost meanwhile: its log has what it said then, others may have heard it, and
        clients that go elsewhere get it there.
        """
        missed = time.monotonic() < self._unheard.get(uid[:TAG_LENGTH], 0.0)
        if not missed or uid not in self._hearing.numbers:
            self._hearing.heard(uid, number)

    def link_lost(self, tag: str) -> None:
        """See `Member.link_lost`."""
        now = time.monotonic()
        self._unheard = {one: until for one, until in self._unheard.items() if until > now}
        self._unheard[tag] = now + self._away_seconds

    def link_made(self, tag: str) -> None:
        """See `Member.link_made`: it learns from where on it hears this worker."""
        self._say(tag, POSITION, Position("", self.log.last))

    async def _hear_out(self) -> None:
        """Wait until all that the others have said by now is heard, and up to where it goes.

        What they have said to others alone counts, too, though it comes to no ear here. Who waits
        at the same time waits for the same answers.
        """
        if self._hearing_next is None:
            hearing = self._hear_all(self._hearing_out)
            self._hearing_next = asyncio.ensure_future(hearing)
        await asyncio.wait((self._hearing_next,))

    async def _hear_all(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        self._hearing_out, self._hearing_next = self._hearing_next, None
        told = Position("", self.log.last, ask=True)
        tags = self._tags()
        question = self._ask(POSITION, lambda id: msgspec.structs.replace(told, request=id), tags)
        await self._questions.wait(question, HEARING_SECONDS)

    # Questions to other workers.

    def _say(self, tag: str, kind: int, data: Any) -> None:
        self.reply(tag, ClusterMessage(self.uid, self.nsp.name, kind, data))

    def _there(self) -> list[str]:
        return [link.tag for link in self._mesh.with_namespace(self.nsp.name)]

    def _meeting(self, tag: str) -> int:
        """Which meeting with another worker lasts; 0 when it cannot be asked."""
        link = self._mesh.find(tag)
        return link.met if link is not None and self.nsp.name in link.namespaces else 0

    def _tags(self) -> list[str]:
        """The other workers, without those that have no recovery: they have said no number."""
        known = {uid[:TAG_LENGTH] for uid in self._hearing.numbers}
        return [tag for tag in self._there() if tag in known]

    def _met(self) -> dict[str, int]:
        """Whom to ask for a client, and which meeting with each lasts."""
        return {tag: self._meeting(tag) for tag in self._tags()}

    def _ask(self, kind: int, data: Callable[[str], Any], tags: list[str]) -> Question:
        """Ask some workers something."""
        question = self._questions.new(self.new_id(), tags)
        for tag in tags:
            self._say(tag, kind, data(question.id))
        return question

    async def _answered(self, question: Question) -> bool:
        """Wait for the answers; whether there is one of each worker that is still there."""
        return await self._questions.wait(question, self.request_seconds)

    def _on_since(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Since)
        rooms = frozenset(told.rooms)
        own = self.log.own_after(told.after.get(self.uid, self._began))
        events: list[Event] = []
        if own is not None:
            concerned = [one for one in own if not one[1].rooms or one[1].rooms & rooms]
            events = told_events(self.log, concerned)
        forgotten = own is None or size_of(events) > MOST_SAID
        answer = Said(told.request, self.log.last, [] if forgotten else events, forgotten)
        self._say(message.uid[:TAG_LENGTH], SAID, answer)

    def _on_said(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Said)
        # What it had to say to this worker up to there came before.
        self._hearing.heard(message.uid, told.number)
        question = self._questions.find(told.request)
        if question is not None:
            question.events += told.events
            question.forgotten |= told.forgotten
            question.numbers[message.uid] = told.number
            question.answered(message.uid[:TAG_LENGTH])
