"""When a namespace takes part in its cluster: the adapter's `init`, and its `close`.

An adapter over a network has to connect and subscribe before its namespace is of use. A server that
starts waits for that. Of a namespace that is made later, or of a server whose host does not tell
that it starts, the first clients wait. Adapters without an `init` of their own cost nothing here:
their namespaces take part from the beginning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from nuncio.cluster.adapter import Adapter

# After a failure clients are refused for so long, before one of them may cause another attempt.
RETRY_SECONDS = 1.0

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
