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
from collections.abc import Iterable
from itertools import islice
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
from nuncio.workers.messages import Needed
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

# Where so many clients went is known at most.
MOST_HEIRS: Final = 100_000

# How long another worker may take to make a namespace, and how many are asked to.
NEEDED_SECONDS: Final = 0.3
MOST_NEEDED: Final = 3

# A worker that ends waits so long for those who do not say that they need it no more.
LEAVING_SECONDS: Final = 0.5

# Its application may go on emitting, but not without end.
MOST_FAREWELLS: Final = 3


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
        # Until it is known to have what it missed, a client's past is kept.
        self._settling: dict[str, asyncio.TimerHandle] = {}
        # To whom this worker has given whom.
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
            # Who has not been asked yet is asked beside them: it may have gone on, and on.
            tags = list((question.heirs | (self._met().keys() - asked)) - {self._mesh.tag})

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
            self._unsettle(pid)
            loop = asyncio.get_running_loop()
            self._settling[pid] = loop.call_later(seconds, self._settle, pid, past)
        return session

    def _settle(self, pid: str, past: Past) -> None:
        del self._settling[pid]
        self.log.settle(pid, past)

    def _unsettle(self, pid: str) -> None:
        timer = self._settling.pop(pid, None)
        if timer is not None:
            timer.cancel()

    def _let_go(self, session: SavedSession) -> None:
        super()._let_go(session)
        self._unsettle(session.pid)

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
        tag, pid = message.uid[:TAG_LENGTH], told.pid
        if pid in self._searches and tag < self._mesh.tag:
            # Both look for it, and shall not wait for each other.
            self._say_where(tag, told)
        elif pid in self._moving:
            self.nsp.server.spawn(self._ask_again(tag, told))
        elif self._is_here(pid):
            giving = self._give(tag, told, self._moving.begin([pid]))
            self._giving[told.request] = asyncio.ensure_future(giving)
        else:
            self._say_where(tag, told)

    async def _ask_again(self, tag: str, told: Wanted) -> None:
        """The client is on its way: who wants it may ask again, if it still does by then."""
        await self._moving.wait(told.pid)
        self._say_where(tag, told)

    def _say_where(self, tag: str, told: Wanted) -> None:
        """Say who may have a client, if anybody."""
        heir = self._mesh.tag if self._is_here(told.pid) else self._heirs.get(told.pid, "")
        self._say(tag, NOTHING, Nothing(told.request, heir))

    async def _give(self, tag: str, told: Wanted, move: Move) -> None:
        """Give a client to the worker to which it came back."""
        pid, gift = told.pid, None
        try:
            self._namespace.take_over(pid)
            await self._hear_out()
            session = self.log.restore(pid, told.offset)
            gift = None if session is None else self._gift(session, told)
            if gift is not None and await self._give_away(tag, *gift):
                self._note_heirs([pid], tag)
        finally:
            self._moving.end(move)
            del self._giving[told.request]
            self._namespace.session_left()
        if gift is None:
            # Its time was up, or meanwhile this worker has begun to leave it to another one.
            await self._ask_again(tag, told)

    def _note_heirs(self, pids: Iterable[str], tag: str) -> None:
        heirs = self._heirs
        for pid in pids:
            heirs.pop(pid, None)
            heirs[pid] = tag
        for pid in list(islice(heirs, max(len(heirs) - MOST_HEIRS, 0))):
            del heirs[pid]

    def _gift(self, session: SavedSession, told: Wanted) -> tuple[list[Part], Estate] | None:
        """Take a client out of the log, with all that belongs to it; None if it cannot be told."""
        log, number = self.log, session.since
        try:
            one = told_session(session)
            one.claim = self._claims.stamp(session.pid)
            concerning = log.concerning(session, number)
            events = told_events(log, [event for event in concerning if not event[1].promised])
            parts, left_out = parts_of(told.request, True, events, [one])
            if left_out:
                raise ValueError("what it missed is too much")
        except (TypeError, ValueError, RecursionError) as error:
            logger.warning("the client %r cannot come back: %r", session.sid, error)
            self._let_go(session)
            self._namespace.session_lost(session)
            return None
        self._let_go(session)
        # What it has, whatever the last event that it will say it has.
        offsets = {payload[-1]: number for _, _, _, payload in one.outbox}
        if told.offset:
            offsets[told.offset] = number
        estate = self._estate(told.request, answer=True)
        estate.pasts.append(ToldPast(number, UNKNOWN, {}, offsets))
        return parts, estate

    async def _give_away(self, tag: str, parts: list[Part], estate: Estate) -> bool:
        """Hand a client to another worker, or keep it where that does not take it.

        The other one may be there and have it all the same, which it will say; see `Claims`.

        Returns:
            Whether it is there.
        """
        question = self._questions.new(estate.id, [tag])
        if await self._send(tag, parts, estate, question):
            await self._questions.wait(question, self._kept_for)
        if not question.taken:
            # As if it came from elsewhere: nobody has told this worker what was said meanwhile.
            await self._arrive(joined(parts), estate)
        return question.taken

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
        if self.log.empty or not self._mesh.others:
            super().give_up_sessions()
            return
        move = self._moving.begin([session.pid for session in self.log.sessions])
        self._handing = asyncio.ensure_future(self._hand_over(move, self._handing))

    async def _hand_over(self, move: Move, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        legacy, moves = None, [move]
        try:
            await self._hear_out()
            legacy = self._legacy()
            # Somebody may have been lost since this began.
            moves.append(self._moving.begin([session.pid for session in legacy.sessions]))
            await self._leave_to_somebody(legacy)
        finally:
            if legacy is None:
                super().give_up_sessions()
            else:
                for session in legacy.sessions:
                    self._namespace.session_lost(session)
            for one in moves:
                self._moving.end(one)

    async def _leave_to_somebody(self, legacy: Legacy) -> None:
        """Hand over to one worker after the other, until one takes it."""
        asked: set[str] = set()
        needed: set[str] = set()
        while legacy.sessions:
            tags = [tag for tag in self._tags() if tag not in asked]
            if not tags:
                tags = await self._have_it_elsewhere(needed)
            if not tags:
                return
            random.shuffle(tags)
            asked.add(tags[0])
            if await self._bequeath(legacy, tags[0]):
                return

    async def _have_it_elsewhere(self, needed: set[str]) -> list[str]:
        """Have another worker make this namespace, if it is a dynamic one.

        Args:
            needed: who has been asked for that, which is noted.

        Returns:
            The tag of who has made it, if somebody has.
        """
        nsp, loop = self._namespace, asyncio.get_running_loop()
        if nsp.parent is None or not nsp.parent.matches(nsp.name):
            return []
        there = {*self._there(), *needed}
        for link in [link for link in self._mesh.others if link.tag not in there]:
            if len(needed) >= MOST_NEEDED:
                break
            needed.add(link.tag)
            link.send(Needed(nsp.name))
            limit = loop.time() + NEEDED_SECONDS
            # It says its number once it takes part.
            while (  # noqa: ASYNC110 - another process has no Event
                link.tag not in self._tags()
                and self._mesh.find(link.tag) is link
                and loop.time() < limit
            ):
                await asyncio.sleep(LOOK_SECONDS / 10)
            if link.tag in self._tags():
                return [link.tag]
        return []

    def _legacy(self) -> Legacy:
        estate = self._estate(self.new_id(), answer=False)
        legacy = Legacy(self.log, estate, self._claims.stamp)
        for session in legacy.sessions:
            self._unsettle(session.pid)
            self.follow_all(session.rooms)
        return legacy

    async def _bequeath(self, legacy: Legacy, tag: str) -> bool:
        """Hand over to one worker what it takes; False when it takes nothing."""
        estate = legacy.estate
        parts, pids = legacy.parts(self._claims.stamp)
        question = self._questions.new(estate.id, [tag])
        if await self._send(tag, parts, estate, question):
            # It asks the others first.
            await self._questions.wait(question, 2 * self.request_seconds)
        if question.taken:
            self._note_heirs(pids, tag)
            legacy.taken(pids)
        return question.taken

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._closing = True
        # Who is given a client asks this worker, too, what was emitted meanwhile.
        while busy := {*self._giving.values(), *self._arriving, *self._handing_now()}:
            await asyncio.wait(busy)
        # Who was being let in when the server ended is away only now.
        self.give_up_sessions()
        for handing in self._handing_now():
            await handing
        await self._say_farewell()
        await super().close()

    def _handing_now(self) -> list[asyncio.Task[None]]:
        handing = self._handing
        return [] if handing is None or handing.done() else [handing]

    async def _say_farewell(self) -> None:
        """Wait until the others have heard all that was emitted, and need no more to be told."""
        for _ in range(MOST_FAREWELLS):
            last = self.log.last_own
            # Known only here: what was said to a worker that has just given a client away.
            question = self._ask(LEAVING, lambda id: Leaving(id, self.log.last), self._tags())
            answered = await self._questions.wait(question, LEAVING_SECONDS)
            if not answered or self.log.last_own == last:
                return

    def _on_leaving(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, Leaving)
        self._is_at(message.uid, told.number)
        moving = {*self._giving.values(), *self._handing_now()}
        self.nsp.server.spawn(self._let_leave(message.uid[:TAG_LENGTH], told, moving))

    async def _let_leave(self, tag: str, told: Leaving, moving: set[asyncio.Task[None]]) -> None:
        """Have a worker end once it is not needed any more by those who are given away by now."""
        if moving:
            await asyncio.wait(moving, timeout=LEAVING_SECONDS)
        self._say(tag, POSITION, Position(told.request, self.log.last))
