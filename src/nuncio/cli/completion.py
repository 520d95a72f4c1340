"""What Tab offers: commands, names of events that were seen, namespaces, files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from nuncio.cli import text
from nuncio.cli.commands import COMMANDS
from nuncio.cli.journal import Journal
from nuncio.cli.link import Link

_NAMESPACE: Final = re.compile(r"/\S*\s+")
# Commands behind which the name of an event is written, and those with a file.
_WITH_NAMES: Final = ("emit", "ask", "wait", "filter")
_WITH_FILES: Final = ("save", "replay")


class Completions(Completer):
    """Looks at what stands before the cursor.

    Args:
        journal: knows the names of events.
        link: knows the namespaces.
    """

    def __init__(self, journal: Journal, link: Link) -> None:
        self._journal = journal
        self._link = link
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """See `prompt_toolkit.completion.Completer`."""
        before = document.text_before_cursor.lstrip()
        word = re.split(r"\s", before)[-1]
        if word.startswith("@"):
            yield from self._paths(word[1:], event)
            return
        if before.startswith("/") and word == before:
            yield from _matching(word, self._link.namespaces(), "namespace")
            return
        rest = _NAMESPACE.sub("", before, count=1) if before.startswith("/") else before
        first, space, behind = rest.partition(" ")
        if not space:
            yield from _commands(word)
            yield from _matching(word, self._names(), "event")
        elif first in _WITH_FILES:
            yield from self._paths(word, event)
        elif first == "help":
            yield from _commands(word)
        elif first in _WITH_NAMES and (first == "filter" or behind == word):
            yield from _matching(word, self._names(), "event")

    def _names(self) -> list[str]:
        """The latest first."""
        return [text.name(name) for name in reversed(self._journal.names)]

    def _paths(self, start: str, event: CompleteEvent) -> Iterable[Completion]:
        document = Document(start, len(start))
        for found in self._files.get_completions(document, event):
            folder = Path(start + found.text).expanduser().is_dir()
            yield Completion(
                found.text + ("/" if folder else ""), display=found.display, start_position=0
            )


def _commands(word: str) -> Iterable[Completion]:
    for name, entry in COMMANDS.items():
        yield from _matching(word, [name], entry.summary)


def _matching(word: str, candidates: Iterable[str], what: str) -> Iterable[Completion]:
    for candidate in candidates:
        if candidate.startswith(word):
            yield Completion(candidate, start_position=-len(word), display_meta=what)
