"""Parts of the tool without a server, without a terminal, and with a journal that can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nuncio.cli.console import Console
from nuncio.cli.happenings import (
    Answer,
    Answered,
    Connected,
    Disconnected,
    Happening,
    NoAnswer,
    Received,
    Sent,
)
from nuncio.cli.journal import Journal
from nuncio.cli.link import Facts
from nuncio.cli.painter import Painter, Signs
from nuncio.cli.problems import NotConnected, TimedOut, WrongUse
from nuncio.cli.screens import Screen
from nuncio.cli.text import Line, plain


class FakeLink:
    """A connection to nobody, whose other side the test plays; see `nuncio.cli.link.Link`.

    Args:
        journal: is told what happens.
        names: the namespaces, which are connected.

    Attributes:
        asked: what waits for an acknowledgement: names, and the futures of the answers.
        answers: what the tool answered, by the number of the question.
        auth: the credentials that were set.
        drains: how often somebody waited until all was sent.
    """

    def __init__(self, journal: Journal, *names: str) -> None:
        self._journal = journal
        self._names = list(names) or ["/"]
        self.connected_to = set(self._names)
        self.asked: list[tuple[str, asyncio.Future[tuple[Any, ...]]]] = []
        self.answers: dict[int, tuple[Any, ...]] = {}
        self.auth: dict[str, Mapping[str, Any] | None] = {}
        self.drains = 0

    # The other side.

    def receive(
        self, name: str, *args: Any, namespace: str = "/", question: int | None = None
    ) -> None:
        """The server sends an event."""
        self._journal.tell(Received(namespace, name, args, question))

    def lose(self, namespace: str = "/", *, reconnecting: bool = False) -> None:
        """The connection ends."""
        self.connected_to.discard(namespace)
        self._journal.tell(Disconnected(namespace, "transport close", reconnecting))

    # `Link`.

    def namespaces(self) -> list[str]:
        return list(self._names)

    def connect(self, namespace: str) -> None:
        if namespace not in self._names:
            self._names.append(namespace)
        self.connected_to.add(namespace)
        self._journal.tell(Connected(namespace, "id", "polling", False))

    async def connected(self, namespace: str) -> None:
        if namespace not in self.connected_to:
            raise NotConnected("not connected", told=True)

    async def ready(self, namespace: str) -> None:
        if namespace not in self._names:
            self.connect(namespace)
        if namespace not in self.connected_to:
            await asyncio.get_running_loop().create_future()

    def is_connected(self, namespace: str) -> bool:
        return namespace in self.connected_to

    def is_alive(self) -> bool:
        return bool(self.connected_to)

    def disconnect(self, namespace: str) -> None:
        self.connected_to.discard(namespace)
        self._journal.tell(Disconnected(namespace, "io client disconnect", False))

    def set_auth(self, namespace: str, auth: Mapping[str, Any] | None) -> None:
        self.auth[namespace] = auth

    def emit(self, namespace: str, name: str, args: Sequence[Any]) -> None:
        self._journal.tell(Sent(namespace, name, tuple(args)))

    async def ask(
        self, namespace: str, name: str, args: Sequence[Any], timeout: float | None
    ) -> tuple[Any, ...]:
        future: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        self.asked.append((name, future))
        number = len(self.asked)
        self._journal.tell(Sent(namespace, name, tuple(args), number))
        try:
            async with asyncio.timeout(timeout):
                values = await future
        except TimeoutError:
            self._journal.tell(NoAnswer(namespace, name, number, 1.0, "timeout"))
            raise TimedOut("no answer", told=True) from None
        self._journal.tell(Answer(namespace, name, values, number, 0.001))
        return values

    def answer(self, question: int | None, args: Sequence[Any]) -> None:
        if question is None:
            raise WrongUse("nothing was asked")
        self.answers[question] = tuple(args)
        self._journal.tell(Answered("/", "question", tuple(args), question))

    def facts(self) -> Facts:
        ids = {name: "id" if name in self.connected_to else None for name in self._names}
        return Facts("open", "websocket", ids, 0.0042, "the answer to x", 3.0)

    async def drained(self) -> None:
        self.drains += 1

    async def close(self) -> None:
        self.connected_to.clear()


class Desk:
    """A console with a fake link, and all that was printed.

    Args:
        waiting: whether it is a script's console.
        names: the namespaces.
        timeout: for all that is waited for.
    """

    def __init__(
        self, *names: str, waiting: bool = True, timeout: float | None = None, columns: int = 200
    ) -> None:
        self.journal = Journal()
        self.happenings: list[Happening] = []
        self.journal.listeners.append(self.happenings.append)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.screen = Screen(Painter(Signs(), lambda: columns), self._print)
        self.journal.listeners.append(self.screen)
        self.link = FakeLink(self.journal, *names)
        self.console = Console(
            self.link,
            self.journal,
            self.screen,
            waiting=waiting,
            timeout=timeout,
            ack_timeout=timeout,
        )

    def _print(self, lines: Sequence[Line], errors: bool) -> None:
        (self.errors if errors else self.lines).extend(map(plain, lines))

    def of(self, kind: type[Happening]) -> list[Any]:
        """What has happened of one kind."""
        return [happening for happening in self.happenings if isinstance(happening, kind)]
