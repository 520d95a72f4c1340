"""How much in how much time: what rate limits are written with."""

from __future__ import annotations

from dataclasses import dataclass

from nuncio.options import named_options, seconds, whole


@named_options
@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so much time, as a token bucket allows them.

    The bucket holds `burst` tokens and is full at first. Each event takes one; `count` come back
    in every `per` seconds, evenly. So who was quiet may do `burst` at once, and in the long run
    nobody does more than `count` in `per` seconds.

        nuncio.Rate(20)                     # 20 a second, 20 at once
        nuncio.Rate(100, per=60, burst=10)  # 100 a minute, 10 at once

    Args:
        count: how many in `per` seconds: events, or bytes where a limit says so.
        per: seconds.
        burst: how many at once; None for as many as `count`.

    Raises:
        OptionError: for what is no number above 0.
    """

    count: int
    per: float = 1.0
    burst: int | None = None

    def __post_init__(self) -> None:
        whole("Rate(count)", self.count)
        seconds("Rate(per=…)", self.per)
        if self.burst is not None:
            whole("Rate(burst=…)", self.burst)

    @property
    def interval(self) -> float:
        """Seconds in which one token comes back."""
        return self.per / self.count

    @property
    def span(self) -> float:
        """Seconds in which an empty bucket fills."""
        return self.interval * (self.count if self.burst is None else self.burst)
