"""The thread in which the event loop of all blocking clients runs: one for the process.

It starts with the first client and ends when the last has been closed, or with the interpreter,
which sends first what was emitted. It does not survive `os.fork`: a child that connects starts its
own, and what was connected before belongs to the parent.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from nuncio.errors import Disconnected, DisconnectReason
from nuncio.sync.call import Call
from nuncio.sync.loop import new_loop
from nuncio.sync.places import check_place

logger = logging.getLogger("nuncio.client")

# What the interpreter waits for at its end: until all that was emitted is sent, and then until
# handlers that run have ended.
FLUSH_SECONDS = 5.0
HANDLER_SECONDS = 1.0

# Closing the last client waits so long for the thread to be gone.
JOIN_SECONDS = 1.0

CLOSED = "this client is closed; connect anew, with nuncio.sync.connect(…)"


class Guest(Protocol):
    """What lives in the loop: a Manager."""

    @property
    def busy(self) -> bool:
        """Whether it is connected, or about to be, or handlers run or wait for their turn."""

    async def flush(self) -> None:
        """Wait until everything that was emitted has been sent, then close."""

    def stop(self) -> None:
        """The loop ends."""


class Home:
    """The loop and its thread.

    Attributes:
        loop: the event loop; its thread alone may touch it.
        guests: what lives there, as far as it is in use.
        exiting: whether the interpreter ends.
        forked: whether this is a copy in a child process, where the thread is not.
    """

    def __init__(self) -> None:
        self.loop = new_loop()
        self.guests: set[Guest] = set()
        self.exiting = False
        self.forked = False
        self._pid = os.getpid()
        self._leases = 0
        self._lock = threading.Lock()
        self._over = False
        self._ended: asyncio.Future[None] | None = None
        self._calls: dict[asyncio.Future[Any], Call] = {}
        self._thread = threading.Thread(target=self._run, name="nuncio", daemon=True)

    def start(self) -> None:
        """Begin."""
        try:
            self._thread.start()
        except BaseException:
            self._over = True
            self.loop.close()
            raise

    # From any thread.

    def run(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """Call a function in the loop's thread, and await what it returns if that can be.

        Args:
            function: what to call.
            args: its arguments.
            timeout: seconds after which it is taken back; None for any.

        Returns:
            what came of it.

        Raises:
            RuntimeError: where blocking would be a mistake, with the fix.
            nuncio.sync.call.Cancelled: when the time was up.
        """
        call = Call(self.loop, function, args)
        try:
            return self.make(call, timeout)
        except BaseException:
            call.leave()
            raise

    def make(self, call: Call, timeout: float | None = None) -> Any:
        """Make a call and wait for what comes of it; see `run`.

        Whoever calls this tells the call to `leave`, whatever is raised: it may be Ctrl-C.
        """
        self.check()
        check_place(self.loop)
        try:
            return self._post(call).wait(timeout)
        except (RuntimeError, Disconnected):
            if self.exiting and threading.current_thread() is not threading.main_thread():
                # Only daemon threads are left. They end with the interpreter, in silence.
                raise SystemExit from None
            raise

    def _post(self, call: Call) -> Call:
        with self._lock:
            if self._over:
                raise RuntimeError(CLOSED)
            self.loop.call_soon_threadsafe(self._begin, call)
        return call

    def finish(self, close: Callable[[], Any], cut: Callable[[], Any]) -> None:
        """Close something, if that is not too late.

        Args:
            close: gives what is awaited until it is closed.
            cut: does the same without waiting, when Ctrl-C says that it takes too long.
        """
        try:
            if not self.over:
                self.run(close)
        except BaseException:
            try:
                self._post(Call(self.loop, cut, ()))
            except RuntimeError:
                # Meanwhile all has ended.
                pass
            raise

    @property
    def over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._over

    def check(self) -> None:
        """Refuse to work in a process that has only inherited this.

        Raises:
            RuntimeError: with the fix.
        """
        if self.forked:
            raise RuntimeError(
                f"this client was connected before os.fork(), in process {self._pid}, and cannot "
                f"be used in its child {os.getpid()}: connect there, with nuncio.sync.connect(…)"
            )

    # In the loop's thread.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._ended = self.loop.create_future()
        self.consider()
        await self._ended
        # What other threads have asked for until then comes first.
        await asyncio.sleep(0)
        for guest in list(self.guests):
            guest.stop()
        for call in list(self._calls.values()):
            call.fail(Disconnected(str(DisconnectReason.IO_CLIENT_DISCONNECT)))

    def _begin(self, call: Call) -> None:
        future = call.begin()
        if future is not None:
            self._calls[future] = call
            future.add_done_callback(self._forget)

    def _forget(self, future: asyncio.Future[Any]) -> None:
        self._calls.pop(future, None)

    def consider(self) -> bool:
        """End, if nobody needs it any more; returns whether it does."""
        with self._lock:
            if self._leases > 0 or any(guest.busy for guest in self.guests):
                return False
            self._over = True
        self._end()
        return True

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def _flush(self) -> None:
        guests = [guest.flush() for guest in self.guests]
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.gather(*guests, return_exceptions=True)
            async with asyncio.timeout(HANDLER_SECONDS):
                while any(guest.busy for guest in self.guests):  # noqa: ASYNC110 - seldom
                    await asyncio.sleep(0.01)
        except TimeoutError:
            logger.debug("the interpreter ends before everything has been sent or handled")

    # Who needs it.

    def enter(self) -> bool:
        """One client more; False when it is too late for that."""
        with self._lock:
            if self._over:
                return False
            self._leases += 1
            return True

    def leave(self) -> None:
        """One client less. The last one waits for the end of the thread, if that is near."""
        with self._lock:
            self._leases -= 1
            if self._leases > 0 or self._over:
                return
        try:
            ends = self._post(Call(self.loop, self.consider, ())).wait(None)
        except RuntimeError:
            # Somebody else has ended it.
            return
        if ends:
            self._thread.join(JOIN_SECONDS)

    def exit(self) -> None:
        """The interpreter ends."""
        self.exiting = True
        try:
            call = self._post(Call(self.loop, self._flush, ()))
            call.has_ended(FLUSH_SECONDS + HANDLER_SECONDS)
            with self._lock:
                self._over = True
            self.loop.call_soon_threadsafe(self._end)
            self._thread.join(JOIN_SECONDS)
        except (Exception, KeyboardInterrupt):
            # Whoever presses Ctrl-C once more does not want to wait.
            logger.debug("the clients did not end in time", exc_info=True)


class Lease:
    """What keeps the thread alive for one client.

    Attributes:
        home: the thread.
    """

    def __init__(self) -> None:
        self.home = _enter()
        self._released = False

    def release(self) -> None:
        """The client is closed."""
        if not self._released:
            self._released = True
            if not self.home.forked:
                self.home.leave()


_lock = threading.Lock()
_home: Home | None = None
_exiting = False

# Those of the parent process are kept for ever: ending them would reach into its connections.
_inherited: list[Home] = []


def _enter() -> Home:
    """The process's own, with one client more."""
    global _home
    with _lock:
        if _exiting:
            raise RuntimeError("the interpreter ends: it is too late to connect")
        if _home is None or not _home.enter():
            home = Home()
            home.enter()
            home.start()
            _home = home
        return _home


def _forked() -> None:
    global _home, _lock
    # Another thread may have held it.
    _lock = threading.Lock()
    if _home is not None:
        _home.forked = True
        _inherited.append(_home)
        _home = None


def _exit() -> None:
    global _exiting
    _exiting = True
    if _home is not None:
        _home.exit()


# At the import, so that what an application registers later still finds its clients connected.
atexit.register(_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
