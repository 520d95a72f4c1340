"""Carries out commands, wherever they come from: the prompt, a script, or options.

At the prompt nobody waits: acknowledgements come when they come, and the prompt stays usable. In
a script each command ends before the next one begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from nuncio.cli import text
from nuncio.cli.brief import in_full
from nuncio.cli.commands import (
    AnswerTo,
    Auth,
    Command,
    Connect,
    Disconnect,
    Emit,
    Filter,
    Help,
    Quit,
    Replay,
    Save,
    Show,
    Status,
    Use,
    Wait,
    near_command,
    parse,
)
from nuncio.cli.happenings import Received
from nuncio.cli.help import overview, topic
from nuncio.cli.inbox import Inbox
from nuncio.cli.journal import Journal
from nuncio.cli.link import Link
from nuncio.cli.matching import admits, begins_with
from nuncio.cli.problems import NotConnected, Problem, TimedOut
from nuncio.cli.replay import replay
from nuncio.cli.screens import Screen
from nuncio.cli.status import status


class Console:
    """One user, one connection.

    Args:
        link: the connection.
        journal: what happens on it.
        screen: what the user sees.
        waiting: whether a command ends before the next one begins.
        timeout: seconds that one thing may take that is waited for; None for any.
        ack_timeout: the same, for acknowledgements.

    Attributes:
        namespace: where commands go that name none.
        ended: whether `quit` was said.
    """

    def __init__(
        self,
        link: Link,
        journal: Journal,
        screen: Screen,
        *,
        waiting: bool,
        timeout: float | None,
        ack_timeout: float | None,
    ) -> None:
        self.link = link
        self.journal = journal
        self.screen = screen
        self.waiting = waiting
        self.timeout = timeout
        self.ack_timeout = ack_timeout
        self.namespace = link.namespaces()[0]
        self.ended = False
        self.inbox = Inbox()
        journal.listeners.append(self.inbox)
        self._tasks: set[asyncio.Task[None]] = set()

    async def line(self, line: str) -> None:
        """Carry out a line.

        Raises:
            Problem: when it cannot be read, or what it says cannot be done.
        """
        command = parse(line)
        if command is not None:
            await self.run(command)

    async def run(self, command: Command) -> None:
        """Carry out a command.

        Raises:
            Problem: when it cannot be done.
        """
        namespace = self.namespace if command.namespace is None else command.namespace
        work = self._run(command, namespace)
        if work is not None:
            await self._wait_or_go_on(work)

    async def _wait_or_go_on(self, work: Coroutine[Any, Any, None]) -> None:
        if self.waiting:
            await work
            return
        task = asyncio.get_running_loop().create_task(self._beside(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # What the command does at once is seen before the next one is read.
        await asyncio.sleep(0)

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Problem as problem:
            self.screen.problem(problem)

    async def close(self) -> None:
        """End what still waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The commands. What they return has to be awaited.

    @singledispatchmethod
    def _run(self, command: Command, namespace: str) -> Coroutine[Any, Any, None] | None:
        raise NotImplementedError(type(command).__name__)

    @_run.register
    def _(self, command: Emit, namespace: str) -> Coroutine[Any, Any, None] | None:
        self._hint(command)
        if self.waiting:
            return self._send(command, namespace)
        if not self.link.is_connected(namespace):
            self.screen.note("this waits for the connection")
        if command.ask:
            return self._ask(command, namespace)
        self.link.emit(namespace, command.name, command.args)
        return None

    def _hint(self, command: Emit) -> None:
        """Sent all the same: events may be called like anything."""
        if not command.short or command.name in self.journal.names:
            return
        near = near_command(command.name)
        if near is not None:
            name = text.name(command.name)
            self.screen.note(f"{name} is sent as an event; the command is called {near}")

    async def _send(self, command: Emit, namespace: str) -> None:
        await self._ready(namespace)
        if command.ask:
            await self._ask(command, namespace)
        else:
            self.link.emit(namespace, command.name, command.args)
            await self.link.drained()

    async def _ready(self, namespace: str) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                await self.link.ready(namespace)
        except TimeoutError:
            raise TimedOut(
                f"{namespace} was not connected within {text.seconds(self.timeout or 0)}"
            ) from None

    async def _ask(self, command: Emit, namespace: str) -> None:
        await self.link.ask(namespace, command.name, command.args, self.ack_timeout)

    @_run.register
    def _(self, command: AnswerTo, namespace: str) -> None:
        self.link.answer(command.number, command.args)

    @_run.register
    def _(self, command: Wait, namespace: str) -> Coroutine[Any, Any, None]:
        return self._wait(command, namespace)

    async def _wait(self, command: Wait, namespace: str) -> None:
        def fits(event: Received) -> bool:
            return (
                event.namespace == namespace
                and event.name == command.name
                and begins_with(event.args, command.args)
            )

        if not self.waiting:
            self.inbox.take()
            self.screen.note(f"waiting for {text.name(command.name)}")
        await self.inbox.next(fits, text.name(command.name), self.timeout)
        if not self.waiting:
            self.screen.note(f"{text.name(command.name)} came")

    @_run.register
    def _(self, command: Filter, namespace: str) -> None:
        self.screen.patterns = command.patterns
        if not command.patterns:
            self.screen.note("all events are shown")
            return
        self.screen.note(f"shown are events that match {' '.join(command.patterns)}")
        names = self.journal.names
        if names and not any(admits(command.patterns, name) for name in names):
            self.screen.note("no event so far does; * stands for anything: filter mess*")

    @_run.register
    def _(self, command: Show, namespace: str) -> None:
        name, values = self.screen.painter.kept.find(command.number)
        self.screen.say([("name", text.name(name))])
        for value in values:
            self.screen.say(*in_full(value))

    @_run.register
    def _(self, command: Save, namespace: str) -> None:
        if command.path is None:
            path = self.journal.stop_saving()
            self.screen.note("nothing was being saved" if path is None else f"saved {path}")
            return
        path = Path(command.path).expanduser()
        written, forgotten = self.journal.save(path)
        so_far = f"; {text.plural(written, 'line')} so far" if written else ""
        lost = f", {forgotten:,} older ones are no longer known" if forgotten else ""
        self.screen.note(f"saving to {path}{so_far}{lost}")

    @_run.register
    def _(self, command: Replay, namespace: str) -> Coroutine[Any, Any, None]:
        inbox = self.inbox if self.waiting else None
        return replay(command, self.link, self.journal, inbox, self.timeout, self.ack_timeout)

    @_run.register
    def _(self, command: Auth, namespace: str) -> None:
        self.link.set_auth(namespace, command.value)
        if self.link.is_connected(namespace):
            self.screen.note("these are for the next connection: disconnect, connect")
        else:
            self.screen.note("connect tries again, with these")

    @_run.register
    def _(self, command: Use, namespace: str) -> Coroutine[Any, Any, None] | None:
        self.namespace = namespace
        return self._connect(namespace)

    @_run.register
    def _(self, command: Connect, namespace: str) -> Coroutine[Any, Any, None] | None:
        if self.link.is_connected(namespace):
            self.screen.note(f"{namespace} is connected")
            return None
        return self._connect(namespace)

    def _connect(self, namespace: str) -> Coroutine[Any, Any, None] | None:
        if self.link.is_connected(namespace):
            return None
        self.link.connect(namespace)
        return self._ready(namespace) if self.waiting else None

    @_run.register
    def _(self, command: Disconnect, namespace: str) -> None:
        if not self.link.is_connected(namespace):
            raise NotConnected(f"{namespace} is not connected", ["connect connects it"])
        self.link.disconnect(namespace)

    @_run.register
    def _(self, command: Status, namespace: str) -> None:
        self.screen.say(*status(self.link.facts(), self.journal, self.screen))

    @_run.register
    def _(self, command: Help, namespace: str) -> None:
        self.screen.say(*(overview() if command.topic is None else topic(command.topic)))

    @_run.register
    def _(self, command: Quit, namespace: str) -> None:
        self.ended = True
