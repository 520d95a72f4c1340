"""Recipients and flags of an operation, as servers tell each other. [compiled]"""

from __future__ import annotations

from math import isfinite
from typing import Final

from nuncio.cluster.messages import USUAL, Flags, Options
from nuncio.cluster.options import NOBODY, BroadcastOptions
from nuncio.cluster.values import plain
from nuncio.slow import POLICIES, conflate

# Nobody waits longer for what another server asks.
MOST_SECONDS: Final = 86_400.0


def to_wire(options: BroadcastOptions) -> Options:
    """Recipients and flags, as other servers are told them."""
    excepted = options.excepted
    return Options(list(options.rooms), list(excepted) if excepted else [], _flags_of(options))


def _flags_of(options: BroadcastOptions) -> Flags:
    slow = options.slow
    if (
        options.compress
        and slow is None
        and options.reason is None
        and not (options.volatile or options.single or options.promised or options.timeout)
    ):
        return USUAL
    flags = Flags(
        volatile=options.volatile,
        compress=options.compress,
        single=options.single,
        timeout=round(options.timeout * 1000),
        promised=options.promised,
    )
    if slow is not None:
        flags.slow = slow.word
        key = slow.key
        # Any other key is as good in words: it is compared with its likes only.
        flags.key = key if isinstance(key, (str, int)) else repr(key)
    if options.reason is not None:
        flags.reason = options.reason
        flags.data = plain(options.data)
    return flags


def from_wire(options: Options) -> BroadcastOptions:
    """Recipients and flags that another server meant.

    Raises:
        ValueError: for a time-out that is none.
    """
    rooms, excepted = options.rooms, options.excepted
    found = BroadcastOptions(
        frozenset(rooms) if rooms else NOBODY, frozenset(excepted) if excepted else NOBODY
    )
    flags = options.flags
    if flags is None or flags == USUAL:
        return found
    found.volatile = bool(flags.volatile)
    found.compress = flags.compress is None or bool(flags.compress)
    timeout = flags.timeout
    if timeout is not None:
        if not isinstance(timeout, (int, float)) or not isfinite(timeout):
            raise ValueError("a time-out that is no number")
        found.timeout = min(max(timeout / 1000, 0.0), MOST_SECONDS)
    found.reason = flags.reason
    found.data = flags.data
    found.promised = flags.promised
    if flags.slow == "conflate":
        found.slow = conflate(flags.key)
    elif flags.slow in POLICIES:
        found.slow = POLICIES[flags.slow]
    return found
