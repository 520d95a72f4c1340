"""The clients of this server that lost their connection, for as long as they may come back.

Redis has what any server needs to restore them. Here is what cannot be sent there: the objects that
the application keeps of them, for when they come back to this server.
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
        expired: called with each whose time is up, and what Redis was given of it.
    """

    def __init__(
        self, duration: float, most: int, expired: Callable[[SavedSession, bytes], None]
    ) -> None:
        self._duration = duration
        self._most = most
        self._expired = expired
        self._clients: dict[str, tuple[SavedSession, bytes, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, session: SavedSession, text: bytes) -> None:
        """A client lost its connection.

        Args:
            session: the client.
            text: what Redis was given of it.
        """
        if len(self._clients) >= self._most:
            self._forget(next(iter(self._clients)))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._duration, self._expire, session.pid)
        self._clients[session.pid] = (session, text, timer)

    def take(self, pid: str, text: bytes | None) -> SavedSession | None:
        """A client is back.

        Args:
            pid: its secret.
            text: what Redis had of it.

        Returns:
            The client, if it was not at another server meanwhile.
        """
        found = self._forget(pid)
        return found[0] if found is not None and found[1] == text else None

    def _forget(self, pid: str) -> tuple[SavedSession, bytes] | None:
        found = self._clients.pop(pid, None)
        if found is None:
            return None
        session, text, timer = found
        timer.cancel()
        return session, text

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
