"""Clients that come from other workers, with all that belongs to them.

Whoever has a client gives it up and tells its estate, in parts; see `nuncio.workers.estate`. What
else was emitted for its rooms while it was on its way is asked of all others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import msgspec

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.rooms import Room
from nuncio.workers.arrival import Arrival
from nuncio.workers.claims import Claims
from nuncio.workers.estate import (
    CLAIMED,
    ESTATE,
    INHERITED,
    PART,
    SINCE,
    Claimed,
    Estate,
    Inherited,
    Part,
    Session,
    Since,
)
from nuncio.workers.mesh import Mesh
from nuncio.workers.moving import Moving
from nuncio.workers.numbering import NumberingAdapter
from nuncio.workers.questions import Question
from nuncio.workers.rendezvous import TAG_LENGTH


class ReceivingAdapter(NumberingAdapter):
    """See `NumberingAdapter`; it takes clients, and knows which are another worker's by now.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp, mesh)
        self._namespace = nsp
        self._moving = Moving()
        # What it looks for at other workers, by secrets.
        self._searches: dict[str, Question] = {}
        self._expected: Counter[Room] = Counter()
        self._parts: dict[tuple[str, str], Part] = {}
        self._arriving: set[asyncio.Future[None]] = set()
        self._closing = False
        self._claims = Claims(self._kept_for, self._is_here)
        self._links_lost: dict[str, float] = {}
        self._handlers |= {
            PART: self._on_part,
            ESTATE: self._on_estate,
            CLAIMED: self._on_claimed,
        }

    async def init(self) -> None:
        """See `Adapter.init`."""
        self._closing = False
        await super().init()

    def _on_part(self, message: ClusterMessage) -> None:
        part = msgspec.convert(message.data, Part)
        place = (message.uid, part.id)
        if self._leaving(part.answer):
            self._say(message.uid[:TAG_LENGTH], INHERITED, Inherited(part.id, False))
            return
        before = self._parts.get(place)
        if before is not None:
            before.events += part.events
            before.sessions += part.sessions
            return
        self._parts[place] = part

    def _on_estate(self, message: ClusterMessage) -> None:
        estate = msgspec.convert(message.data, Estate)
        tag = message.uid[:TAG_LENGTH]
        part = self._parts.pop((message.uid, estate.id), None)
        if part is None or self._leaving(estate.answer):
            self._say(tag, INHERITED, Inherited(estate.id, False))
            return
        question = self._questions.find(estate.id)
        if all(self._is_old(one) for one in part.sessions):
            # Perhaps another worker has what is newer.
            self._say(tag, INHERITED, Inherited(estate.id, True))
            if question is not None:
                question.answered(tag)
            self._namespace.session_left()
            return
        arriving = self.nsp.server.spawn(self._take_in(tag, part, estate))
        self._arriving.add(arriving)
        arriving.add_done_callback(self._arriving.discard)
        if question is not None:
            question.found.append(arriving)
            question.finish()

    def _leaving(self, answer: bool) -> bool:
        """Whether this worker ends, and takes nobody but whom it has asked for; at last nobody."""
        stopping: bool = self._namespace.server.engine.stopping
        return self._closing or (stopping and not answer)

    async def _take_in(self, tag: str, part: Part, estate: Estate) -> None:
        """Take clients of another worker, and say whether they are here."""
        taken = False
        try:
            await self._arrive(part, estate)
            taken = True
        finally:
            self._say(tag, INHERITED, Inherited(estate.id, taken))

    async def _arrive(self, part: Part, estate: Estate) -> None:
        """Clients come, and with them what they missed."""
        pids = [told.pid for told in part.sessions if told.pid not in self._moving]
        move = self._moving.begin(pids)
        hearing = self._hearing
        arrival = Arrival(self._namespace, self.log, self.uid, self._began, hearing, part, estate)
        rooms = list(arrival.rooms)
        self._expected.update(rooms)
        self.follow_all(rooms)
        try:
            question = self._ask(SINCE, lambda id: Since(id, rooms, estate.heard), self._tags())
            answered = await self._answered(question)
            part.sessions = [one for one in part.sessions if self._admits(one)]
            arrival.complete(question, answered)
            for told in part.sessions:
                search = self._searches.get(told.pid)
                if search is not None:
                    search.finish()
        finally:
            self._expected.subtract(rooms)
            self._expected += Counter()
            self.follow_all(rooms)
            self._moving.end(move)
            self._namespace.session_left()

    def _admits(self, told: Session) -> bool:
        """Whether a client arrives that has not returned elsewhere since, or is here already."""
        pid, here = told.pid, self._is_here(told.pid)
        if self._is_old(told) or (here and told.claim == self._claims.stamp(pid)):
            return False
        if here:
            self._drop(pid)
        self._claims.note(pid, told.claim)
        return True

    def _is_old(self, told: Session) -> bool:
        """Whether a client has returned elsewhere since it was at the worker that tells it."""
        return told.claim < self._claims.stamp(told.pid)

    # Clients that two may have.

    def _is_here(self, pid: str) -> bool:
        return self._namespace.is_live(pid) or self.log.remembers(pid)

    def link_lost(self, tag: str) -> None:
        """See `Member.link_lost`."""
        super().link_lost(tag)
        now = time.monotonic()
        oldest = now - self._kept_for
        self._links_lost = {one: at for one, at in self._links_lost.items() if at > oldest}
        self._links_lost[tag] = now
        for place in [place for place in self._parts if place[0][:TAG_LENGTH] == tag]:
            del self._parts[place]

    def link_made(self, tag: str) -> None:
        """See `Member.link_made`: who was lost has not heard who returned meanwhile."""
        super().link_made(tag)
        if self._links_lost.pop(tag, None) is not None:
            for stamps in self._claims.all():
                self._say(tag, CLAIMED, Claimed(stamps))

    def _on_claimed(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Claimed)
        for pid, stamp in told.stamps.items():
            if stamp > self._claims.stamp(pid):
                self._claims.note(pid, stamp)
                self._drop(pid)

    def _drop(self, pid: str) -> None:
        """A client is another worker's, which is known only now."""
        self._namespace.take_over(pid)
        session = self.log.find(pid)
        if session is not None:
            self._let_go(session)
            self._namespace.session_left()

    def _let_go(self, session: SavedSession) -> None:
        """A client is another worker's from now on, and so is what is said in its rooms."""
        self.log.give_away(session)
        self.follow_all(session.rooms)

    # Who is on his way here is somebody.

    def has_room(self, room: Room) -> bool:
        """See `MemoryAdapter.has_room`."""
        return room in self._expected or super().has_room(room)

    @property
    def occupied(self) -> bool:
        """See `Adapter.occupied`."""
        return bool(self._expected or self._moving) or super().occupied
