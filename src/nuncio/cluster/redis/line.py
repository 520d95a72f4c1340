"""A connection to Redis that comes back when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from nuncio.cluster.redis.endpoint import CONNECT_SECONDS

FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 2.0

# A connection on which nothing has come for so long is asked whether it is there.
PULSE_SECONDS: Final = 10.0

Changed = Callable[["Line", Exception | None], None]


class Line:
    """One connection: opened, used, and opened again until it is closed.

    Args:
        dial: makes a connection that is not connected yet.
        changed: told when the line is lost, with the reason, and with None when it is there again.

    Attributes:
        connected: whether it is of use.
        losses: how often it was lost.
    """

    def __init__(self, dial: Callable[[], Any], changed: Changed) -> None:
        self._dial = dial
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connected = False
        self.losses = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: when the first attempt fails; close it then.
        """
        self.start()
        await asyncio.shield(self._opened)

    def start(self) -> None:
        """Connect, without waiting for that."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())
            self._opened.add_done_callback(seen)

    async def close(self) -> None:
        """Close the connection, for good."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if not self._opened.done():
            self._opened.set_exception(ConnectionError("the connection was given up"))

    async def _keep(self) -> None:
        delay = FIRST_DELAY
        while True:
            error = await self._attempt()
            if self.connected:
                self.connected = False
                delay = FIRST_DELAY
            self.losses += 1
            self.lost(error)
            if not self._opened.done():
                self._opened.set_exception(error)
            self._changed(self, error)
            # Many servers lose Redis at the same moment, and are not to come back at the same one.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LONGEST_DELAY)

    async def _attempt(self) -> ConnectionError:
        """Connect, and go on until the connection is lost.

        Returns:
            Why it was.
        """
        connection = self._dial()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
                await self.begin(connection)
            self.connected = True
            if not self._opened.done():
                self._opened.set_result(None)
            self._changed(self, None)
            await self.use(connection)
        except Exception as error:
            return as_connection_error(error)
        finally:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)
        return ConnectionError("the connection ended")

    async def begin(self, connection: Any) -> None:
        """What comes first on a new connection."""

    async def use(self, connection: Any) -> None:
        """Use the connection until it is lost, and raise what says so."""
        raise NotImplementedError

    def lost(self, error: ConnectionError) -> None:
        """The connection was lost, or did not come about."""


def packed(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Commands as Redis reads them.

    redis-py's own way knows more kinds of arguments, and takes much longer.

    Args:
        commands: the name and the arguments of each, as bytes, text or integers.
    """
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for part in command:
            data = part if isinstance(part, bytes) else str(part).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def as_connection_error(error: BaseException) -> ConnectionError:
    """Any failure of Redis or the network, as Python's own exception."""
    if isinstance(error, ConnectionError):
        return error
    if isinstance(error, TimeoutError) and not str(error):
        return ConnectionError("Redis does not answer")
    found = ConnectionError(str(error) or repr(error))
    found.__cause__ = error
    return found


async def first_failure(*jobs: Any) -> None:
    """Do several things at once until one of them fails, and raise what it raises."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def seen(future: asyncio.Future[Any]) -> None:
    """Nobody need wait for it, and what went wrong is no mistake then."""
    if not future.cancelled():
        future.exception()
