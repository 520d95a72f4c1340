"""A server in a thread of its own, for tests of clients that block."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from nuncio import Server
from nuncio.hosts.serve import Listening
from tests.support.aio import DEADLINE

T = TypeVar("T")


class HasServer(Protocol):
    """An application.

    Attributes:
        io: its server.
    """

    io: Server


A = TypeVar("A", bound=HasServer)


class Background(Generic[A]):
    """Serves an application, at the same port after each restart.

    Args:
        make: makes the application, in the server's thread.

    Attributes:
        app: the application; a new one after each restart.
        port: where it listens.
    """

    def __init__(self, make: Callable[[], A]) -> None:
        self.port = 0
        self.app: A
        self._make = make
        self._listening: Listening | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        """Its address, without a namespace."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE / 3)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the server's thread."""

        async def called() -> T:
            return function(*args)

        return self.run(called())

    def emit(self, event: str, *args: Any) -> None:
        """Emit to all clients of the default namespace."""
        self.call(self.app.io.emit, event, *args)

    def start(self) -> None:
        """Listen; again, after `stop`."""
        self.run(self._start())

    async def _start(self) -> None:
        self.app = self._make()
        self._listening = await self.app.io.listen(self.port)
        self.port = self._listening.port

    def stop(self) -> None:
        """Stop listening, and end all connections."""
        if self._listening is not None:
            self.run(self._listening.close())
            self._listening = None

    def close(self) -> None:
        """End it and its thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE / 3)
        self._loop.close()


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds; fail when it does not within the deadline.

    Args:
        condition: called again and again.
        what: its name in the failure's text.
    """
    limit = time.monotonic() + DEADLINE / 3
    while not condition():
        assert time.monotonic() < limit, f"this never became true: {what or condition}"
        time.sleep(0.005)
