"""The connection for commands to one of Redis' servers; see `nuncio.cluster.redis.commands`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import PULSE_SECONDS, Changed, first_failure
from nuncio.cluster.redis.commands import Command, Commands
from nuncio.cluster.redis.connection import Connection
from nuncio.cluster.redis.line import Line

# Redis says something within this time while it owes answers, or is taken for lost.
ANSWER_SECONDS: Final = 5.0


class Link(Line):
    """Keeps it.

    Args:
        dial: see `Line`.
        changed: see `Line`.
        commands: what is sent over it.
    """

    def __init__(self, dial: Callable[[], Any], changed: Changed, commands: Commands) -> None:
        super().__init__(dial, changed, commands)
        self.commands = commands

    async def use(self, connection: Connection) -> None:
        """See `Line.use`."""
        self.commands.begin(connection)
        # Also of an idle connection it must be noticed that it is lost, or what is given next would
        # be lost with it.
        await first_failure(connection.ended(), self._watch(connection))

    async def _watch(self, connection: Connection) -> None:
        """Notice when Redis says nothing any longer; ask it, where there was nothing to say."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ANSWER_SECONDS / 4)
            silence = loop.time() - connection.heard_at
            if self.commands.unanswered:
                if silence > ANSWER_SECONDS:
                    raise ConnectionError("Redis does not answer")
            elif silence > PULSE_SECONDS:
                self.commands.push(Command("", ("PING",)))

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`."""
        self.commands.lost(error)

    async def close(self) -> None:
        """See `Line.close`; what was not sent is lost."""
        await super().close()
        ended = ConnectionError("the server has left the cluster")
        self.commands.lost(ended)
        for command in self.commands.withdraw():
            command.fail(ended)
