"""What one client has received, in order, and what of it a test has looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuncio.client.inbox import Event
from nuncio.testing.settling import wait_for

if TYPE_CHECKING:
    from nuncio.client.socket import ClientSocket

# What the client itself tells of the connection; see `ClientSocket.on`.
LIFECYCLE = ("connect", "connect_error", "disconnect")

# What does not fit into a line of a failure's text is cut off.
_WIDTH = 200


class Entry:
    """One event.

    Attributes:
        event: the event.
        taken: whether the test has asked for it.
    """

    __slots__ = ("event", "taken")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.taken = False

    @property
    def lifecycle(self) -> bool:
        """Whether the client itself told it."""
        return self.event.name in LIFECYCLE

    def __str__(self) -> str:
        text = written(self.event.name, self.event.args)
        return f"{text}   (asked for)" if self.taken else text


class Tape:
    """Records everything that a socket receives.

    Args:
        socket: one that is not connected yet.
        offsets: what the offsets of its server begin with; empty without recovery. They are one
            more argument of each event, which nobody means.
    """

    def __init__(self, socket: ClientSocket, offsets: Callable[[], str]) -> None:
        self.entries: list[Entry] = []
        self._socket = socket
        self._offsets = offsets
        self._waiting: list[tuple[Callable[[Event], bool], asyncio.Future[None]]] = []
        socket.inbox.add(_Microphone(self))
        socket.on("connect", lambda: self._tell("connect"))
        socket.on("connect_error", lambda error: self._tell("connect_error", error))
        socket.on("disconnect", lambda reason: self._tell("disconnect", str(reason)))

    def _tell(self, name: str, *args: Any) -> None:
        self._add(Event(self._socket, name, list(args), -1))

    def arrived(self, name: str, args: list[Any], id: int) -> None:
        """An event came from the server."""
        offsets = self._offsets()
        if offsets and args and isinstance(args[-1], str) and args[-1].startswith(offsets):
            del args[-1]
        self._add(Event(self._socket, name, args, id))

    def _add(self, event: Event) -> None:
        self.entries.append(Entry(event))
        for matches, waiting in list(self._waiting):
            if not waiting.done() and matches(event):
                waiting.set_result(None)

    def take(self, matches: Callable[[Event], bool]) -> Event | None:
        """The first event that fits and was not asked for yet."""
        for entry in self.entries:
            if not entry.taken and matches(entry.event):
                entry.taken = True
                return entry.event
        return None

    async def wait(self, matches: Callable[[Event], bool], seconds: float) -> Event | None:
        """As `take`, and wait for it."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + seconds
        while True:
            found = self.take(matches)
            if found is not None:
                return found
            waiter = (matches, loop.create_future())
            self._waiting.append(waiter)
            try:
                if not await wait_for(waiter[1], max(0.0, limit - loop.time())):
                    return None
            finally:
                self._waiting.remove(waiter)

    def __str__(self) -> str:
        if not self.entries:
            return "nothing has arrived"
        lines = [f"    {entry}" for entry in self.entries]
        return "\n".join(["this has arrived, in this order:", *lines])


class _Microphone:
    """A stream that takes what arrives at once, so that nothing ever waits for it."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __len__(self) -> int:
        return 0

    def offer(self, name: str, payload: list[Any], id: int) -> None:
        """See `nuncio.client.inbox.Stream.offer`."""
        self._tape.arrived(name, payload[1:], id)

    def wake(self) -> None:
        """See `nuncio.client.inbox.Stream.wake`: nobody waits here."""


def written(name: str, args: list[Any] | tuple[Any, ...]) -> str:
    """An event as it stands in a failure's text: `message('hello', 5)`."""
    text = f"{name}({', '.join(map(repr, args))})"
    return text if len(text) <= _WIDTH else text[:_WIDTH] + "…"
