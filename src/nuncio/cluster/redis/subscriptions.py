"""Subscriptions at one of Redis' servers, which outlive their connection. [compiled]"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import outcome
from nuncio.cluster.redis.connection import MOVED, Connection, Refused, packed

logger = logging.getLogger("nuncio.cluster")

# How one subscribes, and what then arrives.
CHANNEL: Final = "subscribe"
PATTERN: Final = "psubscribe"
SHARD: Final = "ssubscribe"

_MESSAGE_OF: Final = {b"message": CHANNEL, b"pmessage": PATTERN, b"smessage": SHARD}
_UNSUBSCRIBE: Final = {
    CHANNEL: "unsubscribe",
    PATTERN: "punsubscribe",
    SHARD: "sunsubscribe",
}

# Called with the channel and what was published there.
Receiver = Callable[[bytes, bytes], None]
Name = tuple[str, bytes]


class Subscriptions:
    """Those of one connection, and of the next one when it is lost.

    Args:
        moved: called when a channel has moved to another of Redis' servers.

    Attributes:
        strayed: the channels that are wanted, and that this server of Redis does not have.
    """

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self.strayed: set[Name] = set()
        self._wanted: dict[Name, Receiver] = {}
        self._waiting: dict[Name, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._flushing = False
        self._changes: list[Name] = []
        self._asked: deque[Name] = deque()
        # Those that a new connection is not of use without.
        self._missing: set[Name] = set()
        self._complete: asyncio.Future[None] = outcome()

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, kind: str, channel: str, receiver: Receiver) -> asyncio.Future[None]:
        """Receive what is published on a channel; a second time changes who receives it.

        Returns:
            What is done once Redis has confirmed it.
        """
        name = (kind, channel.encode())
        self._wanted[name] = receiver
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = outcome()
            self._waiting[name] = waiting
            self._change(kind, name)
        return waiting

    def remove(self, kind: str, channel: str) -> None:
        """Receive no more."""
        name = (kind, channel.encode())
        if self._wanted.pop(name, None) is None:
            return
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.cancel()
        self.strayed.discard(name)
        self._settled(name)
        self._change(_UNSUBSCRIBE[kind], name)

    def _change(self, word: str, name: Name) -> None:
        if self._connection is not None:
            self._changes.append((word, name[1]))
            if not self._flushing:
                self._flushing = True
                self._loop.call_soon(self._flush)

    def move(self, kind: str, channel: str, to: Subscriptions) -> None:
        """Have another one receive what is published on a channel."""
        name = (kind, channel.encode())
        receiver = self._wanted.pop(name)
        waiting = self._waiting.pop(name, None)
        self._settled(name)
        if name in self.strayed:
            self.strayed.discard(name)
        else:
            self._change(_UNSUBSCRIBE[kind], name)
        there = to.add(kind, channel, receiver)
        if waiting is not None:
            there.add_done_callback(functools.partial(_confirmed_there, waiting))

    def begin(self, connection: Connection) -> asyncio.Future[None]:
        """Subscribe to everything over a new connection.

        Returns:
            What is done once Redis has confirmed all of it.
        """
        self._connection = connection
        self._asked.clear()
        self.strayed.clear()
        self._complete = outcome()
        self._missing = set(self._wanted)
        self._changes = list(self._wanted)
        self._flush()
        if not self._missing:
            self._complete.set_result(None)
        return self._complete

    def lost(self) -> None:
        """There is no connection any longer."""
        self._connection = None

    def writable(self) -> None:
        """See `Listener.writable`."""
        self._flush()

    def _flush(self) -> None:
        """Send changes of subscriptions, as far as Redis keeps up."""
        self._flushing = False
        connection = self._connection
        if connection is None or connection.behind or connection.closed or not self._changes:
            return
        changes, self._changes = self._changes, []
        self._asked += [(word, channel) for word, channel in changes if word in _UNSUBSCRIBE]
        connection.write(b"".join([packed(change) for change in changes]))

    def replied(self, value: Any) -> None:
        """See `Listener.replied`."""
        if isinstance(value, list) and len(value) >= 3:
            kind = _MESSAGE_OF.get(value[0])
            if kind is not None:
                self._deliver(kind, value)
            else:
                self._confirm(value)
        elif isinstance(value, Refused):
            self._refused(value)

    def _deliver(self, kind: str, told: list[Any]) -> None:
        receiver = self._wanted.get((kind, told[1]))
        if receiver is None:
            return
        try:
            receiver(told[-2], told[-1])
        except Exception:
            # The bus goes on, whatever an application's listener does.
            logger.exception("a message of the cluster could not be handled")

    def _settled(self, name: Name) -> None:
        """Redis has answered, or need not any longer."""
        self._missing.discard(name)
        if not self._missing and not self._complete.done():
            self._complete.set_result(None)

    def _confirm(self, told: list[Any]) -> None:
        word, channel = told[0].decode(), told[1]
        name = (word, channel)
        if word in _UNSUBSCRIBE:
            if name in self._asked:
                self._asked.remove(name)
            self._settled(name)
            waiting = self._waiting.get(name)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif word == "sunsubscribe" and (SHARD, channel) in self._wanted:
            # Not asked for: the channel's slot has gone to another server.
            self.strayed.add((SHARD, channel))
            self._moved()

    def _refused(self, refusal: Refused) -> None:
        if refusal.word == MOVED:
            if self._asked:
                name = self._asked.popleft()
                self._settled(name)
                self.strayed.add(name)
            self._moved()
            return
        if not self._asked:
            return
        name = self._asked.popleft()
        logger.error("Redis refused %s %r: %s", *name, refusal)
        # As if it were there: waiting for it would help nobody.
        self._settled(name)
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(refusal)


def _confirmed_there(waiting: asyncio.Future[None], there: asyncio.Future[None]) -> None:
    """Who waits for one server of Redis is told when another has confirmed."""
    if not waiting.done() and not there.cancelled():
        waiting.set_result(None)
