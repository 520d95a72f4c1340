"""What Tab offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from nuncio.cli.commands import COMMANDS
from nuncio.cli.completion import Completions
from tests.cli.fakes import Desk


def offered(line: str, desk: Desk | None = None) -> list[str]:
    """The line as it would be with each of them."""
    desk = desk or seen()
    completions = Completions(desk.journal, desk.link)
    found = completions.get_completions(Document(line, len(line)), CompleteEvent())
    return [line[: len(line) + each.start_position] + each.text for each in found]


def seen() -> Desk:
    """Who has seen three events, in two namespaces."""
    desk = Desk("/", "/admin")
    for name in ("message", "two words", "emission"):
        desk.link.receive(name)
    return desk


def test_commands_come_first_then_events_the_latest_first() -> None:
    assert offered("") == [*COMMANDS, "emission", '"two words"', "message"]
    assert offered("em") == ["emit", "emission"]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("emit mes", ["emit message"]),
        ("ask mes", ["ask message"]),
        ("wait mes", ["wait message"]),
        ("filter a mes", ["filter a message"]),
        ("emit message mes", []),
        ("message mes", []),
        ("help re", ["help replay"]),
        ("/", ["/", "/admin"]),
        ("/a", ["/admin"]),
        ("/admin st", ["/admin status"]),
        ("/admin emit mes", ["/admin emit message"]),
        ("status ", []),
    ],
)
def test_by_what_stands_before(line: str, lines: list[str]) -> None:
    assert offered(line) == lines


def test_files(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"")
    (tmp_path / "phones").mkdir()
    assert offered(f"image @{tmp_path}/pho") == [
        f"image @{tmp_path}/phones/",
        f"image @{tmp_path}/photo.png",
    ]
    assert offered(f"save {tmp_path}/photo") == [f"save {tmp_path}/photo.png"]
    assert offered(f"replay {tmp_path}/phon") == [f"replay {tmp_path}/phones/"]
