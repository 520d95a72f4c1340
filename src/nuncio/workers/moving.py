"""Clients on their way, to this worker or from it: who wants one waits until it is there."""

from __future__ import annotations

import asyncio
from typing import Final

# But not for long.
MOVING_SECONDS: Final = 4.0


class Move:
    """Some that move together.

    Args:
        pids: their secrets.

    Attributes:
        pids: see above.
        ended: once they are there.
    """

    def __init__(self, pids: list[str]) -> None:
        self.pids = pids
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Moving:
    """All that are on their way."""

    def __init__(self) -> None:
        self._moves: dict[str, Move] = {}

    def __contains__(self, pid: str) -> bool:
        return pid in self._moves

    def __len__(self) -> int:
        return len(self._moves)

    def begin(self, pids: list[str]) -> Move:
        """Some begin to move."""
        move = Move(pids)
        self._moves |= dict.fromkeys(pids, move)
        return move

    def end(self, move: Move) -> None:
        """They are there."""
        for pid in move.pids:
            if self._moves.get(pid) is move:
                del self._moves[pid]
        if not move.ended.done():
            move.ended.set_result(None)

    async def wait(self, pid: str) -> None:
        """Wait until a client is where it shall be."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + MOVING_SECONDS
        while (move := self._moves.get(pid)) is not None and loop.time() < limit:
            await asyncio.wait((move.ended,), timeout=limit - loop.time())
