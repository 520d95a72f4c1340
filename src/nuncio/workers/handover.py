"""What a worker that ends leaves to another one: clients that are away, and what they may miss."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nuncio.cluster.past import UNKNOWN, Past
from nuncio.cluster.recovery import RecoveryLog, SavedSession
from nuncio.workers.estate import (
    Estate,
    Event,
    Part,
    Session,
    ToldPast,
    parts_of,
    told_events,
    told_session,
)

logger = logging.getLogger("nuncio.workers")

Stamps = Callable[[str], int]


class Legacy:
    """All clients that are away from a worker, taken out of its log.

    What of the log they may have missed is told once for all of them: which offsets they will come
    back with is not known. Some may have a past of their own, from where they were before.

    Args:
        log: the worker's.
        estate: the numbers; the pasts are filled in here.
        stamp: gives that of a client's latest return.

    Attributes:
        sessions: those who have not found a place yet.
        estate: see above.
    """

    def __init__(self, log: RecoveryLog, estate: Estate, stamp: Stamps) -> None:
        self.sessions = log.sessions
        self.estate = estate
        self._claims = {session.pid: stamp(session.pid) for session in self.sessions}
        self._events: list[Event] = []
        self._places: dict[str, int] = {}
        rooms = frozenset(room for session in self.sessions for room in session.rooms)
        lowest = log.last
        for past, sessions in self._by_past(log):
            since = min(session.since for session in sessions)
            self._add_past(log, past, since)
            strange = set[str]().union(*[session.strange for session in sessions])
            estate.pasts[-1].strange = list(strange)
            lowest = min(lowest, since if past is None else max(since, past.arrived))
            self._places |= {session.pid: len(estate.pasts) - 1 for session in sessions}
        concerned = [
            one
            for one in log.entries_after(lowest)
            if not one[1].promised and (not one[1].rooms or one[1].rooms & rooms)
        ]
        self._events += told_events(log, concerned)
        for session in self.sessions:
            log.give_away(session)

    def _by_past(self, log: RecoveryLog) -> list[tuple[Past | None, list[SavedSession]]]:
        found: dict[int, tuple[Past | None, list[SavedSession]]] = {}
        for session in self.sessions:
            past = log.past(session.pid)
            found.setdefault(id(past), (past, []))[1].append(session)
        return list(found.values())

    def _add_past(self, log: RecoveryLog, past: Past | None, since: int) -> None:
        """What some of them brought along, and from where on this worker's log is for them."""
        estate = self.estate
        place = len(estate.pasts)
        low = log.first - 1
        if past is None:
            estate.pasts.append(ToldPast(low, UNKNOWN, {log.epoch: 0}, {}))
            return
        if low <= past.arrived:
            low = past.low
        epochs = {**past.epochs, log.epoch: 0}
        offsets = {**past.shared_offsets, **past.offsets}
        estate.pasts.append(ToldPast(low, past.arrived, epochs, offsets))
        brought = [one for one in past.all() if one[0] > since and not one[1].promised]
        events = told_events(log, brought)
        for event in events:
            event.past = place
        self._events += events

    def parts(self, stamp: Stamps) -> tuple[list[Part], set[str]]:
        """What is sent of those who have not found a place yet.

        Args:
            stamp: see `Legacy`. Who has returned meanwhile, a worker has taken that did not say so.

        Returns:
            It, and the secrets of those who are in it.
        """
        sessions: list[Session] = []
        self.taken({pid for pid, claim in self._claims.items() if stamp(pid) > claim})
        for session in self.sessions:
            try:
                one = told_session(session)
            except (TypeError, ValueError, RecursionError) as error:
                logger.warning("the client %r cannot come back: %r", session.sid, error)
                continue
            one.past = self._places[session.pid]
            one.claim = self._claims[session.pid]
            sessions.append(one)
        parts, left_out = parts_of(self.estate.id, False, self._events, sessions)
        return parts, {one.pid for one in sessions} - set(left_out)

    def taken(self, pids: set[str]) -> None:
        """Some have found a place."""
        self.sessions = [one for one in self.sessions if one.pid not in pids]
