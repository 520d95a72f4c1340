"""What all connections of one event loop share: timers, the flusher, masks, and HTTP."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nuncio.client.clock import asleep
from nuncio.client.keys import Keys
from nuncio.engine.transport import Flusher
from nuncio.engine.wheel import Timer, TimerWheel

if TYPE_CHECKING:
    from nuncio.client.session import ClientSession
    from nuncio.client.transports import ClientTransport

# How often it is looked whether the machine has slept.
LOOK_SECONDS: Final = 5.0

# By so much the two clocks may differ without a sleep between.
SLACK_SECONDS: Final = 2.0

_tools: dict[asyncio.AbstractEventLoop, Tools] = {}


def tools() -> Tools:
    """Those of the running loop.

    Raises:
        RuntimeError: when none runs, with what to do.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "a client needs a running event loop: make it within async code, as "
            "asyncio.run(main()) runs it, or use nuncio.sync in blocking code"
        ) from None
    found = _tools.get(loop)
    if found is None:
        found = Tools(loop)
        _forget_closed()
        _tools[loop] = found
    return found


def _forget_closed() -> None:
    """Let go of loops that have ended: their tools know them, so nothing else would."""
    for loop in list(_tools):
        if loop.is_closed():
            # Another thread may have done it meanwhile.
            _tools.pop(loop, None)


class Tools:
    """Of one loop.

    Args:
        loop: the loop.
        slept: tells how many seconds the machine has slept since some moment.

    Attributes:
        wheel: its timers.
        flusher: writes at the end of the loop's turn.
        keys: give masks.
        managers: of `nuncio.connect`, by what they connect to.
        http: the pool of HTTP connections while there is one.
        closing: tasks that close a pool.
        stand_ins: in tests, what reaches a server in place of its network, by its origin.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, slept: Callable[[], float] = asleep
    ) -> None:
        self.wheel = TimerWheel(loop)
        self.flusher = Flusher(loop)
        self.keys = Keys()
        self.managers: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self.http: Any = None
        self.closing: set[asyncio.Future[None]] = set()
        self.stand_ins: dict[str, ClientTransport] = {}
        self._watch = _SleepWatch(self.wheel, slept)

    def watch(self, session: ClientSession) -> None:
        """Tell a session when the machine has slept."""
        self._watch.add(session)

    def unwatch(self, session: ClientSession) -> None:
        """It has ended."""
        self._watch.remove(session)


class _SleepWatch(Timer):
    """Notices that the machine slept: then servers have given up who is still thought connected.

    The loop's clock stands still meanwhile, so that no heartbeat is missed on it. It is not asked
    here, for in tests it may be another than the machine's.
    """

    def __init__(self, wheel: TimerWheel, read: Callable[[], float]) -> None:
        super().__init__()
        self._wheel = wheel
        self._read = read
        self._sessions: set[ClientSession] = set()
        self._asleep = 0.0

    def add(self, session: ClientSession) -> None:
        if not self._sessions:
            self._asleep = self._read()
            self._wheel.arm(self, LOOK_SECONDS)
        self._sessions.add(session)

    def remove(self, session: ClientSession) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._wheel.cancel(self)

    def expire(self, now: float) -> None:
        asleep = self._read()
        slept = asleep - self._asleep
        self._asleep = asleep
        self._wheel.arm(self, LOOK_SECONDS)
        if slept > SLACK_SECONDS:
            for session in list(self._sessions):
                session.slept(slept)
