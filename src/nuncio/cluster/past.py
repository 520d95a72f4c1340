"""What a client received, or should have, at the servers where it was before. [compiled]

Each server numbers the events of its log. When a client comes from another one, what it may have
missed there comes along and gets numbers of this server that lie before the first of its own, at
most 0, in the order in which it is to be received. So all that concerns the client is on one line:
its past, then what is logged here after it arrived.
"""

from __future__ import annotations

from typing import Any, Final

# What is no number of an event.
UNKNOWN: Final = -(1 << 62)

MOST_DIGITS: Final = 18


class Past:
    """What came along with one client, or with all that one server left.

    Args:
        low: from which number on it is complete.
        arrived: the number of the last event here when it came.

    Attributes:
        entries: events with their numbers, in order.
        shared: more of them, which come later and are others' past, too.
        skipped: up to which number those are not this one's.
        offsets: the numbers of offsets that were given elsewhere.
        shared_offsets: those of `shared`.
        epochs: how those offsets begin that are numbered at another server, and what is to be added
            to such a number.
    """

    __slots__ = (
        "_strange",
        "arrived",
        "entries",
        "epochs",
        "low",
        "offsets",
        "shared",
        "shared_offsets",
        "skipped",
    )

    def __init__(self, low: int, arrived: int) -> None:
        self.low = low
        self.arrived = arrived
        self.entries: list[tuple[int, Any]] = []
        self.shared: list[tuple[int, Any]] = []
        self.skipped = UNKNOWN
        self.shared_offsets: dict[str, int] = {}
        self.offsets: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        self._strange: frozenset[str] | None = None

    def strange(self) -> frozenset[str]:
        """How the offsets begin that a client may have which received all of this."""
        found = self._strange
        if found is None:
            known = {*self.offsets, *self.shared_offsets}
            epochs = {"".join(offset.partition(".")[:2]) for offset in known}
            found = self._strange = frozenset(epochs | self.epochs.keys())
        return found

    def all(self) -> list[tuple[int, Any]]:
        """All events, in order."""
        return self.entries + [one for one in self.shared if one[0] > self.skipped]

    def number_of(self, offset: str) -> int:
        """The number of the event with an offset that was given elsewhere, or `UNKNOWN`."""
        number = self.offsets.get(offset)
        if number is None:
            number = self.shared_offsets.get(offset)
        if number is not None:
            return number
        epoch, dot, digits = offset.partition(".")
        shift = self.epochs.get(epoch + dot)
        if shift is None or not digits.isdigit() or not digits.isascii():
            return UNKNOWN
        if len(digits) > MOST_DIGITS:
            return UNKNOWN
        # What was emitted there after the client had left is none that it can have.
        return min(int(digits) + shift, 0)
