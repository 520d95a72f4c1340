"""Keeps the roll the same on all servers of a cluster, whatever its adapter is.

Each server tells what changes with its own clients, numbered, and from time to time that it is
there. Who sees a gap in the numbers, or a server that it does not know, asks for all of that
server's. A server that has been silent for too long is gone, with everybody on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from nuncio.presence.messages import Told
from nuncio.presence.roll import Key, Roll, Room

logger = logging.getLogger("nuncio.presence")

EVERYBODY: Final = "*"


class Replica:
    """One server's share in what all of them know.

    Args:
        server: this server, in messages.
        roll: who is there.
        tell: sends a message to the other servers.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        server: str,
        roll: Roll,
        tell: Callable[[dict[str, Any]], None],
        now: Callable[[], float],
    ) -> None:
        self.server = server
        self._roll = roll
        self._tell = tell
        self._now = now
        self._version = 0
        self._joins: dict[tuple[Room, Key, str], Any] = {}
        self._leaves: dict[tuple[Room, Key, str], None] = {}
        self._versions: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self.dropped = 0

    # What happens here.

    def add(self, room: Room, key: Key, socket: str, meta: Any) -> None:
        """Somebody came, or something else is said of somebody."""
        self._leaves.pop((room, key, socket), None)
        self._joins[room, key, socket] = meta
        self._roll.add(room, key, (self.server, socket), meta)

    def remove(self, room: Room, key: Key, socket: str) -> None:
        """Somebody left."""
        self._joins.pop((room, key, socket), None)
        self._leaves[room, key, socket] = None
        self._roll.remove(room, key, (self.server, socket))

    def meta(self, room: Room, key: Key, socket: str) -> Any:
        """What is said of somebody who is here."""
        return self._roll.meta(room, key, (self.server, socket))

    @property
    def pending(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._joins or self._leaves)

    def flush(self) -> None:
        """Tell the others what has changed."""
        if not self.pending:
            return
        self._version += 1
        joins = [(*place, meta) for place, meta in self._joins.items()]
        leaves = list(self._leaves)
        self._joins, self._leaves = {}, {}
        self._send(Told(self.server, self._version, joins, leaves))

    def hello(self) -> None:
        """Ask everybody for what they know."""
        self._send(Told(self.server, self._version, ask=EVERYBODY))

    def beat(self, lost_after: float) -> None:
        """Tell that this server is there, and forget those that are not."""
        self._send(Told(self.server, self._version))
        limit = self._now() - lost_after
        for server in [one for one, seen in self._seen.items() if seen < limit]:
            logger.debug("the server %s is silent, and taken for gone", server)
            self._forget(server)

    def bye(self) -> None:
        """This server ends."""
        self._send(Told(self.server, self._version, bye=True))

    def _state(self) -> None:
        # What is pending is in the roll already.
        self._joins, self._leaves = {}, {}
        self._version += 1
        self._send(Told(self.server, self._version, state=list(self._roll.of(self.server))))

    def _send(self, told: Told) -> None:
        self._tell(msgspec.to_builtins(told, builtin_types=(bytes,)))

    # What the others tell.

    def received(self, data: Any) -> None:
        """A message of another server. What is none is counted and dropped."""
        try:
            told = msgspec.convert(data, Told)
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            self.dropped += 1
            logger.debug("a message about presence was dropped: %s", error)
            return
        if told.server == self.server:
            return
        if told.bye:
            self._forget(told.server)
            return
        self._seen[told.server] = self._now()
        if told.ask in (EVERYBODY, self.server):
            self._state()
        if told.state is not None:
            self._versions[told.server] = told.version
            self._roll.replace(told.server, told.state)
        elif told.joins or told.leaves:
            self._changed(told)
        elif self._versions.get(told.server) != told.version:
            self._ask(told)

    def _changed(self, told: Told) -> None:
        known = self._versions.get(told.server)
        if known is None or told.version > known + 1:
            self._ask(told)
        elif told.version == known + 1:
            self._versions[told.server] = told.version
            for room, key, socket in told.leaves:
                self._roll.remove(room, key, (told.server, socket))
            for room, key, socket, meta in told.joins:
                self._roll.add(room, key, (told.server, socket), meta)

    def _ask(self, told: Told) -> None:
        if told.ask == EVERYBODY and told.version == 0:
            # It has only just begun, and has nobody.
            self._versions[told.server] = 0
            return
        self._send(Told(self.server, self._version, ask=told.server))

    def _forget(self, server: str) -> None:
        self._seen.pop(server, None)
        self._versions.pop(server, None)
        self._roll.replace(server, ())

    @property
    def servers(self) -> list[str]:
        """The other servers that are there."""
        return list(self._seen)
