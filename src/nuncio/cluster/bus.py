"""Connections that all adapters of one server share: open as long as there is an adapter.

What travels over them, and how, is the business of a bus for one engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from nuncio.cluster.line import Line
from nuncio.options import whole

logger = logging.getLogger("nuncio.cluster")

# How much may wait to be sent while an engine is away, if nothing else is said.
OUTGOING_BYTES: Final = 16 * 1024 * 1024

# What was said last may take so long to leave.
LAST_SECONDS: Final = 1.0


class Member(Protocol):
    """An adapter, as the bus knows it."""

    def bus_changed(self, why: Exception | None) -> None:
        """The engine was lost, and why; or None: it is there again."""


class Bus:
    """What one server has to do with an engine.

    A derived one gives `engine`, `_open`, `_close` and `_forget`, and calls `_tell` when the engine
    is lost or there again.

    Attributes:
        engine: what it leads to, in words.
        published: how many messages were given.
        dropped: how many of them were not taken, as too much waited.
    """

    engine: ClassVar[str]

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.published = 0
        self.dropped = 0

    async def enter(self, member: Member) -> None:
        """Be open for an adapter.

        Raises:
            ConnectionError: when the engine cannot be reached.
        """
        self._move()
        self._members.add(member)
        await self._open()

    async def leave(self, member: Member) -> None:
        """An adapter needs it no longer; after the last one it is closed, in order."""
        if member not in self._members:
            return
        self._move()
        self._members.discard(member)
        if not self._members:
            await self._close()

    def _move(self) -> None:
        """Begin anew in another loop: what a former one has left can neither be used nor closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._forget()

    async def _open(self) -> None:
        """Be open, for one more member.

        Raises:
            ConnectionError: when the engine cannot be reached; nothing is left behind then.
        """
        raise NotImplementedError

    async def _close(self) -> None:
        """End the connections, once what was said last has left, or it has taken too long."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Be as before `_open`, without closing anything."""
        raise NotImplementedError

    def _tell(self, why: Exception | None, *, quietly: bool = False) -> None:
        """Tell all members that the engine was lost, and why; or None: that it is there again."""
        if why is not None and not quietly:
            logger.warning("%s is lost, and will be tried again: %s", self.engine, why)
        for member in list(self._members):
            member.bus_changed(why)


class LineBus(Bus):
    """A bus of several lines, which is well while each of them is connected.

    A derived one gives `_connect`, `_settle`, `_lines`, `_close_lines` and `_forget_lines`, and has
    its lines call `_changed`.

    Attributes:
        failed: how many messages the engine refused, or were lost with a connection.
    """

    def __init__(self) -> None:
        super().__init__()
        self._opening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._down: dict[Line, Exception] = {}
        self._losses = 0
        self.failed = 0

    async def _connect(self) -> None:
        """Open the lines that are needed from the beginning.

        Raises:
            ConnectionError: when one of them cannot be.
        """
        raise NotImplementedError

    async def _settle(self) -> None:
        """Wait until what was said last has left, or it takes too long."""
        raise NotImplementedError

    def _lines(self) -> Sequence[Line]:
        """Those that there are."""
        raise NotImplementedError

    async def _close_lines(self) -> None:
        """`_discard` them all, and end what else was begun."""
        raise NotImplementedError

    def _forget_lines(self) -> None:
        """Have none any longer, nor what else was begun, without ending it."""
        raise NotImplementedError

    # Life.

    async def _open(self) -> None:
        """See `Bus._open`: once for all members, and who waits no longer takes it from nobody."""
        opening = self._opening
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._begin(self._closing))
            self._opening = opening
        try:
            await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def _begin(self, closing: asyncio.Task[None] | None) -> None:
        if closing is not None:
            # It closes whatever lines there are.
            await asyncio.wait((closing,))
        try:
            await self._connect()
        except BaseException:
            await self._close_lines()
            raise

    async def _close(self) -> None:
        """See `Bus._close`: to the end, also when nobody waits for it any longer."""
        opening, self._opening = self._opening, None
        ending = self._end(opening, self._closing)
        self._closing = asyncio.get_running_loop().create_task(ending)
        await asyncio.shield(self._closing)

    async def _end(
        self, opening: asyncio.Task[None] | None, closing: asyncio.Task[None] | None
    ) -> None:
        if opening is not None and not opening.done():
            opening.cancel()
        former = [task for task in (opening, closing) if task is not None]
        if former:
            await asyncio.wait(former)
        await self._settle()
        await self._close_lines()

    def _forget(self) -> None:
        """See `Bus._forget`."""
        self._opening = self._closing = None
        self._forget_lines()
        self._down.clear()

    async def _discard(self, line: Line) -> None:
        """Close one that is needed no longer."""
        await line.close()
        self._losses += line.losses
        self._down.pop(line, None)

    # Health.

    @property
    def healthy(self) -> bool:
        """Whether every connection is there."""
        return not self._down

    def stats(self) -> dict[str, int]:
        """Numbers as they are now."""
        return {
            "published": self.published,
            "dropped_outgoing": self.dropped,
            "failed": self.failed,
            "losses": self._losses + sum([line.losses for line in self._lines()]),
        }

    def _changed(self, line: Line, error: Exception | None) -> None:
        """See `Line`; of one that is being closed nobody need know."""
        if line not in self._lines():
            return
        was_healthy = self.healthy
        if error is None:
            self._down.pop(line, None)
        else:
            self._down[line] = error
        if was_healthy == self.healthy:
            return
        if error is None:
            logger.info("%s is there again", self.engine)
        # Who waits for the beginning learns by an exception that there was none.
        beginning = self._opening is not None and not self._opening.done()
        self._tell(error, quietly=beginning)


B = TypeVar("B", bound=Bus)


class BusFactory(Generic[B]):
    """What makes the adapters of one or more servers, each of which has a bus.

    A derived one gives `_new_bus`.

    Args:
        outgoing_bytes: how much may wait to be sent while the engine is away.

    Raises:
        OptionError: when that is no number of bytes.
    """

    def __init__(self, outgoing_bytes: int) -> None:
        self._outgoing_bytes = whole("outgoing_bytes", outgoing_bytes)
        self._buses: WeakKeyDictionary[Any, B] = WeakKeyDictionary()

    def bus_of(self, server: Any) -> B:
        """The connections of a server."""
        bus = self._buses.get(server)
        if bus is None:
            bus = self._new_bus(server)
            self._buses[server] = bus
        return bus

    def _new_bus(self, server: Any = None) -> B:
        """Connections of a server, or of an emitter for None."""
        raise NotImplementedError
