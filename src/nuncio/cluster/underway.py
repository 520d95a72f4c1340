"""Sessions of clients that are away, on their way to a bus and from it.

Neither way is quick, and a client may come back, or be asked for by another server, while its
session is on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nuncio.cluster.line import seen
from nuncio.cluster.session_wire import Session


class Underway:
    """Those sessions of one server's namespace.

    Args:
        store: has the bus keep a session; what it returns is done once that is so, or will not be.
        retrieve: takes the session of a client, by its secret, so that nobody else can; None when
            the bus has none.
        reachable: says whether the bus is there, as far as is known.
    """

    def __init__(
        self,
        store: Callable[[Session], asyncio.Future[Any]],
        retrieve: Callable[[str], Coroutine[Any, Any, Session | None]],
        reachable: Callable[[], bool],
    ) -> None:
        self._store = store
        self._retrieve = retrieve
        self._reachable = reachable
        self._keeping: dict[str, asyncio.Future[Any]] = {}
        self._taking: dict[str, asyncio.Task[Session | None]] = {}
        # Also those that others have come after.
        self._tasks: set[asyncio.Task[Session | None]] = set()

    def keep(self, told: Session) -> None:
        """Have the bus keep a session."""
        pid, keeping = told.pid, self._store(told)

        def kept(_: object) -> None:
            if self._keeping.get(pid) is keeping:
                del self._keeping[pid]

        self._keeping[pid] = keeping
        keeping.add_done_callback(kept)

    async def take(self, pid: str) -> Session | None:
        """What the bus has of a client, which it has no longer then."""
        if self._reachable():
            await self.kept(pid)
        taking = asyncio.ensure_future(self._retrieve(pid))

        def taken(_: object) -> None:
            self._tasks.discard(taking)
            if self._taking.get(pid) is taking:
                del self._taking[pid]

        self._taking[pid] = taking
        self._tasks.add(taking)
        taking.add_done_callback(taken)
        taking.add_done_callback(seen)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            # It was waited for long enough, and the bus may hand it over none the less.
            taking.add_done_callback(self._give_back)
            raise

    def _give_back(self, taking: asyncio.Future[Session | None]) -> None:
        if not taking.cancelled() and taking.exception() is None:
            told = taking.result()
            if told is not None:
                self.keep(told)

    async def kept(self, pid: str) -> None:
        """Wait until the session of a client is kept, if it is on its way."""
        keeping = self._keeping.get(pid)
        if keeping is not None:
            await asyncio.wait((keeping,))

    async def taken(self, pid: str) -> None:
        """Wait until the session of a client has come, if it is on its way."""
        taking = self._taking.get(pid)
        if taking is not None:
            await asyncio.wait((taking,))
            # Whoever asked for it goes on first.
            await asyncio.sleep(0)
