"""When a namespace takes part in its cluster: the adapter's `init`, and its `close`.

An adapter over a network has to connect and subscribe before its namespace is of use. A server that
starts waits for that. Of a namespace that is made later, or of a server whose host does not tell
that it starts, the first clients wait. Adapters without an `init` of their own cost nothing here:
their namespaces take part from the beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from nuncio.cluster.adapter import Adapter

logger = logging.getLogger("nuncio")

# After a failure clients are refused for so long, before one of them may cause another attempt.
RETRY_SECONDS = 1.0

# What adapters get at least to leave the cluster.
LEAVE_SECONDS = 1.0

Report = Callable[[Exception], None]
Beginning = asyncio.Task[Exception | None]


class Participation:
    """One namespace's part in its cluster.

    Args:
        nsp: the namespace, which has its adapter; `takes_part` is kept here.
    """

    def __init__(self, nsp: Any) -> None:
        self._nsp = nsp
        self._adapter: Adapter = nsp.adapter
        self._has_init = type(self._adapter).init is not Adapter.init
        nsp.takes_part = not self._has_init
        self._beginning: Beginning | None = None
        self._closed = False
        self._retry_at = 0.0

    def begin(self, report: Report | None = None) -> Beginning | None:
        """Call `init`, unless that is done or under way.

        Args:
            report: is given what goes wrong, if this call begins.

        Returns:
            The attempt, whose result is what went wrong or None; None where nothing is to be done.

        Raises:
            RuntimeError: when no loop is running.
        """
        if not self._has_init:
            self._closed = False
            return None
        loop = asyncio.get_running_loop()
        beginning = self._beginning
        if beginning is None or beginning.cancelled() or beginning.get_loop() is not loop:
            # What was begun in a loop that is gone, is gone.
            self._nsp.takes_part = False
            beginning = loop.create_task(self._begin(report))
            self._beginning = beginning
        return beginning

    async def _begin(self, report: Report | None) -> Exception | None:
        self._closed = False
        try:
            await self._adapter.init()
        except Exception as error:
            error.add_note(f"The adapter of the namespace {self._nsp.name} could not begin.")
            if report is not None:
                report(error)
            await self._close(report)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._beginning = None
            return error
        self._nsp.takes_part = True
        return None

    async def wait(self, report: Report) -> None:
        """Wait until the namespace takes part, or cannot."""
        if self._beginning is None and time.monotonic() < self._retry_at:
            return
        beginning = self.begin(report)
        if beginning is not None:
            await asyncio.wait((beginning,))

    def give_up(self) -> None:
        """Wait no longer for an `init` that has not ended."""
        beginning = self._beginning
        if beginning is not None and not self._closed:
            beginning.cancel()

    async def end(self, report: Report) -> None:
        """Call `close`, unless that was done since the last `init`.

        Args:
            report: is given what it raises.
        """
        beginning = self._beginning
        if beginning is not None and not beginning.done():
            self.give_up()
            await asyncio.wait((beginning,))
        self._beginning = None
        self._nsp.takes_part = not self._has_init
        await self._close(report)

    async def _close(self, report: Report | None) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._adapter.close()
        except Exception as error:
            error.add_note(f"The adapter of the namespace {self._nsp.name} could not be closed.")
            if report is not None:
                report(error)


class Participants:
    """All namespaces of a server, from its start to its end.

    Args:
        server: the server.

    Attributes:
        serving: whether it has started, so that new namespaces begin at once.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.serving = False

    async def start(self) -> None:
        """The host begins: first every namespace takes part in its cluster, the default one too.

        Raises:
            Exception: what an adapter's `init` raised; then all of them are closed again.
        """
        self._server.of("/")
        self.serving = True
        begun = [nsp.participation.begin() for nsp in self._server.all_namespaces()]
        waiting = [task for task in begun if task is not None]
        if not waiting:
            return
        try:
            await asyncio.wait(waiting)
            for task in waiting:
                if task.cancelled():
                    raise RuntimeError("the server was closed before it had started")
                error: Exception | None = task.result()
                if error is not None:
                    raise error
        except BaseException:
            self.serving = False
            await self.leave(LEAVE_SECONDS)
            raise

    def begin(self) -> None:
        """The first client is here, and the host has not told that it begins."""
        self.serving = True
        self._server.of("/")
        for nsp in self._server.all_namespaces():
            self.added(nsp)

    def added(self, nsp: Any) -> None:
        """There is a new namespace: until it takes part, its clients wait."""
        if not self.serving:
            return
        threads = self._server.threads
        if threads.used and threads.away():
            threads.call(self.added, nsp)
            return
        # Where no loop runs any longer, its first client will wait.
        with contextlib.suppress(RuntimeError):
            nsp.participation.begin(self._server.report_adapter)

    def stop(self) -> None:
        """The server ends: what has not begun by now never will."""
        self.serving = False
        for nsp in self._server.all_namespaces():
            nsp.participation.give_up()

    async def leave(self, seconds: float) -> None:
        """Leave the cluster.

        Args:
            seconds: how long that may take; a second at least.
        """
        ending = {
            asyncio.ensure_future(nsp.participation.end(self._server.report_adapter)): nsp
            for nsp in self._server.all_namespaces()
        }
        if ending:
            _, late = await asyncio.wait(ending, timeout=max(seconds, LEAVE_SECONDS))
            for task in late:
                # Nothing else is left running for that.
                logger.warning("the adapter of %s did not close in time", ending[task].name)
                task.cancel()
