"""How an emitter's messages travel over a bus: from an event loop, and from code that blocks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from nuncio.cluster.bus import Bus
from nuncio.cluster.message import ClusterMessage

if TYPE_CHECKING:
    from nuncio.sync.home import Lease

logger = logging.getLogger("nuncio.cluster")

# Who blocks waits so long for a message to be taken.
BLOCKED_SECONDS: Final = 10.0


B = TypeVar("B", bound=Bus)


class LoopSender(Generic[B]):
    """Sends over a bus, which is opened when the first message is sent.

    Args:
        bus: the connections.
    """

    def __init__(self, bus: B) -> None:
        self.bus = bus
        self._sending: set[asyncio.Future[None]] = set()

    def prepare(self, message: ClusterMessage) -> Any:
        """What is to be given to the bus for a message."""
        raise NotImplementedError

    def give(self, prepared: Any) -> Awaitable[Any]:
        """Give it to the bus, which is open; done once it was taken."""
        raise NotImplementedError

    def bus_changed(self, why: Exception | None) -> None:
        """See `ClusterAdapter.bus_changed`: what is sent waits or fails by itself."""

    def send(self, message: ClusterMessage) -> Awaitable[None]:
        """Send a message.

        Returns:
            What raises ConnectionError when it was not taken.
        """
        sending = asyncio.ensure_future(self._send(self.prepare(message)))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return sending

    async def _send(self, prepared: Any) -> None:
        # Who waits for the same task goes on in the order in which it came.
        await self.bus.enter(self)
        await self.give(prepared)

    def _sent(self, sending: asyncio.Future[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            logger.warning("what an emitter sent over %s is lost: %s", self.bus.engine, error)

    def close(self) -> Awaitable[None]:
        """Wait for what is being sent, then end the connections."""
        return self._close()

    async def _close(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending)
        await self.bus.leave(self)


class BlockingSender:
    """Sends by a `LoopSender`, in the thread of the blocking clients; many threads may use it.

    It is made there with the first message, and once more in a process that was forked since.

    Args:
        make: makes the other.
        engine: what it sends to, in words.
    """

    def __init__(self, make: Callable[[], LoopSender[Any]], engine: str) -> None:
        self._make = make
        self._engine = engine
        self._lease: Lease | None = None
        self._sender: LoopSender[Any] | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def _place(self) -> tuple[Lease, LoopSender[Any]]:
        from nuncio.sync.home import Lease

        if self._pid != os.getpid():
            # Another thread of the parent may have held it.
            self._pid, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._lease is None or self._lease.home.forked:
                self._lease, self._sender = Lease(), None
            if self._sender is None:
                self._sender = self._lease.home.run(self._make)
            return self._lease, self._sender

    def send(self, message: ClusterMessage) -> None:
        """Send a message.

        Raises:
            ConnectionError: when it was not taken.
            RuntimeError: in the thread of an event loop, which would stand still.
        """
        from nuncio.sync.call import Cancelled
        from nuncio.sync.places import check_place

        check_place()
        lease, sender = self._place()
        try:
            lease.home.run(sender.send, message, timeout=BLOCKED_SECONDS)
        except Cancelled:
            raise ConnectionError(f"{self._engine} does not answer") from None

    def close(self) -> None:
        """End the connections."""
        lease, self._lease = self._lease, None
        sender, self._sender = self._sender, None
        if lease is None or sender is None:
            return
        try:
            if not lease.home.forked:
                lease.home.run(sender.close)
        finally:
            lease.release()
