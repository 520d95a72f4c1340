"""The clients of this server that lost their connection, for as long as they may come back.

The bus has what any server needs to restore them. Here is what cannot be sent there: the objects
that the application keeps of them, for when they come back to this server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nuncio.cluster.recovery import SavedSession


class Away:
    """Clients that are away.

    Args:
        duration: seconds for which one may come back.
        most: how many are remembered.
        expired: called with each whose time is up.
    """

    def __init__(self, duration: float, most: int, expired: Callable[[SavedSession], None]) -> None:
        self._duration = duration
        self._most = most
        self._expired = expired
        self._clients: dict[str, tuple[SavedSession, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, session: SavedSession) -> None:
        """A client lost its connection."""
        if len(self._clients) >= self._most:
            self.take(next(iter(self._clients)))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._duration, self._expire, session.pid)
        self._clients[session.pid] = (session, timer)

    def take(self, pid: str) -> SavedSession | None:
        """The client is back, here or elsewhere."""
        found = self._clients.pop(pid, None)
        if found is None:
            return None
        session, timer = found
        timer.cancel()
        return session

    def remembers(self, pid: str) -> bool:
        """Whether a client is away."""
        return pid in self._clients

    def clear(self) -> None:
        """Forget all."""
        for pid in list(self._clients):
            self.take(pid)

    def _expire(self, pid: str) -> None:
        session = self.take(pid)
        if session is not None:
            self._expired(session)
