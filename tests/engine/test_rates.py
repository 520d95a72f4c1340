from __future__ import annotations

import random

import pytest

from nuncio import Rate
from nuncio.engine.rates import Bucket, Buckets, address_of
from nuncio.engine.wheel import NEVER, TimerWheel
from tests.support.clock import FakeLoop

# One bucket.


def test_a_bucket_holds_a_burst_and_then_fills_evenly() -> None:
    bucket = Bucket(Rate(10, burst=3))
    for _ in range(3):
        assert bucket.wait(100.0) == 0.0
        bucket.take(100.0)
    assert bucket.wait(100.0) == pytest.approx(0.1)
    assert bucket.wait(100.05) == pytest.approx(0.05)
    assert bucket.wait(100.1) == 0.0
    # Never more than the burst, however long nothing happened.
    for _ in range(3):
        assert bucket.wait(1000.0) == 0.0
        bucket.take(1000.0)
    assert bucket.wait(1000.0) > 0


def test_asking_takes_nothing() -> None:
    bucket = Bucket(Rate(1))
    for _ in range(10):
        assert bucket.wait(5.0) == 0.0


def test_what_is_not_there_is_owed() -> None:
    bucket = Bucket(Rate(10, burst=2))
    bucket.take(100.0, 2)
    assert bucket.owed(100.0) == 0.0
    bucket.take(100.0, 3)
    assert bucket.owed(100.0) == pytest.approx(0.3)
    assert bucket.owed(100.2) == pytest.approx(0.1)
    assert bucket.owed(100.3) == 0.0


def test_several_tokens_at_once() -> None:
    bucket = Bucket(Rate(1000, burst=500))
    assert bucket.wait(0.0, 500) == 0.0
    # More than the bucket holds are never there.
    assert bucket.wait(0.0, 501) > 0
    bucket.take(0.0, 400)
    assert bucket.wait(0.0, 200) == pytest.approx(0.1)


def test_a_bucket_agrees_with_counting_tokens() -> None:
    dice = random.Random(7)
    for _ in range(50):
        rate = Rate(dice.randint(1, 50), per=dice.choice([0.5, 1, 60]), burst=dice.randint(1, 20))
        bucket, tokens, now = Bucket(rate), float(rate.burst or 0), 10.0
        for _ in range(200):
            passed = dice.expovariate(rate.count / rate.per)
            now += passed
            tokens = min(tokens + passed / rate.interval, float(rate.burst or 0))
            if abs(tokens - 1) < 1e-6:
                continue
            assert (bucket.wait(now) == 0.0) == (tokens >= 1)
            if tokens >= 1:
                bucket.take(now)
                tokens -= 1


# A table of them.


def table(rate: Rate, most: int = 1000) -> tuple[Buckets, FakeLoop]:
    loop = FakeLoop()
    return Buckets(rate, most, TimerWheel(loop)), loop


def test_each_address_has_a_bucket_of_its_own() -> None:
    buckets, loop = table(Rate(1, burst=2))
    for _ in range(2):
        assert buckets.wait("a", loop.now) == 0.0
        buckets.take("a", loop.now)
    assert buckets.wait("a", loop.now) == pytest.approx(1.0)
    assert buckets.wait("b", loop.now) == 0.0
    buckets.take("a", loop.now)
    assert buckets.owed("a", loop.now) == pytest.approx(1.0)
    assert buckets.owed("b", loop.now) == 0.0


def test_full_buckets_are_forgotten_and_leave_no_timer() -> None:
    buckets, loop = table(Rate(10, burst=100))
    for index in range(50):
        buckets.take(f"192.0.2.{index}", loop.now)
    for _ in range(50):
        buckets.take("192.0.2.7", loop.now)
    assert len(buckets) == 50
    assert len(loop.scheduled) == 1
    loop.advance(1.0)
    loop.advance(11.0)
    assert len(buckets) == 0
    assert buckets.tick == NEVER
    loop.advance(100)
    assert loop.scheduled == []
    assert loop.failures == []


def test_who_is_not_forgotten_yet_is_still_counted() -> None:
    buckets, loop = table(Rate(1, per=10, burst=3))
    buckets.take("early", loop.now)
    loop.advance(25)
    for _ in range(3):
        buckets.take("late", loop.now)
    loop.advance(6)
    assert len(buckets) == 1
    assert buckets.wait("late", loop.now) == pytest.approx(4.0)
    loop.advance(60)
    assert len(buckets) == 0
    assert loop.failures == []


def test_the_table_is_bounded_and_forgets_who_was_quiet_for_longest() -> None:
    buckets, loop = table(Rate(1, per=3600), most=10)
    for index in range(10):
        buckets.take(str(index), loop.now)
    buckets.take("0", loop.now)
    for index in range(10_000):
        buckets.take(f"new {index}", loop.now)
        assert len(buckets) == 10
        if index == 8:
            # It was heard of again, and so outlived the others.
            assert buckets.wait("0", loop.now) > 0
            assert buckets.wait("1", loop.now) == 0.0
    assert buckets.wait("0", loop.now) == 0.0


# Addresses.


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::", "2001:0db8:0001:0002::/64"),
        ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
        ("::1", "0000:0000:0000:0000::/64"),
        ("not:an:address", "not:an:address"),
        ("x" * 70_000, "x" * 64),
        (":" * 70_000, ":" * 64),
    ],
)
def test_under_which_address_a_client_is_counted(host: str, address: str) -> None:
    assert address_of((host, 4711)) == address


def test_a_client_without_an_address() -> None:
    assert address_of(None) == ""
