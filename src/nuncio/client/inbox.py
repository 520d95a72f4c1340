"""Events for those who prefer a loop to handlers: `async for event in socket.events()`."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from nuncio.errors import OptionError
from nuncio.handlers.handler import Ack
from nuncio.handlers.listeners import event_name

if TYPE_CHECKING:
    from nuncio.client.socket import ClientSocket


class Event:
    """One event that arrived.

    Attributes:
        name: the event's name.
        args: its arguments.
        wants_ack: whether the server waits for an acknowledgement.
    """

    __slots__ = ("_id", "_socket", "args", "name", "wants_ack")

    def __init__(self, socket: ClientSocket, name: str, args: list[Any], id: int) -> None:
        self._socket = socket
        self._id = id
        self.name = name
        self.args = args
        self.wants_ack = id >= 0

    def __repr__(self) -> str:
        return f"<Event {self.name!r} {self.args!r}>"

    def ack(self, *values: object) -> None:
        """Answer it, once, from any thread; nothing happens where no answer is wanted."""
        id = self._id
        if id < 0:
            return
        self._id = -1
        threads = self._socket.threads
        if threads.used and threads.away():
            try:
                threads.call(self._socket.answer_event, id, Ack(*values), self.name)
            except RuntimeError:
                # The loop is closed, and the connection with it: nobody waits any longer.
                pass
        else:
            self._socket.answer_event(id, Ack(*values), self.name)


class Stream(Protocol):
    """Takes the events of a socket as they arrive."""

    def __len__(self) -> int:
        """How many wait, so that at some number reading from the connection pauses."""

    def offer(self, name: str, payload: list[Any], id: int) -> None:
        """An event arrived: its name, it and its arguments, the acknowledgement's id or -1."""

    def wake(self) -> None:
        """The socket has ended for good."""


class EventStream:
    """Iterates over the events of a socket, from when it was made until the socket has ended.

    What it does not take in time waits, and makes reading from the connection pause.

    Args:
        socket: whose events.
        inbox: of that socket.
        names: which events; none for all.

    Attributes:
        inbox: see above.
    """

    def __init__(self, socket: ClientSocket, inbox: Inbox, names: tuple[str, ...]) -> None:
        self._socket = socket
        self.inbox = inbox
        self._names = frozenset(names)
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._events)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed or self.inbox.ended:
                self.close()
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task awaits the next event of this iterator already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._events.popleft()
        self._socket.limit_queue()
        return event

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """Take no more; the next step of an iteration ends it."""
        self.close()

    def close(self) -> None:
        """See `aclose`."""
        if not self._closed:
            self._closed = True
            self._events.clear()
            self.inbox.forget(self)
            self.wake()

    def offer(self, name: str, payload: list[Any], id: int) -> None:
        """An event arrived."""
        if not self._names or name in self._names:
            self._events.append(Event(self._socket, name, payload[1:], id))
            self.wake()

    def wake(self) -> None:
        """Let the iteration go on, or end."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Inbox:
    """Who takes the events of one socket, beside its handlers.

    Iterations belong to whoever iterates. One that a `break` has left, and that nobody has any
    longer, takes nothing more: otherwise events would gather in it until reading pauses for ever.

    Attributes:
        ended: whether the socket has ended for good.
        reason: why it has; empty as long as it has not.
    """

    def __init__(self, socket: ClientSocket) -> None:
        self._socket = socket
        self._streams: list[Stream] = []
        self._iterations: list[weakref.ref[EventStream]] = []
        self.ended = False
        self.reason = ""

    def _takers(self) -> list[Stream]:
        takers = list(self._streams)
        for iteration in self._iterations:
            stream = iteration()
            if stream is not None:
                takers.append(stream)
        return takers

    @property
    def waiting(self) -> int:
        """How many events wait for who is behind the most."""
        return max((len(stream) for stream in self._takers()), default=0)

    def stream(self, names: tuple[str, ...]) -> EventStream:
        """Begin an iteration.

        Raises:
            OptionError: for what is no event's name.
        """
        for name in names:
            if not isinstance(name, str):
                raise OptionError(f"events: names must be str, not {name!r}")
        stream = EventStream(self._socket, self, names)
        self._iterations.append(weakref.ref(stream, self._dropped))
        return stream

    def add(self, stream: Stream) -> None:
        """Let somebody take events from now on."""
        self._streams.append(stream)

    def offer(self, payload: list[Any], id: int) -> None:
        """An event arrived."""
        name = event_name(payload[0])
        for stream in self._takers():
            stream.offer(name, payload, id)
        self._socket.limit_queue()

    def forget(self, stream: Stream) -> None:
        """Somebody takes no more."""
        self._streams = [one for one in self._streams if one is not stream]
        self._iterations = [one for one in self._iterations if one() not in (stream, None)]
        self._socket.limit_queue()

    def _dropped(self, _: object) -> None:
        """Nobody has a certain iteration any longer; this may be another thread."""
        try:
            self._socket.loop.call_soon_threadsafe(self._look_again)
        except RuntimeError:
            # The loop is closed, and nothing is read any more.
            pass

    def _look_again(self) -> None:
        self._iterations = [one for one in self._iterations if one() is not None]
        self._socket.limit_queue()

    def end(self, reason: str) -> None:
        """The socket has ended for good; what has arrived may still be taken."""
        self.ended = True
        self.reason = reason
        for stream in self._takers():
            stream.wake()

    def begin_anew(self) -> None:
        """The socket connects again."""
        self.ended = False
        self.reason = ""
