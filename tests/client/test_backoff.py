from __future__ import annotations

import random

import pytest

from nuncio.client.backoff import Backoff


def delays(backoff: Backoff, count: int) -> list[float]:
    return [backoff.duration() for _ in range(count)]


def test_delays_double_up_to_a_limit() -> None:
    backoff = Backoff(1.0, 5.0, 0.0)
    assert delays(backoff, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.attempts == 5


def test_it_begins_anew() -> None:
    backoff = Backoff(0.1, 5.0, 0.0)
    assert delays(backoff, 3) == [0.1, 0.2, 0.4]
    backoff.reset()
    assert backoff.attempts == 0
    assert delays(backoff, 2) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("rand", "first", "second"),
    [
        # An even first digit is taken off, an odd one added; the number itself says how much.
        (0.0, 1.0, 2.0),
        (0.05, 0.975, 1.95),
        (0.15, 1.075, 2.15),
        (0.25, 0.875, 1.75),
        (0.85, 0.575, 1.15),
        (0.897, 0.552, 1.103),
        (0.95, 1.475, 2.95),
        (0.9999, 1.499, 2.999),
    ],
)
def test_one_number_decides_how_far_and_in_which_direction(
    rand: float, first: float, second: float
) -> None:
    assert delays(Backoff(1.0, 5.0, 0.5, lambda: rand), 2) == [first, second]


def test_spread_delays_stay_in_the_reference_s_range() -> None:
    dice = random.Random(7)
    firsts = [Backoff(1.0, 5.0, 0.5, dice.random).duration() for _ in range(5000)]
    assert 0.551 <= min(firsts) < 0.6
    assert 1.4 < max(firsts) <= 1.499
    later = Backoff(1.0, 5.0, 0.5, dice.random)
    assert max(delays(later, 500)) == 5.0


def test_a_spread_of_one_may_mean_no_delay_at_all() -> None:
    assert Backoff(1.0, 5.0, 1.0, lambda: 0.8999).duration() == 0.101
    assert Backoff(1.0, 5.0, 1.0, lambda: 0.9999).duration() == 1.999


@pytest.mark.parametrize("jitter", [0.0, -1.0, 1.5])
def test_other_spreads_are_none(jitter: float) -> None:
    assert Backoff(1.0, 5.0, jitter, lambda: 0.95).duration() == 1.0


def test_delays_are_whole_milliseconds() -> None:
    assert Backoff(0.0123456, 5.0, 0.0).duration() == 0.012
    assert delays(Backoff(0.0, 5.0, 0.5, lambda: 0.95), 3) == [0.0, 0.0, 0.0]
    assert Backoff(1.0, 0.0, 0.0).duration() == 0.0


@pytest.mark.parametrize("least", [0.001, 1.0, 1e9])
@pytest.mark.parametrize("rand", [0.0, 0.25, 0.95])
def test_it_never_ends(least: float, rand: float) -> None:
    backoff = Backoff(least, 5.0, 0.5, lambda: rand)
    assert delays(backoff, 3000)[-1] == 5.0


def test_settings_may_change_meanwhile() -> None:
    backoff = Backoff(1.0, 5.0, 0.0)
    backoff.duration()
    backoff.least, backoff.most = 2.0, 3.0
    assert backoff.duration() == 3.0
    backoff.reset()
    assert backoff.duration() == 2.0
