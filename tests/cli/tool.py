"""`nuncio connect`, called in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from nuncio.cli.client import ClientLink
from nuncio.cli.connect import connect, settings_of
from nuncio.cli.journal import Journal
from nuncio.cli.link import Link
from nuncio.cli.run import converse
from nuncio.cli.settings import Settings
from nuncio.cli.terminal import Terminal
from tests.support.aio import within


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        status: the exit status.
        out, err: what was printed.
    """

    status: int
    out: str
    err: str

    @property
    def happened(self) -> list[dict[str, Any]]:
        """With `--json`: what happened."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What happened of one type."""
        return [one for one in self.happened if one["type"] == kind]


class Tool:
    """Runs the tool.

    Args:
        capture: what is printed.
        url: the server's.

    Attributes:
        journal: of the latest run.
    """

    def __init__(self, capture: pytest.CaptureFixture[str], url: str) -> None:
        self._capture = capture
        self._url = url
        self.journal = Journal()

    async def __call__(self, *arguments: str, path: str = "", lines: str = "") -> Done:
        """Run it.

        Args:
            arguments: behind the URL.
            path: of the URL.
            lines: standard input.
        """

        async def typed() -> AsyncIterator[str]:
            for line in lines.splitlines():
                yield line

        context = connect.make_context("connect", [self._url + path, *arguments])
        terminal = Terminal(
            interactive=False, on_screen=False, coloured=False, unicode=True, lines=typed
        )
        self._capture.readouterr()
        status = await within(converse(settings_of(context), terminal, self._link))
        return Done(status, *self._capture.readouterr())

    def _link(self, settings: Settings, journal: Journal) -> Link:
        self.journal = journal
        return ClientLink(settings, journal)
