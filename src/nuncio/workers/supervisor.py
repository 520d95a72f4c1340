"""Starts the workers, keeps them alive, and replaces them one by one: `nuncio serve --workers N`.

The supervisor binds the port, and each worker accepts from it; it never touches a client itself.
SIGTERM and SIGINT end everything in order; where there are servers on other machines, SIGTERM may
have clients go there first. SIGHUP replaces the workers: each new one is ready before an old one is
told to drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from nuncio.hosts.serve import meeting_words
from nuncio.workers.rendezvous import VARIABLE

logger = logging.getLogger("nuncio.workers")

# A worker that dies sooner than this after it was ready is started again later and later.
YOUNG_SECONDS: Final = 5.0
FIRST_DELAY: Final = 0.1
LAST_DELAY: Final = 10.0

# What a worker gets beyond its own time to stop.
SPARE_SECONDS: Final = 5.0

Say = Callable[[str], None]


class CannotStart(Exception):
    """A worker could not begin; the text says why."""


class Supervisor:
    """The parent of the workers.

    Args:
        target: the application, see `nuncio.hosts.application.load`.
        count: how many workers.
        listener: the listening socket.
        say: tells the user what happens, line by line.
        greeting: what is said first, once all are ready.
        shutdown_timeout: seconds a worker has to stop.
        drain_window: seconds over which the clients of a worker that is replaced are sent away.
        drain: whether SIGTERM has all clients sent away in that time, too, before the end.
        meet: where the workers meet, see the option `workers`; None for a folder of their own.
        options: of `io.run`, for each of them.
    """

    def __init__(
        self,
        target: str,
        count: int,
        listener: socket.socket,
        say: Say,
        *,
        greeting: str = "ready",
        shutdown_timeout: float = 10.0,
        drain_window: float = 10.0,
        drain: bool = False,
        meet: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._target = target
        self._count = count
        self._listener = listener
        self._tell = say
        self._greeting = greeting
        self._shutdown_timeout = shutdown_timeout
        self._drain_window = drain_window
        self._drain = drain
        self._options = {**(options or {}), "shutdown_timeout": shutdown_timeout}
        self._children: set[_Child] = set()
        self._stopping = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._keepers: set[asyncio.Task[None]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="nuncio-"))
        self._meet = meet or str(self._folder)
        self._apart = meet is not None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            CannotStart: when the first workers cannot begin.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.replace)
        try:
            first = [await self._spawn() for _ in range(self._count)]
            await asyncio.gather(*(child.wait_ready() for child in first))
            pids = ", ".join(str(child.pid) for child in first)
            self._say(f"{self._greeting}, workers {pids}; SIGHUP replaces them, Ctrl-C stops")
            if self._apart:
                place = max(child.meeting for child in first)
                self._say(meeting_words(*place, own=self._count - 1))
            for child in first:
                self._keep(child)
            await self._stopping.wait()
        finally:
            for task in (*self._keepers, self._replacing, self._draining):
                if task is not None:
                    task.cancel()
            await self._end_all()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _say(self, line: str) -> None:
        # Who reads it may be gone; the workers go on.
        with contextlib.suppress(OSError):
            self._tell(line)

    def stop(self) -> None:
        """End in order."""
        self._stopping.set()

    def terminate(self) -> None:
        """End in order, if need be after the clients were sent away; a second time ends at once."""
        if self._drain and self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain_all())
        else:
            self.stop()

    async def _drain_all(self) -> None:
        self._say("sending the clients to other servers")
        if self._replacing is not None:
            self._replacing.cancel()
        # Nobody would accept what still came: it is to be refused at once.
        self._listener.close()
        children = list(self._children)
        for child in children:
            child.drain(self._drain_window)
        await asyncio.gather(*(child.wait() for child in children))
        self.stop()

    def replace(self) -> None:
        """Replace the workers one by one."""
        if self._draining is not None:
            return
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.get_running_loop().create_task(self._replace())

    async def _replace(self) -> None:
        self._say("replacing the workers")
        for old in list(self._children):
            new = await self._spawn()
            try:
                await new.wait_ready()
            except CannotStart as error:
                self._say(f"the new worker cannot start, so the old ones go on: {error}")
                return
            self._keep(new)
            self._say(f"worker {new.pid} is ready, {old.pid} drains")
            old.drain(self._drain_window)
            await old.wait()
        self._say("all workers are replaced")

    async def _spawn(self) -> _Child:
        child = _Child()
        await child.start(self._target, self._listener, self._meet, self._options)
        self._children.add(child)
        return child

    def _keep(self, child: _Child) -> None:
        task = asyncio.get_running_loop().create_task(self._watch(child))
        self._keepers.add(task)
        task.add_done_callback(self._keepers.discard)

    async def _watch(self, child: _Child) -> None:
        """Wait for a worker's end, and start another in its place unless it was meant."""
        delay = FIRST_DELAY
        while True:
            status = await child.wait()
            self._children.discard(child)
            if child.draining or self._stopping.is_set():
                return
            self._say(f"worker {child.pid} ended with status {status}; another takes its place")
            if child.age() > YOUNG_SECONDS:
                delay = FIRST_DELAY
            while True:
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY)
                child = await self._spawn()
                try:
                    await child.wait_ready()
                    break
                except CannotStart as error:
                    self._children.discard(child)
                    self._say(f"it cannot start, the next attempt is in {delay:g} s: {error}")
            self._say(f"worker {child.pid} is ready")

    async def _end_all(self) -> None:
        children = list(self._children)
        for child in children:
            child.signal(signal.SIGTERM)
        if not children:
            return
        waits = [asyncio.ensure_future(child.wait()) for child in children]
        _, late = await asyncio.wait(waits, timeout=self._shutdown_timeout + SPARE_SECONDS)
        if late:
            for child in children:
                child.signal(signal.SIGKILL)
            await asyncio.wait(waits)


class _Child:
    """One worker's process, as its supervisor sees it.

    Attributes:
        draining: whether its end is meant.
    """

    def __init__(self) -> None:
        self.draining = False
        self._process: asyncio.subprocess.Process | None = None
        self._channel: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None
        self._ready_at = 0.0
        self.meeting: tuple[str, int] = ("", 0)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def start(
        self, target: str, listener: socket.socket, meet: str, options: dict[str, Any]
    ) -> None:
        """Start it."""
        ours, theirs = socket.socketpair()
        with theirs:
            given = {
                "target": target,
                "listener": listener.fileno(),
                "channel": theirs.fileno(),
                "options": options,
            }
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "nuncio.workers.child", json.dumps(given)),
                pass_fds=(listener.fileno(), theirs.fileno()),
                env={**os.environ, VARIABLE: meet},
                start_new_session=True,
            )
        self._reader, self._channel = await asyncio.open_connection(sock=ours)

    async def wait_ready(self) -> None:
        """Wait until it accepts connections.

        Raises:
            CannotStart: when it does not.
        """
        assert self._reader is not None
        line = await self._reader.readline()
        told = json.loads(line) if line else {"failed": f"status {await self.wait()}"}
        if "ready" not in told:
            await self.wait()
            raise CannotStart(told["failed"])
        self._ready_at = asyncio.get_running_loop().time()
        self.meeting = tuple(told["meeting"])

    def age(self) -> float:
        """Seconds since it was ready."""
        return asyncio.get_running_loop().time() - self._ready_at

    def drain(self, seconds: float) -> None:
        """Have it send its clients to the others, and end."""
        self.draining = True
        assert self._channel is not None
        self._channel.write(json.dumps({"drain": seconds}).encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait for its end; returns its status."""
        assert self._process is not None
        return await self._process.wait()
