"""What all connections of one event loop share: timers, the flusher, masks, and HTTP."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, Final

from nuncio.client.clock import awake_clock
from nuncio.client.keys import Keys
from nuncio.engine.transport import Flusher
from nuncio.engine.wheel import Timer, TimerWheel

if TYPE_CHECKING:
    from nuncio.client.session import ClientSession

# How often it is looked whether the machine has slept.
LOOK_SECONDS: Final = 5.0

# By so much the two clocks may differ without a sleep between.
SLACK_SECONDS: Final = 2.0

_tools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Tools] = weakref.WeakKeyDictionary()


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
        _tools[loop] = found
    return found


class Tools:
    """Of one loop.

    Attributes:
        wheel: its timers.
        flusher: writes at the end of the loop's turn.
        keys: give masks.
        managers: of `nuncio.connect`, by what they connect to.
        http: the pool of HTTP connections while there is one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Kept by the loop and by whoever uses it: neither may be kept alive by this.
        self.wheel = TimerWheel(loop)
        self.flusher = Flusher(loop)
        self.keys = Keys()
        self.managers: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self.http: Any = None
        self._watch = _SleepWatch(self.wheel)

    def watch(self, session: ClientSession) -> None:
        """Tell a session when the machine has slept."""
        self._watch.add(session)

    def unwatch(self, session: ClientSession) -> None:
        """It has ended."""
        self._watch.remove(session)


class _SleepWatch(Timer):
    """Notices that the machine slept: then servers have given up who is still thought connected.

    The loop's clock stands still meanwhile, so that no heartbeat is missed on it.
    """

    def __init__(self, wheel: TimerWheel) -> None:
        super().__init__()
        self._wheel = wheel
        self._sessions: set[ClientSession] = set()
        self._asleep = 0.0

    def add(self, session: ClientSession) -> None:
        if not self._sessions:
            self._asleep = awake_clock() - self._wheel.now()
            self._wheel.arm(self, LOOK_SECONDS)
        self._sessions.add(session)

    def remove(self, session: ClientSession) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._wheel.cancel(self)

    def expire(self, now: float) -> None:
        asleep = awake_clock() - now
        slept = asleep - self._asleep
        self._asleep = asleep
        self._wheel.arm(self, LOOK_SECONDS)
        if slept > SLACK_SECONDS:
            for session in list(self._sessions):
                session.slept(slept)
