"""Clients that two workers may have, as a link was lost while one gave them to the other.

Who gave them keeps them: the other worker may be dead. If it is not, and there again, it is asked.
Of two that have a client the one keeps it to which it came last; the other forgets it, and what was
promised to it there, which nobody will ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import takewhile
from math import inf
from typing import Any, Final

import msgspec

from nuncio.cluster.message import ClusterMessage
from nuncio.workers.estate import DOUBTED, SETTLED, Doubted, Settled, ToldDoubt
from nuncio.workers.rendezvous import TAG_LENGTH

# How often it is asked who has them.
ASK_SECONDS: Final = 1.0

Say = Callable[[str, int, Any], None]


class Doubt:
    """One estate that may have arrived.

    Args:
        tag: the worker's that may have it.
        id: the estate's.
        pids: the clients' secrets.
        until: by the loop's clock, when it no longer matters.

    Attributes:
        settled: done once it is known.
    """

    def __init__(self, tag: str, id: str, pids: set[str], until: float) -> None:
        self.tag = tag
        self.id = id
        self.pids = pids
        self.until = until
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Doubts:
    """What one worker is in doubt of, and what it can tell those who are.

    Args:
        say: says something to a worker.
        there: whether a worker can be asked.
        drop: forgets a client, who is another worker's.
        seconds: after which nobody has a client any more who has not come back.
    """

    def __init__(
        self,
        say: Say,
        there: Callable[[str], object],
        drop: Callable[[str], None],
        seconds: float,
    ) -> None:
        self._say = say
        self._there = there
        self._drop = drop
        self._seconds = seconds
        self._open: dict[tuple[str, str], Doubt] = {}
        self._by_pid: dict[str, Doubt] = {}
        self._asking: asyncio.Task[None] | None = None
        # The estates that arrived here, and the clients that came back, the latest last.
        self._taken: dict[str, float] = {}
        self._claims: dict[str, float] = {}

    # What is known here.

    def took(self, id: str) -> None:
        """An estate has arrived."""
        self._note(self._taken, id, 0.0)

    def claimed(self, pid: str, ago: float = 0.0) -> None:
        """A client has come back, so many seconds ago."""
        self._note(self._claims, pid, ago)

    def _note(self, notes: dict[str, float], key: str, ago: float) -> None:
        now = asyncio.get_running_loop().time()
        notes.pop(key, None)
        notes[key] = now - ago
        limit = now - self._seconds
        for old in list(takewhile(lambda key: notes[key] < limit, notes)):
            del notes[old]

    def _ago(self, pid: str) -> float:
        claimed = self._claims.get(pid)
        return inf if claimed is None else asyncio.get_running_loop().time() - claimed

    # What is not.

    def arise(self, tag: str, id: str, pids: Iterable[str]) -> None:
        """A worker may have taken an estate."""
        until = asyncio.get_running_loop().time() + self._seconds
        doubt = self._open[tag, id] = Doubt(tag, id, set(pids), until)
        self._by_pid |= dict.fromkeys(doubt.pids, doubt)
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask_all())

    def concerns(self, pid: str) -> bool:
        """Whether somebody else may have a client, too."""
        return pid in self._by_pid

    def can_settle(self, pid: str) -> bool:
        """Whether that is so, and who may have it can be asked."""
        doubt = self._by_pid.get(pid)
        return doubt is not None and bool(self._there(doubt.tag))

    async def settle(self, pid: str, seconds: float) -> None:
        """Ask who has a client, and wait for the answer."""
        doubt = self._by_pid.get(pid)
        if doubt is not None:
            self._ask(doubt)
            await asyncio.wait((doubt.settled,), timeout=seconds)

    async def _ask_all(self) -> None:
        while self._open:
            now = asyncio.get_running_loop().time()
            for doubt in list(self._open.values()):
                if doubt.until < now:
                    self._end(doubt)
                elif self._there(doubt.tag):
                    self._ask(doubt)
            await asyncio.sleep(ASK_SECONDS)
        self._asking = None

    def _ask(self, doubt: Doubt) -> None:
        claims = {pid: self._ago(pid) for pid in doubt.pids if pid in self._claims}
        self._say(doubt.tag, DOUBTED, Doubted(doubt.id, claims))

    def _end(self, doubt: Doubt) -> None:
        del self._open[doubt.tag, doubt.id]
        for pid in doubt.pids:
            if self._by_pid.get(pid) is doubt:
                del self._by_pid[pid]
        doubt.settled.set_result(None)

    def leave(self) -> list[ToldDoubt]:
        """This worker ends: what its heir has to ask in its place."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        told: list[ToldDoubt] = []
        for doubt in list(self._open.values()):
            claims = {pid: self._ago(pid) for pid in doubt.pids if pid in self._claims}
            told.append(ToldDoubt(doubt.tag, doubt.id, list(doubt.pids), claims))
            self._end(doubt)
        return told

    def inherit(self, own: str, told: list[ToldDoubt]) -> None:
        """What a worker that ends was in doubt of, whose clients arrive here in this moment.

        Args:
            own: this worker's tag.
            told: what it has told.
        """
        for one in told:
            if one.tag == own:
                self._yield(one.claims)
                continue
            for pid, ago in one.claims.items():
                self.claimed(pid, ago)
            self.arise(one.tag, one.id, one.pids)

    # Questions and answers.

    def on_doubted(self, message: ClusterMessage) -> None:
        """Another worker is in doubt."""
        told = msgspec.convert(message.data, Doubted)
        taken = told.id in self._taken
        theirs = self._yield(told.claims) if taken else []
        self._say(message.uid[:TAG_LENGTH], SETTLED, Settled(told.id, taken, theirs))

    def _yield(self, claims: dict[str, float]) -> list[str]:
        """Forget those who came to another worker after they came here."""
        theirs = [pid for pid, ago in claims.items() if ago < self._ago(pid)]
        for pid in theirs:
            self._drop(pid)
        return theirs

    def on_settled(self, message: ClusterMessage) -> None:
        """A worker says what it has."""
        told = msgspec.convert(message.data, Settled)
        doubt = self._open.get((message.uid[:TAG_LENGTH], told.id))
        if doubt is None:
            return
        if told.taken:
            for pid in doubt.pids.difference(told.yours):
                self._drop(pid)
        self._end(doubt)
