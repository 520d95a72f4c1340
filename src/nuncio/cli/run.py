"""One run of `nuncio connect`: puts the parts together; what comes of it is an exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from nuncio.cli import text
from nuncio.cli.console import Console
from nuncio.cli.happenings import Connecting
from nuncio.cli.journal import Journal
from nuncio.cli.link import Link
from nuncio.cli.painter import ASCII, Painter, Signs
from nuncio.cli.problems import BROKEN_PIPE, DONE, INTERRUPTED, NotConnected, Problem
from nuncio.cli.screens import Coloured, JsonScreen, Plain, Printer, Screen
from nuncio.cli.script import Counting, Lifeline, first_of, run_lines, run_steps
from nuncio.cli.settings import Settings
from nuncio.cli.terminal import Terminal

# Seconds for saying goodbye.
_GOODBYE: Final = 5.0
# The client's own time-out is for the connection alone, and says more when it ends that.
_LATER: Final = 1.0

MakeLink = Callable[[Settings, Journal], Link]


def run(settings: Settings) -> int:
    """Connect and do what the settings say; returns the exit status."""
    # What the client would log is shown where it happens.
    logging.getLogger("nuncio").addHandler(logging.NullHandler())
    terminal = Terminal.of_process(settings.colour)
    try:
        return asyncio.run(converse(settings, terminal, _client))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain again at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _client(settings: Settings, journal: Journal) -> Link:
    from nuncio.cli.client import ClientLink

    return ClientLink(settings, journal)


async def converse(settings: Settings, terminal: Terminal, make_link: MakeLink) -> int:
    """See `run`.

    Args:
        settings: what to do.
        terminal: what the user sits at.
        make_link: makes the connection.
    """
    interactive = terminal.interactive and not settings.json and not settings.scripted
    journal = Journal()
    screen = _screen(settings, terminal, interactive)
    journal.trouble = screen.problem
    journal.listeners.append(screen)
    try:
        if settings.save is not None:
            journal.save(settings.save)
        console = Console(
            make_link(settings, journal),
            journal,
            screen,
            waiting=not interactive,
            timeout=settings.timeout,
            ack_timeout=settings.ack_timeout,
        )
    except Problem as problem:
        screen.problem(problem)
        return problem.status
    try:
        await _unless_broken(journal, _talk(settings, terminal, console, interactive))
        return DONE
    except Problem as problem:
        screen.problem(problem)
        return problem.status
    finally:
        screen.closing = True
        await console.close()
        await _goodbye(console.link)
        journal.stop_saving()
        # What waits for the next turn of the loop is still printed.
        await asyncio.sleep(0)


async def _unless_broken(journal: Journal, work: Coroutine[Any, Any, None]) -> None:
    """Do something, and end it when nothing can be printed any more: that raises, too."""
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def failed(error: Exception) -> None:
        if not broken.done():
            broken.set_exception(error)

    journal.failed = failed
    await first_of(work, broken)


async def _goodbye(link: Link) -> None:
    try:
        async with asyncio.timeout(_GOODBYE):
            await link.close()
    except TimeoutError:
        # The server does not take what is left; the end of the process ends the connection.
        pass


def _screen(settings: Settings, terminal: Terminal, interactive: bool) -> Screen:
    signs = Signs() if terminal.unicode else ASCII
    painter = Painter(signs, terminal.columns, whole=settings.whole)
    painter.namespaces.update(settings.namespaces)
    kind = JsonScreen if settings.json else Screen
    screen = kind(painter, _printer(terminal, interactive))
    screen.patterns = settings.patterns
    return screen


def _printer(terminal: Terminal, interactive: bool) -> Printer:
    if interactive:
        from nuncio.cli.prompt import AbovePrompt

        return AbovePrompt(terminal.coloured)
    return Coloured() if terminal.coloured else Plain()


async def _talk(
    settings: Settings, terminal: Terminal, console: Console, interactive: bool
) -> None:
    link, journal = console.link, console.journal
    lifeline, counting = Lifeline(link), Counting(console.screen)
    journal.listeners += [lifeline, counting]
    journal.tell(Connecting(settings.url))
    for namespace in settings.namespaces:
        link.connect(namespace)
    await _connected(settings, link, interactive)
    if interactive:
        from nuncio.cli.prompt import AbovePrompt, Prompt

        assert isinstance(console.screen.printer, AbovePrompt)
        await Prompt(console, console.screen.printer, settings.url).run()
    elif settings.scripted:
        await lifeline.hold(run_steps(settings, console, counting))
    else:
        await lifeline.hold(run_lines(terminal.lines(), console))


async def _connected(settings: Settings, link: Link, interactive: bool) -> None:
    """Wait for the connection; at the prompt one namespace is enough."""
    patience = None if settings.timeout is None else settings.timeout + _LATER
    if interactive and settings.keep_trying:
        patience = None
    failed: list[NotConnected] = []
    for namespace in settings.namespaces:
        try:
            async with asyncio.timeout(patience):
                await link.connected(namespace)
        except TimeoutError:
            failed.append(
                NotConnected(
                    f"{namespace} was not connected within {text.seconds(settings.timeout or 0)}",
                    ["--timeout gives it more time; 0 waits for ever"],
                )
            )
        except NotConnected as problem:
            failed.append(problem)
    if failed and (not interactive or len(failed) == len(settings.namespaces)):
        raise failed[0]
