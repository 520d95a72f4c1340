"""Lines that were typed, over several runs."""

from __future__ import annotations

import stat
from pathlib import Path

from nuncio.cli import history as module
from nuncio.cli.history import History


def lines(path: Path) -> list[str]:
    """As a new run finds them, the latest first."""
    return list(History(path).load_history_strings())


def test_lines_are_there_in_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "history"
    first = History(file)
    for line in ("one", "two", "two", "with\nlines", "one"):
        first.append_string(line)
    assert lines(file) == ["one", "with\nlines", "two", "one"]


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    History(tmp_path / "history").append_string("auth token=secret")
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600


def test_the_file_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "history"
    history = History(file)
    for number in range(module.MOST + 1):
        history.store_string(str(number))
    assert len(lines(file)) == module.KEPT
    assert lines(file)[0] == str(module.MOST)
    assert len(file.read_text().splitlines()) == module.KEPT


def test_what_is_no_history_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text('"one"\nbroken\n5\n"two"\n')
    assert lines(file) == ["two", "one"]
    file.write_bytes(b"\xff\xff")
    assert lines(file) == []


def test_where_it_cannot_be_written_this_run_has_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "history")
    history.append_string("one")
    assert history.get_strings() == ["one"]
    assert lines(tmp_path / "file" / "history") == []
