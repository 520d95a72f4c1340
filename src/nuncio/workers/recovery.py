"""Connection state recovery across workers: a client may come back to any of them.

A client's secret begins with the tag of the worker where its session began. A worker to which it
comes asks that one, and where it is not there, all others: since then it may have moved. Whoever
has the client gives it up and tells all that belongs to it (`nuncio.workers.estate`); only one can,
unless the link is lost meanwhile (`nuncio.workers.claims`).
A worker that ends hands over those who are away to another one, in the same way.

Why nothing is lost on the way, and nothing comes twice, is in decision 16. In short: each event has
its number at the worker that emitted it, and each worker knows of all others up to which number it
has heard them. The client comes with what it missed up to there. Then its new worker, which is in
the client's rooms from now on, asks everybody for what they emitted after that. Answers and events
come over the same link in order: what is emitted after an answer arrives after it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.past import UNKNOWN, Past
from nuncio.cluster.recovery import RecoveryLog, SavedSession
from nuncio.cluster.rooms import Room
from nuncio.cluster.travel import first_id
from nuncio.ids import new_id
from nuncio.workers.adapter import WorkersAdapter
from nuncio.workers.arrival import Arrival
from nuncio.workers.claims import Claims
from nuncio.workers.estate import (
    CLAIMED,
    ESTATE,
    INHERITED,
    NOTHING,
    PART,
    POSITION,
    SAID,
    SINCE,
    WANTED,
    Claimed,
    Estate,
    Event,
    Inherited,
    Nothing,
    Part,
    Position,
    Said,
    Session,
    Since,
    ToldPast,
    Wanted,
    joined,
    parts_of,
    size_of,
    told_events,
    told_session,
)
from nuncio.workers.handover import Legacy
from nuncio.workers.hearing import Hearing
from nuncio.workers.mesh import Mesh
from nuncio.workers.questions import LOOK_SECONDS, Question, Questions
from nuncio.workers.rendezvous import TAG_LENGTH

logger = logging.getLogger("nuncio.workers")

# Secrets are as long as ids, and offsets are an epoch and a number.
PID_LENGTH: Final = 20
MOST_OFFSET: Final = 40

# Workers without recovery, of a deployment that ends, do not say how far they have come.
BEGIN_SECONDS: Final = 2.0

# What is asked about a client that is being moved waits for that, but not for long.
MOVING_SECONDS: Final = 4.0

# A client may have moved on so often while it was looked for.
MOST_ROUNDS: Final = 6

# What a worker may have emitted while a client was on its way.
MOST_SAID: Final = 8 * 1024 * 1024


class RecoveringWorkersAdapter(WorkersAdapter):
    """See `WorkersAdapter`, with connection state recovery.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    log: RecoveryLog

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp, mesh)
        nsp.number_acks_from(first_id())
        self._namespace = nsp
        self._hearing = Hearing(lambda uid: mesh.find(uid[:TAG_LENGTH]) is not None)
        self._began = 0
        self._expected: Counter[Room] = Counter()
        # Who has come back, by their ids, and is not let in yet.
        self._deciding: dict[Room, tuple[str, asyncio.Future[str]]] = {}
        # Clients that are being moved, and to whom each went in the end.
        self._moving: dict[str, asyncio.Future[str]] = {}
        self._searches: dict[str, Question] = {}
        self._heirs: dict[str, str] = {}
        self._parts: dict[tuple[str, str], Part] = {}
        self._questions = Questions(self._meeting)
        self._giving: dict[str, asyncio.Task[None]] = {}
        self._arriving: set[asyncio.Future[None]] = set()
        self._closing = False
        self._handing: asyncio.Task[None] | None = None
        engine, away = nsp.server.engine.options, nsp.server.recovery.max_disconnection_duration
        # It may take two heartbeats until it is known that a client is away.
        self._kept_for = 2.0 * (away + engine.ping_interval + engine.ping_timeout)
        self._claims = Claims(self._kept_for)
        self._links_lost: dict[str, float] = {}
        self._handlers |= {
            POSITION: self._on_position,
            WANTED: self._on_wanted,
            NOTHING: self._on_nothing,
            SINCE: self._on_since,
            SAID: self._on_said,
            PART: self._on_part,
            ESTATE: self._on_estate,
            INHERITED: self._on_inherited,
            CLAIMED: self._on_claimed,
        }

    async def init(self) -> None:
        """See `Adapter.init`: from the beginning it is known how far the others have come."""
        await super().init()
        self._began = self.log.last
        self._heirs.clear()
        self._closing = False
        there = self._there()
        question = self._ask(POSITION, lambda id: Position(id, self._began, ask=True), there)
        await self._questions.wait(question, BEGIN_SECONDS)

    def _say(self, tag: str, kind: int, data: Any) -> None:
        self.reply(tag, ClusterMessage(self.uid, self.nsp.name, kind, data))

    # Numbers.

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
        self.log.coming(message.uid, number)
        try:
            super()._on_broadcast(message)
        finally:
            self.log.coming("", 0)

    def _on_position(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Position)
        tag = message.uid[:TAG_LENGTH]
        if told.ask:
            self._hearing.began(message.uid, told.number)
            self._say(tag, POSITION, Position(told.request, self.log.last))
            return
        self._hearing.heard(message.uid, told.number)
        question = self._questions.find(told.request)
        if question is not None:
            question.answered(tag)

    # Questions to other workers.

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

    # Clients that come back.

    def secret(self) -> str:
        """See `Adapter.secret`: it begins with this worker's tag."""
        return self._mesh.tag + new_id()[TAG_LENGTH:]

    def restore_session(self, pid: str, offset: str) -> Any:
        """See `Adapter.restore_session`."""
        if pid not in self._moving:
            if self.log.remembers(pid):
                return self._restore(pid, offset)
            if len(pid) != PID_LENGTH or len(offset) > MOST_OFFSET or not self._tags():
                return None
        return self._fetch(pid, offset, self._namespace.restoring)

    def _restore(self, pid: str, offset: str) -> SavedSession | None:
        past = self.log.past(pid)
        session = self.log.restore(pid, offset)
        if session is not None:
            self._claim(session, past)
            # What is said to it while middlewares decide is for it, and who wants it waits.
            self._deciding[session.sid] = pid, self._begin_moving([pid])
        if session is not None and past is not None:
            # Once two heartbeats have come through, it is known to have what was sent before.
            options = self._namespace.server.engine.options
            seconds = 2 * (options.ping_interval + options.ping_timeout) + 1.0
            asyncio.get_running_loop().call_later(seconds, self.log.settle, pid, past)
        return session

    def _claim(self, session: SavedSession, past: Past | None) -> None:
        """A client has returned here, and perhaps another worker has it, too."""
        pid = session.pid
        if past is not None or pid[:TAG_LENGTH] != self._mesh.tag or self._claims.knows(pid):
            told = Claimed({pid: self._claims.renew(pid)})
            for tag in self._tags():
                self._say(tag, CLAIMED, told)

    async def _fetch(self, pid: str, offset: str, connection: Any) -> SavedSession | None:
        """Wait for a client that is being moved, or look for it at the other workers."""
        await self._moved(pid)
        # It may have come over another connection just before.
        self._namespace.take_over(pid)
        if not self.log.remembers(pid) and pid not in self._moving:
            moving = self._begin_moving([pid])
            try:
                await self._search(pid, offset, connection)
            finally:
                self._done_moving([pid], moving)
        return self._restore(pid, offset)

    async def _moved(self, pid: str) -> str:
        """Wait until a client that is being moved is where it shall be.

        Returns:
            The tag of that worker, if this one has given it away.
        """
        loop, heir = asyncio.get_running_loop(), ""
        limit = loop.time() + MOVING_SECONDS
        while (moving := self._moving.get(pid)) is not None and loop.time() < limit:
            await asyncio.wait((moving,), timeout=limit - loop.time())
            heir = moving.result() if moving.done() else ""
        return heir

    async def _search(self, pid: str, offset: str, connection: Any) -> None:
        """Ask the worker where the client began, then all others, and whoever they name."""
        there = self._met()
        tags = [tag for tag in there if tag == pid[:TAG_LENGTH]]
        asked: set[str] = set()
        for _ in range(MOST_ROUNDS):
            if not connection.session.is_open:
                # Meanwhile it may be connected elsewhere.
                return
            before, there = there, self._met()
            if before.items() - there.items():
                # Who is gone may have handed it over to any of those who did not have it.
                asked.clear()
            tags = tags or list(there.keys() - asked)
            if not tags:
                return
            asked.update(tags)
            question = self._ask(WANTED, lambda id: Wanted(id, pid, offset), tags)
            self._searches[pid] = question
            try:
                await self._answered(question)
            finally:
                del self._searches[pid]
            if question.found:
                await asyncio.wait(question.found)
            if self.log.remembers(pid):
                # Or it was handed over to this worker meanwhile.
                return
            tags = list(question.heirs - {self._mesh.tag})

    def _begin_moving(self, pids: list[str]) -> asyncio.Future[str]:
        moving: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._moving |= dict.fromkeys(pids, moving)
        return moving

    def _done_moving(self, pids: list[str], moving: asyncio.Future[str], heir: str = "") -> None:
        for pid in pids:
            if self._moving.get(pid) is moving:
                del self._moving[pid]
        if not moving.done():
            moving.set_result(heir)

    # Clients that are wanted elsewhere.

    def _on_wanted(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Wanted)
        tag = message.uid[:TAG_LENGTH]
        if told.pid in self._moving:
            self.nsp.server.spawn(self._ask_again(tag, told))
        else:
            self._give(tag, told)

    async def _ask_again(self, tag: str, told: Wanted) -> None:
        """The client is on its way: who wants it may ask again, if it still does by then."""
        heir = await self._moved(told.pid)
        if self._is_here(told.pid):
            heir = self._mesh.tag
        self._say(tag, NOTHING, Nothing(told.request, heir or self._heirs.get(told.pid, "")))

    def _give(self, tag: str, told: Wanted) -> None:
        """Give a client to the worker to which it came back."""
        log, pid = self.log, told.pid
        self._namespace.take_over(pid)
        session = log.restore(pid, told.offset)
        if session is None:
            self._say(tag, NOTHING, Nothing(told.request, self._heirs.get(pid, "")))
            return
        try:
            parts, estate = self._gift(session, told)
        except (TypeError, ValueError, RecursionError) as error:
            logger.warning("the client %r cannot come back: %r", session.sid, error)
            self._let_go(session)
            self._namespace.session_lost(session)
            self._say(tag, NOTHING, Nothing(told.request))
            return
        self._let_go(session)
        moving = self._begin_moving([pid])
        giving = self._give_away(tag, parts, estate, moving)
        self._giving[estate.id] = asyncio.ensure_future(giving)

    def _gift(self, session: SavedSession, told: Wanted) -> tuple[list[Part], Estate]:
        """A client, and all that belongs to it.

        Raises:
            TypeError: when its data cannot be sent.
            ValueError: when it is too much.
        """
        log, number = self.log, session.since
        one = told_session(session)
        one.claim = self._claims.stamp(session.pid)
        concerning = log.concerning(session, number)
        events = told_events(log, [event for event in concerning if not event[1].promised])
        parts, left_out = parts_of(told.request, True, events, [one])
        if left_out:
            raise ValueError("what it missed is too much")
        # What it has, whatever the last event that it will say it has.
        offsets = {payload[-1]: number for _, _, _, payload in one.outbox}
        if told.offset:
            offsets[told.offset] = number
        estate = self._estate(told.request, answer=True)
        estate.pasts.append(ToldPast(number, UNKNOWN, {}, offsets))
        return parts, estate

    def _let_go(self, session: SavedSession) -> None:
        """A client is another worker's from now on, and so is what is said in its rooms."""
        self.log.give_away(session)
        self.follow_all(session.rooms)

    async def _give_away(
        self, tag: str, parts: list[Part], estate: Estate, moving: asyncio.Future[str]
    ) -> None:
        """Hand a client to another worker, or keep it where that does not take it.

        The other one may be there and have it all the same, which it will say; see `Claims`.
        """
        question = self._questions.new(estate.id, [tag])
        try:
            if await self._send(tag, parts, estate, question):
                await self._questions.wait(question, self._kept_for)
            if not question.taken:
                # As if it came from elsewhere: nobody has told this worker what was said meanwhile.
                await self._arrive(joined(parts), estate)
        finally:
            pids = [one.pid for part in parts for one in part.sessions]
            self._done_moving(pids, moving, tag if question.taken else "")
            del self._giving[estate.id]
            self._namespace.session_left()

    def _is_here(self, pid: str) -> bool:
        return self._namespace.is_live(pid) or self.log.remembers(pid)

    def _drop(self, pid: str) -> None:
        """A client is another worker's, which is known only now."""
        self._namespace.take_over(pid)
        session = self.log.find(pid)
        if session is not None:
            self._let_go(session)
            self._namespace.session_left()

    def _estate(self, id: str, *, answer: bool) -> Estate:
        self._hearing.forget()
        heard = {**self._hearing.numbers, self.uid: self.log.last}
        return Estate(id, answer, self.log.last, heard, [])

    async def _send(self, tag: str, parts: list[Part], estate: Estate, question: Question) -> bool:
        """Send an estate as fast as the other worker reads.

        Returns:
            False when that is gone, or does not want it.
        """
        for part in parts:
            self._say(tag, PART, part)
            await asyncio.sleep(0)
            await self._caught_up(tag)
            if question.waiting.get(tag) != self._meeting(tag):
                return False
        self._say(tag, ESTATE, estate)
        return True

    async def _caught_up(self, tag: str) -> None:
        """Wait until another worker has read what was sent to it, or is gone."""
        link = self._mesh.find(tag)
        if link is None or not link.behind:
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link.when_ready(lambda: None if ready.done() else ready.set_result(None))
        while not ready.done() and self._mesh.find(tag) is link:
            await asyncio.wait((ready,), timeout=LOOK_SECONDS)

    def _on_nothing(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Nothing)
        question = self._questions.find(told.request)
        if question is not None:
            if told.heir:
                question.heirs.add(told.heir)
            question.answered(message.uid[:TAG_LENGTH])

    # Clients that arrive.

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
        for other in list(self._parts):
            if self._mesh.find(other[0][:TAG_LENGTH]) is None:
                del self._parts[other]
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
        """Take clients of another worker."""
        await self._arrive(part, estate)
        self._say(tag, INHERITED, Inherited(estate.id, True))

    async def _arrive(self, part: Part, estate: Estate) -> None:
        """Clients come, and with them what they missed."""
        pids = [told.pid for told in part.sessions if told.pid not in self._moving]
        moving = self._begin_moving(pids)
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
            self._done_moving(pids, moving)

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

    def link_lost(self, tag: str) -> None:
        """See `Member.link_lost`."""
        now = time.monotonic()
        oldest = now - self._kept_for
        self._links_lost = {one: at for one, at in self._links_lost.items() if at > oldest}
        self._links_lost[tag] = now

    def link_made(self, tag: str) -> None:
        """See `Member.link_made`: who was lost has not heard who returned meanwhile."""
        if self._links_lost.pop(tag, None) is not None:
            for stamps in self._claims.all():
                self._say(tag, CLAIMED, Claimed(stamps))

    def _on_claimed(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Claimed)
        for pid, stamp in told.stamps.items():
            if stamp > self._claims.stamp(pid):
                self._claims.note(pid, stamp)
                if pid in self._moving:
                    self.nsp.server.spawn(self._drop_later(pid, stamp))
                else:
                    self._drop(pid)

    async def _drop_later(self, pid: str, stamp: int) -> None:
        """As `_drop`, of a client that is being let in, unless it has returned here since."""
        await self._moved(pid)
        if self._claims.stamp(pid) == stamp:
            self._drop(pid)

    # What was emitted meanwhile.

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

    def entered(self, socket: Any) -> None:
        """See `Adapter.entered`."""
        self._decided(socket.id)
        super().entered(socket)

    def remove_all(self, socket: Any) -> None:
        """See `Adapter.remove_all`: perhaps it was not let in."""
        super().remove_all(socket)
        self._decided(socket.id)

    def _decided(self, sid: str) -> None:
        deciding = self._deciding.pop(sid, None)
        if deciding is not None:
            pid, moving = deciding
            self._done_moving([pid], moving)

    def has_room(self, room: Room) -> bool:
        """See `MemoryAdapter.has_room`: also who is on his way here is somebody."""
        return room in self._expected or room in self._deciding or super().has_room(room)

    @property
    def occupied(self) -> bool:
        """See `Adapter.occupied`."""
        busy = self._expected or self._moving or self._giving
        return bool(busy) or super().occupied

    # The end of this worker.

    def give_up_sessions(self) -> None:
        """See `Adapter.give_up_sessions`: they may come back to another worker."""
        if self.log.empty or not self._tags():
            super().give_up_sessions()
            return
        legacy = Legacy(self.log, self._estate(self.new_id(), answer=False))
        self.follow_all([room for session in legacy.sessions for room in session.rooms])
        moving = self._begin_moving([session.pid for session in legacy.sessions])
        handing = self._hand_over(legacy, moving, self._handing)
        self._handing = asyncio.ensure_future(handing)

    async def _hand_over(
        self,
        legacy: Legacy,
        moving: asyncio.Future[str],
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            await asyncio.wait((before,))
        try:
            tags = self._tags()
            random.shuffle(tags)
            for tag in tags:
                if await self._bequeath(legacy, tag):
                    break
        finally:
            for session in legacy.sessions:
                self._namespace.session_lost(session)
            self._done_moving(list(self._moving), moving)

    async def _bequeath(self, legacy: Legacy, tag: str) -> bool:
        """Hand over to one worker what it takes; False when it takes nothing."""
        estate = legacy.estate
        parts, pids = legacy.parts()
        for session in [one for part in parts for one in part.sessions]:
            session.claim = self._claims.stamp(session.pid)
        question = self._questions.new(estate.id, [tag])
        if await self._send(tag, parts, estate, question):
            # It asks the others first.
            await self._questions.wait(question, 2 * self.request_seconds)
        if question.taken:
            self._heirs |= dict.fromkeys(pids, tag)
            legacy.taken(pids)
        return question.taken

    def _on_inherited(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Inherited)
        question = self._questions.find(told.id)
        if question is not None:
            question.taken = told.taken
            question.answered(message.uid[:TAG_LENGTH])

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._closing = True
        # Who is given a client asks this worker, too, what was emitted meanwhile.
        while busy := {*self._giving.values(), *self._arriving}:
            await asyncio.wait(busy)
        # Who was being let in when the server ended is away only now.
        self.give_up_sessions()
        handing = self._handing
        if handing is not None:
            self._handing = None
            await handing
        await super().close()
