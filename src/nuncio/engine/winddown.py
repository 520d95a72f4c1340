"""How an engine comes to rest: what is buffered still leaves, then handlers end.

Sessions are closing already when this begins. Clients that are behind, or have no poll waiting, get
what is theirs within a time; who does not take it by then loses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from nuncio.engine.session import Session

# How long those that have been sent everything may take to fetch their goodbye.
GOODBYE_SECONDS = 1.0

# How often it is looked who is still behind.
LOOK_SECONDS = 0.1

Settle = Callable[[float], Awaitable[None]]


class WindDown:
    """The end of one engine, once, whoever asks for it.

    Args:
        sessions: the engine's.
    """

    def __init__(self, sessions: dict[str, Session]) -> None:
        self._sessions = sessions
        self._done: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None

    def begin_anew(self) -> None:
        """The engine serves again."""
        self._done = None

    def session_closed(self) -> None:
        """A session has ended."""
        emptied = self._emptied
        if emptied is not None and not self._sessions and not emptied.done():
            emptied.set_result(None)

    async def run(self, seconds: float, settle: Settle | None) -> None:
        """Wait until everything has come to rest.

        Where that is under way already, perhaps because the application itself is closing the
        server, wait for that.

        Args:
            seconds: how long it may take altogether, the clients at most half of that.
            settle: waits for the application's handlers.
        """
        before = self._done
        if before is not None and not before.done():
            await asyncio.wait((before,), timeout=seconds)
            return
        if before is not None and not self._sessions:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._done = done
        limit = loop.time() + seconds
        try:
            # One turn for handlers of the end to begin, and for what was written to leave.
            await asyncio.sleep(0)
            # Clients that have gone unnoticed take nothing: half of the time is for the handlers.
            await self._flush(loop, limit - seconds / 2)
            if settle is not None:
                await settle(max(0.0, limit - loop.time()))
        finally:
            done.set_result(None)

    async def _flush(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        goodbye = limit
        saying = False
        try:
            while self._sessions and loop.time() < min(limit, goodbye):
                if any(session.buffered_bytes for session in self._sessions.values()):
                    goodbye, saying = limit, False
                elif not saying:
                    goodbye, saying = loop.time() + GOODBYE_SECONDS, True
                self._emptied = loop.create_future()
                await asyncio.wait((self._emptied,), timeout=LOOK_SECONDS)
        finally:
            self._emptied = None
            for session in list(self._sessions.values()):
                session.give_up()
