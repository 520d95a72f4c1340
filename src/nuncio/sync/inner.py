"""What blocking clients stand on: the asyncio client, which calls the application in threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nuncio.client.connect import Connecting
from nuncio.client.engine import EngineClient
from nuncio.client.http import closed
from nuncio.client.manager import Manager
from nuncio.client.options import ManagerOptions, SocketOptions
from nuncio.client.runner import Runner
from nuncio.client.socket import ClientSocket
from nuncio.client.url import Target
from nuncio.handlers.handler import Handler
from nuncio.sync.home import Home
from nuncio.sync.lane import Lane, NoThread
from nuncio.sync.mailbox import Mailbox

logger = logging.getLogger("nuncio.client")

# How often it is looked whether all is sent that waits for a connection, at the interpreter's end.
LOOK_SECONDS = 0.01


class ThreadRunner(Runner):
    """Calls all functions of the application in threads.

    Args:
        pause: see `Runner`, as `resume`.
        drained: called when a function has ended.
        concurrency: how many may run at once for one socket.
    """

    queues = True

    def __init__(
        self,
        pause: Callable[[], None],
        resume: Callable[[], None],
        drained: Callable[[str], None],
        concurrency: int,
    ) -> None:
        super().__init__(pause, resume)
        self.threads.used = True
        self.exiting = False
        self._drained = drained
        self._concurrency = concurrency
        self._lanes: dict[str, Lane] = {}

    @property
    def busy(self) -> bool:
        """Whether functions run or wait for their turn."""
        return any(lane.busy for lane in self._lanes.values())

    def lane(self, nsp: str) -> Lane:
        """Where those of a namespace run; those of the Manager itself without a name."""
        lane = self._lanes.get(nsp)
        if lane is None:
            lane = Lane(self.loop, nsp, self._concurrency, lambda: self._drained(nsp))
            self._lanes[nsp] = lane
        return lane

    def in_thread(self, handler: Handler, args: list[Any], socket: Any) -> Awaitable[Any]:
        """See `Runner.in_thread`."""
        return self.lane(socket.nsp).call(handler.function, args, handler)

    def guard(self, function: Callable[..., Any], args: list[Any], socket: Any, event: str) -> None:
        """See `Runner.guard`."""
        done = self.lane(_name(socket)).call(function, args)
        done.add_done_callback(lambda future: self._told(future, socket, event))

    def _told(self, future: asyncio.Future[Any], socket: Any, event: str) -> None:
        if not future.cancelled():
            error = future.exception()
            if isinstance(error, Exception):
                self.report(error, socket, event)

    def tell(self, handler: Handler, args: list[Any]) -> None:
        """See `Runner.tell`."""
        self.call_listener(handler.function, args)

    def call_listener(self, function: Callable[..., Any], args: list[Any]) -> None:
        """Call a listener of the Manager's."""
        self.lane("").call(function, args).add_done_callback(_log)

    def report(self, error: Exception, socket: Any, event: str) -> None:
        """See `Runner.report`."""
        if self.exiting and (
            isinstance(error, NoThread) or isinstance(error.__cause__, SystemExit)
        ):
            # The interpreter has ended while a handler waited for something, or for its turn.
            return
        super().report(error, socket, event)

    def close(self) -> None:
        """See `Runner.close`: the threads are of no use any more."""
        super().close()
        for lane in self._lanes.values():
            lane.stop()


def _name(socket: Any) -> str:
    return "" if socket is None else str(socket.nsp)


def _log(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and future.exception() is not None:
        logger.error("a listener of a Manager failed", exc_info=future.exception())


class LoopManager(Manager):
    """The Manager behind a blocking one; a `nuncio.sync.home.Guest`.

    Attributes:
        home: where it lives.
        mailboxes: of its sockets, by namespace.
        front: the blocking one, as soon as somebody has asked for it.
        done: whether that was closed.
    """

    home: Home

    @classmethod
    def at(cls, home: Home, target: Target, options: ManagerOptions, defaults: Any) -> LoopManager:
        """Make one; in the loop's thread."""
        manager = cls.__new__(cls)
        manager.home = home
        manager._begin(target, options, defaults)
        return manager

    def _begin(self, target: Target, options: ManagerOptions, defaults: dict[str, Any]) -> None:
        self.mailboxes: dict[str, Mailbox] = {}
        self.front: Any = None
        self.done = False
        self._ending = 0
        super()._begin(target, options, defaults)

    def _make_runner(self) -> ThreadRunner:
        self.runner = ThreadRunner(
            self._pause, self._resume, self._drained, self.options.concurrency
        )
        return self.runner

    def _make(self, nsp: str, options: SocketOptions) -> ClientSocket:
        socket = super()._make(nsp, options)
        lanes = (self.runner.lane(nsp), self.runner.lane(""))
        mailbox = Mailbox(socket, lanes, self.options.limits.queued_events)
        socket.inbox.add(mailbox)
        self.mailboxes[nsp] = mailbox
        return socket

    def _open(self) -> None:
        super()._open()
        if self.engine is not None:
            self.home.guests.add(self)
            self._ending += 1
            self._spawn(self._outlive(self.engine))

    async def _outlive(self, engine: EngineClient) -> None:
        """Stay as long as a connection has yet to say goodbye."""
        await engine.wait_closed()
        await closed(self._tools)
        self._ending -= 1
        self.settle()

    async def close(self) -> None:
        """See `Manager.close`."""
        await super().close()
        self.settle()

    async def close_socket(self, socket: ClientSocket) -> None:
        """See `Manager.close_socket`."""
        await super().close_socket(socket)
        self.settle()

    def _drained(self, nsp: str) -> None:
        """A function of a namespace has ended."""
        for socket in list(self._sockets.values()):
            if nsp in ("", socket.nsp):
                socket.limit_queue()
        self.settle()

    def settle(self) -> None:
        """Leave, if it is of no use any more: the loop need not run for it."""
        if not self.busy:
            self.runner.close()
            self.home.guests.discard(self)
            self.home.consider()

    # For the thread.

    @property
    def busy(self) -> bool:
        """See `Guest.busy`."""
        return self.runner.busy or self._ending > 0 or self.in_use

    async def flush(self) -> None:
        """See `Guest.flush`."""
        self.runner.exiting = True
        while self._waits_to_send():  # noqa: ASYNC110 - once
            await asyncio.sleep(LOOK_SECONDS)
        await self.close()

    def _waits_to_send(self) -> bool:
        return any(
            socket.active and socket.unsent and not socket.connected
            for socket in self._sockets.values()
        )

    def stop(self) -> None:
        """See `Guest.stop`."""
        for socket in list(self._sockets.values()):
            if socket.active and socket.unsent:
                logger.warning(
                    "%d events of %r were not sent: the program ended while nobody was connected",
                    socket.unsent,
                    socket.nsp,
                )
        self.cut()
        self.runner.close()

    def cut(self) -> None:
        """End all sockets and the connection, whatever waits to be sent."""
        for socket in list(self._sockets.values()):
            socket.disconnect()
        self.disconnect()


class LoopConnecting(Connecting):
    """`nuncio.connect` for a blocking client."""

    _home: Home

    def at(self, home: Home) -> LoopConnecting:
        """Say where; it is awaited there."""
        self._home = home
        return self

    def make(self, target: Target, options: ManagerOptions) -> Manager:
        """See `Connecting.make`."""
        return LoopManager.at(self._home, target, options, {})
