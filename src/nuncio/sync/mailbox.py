"""The events of one socket that are kept until somebody asks for them.

From the connection on, each event that has no handler is kept: nothing is missed of what arrives
before the application comes to ask. Who asks first gets it, be it by `receive`, by iterating, or by
registering a handler.

So many may wait as `ClientLimits(queued_events=…)` says. Of what nobody has ever asked for, the
oldest is dropped then. For what somebody receives, reading pauses and the server has to wait; but
an application that takes nothing for a while does not want it any more, and shall not lose its
connection by that.

All runs in the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nuncio.client.socket import ClientSocket
from nuncio.errors import Disconnected
from nuncio.sync.lane import Lane

logger = logging.getLogger("nuncio.client")

# For so long the server has to wait for who receives; less than any usual heartbeat.
PATIENCE_SECONDS = 10.0


@dataclass(slots=True)
class Kept:
    """One event that waits.

    Attributes:
        number: grows with each.
        name: the event's.
        payload: its name as it came, and its arguments.
        id: the acknowledgement's, or -1.
    """

    number: int
    name: str
    payload: list[Any]
    id: int


class Mailbox:
    """Keeps events; a `nuncio.client.inbox.Stream`.

    Args:
        socket: whose events.
        lanes: where its handlers and its Manager's listeners run.
        most: how many may wait.
    """

    def __init__(self, socket: ClientSocket, lanes: Sequence[Lane], most: int) -> None:
        self._socket = socket
        self._lanes = lanes
        self._most = most
        self._kept: dict[str, deque[Kept]] = {}
        self._count = 0
        self._number = 0
        # Names that handlers were registered for, that were received, and whether all were.
        self._handled: set[str] = set()
        self._asked: set[str] = set()
        self._all_asked = False
        self._waiters: list[tuple[frozenset[str], asyncio.Future[Kept]]] = []
        self._dropped: dict[str, int] = {}
        self._impatience: asyncio.TimerHandle | None = None

    # What the socket calls.

    def __len__(self) -> int:
        return max(self._awaited(), *[len(lane) for lane in self._lanes])

    def offer(self, name: str, payload: list[Any], id: int) -> None:
        """See `Stream.offer`."""
        if name in self._handled and name not in self._asked:
            return
        self._number += 1
        event = Kept(self._number, name, payload, id)
        for waiter in self._waiters:
            names, future = waiter
            if not future.done() and (not names or name in names):
                future.set_result(event)
                return
        self._kept.setdefault(name, deque()).append(event)
        self._count += 1
        if self._count > self._most:
            self._drop_oldest()
        if self._impatience is None and self._awaited() >= self._most:
            self._wait_patiently()

    def wake(self) -> None:
        """See `Stream.wake`."""
        if not self._socket.inbox.ended:
            return
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(self._over())

    # Receiving.

    def ask(self, names: Sequence[str]) -> None:
        """From now on, these are received; all without names."""
        if names:
            self._asked.update(names)
        else:
            self._all_asked = True
        if self._dropped:
            self._tell_dropped(names or tuple(self._dropped))

    def _tell_dropped(self, names: Sequence[str]) -> None:
        count = sum(self._dropped.pop(name, 0) for name in names)
        if count:
            logger.warning(
                "%d events of %r were dropped before they were asked for, since more waited than "
                "ClientLimits(queued_events=%d) allows",
                count,
                self._socket.nsp,
                self._most,
            )

    def next(self, names: Sequence[str]) -> Any:
        """The next of these events, or something to await for it.

        Raises:
            Disconnected: when the socket has ended for good, and none is left.
        """
        self.ask(names)
        event = self._take(names)
        if event is not None:
            return event
        if self._socket.inbox.ended:
            raise self._over()
        future: asyncio.Future[Kept] = self._socket.loop.create_future()
        waiter = (frozenset(names), future)
        self._waiters.append(waiter)
        future.add_done_callback(lambda _: self._waiters.remove(waiter))
        return future

    def put_back(self, event: Kept) -> None:
        """Whoever asked for an event has gone without it: it is the next one again."""
        event.number = min((queue[0].number for queue in self._kept.values()), default=1) - 1
        self._kept.setdefault(event.name, deque()).appendleft(event)
        self._count += 1

    def _over(self) -> Disconnected:
        return Disconnected(self._socket.inbox.reason)

    # Handlers.

    def handle(self, name: str, is_there: Callable[[], bool]) -> None:
        """A handler was registered: it gets what was kept for it.

        Args:
            name: the event's.
            is_there: whether there is a handler still.
        """
        self._handled.add(name)
        if name in self._asked:
            return
        while is_there():
            event = self._take((name,))
            if event is None:
                return
            self._socket.run_handlers(event.payload, event.id)

    # Keeping.

    def _take(self, names: Sequence[str]) -> Kept | None:
        found: deque[Kept] | None = None
        for name in names or self._kept:
            queue = self._kept.get(name)
            if queue is not None and (found is None or queue[0].number < found[0].number):
                found = queue
        return None if found is None else self._remove(found)

    def _remove(self, queue: deque[Kept]) -> Kept:
        event = queue.popleft()
        if not queue:
            del self._kept[event.name]
        self._count -= 1
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
            # Reading goes on when half of them are taken.
            if self._awaited() > self._most // 2:
                self._wait_patiently()
        self._socket.limit_queue()
        return event

    def _is_asked(self, name: str) -> bool:
        return name in self._asked or (self._all_asked and name not in self._handled)

    def _awaited(self) -> int:
        """How many wait that are received."""
        if self._all_asked:
            return self._count
        if not self._asked:
            return 0
        return sum(len(self._kept[name]) for name in self._asked if name in self._kept)

    def _drop_oldest(self) -> None:
        """Drop the oldest event that nobody has asked for."""
        found: deque[Kept] | None = None
        for name, queue in self._kept.items():
            if not self._is_asked(name) and (found is None or queue[0].number < found[0].number):
                found = queue
        if found is not None:
            name = self._remove(found).name
            if name in self._dropped or len(self._dropped) < self._most:
                self._dropped[name] = self._dropped.get(name, 0) + 1

    def _wait_patiently(self) -> None:
        loop = self._socket.loop
        self._impatience = loop.call_later(PATIENCE_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        self._impatience = None
        if self._socket.awaits_answers:
            # Whoever waits for one cannot receive, and more may wait meanwhile.
            self._wait_patiently()
            return
        logger.warning(
            "%d events of %r wait, and none was received for %g seconds: the oldest are dropped "
            "until receive() is called again",
            self._count,
            self._socket.nsp,
            PATIENCE_SECONDS,
        )
        self._asked.clear()
        self._all_asked = False
        while self._count > self._most:
            self._drop_oldest()
        self._socket.limit_queue()
