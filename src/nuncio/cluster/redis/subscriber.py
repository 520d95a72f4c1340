"""Subscriptions at one of Redis' servers, which outlive the connection they are kept over."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster.line import outcome
from nuncio.cluster.redis.line import (
    PULSE_SECONDS,
    Changed,
    Line,
    as_connection_error,
    first_failure,
    packed,
)

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


class Subscriber(Line):
    """Receives what is published on channels.

    Args:
        dial: see `Line`.
        changed: see `Line`.
        moved: called when a channel has moved to another of Redis' servers.

    Attributes:
        strayed: the channels that are wanted, and that this server of Redis does not have.
    """

    def __init__(
        self, dial: Callable[[], Any], changed: Changed, moved: Callable[[], None]
    ) -> None:
        from redis import exceptions

        super().__init__(dial, changed)
        self._exceptions = exceptions
        self._moved = moved
        self.strayed: set[Name] = set()
        self._wanted: dict[Name, Receiver] = {}
        self._confirmed: set[Name] = set()
        self._waiting: dict[Name, asyncio.Future[None]] = {}
        self._changes: list[tuple[str, bytes]] = []
        self._asked: list[Name] = []
        self._wake = asyncio.Event()
        self._heard = 0

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
        self._confirmed.discard(name)
        self.strayed.discard(name)
        self._change(_UNSUBSCRIBE[kind], name)

    def _change(self, word: str, name: Name) -> None:
        if self.connected:
            self._changes.append((word, name[1]))
            self._wake.set()

    def move(self, kind: str, channel: str, to: Subscriber) -> None:
        """Have another one receive what is published on a channel."""
        name = (kind, channel.encode())
        receiver = self._wanted.pop(name)
        waiting = self._waiting.pop(name, None)
        self._confirmed.discard(name)
        if name in self.strayed:
            self.strayed.discard(name)
        else:
            self._change(_UNSUBSCRIBE[kind], name)
        there = to.add(kind, channel, receiver)
        if waiting is not None:
            there.add_done_callback(functools.partial(_confirmed_there, waiting))

    async def begin(self, connection: Any) -> None:
        """See `Line.begin`: everything is subscribed to again."""
        self._changes.clear()
        self._asked.clear()
        self._confirmed.clear()
        self.strayed.clear()
        names = list(self._wanted)
        if names:
            await self._send(connection, names)
        while any(name in self._wanted and name not in self._confirmed for name in names):
            await self._receive(connection)
        # What was wanted or no longer wanted meanwhile.
        for name in self._wanted:
            if name not in self._confirmed and name not in names:
                self._changes.append(name)
        for kind, channel in names:
            if (kind, channel) not in self._wanted:
                self._changes.append((_UNSUBSCRIBE[kind], channel))
        self._wake.set()

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        await first_failure(self._read(connection), self._write(connection))

    async def _read(self, connection: Any) -> None:
        while True:
            await self._receive(connection)

    async def _write(self, connection: Any) -> None:
        """Send changes of subscriptions; and now and then a question whether Redis is there."""
        heard = -1
        while True:
            if not self._changes:
                self._wake.clear()
                try:
                    async with asyncio.timeout(PULSE_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    if heard == self._heard:
                        raise ConnectionError("Redis does not answer") from None
                    heard = self._heard
                    ping = packed(("PING",))
                    await connection.send_packed_command(ping, check_health=False)
                    continue
            changes, self._changes = self._changes, []
            await self._send(connection, changes)

    async def _send(self, connection: Any, changes: list[tuple[str, bytes]]) -> None:
        self._asked += [(word, channel) for word, channel in changes if word in _UNSUBSCRIBE]
        written = b"".join([packed(change) for change in changes])
        await connection.send_packed_command(written, check_health=False)

    async def _receive(self, connection: Any) -> None:
        exceptions = self._exceptions
        try:
            told = await connection.read_response(disable_decoding=True, timeout=math.inf)
        except exceptions.MovedError:
            self._heard += 1
            if self._asked:
                name = self._asked.pop(0)
                self._confirmed.add(name)
                self.strayed.add(name)
            self._moved()
            return
        except exceptions.ResponseError as error:
            self._heard += 1
            self._refused(error)
            return
        self._heard += 1
        if isinstance(told, list) and len(told) >= 3:
            kind = _MESSAGE_OF.get(told[0])
            if kind is not None:
                self._deliver(kind, told)
            else:
                self._confirm(told)

    def _deliver(self, kind: str, told: list[Any]) -> None:
        receiver = self._wanted.get((kind, told[1]))
        if receiver is None:
            return
        try:
            receiver(told[-2], told[-1])
        except Exception:
            # The bus goes on, whatever an application's listener does.
            logger.exception("a message of the cluster could not be handled")

    def _confirm(self, told: list[Any]) -> None:
        word, channel = told[0].decode(), told[1]
        name = (word, channel)
        if word in _UNSUBSCRIBE:
            if name in self._asked:
                self._asked.remove(name)
            self._confirmed.add(name)
            waiting = self._waiting.get(name)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif word == "sunsubscribe" and (SHARD, channel) in self._wanted:
            # Not asked for: the channel's slot has gone to another server.
            self.strayed.add((SHARD, channel))
            self._moved()

    def _refused(self, error: Exception) -> None:
        if not self._asked:
            return
        name = self._asked.pop(0)
        refusal = as_connection_error(error)
        logger.error("Redis refused %s %r: %s", *name, error)
        # As if it were there: waiting for it would help nobody.
        self._confirmed.add(name)
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(refusal)


def _confirmed_there(waiting: asyncio.Future[None], there: asyncio.Future[None]) -> None:
    """Who waits for one server of Redis is told when another has confirmed."""
    if not waiting.done() and not there.cancelled():
        waiting.set_result(None)
