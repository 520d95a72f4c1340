"""A connection to what carries a cluster, which comes back when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, ClassVar, Final

CONNECT_SECONDS: Final = 5.0
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 2.0

# A connection on which nothing has come for so long is asked whether it is there.
PULSE_SECONDS: Final = 10.0

# An engine, where nothing more is known of it.
_UNNAMED: Final = "the engine"

Changed = Callable[[Any, Exception | None], None]


class Line:
    """One connection: opened, used, and opened again until it is closed.

    Args:
        changed: told when the line is lost, with it and the reason, and with None when it is there
            again.

    Attributes:
        engine: what it leads to, in words.
        connected: whether it is of use.
        losses: how often it was lost.
    """

    engine: ClassVar[str]

    def __init__(self, changed: Changed) -> None:
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
            # Many servers lose it at the same moment, and are not to come back at the same one.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LONGEST_DELAY)

    async def _attempt(self) -> ConnectionError:
        """Connect, and go on until the connection is lost.

        Returns:
            Why it was.
        """
        connection: Any = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self.connect()
                await self.begin(connection)
            self.connected = True
            if not self._opened.done():
                self._opened.set_result(None)
            self._changed(self, None)
            await self.use(connection)
        except Exception as error:
            return as_connection_error(error, self.engine)
        finally:
            if connection is not None:
                with contextlib.suppress(Exception):
                    await self.disconnect(connection)
        return ConnectionError("the connection ended")

    async def connect(self) -> Any:
        """A new connection; one that fails leaves nothing behind."""
        raise NotImplementedError

    async def disconnect(self, connection: Any) -> None:
        """End a connection, without waiting for what may not answer."""
        raise NotImplementedError

    async def begin(self, connection: Any) -> None:
        """What comes first on a new connection."""

    async def use(self, connection: Any) -> None:
        """Use the connection until it is lost, and raise what says so."""
        raise NotImplementedError

    def lost(self, error: ConnectionError) -> None:
        """The connection was lost, or did not come about."""


def as_connection_error(error: BaseException, engine: str = _UNNAMED) -> ConnectionError:
    """Any failure of an engine or the network, as Python's own exception."""
    if isinstance(error, ConnectionError):
        return error
    if isinstance(error, TimeoutError) and not str(error):
        return ConnectionError(f"{engine} does not answer")
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


def outcome() -> asyncio.Future[Any]:
    """A future that nobody need wait for, and whose failure is no mistake then."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(seen)
    return future


def seen(future: asyncio.Future[Any]) -> None:
    """Nobody need wait for it, and what went wrong is no mistake then."""
    if not future.cancelled():
        future.exception()
