"""Clients of another worker become this one's: what they missed, on the way too, comes first."""

from __future__ import annotations

from math import inf
from typing import Any

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import FORGOTTEN, OVERFLOW
from nuncio.cluster.past import Past
from nuncio.cluster.recovery import Entry, RecoveryLog, SavedSession
from nuncio.cluster.travel import shape
from nuncio.workers.estate import Estate, Part, Session, entry_of, saved_session
from nuncio.workers.hearing import Hearing
from nuncio.workers.questions import Question

_UNANSWERED = "the client came back to another worker, and the others did not answer"


class Arrival:
    """The last step of a move; see decision 16.

    Args:
        nsp: the namespace.
        log: this worker's.
        uid: this worker's adapter's.
        began: the number of the last event before this worker joined the others.
        hearing: what it has heard.
        part: the clients, and their events.
        estate: the rest of what their worker told.
    """

    def __init__(
        self,
        nsp: Any,
        log: RecoveryLog,
        uid: str,
        began: int,
        hearing: Hearing,
        part: Part,
        estate: Estate,
    ) -> None:
        self._nsp = nsp
        self._log = log
        self._uid = uid
        self._hearing = hearing
        self._part = part
        self._estate = estate
        self._before = log.last
        # Of this worker's own events, their worker has heard those up to here.
        self._own = estate.heard.get(uid, began)
        self.rooms = frozenset(room for told in part.sessions for room in told.rooms)

    def complete(self, question: Question, answered: bool) -> None:
        """From now on, all that is logged here concerns these clients as any others.

        Args:
            question: what the others were asked that they emitted for `rooms`, and their answers.
            answered: whether all of them did.
        """
        log, estate = self._log, self._estate
        forgotten = question.forgotten or log.own_after(self._own) is None
        said = self._said_meanwhile(question)
        count = len(said)
        shift = -estate.last - count
        late = [(index - count + 1, entry) for index, entry in enumerate(said)]
        pasts = self._pasts(shift, late)
        for told in self._part.sessions:
            session = saved_session(told, shift)
            session.strange = frozenset(estate.pasts[told.past].strange)
            self._fill_outbox(session, told, shift, late)
            if not answered or forgotten:
                session.ending = FORGOTTEN if answered else _UNANSWERED
                self._nsp.session_lost(session)
            elif shape(session, self._nsp.server.options.data):
                log.adopt(session, pasts[told.past], self._nsp.wheel)
            else:
                self._nsp.session_lost(session)

    def _pasts(self, shift: int, late: list[tuple[int, Entry]]) -> list[Past]:
        """What clients bring along, and what was emitted meanwhile, on this worker's line."""
        pasts: list[Past] = []
        for told in self._estate.pasts:
            past = Past(told.low + shift, self._log.last)
            past.epochs = {epoch: added + shift for epoch, added in told.epochs.items()}
            past.offsets = {offset: number + shift for offset, number in told.offsets.items()}
            past.skipped = told.skipped + shift
            pasts.append(past)
        shared: list[tuple[int, Entry]] = []
        for event in self._part.events:
            one = (event.number + shift, entry_of(event, self._nsp))
            (shared if event.past < 0 else pasts[event.past].entries).append(one)
        shared += late
        offsets = {entry.offset: number for number, entry in shared}
        for past in pasts:
            past.offsets |= {entry.offset: number for number, entry in past.entries}
            past.shared = shared
            past.shared_offsets = offsets
        return pasts

    def _said_meanwhile(self, question: Question) -> list[Entry]:
        """What anybody emitted for their rooms while they were on their way, each in its order.

        It is what the others answered, what they have emitted since, and what this worker has.
        """
        uid, heard, hearing = self._uid, self._estate.heard, self._hearing
        found = [entry_of(event, self._nsp) for event in question.events]
        hearing.forget()
        hearing.learn({other: number for other, number in heard.items() if other != uid})
        known: dict[str, float] = {uid: self._own}
        for other in hearing.numbers.keys() | heard.keys() - {uid}:
            number = question.numbers.get(other, heard.get(other))
            known[other] = hearing.before(other) if number is None else number
        # Of who is gone there is what this worker has heard of it, perhaps long ago.
        all_answered = known.keys() <= question.numbers.keys() | {uid}
        begin = min(self._before, self._own) if all_answered else 0
        for number, entry in self._log.entries_after(begin):
            if entry.local or (entry.rooms and not entry.rooms & self.rooms):
                continue
            if entry.number > known.get(entry.origin or uid, inf):
                found.append(self._copy(number, entry))
        return found

    def _copy(self, number: int, entry: Entry) -> Entry:
        """An event of the log, as it stands on another place of a client's line."""
        options = BroadcastOptions(entry.rooms, entry.excepted)
        copy = Entry(entry.at, entry.message, options, entry.promised)
        copy.offset = self._log.offset_of(number, entry)
        copy.id = entry.id
        copy.payload = entry.payload
        return copy

    def _fill_outbox(
        self, session: SavedSession, told: Session, shift: int, late: list[tuple[int, Entry]]
    ) -> None:
        """What a client was promised: before it left its worker, and on its way here."""
        nsp = self._nsp
        promised = [
            (number + shift, id, nsp.encode(payload, id, compress), payload)
            for id, number, compress, payload in told.outbox
        ]
        for number, entry in late:
            if entry.promised and entry.payload is not None and entry.concerns(number, session):
                promised.append((number, entry.id, entry.message, entry.payload))
        for number, id, message, payload in promised:
            if session.outbox is None:
                session.outbox = nsp.new_outbox()
            if not session.outbox.add(id, number, message, payload):
                nsp.undelivered(session.sid, session.data, session.user, OVERFLOW, [payload])
