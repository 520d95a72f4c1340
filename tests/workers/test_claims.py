"""Where clients came back last."""

from __future__ import annotations

import pytest

from nuncio.workers import claims
from nuncio.workers.claims import Claims


def nobody(pid: str) -> bool:
    """No client is here."""
    return False


def test_each_return_is_later_than_those_before() -> None:
    known = Claims(60.0, nobody)
    assert known.stamp("one") == 0 and not known.knows("one")
    stamps = [known.renew("one") for _ in range(100)]
    assert stamps == sorted(set(stamps)) and known.stamp("one") == stamps[-1]
    # A clock somewhere is ahead.
    known.note("one", stamps[-1] + 10**12)
    assert known.renew("one") == stamps[-1] + 10**12 + 1


def test_what_came_before_changes_nothing() -> None:
    known = Claims(60.0, nobody)
    stamp = known.renew("one")
    known.note("one", stamp - 5)
    assert known.stamp("one") == stamp


def test_stamps_do_not_grow_beyond_what_can_be_told() -> None:
    known = Claims(60.0, nobody)
    known.note("one", claims.MOST_STAMP)
    assert known.renew("one") == claims.MOST_STAMP


def test_who_may_be_at_two_has_no_stamp_yet() -> None:
    known = Claims(60.0, nobody)
    known.note("one", 0)
    assert known.knows("one") and not list(known.all())


def test_all_are_told_in_parts() -> None:
    known = Claims(60.0, nobody)
    pids = [str(number) for number in range(2 * claims.MOST_TOLD + 1)]
    for pid in pids:
        known.renew(pid)
    parts = list(known.all())
    assert [len(part) for part in parts] == [claims.MOST_TOLD, claims.MOST_TOLD, 1]
    assert [pid for part in parts for pid in part] == pids


def test_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("nuncio.workers.claims.time.monotonic", lambda: now)
    known = Claims(60.0, nobody)
    for number in range(10):
        known.renew(str(number))
    now += 50
    # Who returns again is no longer old.
    known.renew("0")
    now += 20
    for number in range(10, 20):
        known.renew(str(number))
    assert [number for number in range(20) if known.knows(str(number))] == [0, *range(10, 20)]


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MOST_CLAIMS", 5)
    known = Claims(60.0, nobody)
    for number in range(20):
        known.renew(str(number))
    assert [number for number in range(20) if known.knows(str(number))] == list(range(15, 20))


def test_who_is_here_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("nuncio.workers.claims.time.monotonic", lambda: now)
    known = Claims(60.0, lambda pid: pid == "0")
    stamps = [known.renew(str(number)) for number in range(3)]
    now += 1000
    for number in range(3, 6):
        known.renew(str(number))
    assert [number for number in range(6) if known.knows(str(number))] == [0, 3, 4, 5]
    assert known.stamp("0") == stamps[0]
