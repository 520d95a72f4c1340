"""A clock that goes on while the machine sleeps. [compiled]

The loop's clock stands still meanwhile on most systems, so that a connection would be believed in
which the server has long given up.
"""

from __future__ import annotations

import time
from typing import Any, Final

_BOOTTIME: Final = int(getattr(time, "CLOCK_BOOTTIME", -1))
_read: Final[Any] = getattr(time, "clock_gettime", None)
_wall: Final = time.time
_monotonic: Final = time.monotonic


def awake_clock() -> float:
    """Seconds since some moment, also those that the machine has slept."""
    if _BOOTTIME < 0:
        return _wall()
    seconds: float = _read(_BOOTTIME)
    return seconds


def asleep() -> float:
    """How many seconds the machine has slept since some moment, give or take an adjusted clock."""
    return awake_clock() - _monotonic()
