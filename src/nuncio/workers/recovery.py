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
from typing import Any, Final

import msgspec

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.past import UNKNOWN, Past
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.rooms import Room
from nuncio.ids import new_id
from nuncio.workers.estate import (
    CLAIMED,
    ESTATE,
    INHERITED,
    LEAVING,
    NOTHING,
    PART,
    POSITION,
    WANTED,
    Claimed,
    Estate,
    Inherited,
    Leaving,
    Nothing,
    Part,
    Position,
    ToldPast,
    Wanted,
    joined,
    parts_of,
    told_events,
    told_session,
)
from nuncio.workers.handover import Legacy
from nuncio.workers.mesh import Mesh
from nuncio.workers.moving import Move
from nuncio.workers.questions import LOOK_SECONDS, Question
from nuncio.workers.receiving import ReceivingAdapter
from nuncio.workers.rendezvous import TAG_LENGTH

logger = logging.getLogger("nuncio.workers")

# Secrets are as long as ids, and offsets are an epoch and a number.
PID_LENGTH: Final = 20
MOST_OFFSET: Final = 40

# A client may have moved on so often while it was looked for.
MOST_ROUNDS: Final = 6

# A worker that ends waits so long for those who do not say that they need it no more.
LEAVING_SECONDS: Final = 0.5


class RecoveringWorkersAdapter(ReceivingAdapter):
    """See `WorkersAdapter`, with connection state recovery.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp, mesh)
        # The ids of those who have come back, and are not let in yet.
        self._returning: set[Room] = set()
        self._heirs: dict[str, str] = {}
        self._giving: dict[str, asyncio.Task[None]] = {}
        self._handing: asyncio.Task[None] | None = None
        self._handlers |= {
            WANTED: self._on_wanted,
            NOTHING: self._on_nothing,
            INHERITED: self._on_inherited,
            LEAVING: self._on_leaving,
        }

    async def init(self) -> None:
        """See `Adapter.init`."""
        self._heirs.clear()
        await super().init()

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

    async def _fetch(self, pid: str, offset: str, connection: Any) -> SavedSession | None:
        """Wait for a client that is being moved, or look for it at the other workers."""
        await self._moving.wait(pid)
        # It may have come over another connection just before.
        self._namespace.take_over(pid)
        if not self.log.remembers(pid) and pid not in self._moving:
            move = self._moving.begin([pid])
            try:
                await self._search(pid, offset, connection)
            finally:
                self._moving.end(move)
        return self._restore(pid, offset)

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

    def _on_nothing(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Nothing)
        question = self._questions.find(told.request)
        if question is not None:
            if told.heir:
                question.heirs.add(told.heir)
            question.answered(message.uid[:TAG_LENGTH])

    def _restore(self, pid: str, offset: str) -> SavedSession | None:
        past = self.log.past(pid)
        session = self.log.restore(pid, offset)
        if session is not None:
            self._claim(session, past)
            # What is said to it while middlewares decide is for it.
            self._returning.add(session.sid)
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

    def entered(self, socket: Any) -> None:
        """See `Adapter.entered`."""
        self._returning.discard(socket.id)
        super().entered(socket)

    def remove_all(self, socket: Any) -> None:
        """See `Adapter.remove_all`: perhaps it was not let in."""
        if self._namespace.holds(socket):
            self._returning.discard(socket.id)
        super().remove_all(socket)

    def has_room(self, room: Room) -> bool:
        """See `MemoryAdapter.has_room`: also who is being let in is somebody."""
        return room in self._returning or super().has_room(room)

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
        heir = await self._moving.wait(told.pid)
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
        giving = self._give_away(tag, parts, estate, self._moving.begin([pid]))
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

    async def _give_away(self, tag: str, parts: list[Part], estate: Estate, move: Move) -> None:
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
            self._moving.end(move, tag if question.taken else "")
            del self._giving[estate.id]
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

    def _on_inherited(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Inherited)
        question = self._questions.find(told.id)
        if question is not None:
            question.taken = told.taken
            question.answered(message.uid[:TAG_LENGTH])

    @property
    def occupied(self) -> bool:
        """See `Adapter.occupied`."""
        return bool(self._giving) or super().occupied

    # The end of this worker.

    def give_up_sessions(self) -> None:
        """See `Adapter.give_up_sessions`: they may come back to another worker."""
        if self.log.empty or not self._tags():
            super().give_up_sessions()
            return
        legacy = Legacy(self.log, self._estate(self.new_id(), answer=False))
        self.follow_all([room for session in legacy.sessions for room in session.rooms])
        move = self._moving.begin([session.pid for session in legacy.sessions])
        handing = self._hand_over(legacy, move, self._handing)
        self._handing = asyncio.ensure_future(handing)

    async def _hand_over(
        self,
        legacy: Legacy,
        move: Move,
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
            self._moving.end(move)

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

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._closing = True
        # Who is given a client asks this worker, too, what was emitted meanwhile.
        while busy := {*self._giving.values(), *self._arriving}:
            await asyncio.wait(busy)
        # Who was being let in when the server ended is away only now.
        self.give_up_sessions()
        if self._handing is not None:
            await self._handing
            self._handing = None
        # What was said to a worker that has just given a client away is known only here.
        question = self._ask(LEAVING, lambda id: Leaving(id, self.log.last), self._tags())
        await self._questions.wait(question, LEAVING_SECONDS)
        await super().close()

    def _on_leaving(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Leaving)
        self._hearing.heard(message.uid, told.number)
        moving = {*self._giving.values()}
        if self._handing is not None:
            moving.add(self._handing)
        self.nsp.server.spawn(self._let_leave(message.uid[:TAG_LENGTH], told, moving))

    async def _let_leave(self, tag: str, told: Leaving, moving: set[asyncio.Task[None]]) -> None:
        """Have a worker end once it is not needed any more by those who are given away by now."""
        if moving:
            await asyncio.wait(moving, timeout=LEAVING_SECONDS)
        self._say(tag, POSITION, Position(told.request, self.log.last))
