"""Commands for one of Redis' servers: sent in the order in which they are given. [compiled]

Who gives a command never waits. What was given in one turn of the loop leaves in one write. While
Redis is away commands wait, up to a bound; what was sent and not answered when a connection is lost
has failed, for nobody knows whether it was carried out; unless its giver has said that it may be
carried out twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.order import Order
from nuncio.cluster.redis.connection import MOVED, READ_ONLY, Connection, Refused, packed

# So much is sent at once, and then what has been given meanwhile.
_MOST_BYTES: Final = 1 << 20
_MOST_COMMANDS: Final = 1000

# What a command costs beside its bytes.
_OVERHEAD: Final = 100


class Command(Order):
    """One command.

    Attributes:
        key: what decides which of Redis' servers it goes to; empty for any.
        name: its own.
        data: it, as Redis reads it.
        again: its name and arguments if it may be sent once more, when a connection is lost before
            the answer came; None when it may not.
        moves: how often it was sent to the wrong server.
    """

    __slots__ = ("again", "data", "key", "moves", "name")

    def __init__(
        self,
        key: str,
        args: tuple[Any, ...],
        answer: asyncio.Future[Any] | None = None,
        again: tuple[Any, ...] | None = None,
    ) -> None:
        data: bytes = packed(args)
        self.key = key
        self.name: str = args[0]
        self.data = data
        self.answer = answer
        self.again = again
        self.size = len(data) + _OVERHEAD
        self.moves = 0


class Commands:
    """Those of one connection, and of the next one when it is lost.

    Args:
        failed: told of each command that Redis refused, or that was lost, and why.
        moved: told of each command that another server must be sent.
        most_bytes: how much may wait to be sent.
    """

    def __init__(
        self,
        failed: Callable[[Command, Exception], None],
        moved: Callable[[Command], None],
        most_bytes: int,
    ) -> None:
        self._failed = failed
        self._moved = moved
        self._most_bytes = most_bytes
        self._queue: deque[Command] = deque()
        self._queued_bytes = 0
        self._sent: deque[Command] = deque()
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._flushing = False

    def push(self, command: Command) -> bool:
        """Have a command sent; False when too much waits already."""
        if self._queued_bytes + command.size > self._most_bytes:
            command.fail(ConnectionError("too much waits for Redis"))
            return False
        self._queue.append(command)
        self._queued_bytes += command.size
        if not self._flushing and self._connection is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return True

    def withdraw(self) -> list[Command]:
        """Take back what has not been sent."""
        commands = list(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        return commands

    @property
    def unanswered(self) -> bool:
        """Whether Redis owes an answer."""
        return len(self._sent) > 0

    def begin(self, connection: Connection) -> None:
        """Send over a connection from now on."""
        self._connection = connection
        self._flush()

    def writable(self) -> None:
        """See `Listener.writable`."""
        self._flush()

    def _flush(self) -> None:
        """Send what waits, as far as Redis keeps up."""
        self._flushing = False
        connection = self._connection
        if connection is None:
            return
        while self._queue and not connection.behind and not connection.closed:
            parts = self._take(connection)
            if parts:
                connection.write(b"".join(parts))

    def _take(self, connection: Connection) -> list[bytes]:
        """What is sent next; the answers come in the same order."""
        queue, sent = self._queue, self._sent
        if not sent:
            # It has been silent for as long as it owed nothing.
            connection.heard_at = self._loop.time()
        parts: list[bytes] = []
        size = 0
        while queue and size < _MOST_BYTES and len(parts) < _MOST_COMMANDS:
            command = queue.popleft()
            size += command.size
            if not command.abandoned:
                sent.append(command)
                parts.append(command.data)
        self._queued_bytes -= size
        return parts

    def replied(self, value: Any) -> None:
        """See `Listener.replied`: to the command that was sent first of those without."""
        command = self._sent.popleft()
        if not isinstance(value, Refused):
            command.succeed(value)
        elif value.word == MOVED:
            command.moves += 1
            self._moved(command)
        else:
            command.fail(value)
            self._failed(command, value)
            if value.word == READ_ONLY:
                # The server has become a replica: a new connection may find the right one.
                raise value

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`; what may be sent again goes before all that waits."""
        self._connection = None
        sent = list(self._sent)
        self._sent.clear()
        for command in reversed(sent):
            if command.again is not None:
                command.data = packed(command.again)
                self._queue.appendleft(command)
                self._queued_bytes += command.size
        for command in sent:
            if command.again is None:
                command.fail(error)
                self._failed(command, error)
