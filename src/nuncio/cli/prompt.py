"""The prompt at the bottom of the terminal, and what is printed above it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import get_app_or_none, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from nuncio.cli import text
from nuncio.cli.colours import BARE, STYLES
from nuncio.cli.commands import Emit, parse
from nuncio.cli.completion import Completions
from nuncio.cli.console import Console
from nuncio.cli.happenings import Happening
from nuncio.cli.history import History
from nuncio.cli.problems import Interrupted, Problem
from nuncio.cli.screens import formatted
from nuncio.cli.text import Line


class AbovePrompt:
    """Prints above the prompt; see `nuncio.cli.screens.Printer`.

    What comes within one turn of the loop is printed together, since the prompt is drawn anew each
    time.

    Args:
        coloured: whether there are colours.
    """

    def __init__(self, coloured: bool) -> None:
        self.style = Style.from_dict(STYLES if coloured else BARE)
        self.depth = None if coloured else ColorDepth.DEPTH_1_BIT
        self._waiting: list[Line] = []
        self._printing: asyncio.Future[None] | None = None

    def __call__(self, lines: Sequence[Line], errors: bool) -> None:
        """See `Printer`."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
        self._waiting.extend(lines)

    def _begin(self) -> None:
        app = get_app_or_none()
        if app is None or not app.is_running:
            self.flush()
        else:
            self._printing = asyncio.ensure_future(run_in_terminal(self.flush))

    def flush(self) -> None:
        """Print what waits."""
        lines, self._waiting = self._waiting, []
        if lines:
            print_formatted_text(
                formatted(lines),
                end="",
                style=self.style,
                color_depth=self.depth,
                include_default_pygments_style=False,
            )


class Prompt:
    """Reads lines and has them carried out, until the user has had enough.

    Args:
        console: carries them out.
        printer: prints above it.
        url: the server's, to be shown.
    """

    def __init__(self, console: Console, printer: AbovePrompt, url: str) -> None:
        self._console = console
        self._printer = printer
        self._host = urlsplit(url).netloc
        self._session: PromptSession[str] = PromptSession(
            message=self._message,
            bottom_toolbar=self._toolbar,
            completer=Completions(console.journal, console.link),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            history=History(Path(click.get_app_dir("nuncio")) / "history"),
            key_bindings=_keys(),
            style=printer.style,
            color_depth=printer.depth,
            include_default_pygments_style=False,
            # What was typed is seen as what was sent.
            erase_when_done=True,
        )
        console.journal.listeners.append(self._refresh)

    async def run(self) -> None:
        """Read and carry out.

        Raises:
            Interrupted: for Ctrl-C.
        """
        self._console.screen.note("type an event, or help; Ctrl-D ends")
        while not self._console.ended:
            try:
                line = await self._session.prompt_async()
            except EOFError:
                break
            except KeyboardInterrupt:
                raise Interrupted("interrupted", told=True) from None
            for command in _commands(line):
                await self._carry_out(command)
        self._printer.flush()

    async def _carry_out(self, line: str) -> None:
        console = self._console
        try:
            command = parse(line)
            if command is None:
                return
            if not isinstance(command, Emit):
                self._echo(line)
            await console.run(command)
        except Problem as problem:
            console.screen.problem(problem)

    def _echo(self, line: str) -> None:
        self._console.screen.say([("dim", f"> {text.safe(line)}")])

    def _refresh(self, happening: Happening) -> None:
        self._session.app.invalidate()

    def _message(self) -> FormattedText:
        console = self._console
        connected = console.link.is_connected(console.namespace)
        many = len(console.link.namespaces()) > 1 or console.namespace != "/"
        namespace = f"{text.safe(console.namespace)} " if many else ""
        return FormattedText([("", namespace), ("class:good" if connected else "class:bad", "> ")])

    def _toolbar(self) -> FormattedText:
        console = self._console
        facts, signs = console.link.facts(), console.screen.painter.signs
        opened = facts.state == "open"
        parts = [self._host, facts.transport or ("connecting" if facts.reconnecting else "closed")]
        if facts.latency is not None and opened:
            parts.append(text.seconds(facts.latency))
        if console.screen.patterns:
            parts.append(f"filter {text.safe(' '.join(console.screen.patterns))}")
        if console.journal.path is not None:
            parts.append(f"saving {text.safe(console.journal.path.name)}")
        return FormattedText(
            [
                (
                    "class:good" if opened else "class:bad",
                    f"{signs.good if opened else signs.ended} ",
                ),
                ("", f" {signs.note} ".join(parts)),
            ]
        )


def _commands(text: str) -> list[str]:
    """What was entered; lines that were pasted are a command each if each of them is one."""
    lines = text.splitlines()
    try:
        for line in lines:
            parse(line)
    except Problem:
        return [" ".join(lines)]
    return lines


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("c-c")
    def _(event: KeyPressEvent) -> Any:
        """As in a shell: first what was typed goes, then the tool."""
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return bindings
