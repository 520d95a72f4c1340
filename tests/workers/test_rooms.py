"""Where a worker's rooms are counted, for all others to see."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from nuncio.cluster.rooms import Room
from nuncio.workers.rooms import (
    FULL,
    PLACES,
    OwnRooms,
    Places,
    Routes,
    counts_at,
    places_of,
    places_of_anybody,
    remembered_places,
)


def have_any(counts: Any, wanted: list[Places]) -> bool:
    """Whether a worker of which this is seen may have one of the rooms of these places."""
    seen = link("abc")
    seen.rooms = counts
    return bool(Routes().leading_to([seen], wanted))


def test_what_one_counts_the_other_sees_at_once(tmp_path: Path) -> None:
    own = OwnRooms(tmp_path / "a.rooms")
    theirs = counts_at(tmp_path / "a.rooms")
    news, sport = places_of("/", "news"), places_of("/", "sport")
    assert not have_any(theirs, [news, sport])
    own.add(news)
    own.add(news)
    assert have_any(theirs, [sport, news]) and not have_any(theirs, [sport])
    own.remove(news)
    assert have_any(theirs, [news])
    own.remove(news)
    assert not have_any(theirs, [news])
    # More often than it was counted changes nothing.
    own.remove(news)
    own.add(news)
    assert have_any(theirs, [news])


def test_rooms_have_places_of_their_own() -> None:
    rooms: list[Room] = ["1", 1, -1, 2**20000, "", "*", "\ud800"]
    places = {places_of("/", room) for room in rooms} | {places_of("/a", room) for room in rooms}
    places.add(places_of_anybody("/"))
    assert len(places) == 2 * len(rooms) + 1
    assert all(0 <= place < PLACES for pair in places for place in pair)


def test_places_are_remembered_of_names_of_usual_length() -> None:
    remembered = remembered_places("/")
    for room in ("x", "x" * 1000, 5, 2**5000):
        assert remembered(room) == remembered(room) == places_of("/", room)
    assert remembered("x") is remembered("x")
    assert remembered("x" * 1000) is not remembered("x" * 1000)


def test_what_is_in_a_place_too_often_to_be_counted_stays(tmp_path: Path) -> None:
    own = OwnRooms(tmp_path / "a.rooms")
    theirs = counts_at(tmp_path / "a.rooms")
    news = places_of("/", "news")
    for _ in range(FULL + 5):
        own.add(news)
    for _ in range(FULL + 5):
        own.remove(news)
    assert have_any(theirs, [news])


def test_few_are_taken_for_what_they_are_not(tmp_path: Path) -> None:
    own = OwnRooms(tmp_path / "a.rooms")
    theirs = counts_at(tmp_path / "a.rooms")
    for number in range(5000):
        own.add(places_of("/", f"room {number}"))
    assert all(have_any(theirs, [places_of("/", f"room {n}")]) for n in range(5000))
    mistaken = sum([have_any(theirs, [places_of("/", f"no room {n}")]) for n in range(5000)])
    assert mistaken < 10
    for number in range(5000):
        own.remove(places_of("/", f"room {number}"))
    assert not have_any(theirs, [places_of("/", f"room {number}") for number in range(5000)])


def test_the_file_is_this_worker_s_alone_and_new(tmp_path: Path) -> None:
    path = tmp_path / "a.rooms"
    before = OwnRooms(path)
    before.add(places_of("/", "news"))
    old = counts_at(path)
    own = OwnRooms(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not have_any(counts_at(path), [places_of("/", "news")])
    # Who saw the one that was there before sees that one.
    own.add(places_of("/", "sport"))
    assert have_any(old, [places_of("/", "news")]) and not have_any(old, [places_of("/", "sport")])
    own.close()
    own.close()
    assert not path.exists()


class _Link:
    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.rooms: Any = None


def link(tag: str) -> Any:
    """A link to a worker."""
    return _Link(tag)


def test_who_cannot_be_seen_is_sent_everything(tmp_path: Path) -> None:
    routes = Routes()
    unknown = link("abc")
    news = [places_of("/", "news")]
    assert routes.leading_to([unknown], news) == [unknown]
    routes.begin(tmp_path, "own")
    OwnRooms(tmp_path / "abc.rooms")
    (tmp_path / "odd.rooms").write_bytes(b"\0" * 10)
    links = [link("abc"), link("zzz"), link("odd")]
    assert routes.flooded(links) == 2
    assert routes.leading_to(links, news) == links[1:]
    # What was not there at first is not looked for again.
    OwnRooms(tmp_path / "zzz.rooms")
    assert routes.leading_to(links, news) == links[1:]
    assert routes.leading_to([link("zzz")], news) == []


def test_a_worker_that_cannot_show_its_rooms_works_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    routes = Routes()
    with caplog.at_level(logging.WARNING):
        routes.begin(tmp_path / "missing", "abc")
    assert routes.own is None
    assert "cannot show its rooms" in caplog.text
    routes.end()
    routes = Routes()
    routes.begin(tmp_path, "abc")
    own = routes.own
    routes.begin(tmp_path, "abc")
    assert own is not None and routes.own is own
    os.unlink(tmp_path / "abc.rooms")
    routes.end()
    assert routes.own is None


def test_a_file_that_nobody_counts_in_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no memory")

    monkeypatch.setattr("nuncio.workers.rooms.mmap.mmap", fail)
    routes = Routes()
    routes.begin(tmp_path, "abc")
    assert routes.own is None and not list(tmp_path.iterdir())
