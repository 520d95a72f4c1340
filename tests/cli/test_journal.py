"""What happens is counted, remembered, written down and passed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nuncio.cli import journal as module
from nuncio.cli.happenings import Connecting, Happening, Received, Sent
from nuncio.cli.journal import Journal
from nuncio.cli.problems import Problem, WrongUse


def names(path: Path) -> list[Any]:
    return [json.loads(line).get("name") for line in path.read_text().splitlines()]


def event(name: str) -> Received:
    return Received("/", name, ())


def test_it_counts_and_knows_names_the_latest_last() -> None:
    journal = Journal()
    for happening in (event("a"), event("b"), Sent("/", "a", ()), Connecting("http://x")):
        journal.tell(happening)
    assert journal.counts == {"event": 2, "sent": 1, "connecting": 1}
    assert list(journal.names) == ["b", "a"]


def test_of_many_names_the_latest_are_known() -> None:
    journal = Journal()
    for number in range(module.NAMES + 5):
        journal.tell(event(str(number)))
    assert len(journal.names) == module.NAMES
    assert next(iter(journal.names)) == "5"


def test_listeners_are_told_in_order() -> None:
    journal = Journal()
    told: list[int] = []
    journal.listeners += [lambda _: told.append(1), lambda _: told.append(2)]
    journal.tell(event("a"))
    assert told == [1, 2]


def test_a_listener_that_fails_keeps_nothing_from_the_others() -> None:
    journal = Journal()
    told: list[Happening] = []
    failures: list[Exception] = []
    journal.failed = failures.append

    def broken(happening: Happening) -> None:
        raise BrokenPipeError

    journal.listeners += [broken, told.append]
    journal.tell(event("a"))
    assert len(told) == 1
    assert isinstance(failures[0], BrokenPipeError)


def test_a_file_gets_the_past_and_what_follows(tmp_path: Path) -> None:
    journal, file = Journal(), tmp_path / "s.jsonl"
    file.write_text("something old\n")
    journal.tell(event("before"))
    assert journal.save(file) == (1, 0)
    journal.tell(event("behind"))
    # Whatever becomes of the process, it is in the file.
    assert names(file) == ["before", "behind"]
    assert journal.path == file
    assert journal.stop_saving() == file
    journal.tell(event("too late"))
    assert names(file) == ["before", "behind"]
    assert journal.stop_saving() is None


def test_the_past_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    journal, file = Journal(), tmp_path / "s.jsonl"
    for name in "abcde":
        journal.tell(event(name))
    assert journal.save(file) == (3, 2)
    assert names(file) == ["c", "d", "e"]
    journal.stop_saving()


def test_so_is_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_CHARACTERS", 1000)
    journal = Journal()
    for _ in range(3):
        journal.tell(Received("/", "big", ("x" * 600,)))
    assert journal.save(tmp_path / "s") == (1, 2)
    journal.stop_saving()


def test_a_file_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot write"):
        Journal().save(tmp_path / "no folder" / "file")


def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    journal = Journal()
    troubles: list[Problem] = []
    told: list[Happening] = []
    journal.trouble = troubles.append
    journal.listeners.append(told.append)
    journal.save(full)
    journal.tell(event("a"))
    journal.tell(event("b"))
    assert ["No space left" in problem.message for problem in troubles] == [True]
    assert len(told) == 2
    assert journal.path is None
