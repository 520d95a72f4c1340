"""Namespaces that are made when a client asks for them: `io.of(re.compile(...))`. [compiled]

A parent holds handlers and middlewares, which each child copies when it is made, and speaks to the
clients of all its children.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.rooms import Room
from nuncio.engine.sent import TAKEN, Sent
from nuncio.handlers.handler import Handler
from nuncio.server.broadcasting import SentToMany
from nuncio.server.namespace import Namespace


class ParentNamespace(Namespace):
    """What `io.of` returns for a pattern or a predicate.

    Args:
        server: the server.
        name: its own, which no client can join.
        concurrency: see `Namespace`.
        pattern: searched for in the names that clients ask for, or None.
        predicate: asked about a name and the client's `auth`, or None.

    Attributes:
        children: the namespaces made so far, by name.
        factory: makes them, called with the name; None for `Namespace` itself.
    """

    __slots__ = ("_pattern", "_predicate", "children", "factory")

    def __init__(
        self,
        server: Any,
        name: str,
        concurrency: int,
        pattern: re.Pattern[str] | None,
        predicate: Handler | None,
    ) -> None:
        super().__init__(name)
        self.attach(server, name, concurrency)
        self._pattern = pattern
        self._predicate = predicate
        self.children: dict[str, Namespace] = {}
        self.factory: Any = None

    def __repr__(self) -> str:
        return f"<ParentNamespace {self.name!r} with {len(self.children)} children>"

    def matches(self, name: str) -> bool:
        """Whether the pattern is found in a name; a predicate is not asked."""
        return self._pattern is not None and self._pattern.search(name) is not None

    def ask(self, name: str, auth: Any) -> Any:
        """Whether a client may have a namespace of this name: a truth, or an awaitable of one."""
        predicate = self._predicate
        if predicate is None:
            return self.matches(name)
        args = predicate.arguments(None, ["", name, {} if auth is None else auth], None)
        return predicate.function(*args)

    def adopt(self, child: Namespace) -> None:
        """A namespace was made for this parent: it copies what is registered now."""
        child.parent = self
        for event, handlers in self.handlers.items():
            child.handlers[event] = handlers + child.handlers.get(event, [])
        for event, handlers in self.lifecycle.items():
            child.lifecycle[event] = handlers + child.lifecycle.get(event, [])
        child.concurrency = self.concurrency
        child.promised = self.promised
        child.slow = self.slow
        child._middlewares = self._middlewares + child._middlewares
        self.children[child.name] = child

    # What operators ask, for all children.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Broadcaster.broadcast`."""
        behind: list[Sent] = []
        for child in list(self.children.values()):
            sent = child.broadcast(payload, options)
            if not sent.taken:
                behind.append(sent)
        return SentToMany(behind) if behind else TAKEN

    def broadcast_with_ack(
        self, payload: list[Any], options: BroadcastOptions
    ) -> Awaitable[list[Any]]:
        """See `Broadcaster.broadcast_with_ack`."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        children = list(self.children.values())
        gathering = self.server.gather_acks(future, len(children))
        for child in children:
            decided = options if options.slow is None else child._decided(options, payload)
            child.adapter.broadcast_with_ack(payload, decided, gathering)
        return future

    def fetch(self, options: BroadcastOptions) -> Awaitable[list[Any]]:
        """See `Broadcaster.fetch`."""
        fetched: Awaitable[list[Any]] = self.server.fetch_all(
            [child.fetch(options) for child in self.children.values()]
        )
        return fetched

    def add_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Broadcaster.add_sockets`."""
        for child in list(self.children.values()):
            child.add_sockets(options, rooms)

    def remove_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Broadcaster.remove_sockets`."""
        for child in list(self.children.values()):
            child.remove_sockets(options, rooms)

    def disconnect_many(self, options: BroadcastOptions, close: bool) -> None:
        """See `Broadcaster.disconnect_many`."""
        for child in list(self.children.values()):
            child.disconnect_many(options, close)
