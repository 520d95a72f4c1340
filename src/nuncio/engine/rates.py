"""Token buckets, kept as the moment at which each will be full again. [compiled]

That is all there is to know of a bucket: the tokens in it follow from how long it still has to
fill. So a bucket is one number, one that is full need not be kept, and time passing costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from nuncio.engine.wheel import Timer, TimerWheel
from nuncio.rate import Rate

# Addresses come from proxies, too: no more of one than this is kept.
MOST_CHARACTERS: Final = 64

# How often what is full again is forgotten, at most.
SWEEP_SECONDS: Final = 1.0

# What rounding may take.
HAIR: Final = 1e-9


class Bucket:
    """One token bucket.

    Args:
        rate: how it fills.
    """

    __slots__ = ("_full_at", "_interval", "_span")

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._span = rate.span
        self._full_at = 0.0

    def wait(self, now: float, tokens: int = 1) -> float:
        """How many seconds until there are so many tokens; 0 when they are there."""
        filling = max(self._full_at - now, 0.0)
        missing = filling + tokens * self._interval - self._span
        return missing if missing > HAIR else 0.0

    def take(self, now: float, tokens: int = 1) -> None:
        """Take tokens, whether they are there or not: what is not is owed."""
        self._full_at = max(self._full_at, now) + tokens * self._interval

    def owed(self, now: float) -> float:
        """How many seconds until nothing is owed; 0 when nothing is."""
        missing = self._full_at - now - self._span
        return missing if missing > HAIR else 0.0


class Buckets(Timer):
    """A bucket for each address, as long as it is not full.

    The table is bounded: when a new address would be one too many, the address that was quiet for
    the longest time is forgotten, which gives it a full bucket again.

    Args:
        rate: how each fills.
        most: how many addresses are remembered.
        wheel: of the loop, whose clock counts, and by which full buckets are forgotten.
    """

    __slots__ = ("_full_at", "_interval", "_most", "_span", "wheel")

    def __init__(self, rate: Rate, most: int, wheel: TimerWheel) -> None:
        super().__init__()
        self._interval = rate.interval
        self._span = rate.span
        self._most = most
        self.wheel = wheel
        # In the order in which they were last used.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, address: str, now: float) -> float:
        """See `Bucket.wait`, for one token."""
        filling = max(self._full_at.get(address, 0.0) - now, 0.0)
        missing = filling + self._interval - self._span
        return missing if missing > HAIR else 0.0

    def take(self, address: str, now: float) -> None:
        """See `Bucket.take`, for one token."""
        buckets = self._full_at
        before = buckets.get(address)
        if before is None:
            if len(buckets) >= self._most:
                buckets.popitem(last=False)
            elif not buckets:
                self.wheel.arm(self, max(self._span, SWEEP_SECONDS))
            before = now
        buckets[address] = max(before, now) + self._interval
        buckets.move_to_end(address)

    def owed(self, address: str, now: float) -> float:
        """See `Bucket.owed`."""
        missing = self._full_at.get(address, 0.0) - now - self._span
        return missing if missing > HAIR else 0.0

    def expire(self, now: float) -> None:
        """The wheel: forget those that are full."""
        buckets = self._full_at
        while buckets:
            address, full_at = buckets.popitem(last=False)
            if full_at > now:
                # Those behind it were used later.
                buckets[address] = full_at
                buckets.move_to_end(address, last=False)
                self.wheel.arm(self, max(full_at - now, SWEEP_SECONDS))
                return


def address_of(client: Any) -> str:
    """Under which address a client is counted; empty when it has none.

    Whoever has one IPv6 address has the 2^64 of its network, so the network is what counts.

    Args:
        client: the peer's address and port, as a request has it, or None.
    """
    if client is None:
        return ""
    host = str(client[0])
    if ":" in host:
        try:
            address = IPv6Address(host.partition("%")[0])
        except AddressValueError:
            return host[:MOST_CHARACTERS]
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return address.packed[:8].hex(":", 2) + "::/64"
    return host[:MOST_CHARACTERS]
