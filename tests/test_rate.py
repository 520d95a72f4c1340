from __future__ import annotations

import math
from typing import Any

import pytest

from nuncio import Rate
from nuncio.errors import OptionError


def test_a_rate_says_how_fast_a_bucket_fills() -> None:
    assert (Rate(20).interval, Rate(20).span) == (0.05, 1.0)
    assert (Rate(120, per=60).interval, Rate(120, per=60).span) == (0.5, 60.0)
    assert (Rate(10, burst=50).interval, Rate(10, burst=50).span) == (0.1, 5.0)


@pytest.mark.parametrize("count", [0, -1, 1.5, "5", None, True])
def test_the_count_is_a_whole_number(count: Any) -> None:
    with pytest.raises(OptionError, match=r"Rate\(count\) must be a whole number"):
        Rate(count)


@pytest.mark.parametrize("per", [0, -1, "1", None, math.inf])
def test_the_time_is_in_seconds(per: Any) -> None:
    with pytest.raises(OptionError, match=r"Rate\(per=…\) must be a number of seconds"):
        Rate(1, per=per)


@pytest.mark.parametrize("burst", [0, -1, 1.5, "5", False])
def test_the_burst_is_a_whole_number(burst: Any) -> None:
    with pytest.raises(OptionError, match=r"Rate\(burst=…\) must be a whole number"):
        Rate(1, burst=burst)
