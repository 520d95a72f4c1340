"""What was shortened is kept for a while."""

from __future__ import annotations

import pytest

from nuncio.cli import kept
from nuncio.cli.kept import Kept
from nuncio.cli.problems import WrongUse


def test_the_latest_or_one_by_its_number() -> None:
    store = Kept()
    assert store.keep("a", (1,)) == 1
    assert store.keep("b", (2,)) == 2
    assert store.find(None) == ("b", (2,))
    assert store.find(1) == ("a", (1,))
    with pytest.raises(WrongUse, match="no number 3; there are 1 to 2"):
        store.find(3)


def test_nothing_was_shortened() -> None:
    with pytest.raises(WrongUse, match="nothing was shortened"):
        Kept().find(None)


def test_the_oldest_are_forgotten() -> None:
    store = Kept()
    for number in range(kept.MOST + 1):
        store.keep("a", (number,))
    with pytest.raises(WrongUse, match="there are 2 to 101"):
        store.find(1)
    assert store.find(2) == ("a", (1,))


def test_so_are_those_that_are_too_big_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_WEIGHT", 1000)
    store = Kept()
    store.keep("a", ({"key": [b"x" * 600]},))
    store.keep("b", ("x" * 600,))
    with pytest.raises(WrongUse, match="there are 2 to 2"):
        store.find(1)
    store.keep("c", ("x" * 2000,))
    assert store.find(None)[0] == "c"
