"""How many connections may be in the making: an offer costs processor time, sockets and timers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from nuncio.webrtc.options import WebRTCOptions

# How long an offer is remembered, so that it cannot be made again.
REMEMBERED_SECONDS: Final = 30.0

# How many are, at most; then the oldest is forgotten.
MOST_REMEMBERED: Final = 4096


class Offers:
    """Counts offers that are not connections yet, and knows those of the last half minute.

    Args:
        options: how many there may be.

    Attributes:
        open: how many there are.
    """

    def __init__(self, options: WebRTCOptions) -> None:
        self._options = options
        self.open = 0
        self._of_address: dict[str, int] = {}
        self._seen: OrderedDict[str, float] = OrderedDict()

    @property
    def full(self) -> bool:
        """Whether no other may come."""
        return self.open >= self._options.offers

    def full_for(self, address: str) -> bool:
        """Whether no other of an address may come; of none there is no such limit."""
        most = self._options.offers_per_address
        return bool(address) and self._of_address.get(address, 0) >= most

    def begin(self, address: str) -> None:
        """One has come."""
        self.open += 1
        if address:
            self._of_address[address] = self._of_address.get(address, 0) + 1

    def end(self, address: str) -> None:
        """It has become a connection, or come to nothing."""
        self.open -= 1
        left = self._of_address.get(address, 0) - 1
        if left > 0:
            self._of_address[address] = left
        else:
            self._of_address.pop(address, None)

    def is_new(self, key: str, now: float) -> bool:
        """Whether an offer was not made before; it is remembered.

        Args:
            key: what no two offers have in common.
            now: the loop's clock.
        """
        seen = self._seen
        while seen:
            oldest = next(iter(seen))
            if seen[oldest] > now and len(seen) < MOST_REMEMBERED:
                break
            del seen[oldest]
        if key in seen:
            return False
        seen[key] = now + REMEMBERED_SECONDS
        return True
