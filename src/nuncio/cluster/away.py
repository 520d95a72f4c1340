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
        expired: called with each whose time is up, and the name of its loss.
    """

    def __init__(
        self, duration: float, most: int, expired: Callable[[SavedSession, str], None]
    ) -> None:
        self._duration = duration
        self._most = most
        self._expired = expired
        self._clients: dict[str, tuple[SavedSession, str, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, session: SavedSession, by: str) -> None:
        """A client lost its connection.

        Args:
            session: the client.
            by: the name of this loss, which the bus keeps as well.
        """
        self._forget(session.pid)
        if len(self._clients) >= self._most:
            self._forget(next(iter(self._clients)))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._duration, self._expire, session.pid)
        self._clients[session.pid] = (session, by, timer)

    def take(self, pid: str, by: str) -> SavedSession | None:
        """A client is back.

        Args:
            pid: its secret.
            by: the name of its last loss, as the bus says; empty when it has nothing.

        Returns:
            The client, if it was not at another server meanwhile.
        """
        found = self._forget(pid)
        return found[0] if found is not None and found[1] == by else None

    def _forget(self, pid: str) -> tuple[SavedSession, str] | None:
        found = self._clients.pop(pid, None)
        if found is None:
            return None
        session, by, timer = found
        timer.cancel()
        return session, by

    def remembers(self, pid: str) -> bool:
        """Whether a client is away."""
        return pid in self._clients

    def clear(self) -> None:
        """Forget all."""
        for pid in list(self._clients):
            self._forget(pid)

    def _expire(self, pid: str) -> None:
        found = self._forget(pid)
        if found is not None:
            self._expired(*found)
