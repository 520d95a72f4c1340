"""What one server gives to Redis, brought to the connection that has its key. [compiled]"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nuncio.cluster.line import outcome
from nuncio.cluster.redis.commands import Command, Commands


class Outgoing:
    """The way of commands to Redis.

    Args:
        route: finds, for a key or sharded channel, the connection's commands; None when there are
            no connections.

    Attributes:
        direct: the commands of the only connection, where there is one; None where it depends on
            the key.
        published: how many commands were given.
        dropped: how many of them were not taken, as too much waited.
    """

    def __init__(self, route: Callable[[str], Commands | None]) -> None:
        self._route = route
        self.direct: Commands | None = None
        self.published = 0
        self.dropped = 0

    def send(self, key: str, args: tuple[Any, ...], again: tuple[Any, ...] | None = None) -> None:
        """Give a command whose answer nobody needs.

        Args:
            key: the key or sharded channel that it concerns; empty for none.
            args: its name and arguments.
            again: what is sent when a connection is lost before the answer came, and perhaps after
                the command was carried out; None when that must not be.
        """
        self.push(Command(key, args, None, again))

    def call(
        self, key: str, args: tuple[Any, ...], again: tuple[Any, ...] | None = None
    ) -> asyncio.Future[Any]:
        """Give a command.

        Args:
            key: see `send`.
            args: see `send`.
            again: see `send`.

        Returns:
            Its answer, or ConnectionError.
        """
        answer = outcome()
        self.push(Command(key, args, answer, again))
        return answer

    def push(self, command: Command) -> None:
        """Give a command that is made already."""
        self.published += 1
        commands = self.direct
        if commands is None:
            commands = self._route(command.key)
        if commands is None:
            command.fail(ConnectionError("this server takes no part in the cluster"))
        elif commands.push(command):
            return
        self.dropped += 1
