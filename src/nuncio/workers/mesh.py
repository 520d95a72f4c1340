"""All workers of a server, each linked with each.

A worker makes a socket of its own in their common folder, then connects to everybody who is there:
so of two workers the later one has called the earlier one. A worker that dies leaves its socket
behind, which the next one to call it finds dead and removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from nuncio.ids import new_id
from nuncio.workers import rendezvous
from nuncio.workers.link import Link
from nuncio.workers.messages import Bus, Message, Present, encode
from nuncio.workers.rooms import Routes

logger = logging.getLogger("nuncio.workers")

# A worker that is there answers at once; one that has stopped is not waited for.
GREET_SECONDS: Final = 2.0


class Mesh:
    """This process's place among the workers.

    Args:
        folder: where they meet.

    Attributes:
        tag: this worker's name, with which its sessions' ids begin.
        namespaces: those that take part here; the adapter of each by name.
        on_message: called with a link and a message that concerns sessions.
        on_lost: called with a link that is gone.
        routes: to which workers something has to be sent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tag = new_id()[: rendezvous.TAG_LENGTH]
        self.namespaces: dict[str, Any] = {}
        self.on_message: Callable[[Link, Any], None] = _ignore
        self.on_lost: Callable[[Link], None] = _ignore_lost
        self.routes = Routes()
        self._links: dict[str, Link] = {}
        self._server: asyncio.AbstractServer | None = None

    # Life.

    async def start(self) -> None:
        """Make a socket, and connect to all who are there.

        Raises:
            OptionError: when the folder cannot be used.
        """
        if self._server is not None:
            return
        rendezvous.prepare(self.folder)
        loop = asyncio.get_running_loop()
        while self.tag in rendezvous.tags(self.folder):
            self.tag = new_id()[: rendezvous.TAG_LENGTH]
        path = rendezvous.address(self.folder, self.tag)
        self.routes.begin(self.folder, self.tag)
        self._server = await loop.create_unix_server(lambda: Link(self), path)
        os.chmod(path, 0o600)
        others = [tag for tag in rendezvous.tags(self.folder) if tag != self.tag]
        await asyncio.gather(*(self._call(tag) for tag in others))

    async def _call(self, tag: str) -> None:
        path = rendezvous.address(self.folder, tag)
        try:
            _, link = await asyncio.get_running_loop().create_unix_connection(
                lambda: Link(self, called=True), path
            )
        except (ConnectionRefusedError, FileNotFoundError):
            logger.debug("the worker %s is dead; its socket is removed", tag)
            rendezvous.clear(self.folder, tag)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(link.greeted), GREET_SECONDS)

    async def stop(self) -> None:
        """Leave."""
        server = self._server
        if server is None:
            return
        self._server = None
        self.routes.end()
        rendezvous.clear(self.folder, self.tag)
        server.close()
        for link in list(self._links.values()):
            link.close()
        with contextlib.suppress(OSError):
            # The last one closes the door.
            self.folder.rmdir()

    # Who is there.

    def find(self, tag: str) -> Link | None:
        """The worker of this tag."""
        return self._links.get(tag)

    @property
    def others(self) -> list[Link]:
        """All other workers."""
        return list(self._links.values())

    def with_namespace(self, nsp: str) -> list[Link]:
        """The other workers that have a namespace."""
        return [link for link in self._links.values() if nsp in link.namespaces]

    def enter(self, nsp: str, adapter: Any) -> None:
        """A namespace takes part."""
        self.namespaces[nsp] = adapter
        self._tell_all(encode(Present(nsp, True)))

    def leave(self, nsp: str) -> None:
        """It takes part no longer."""
        if self.namespaces.pop(nsp, None) is not None:
            self._tell_all(encode(Present(nsp, False)))

    def _tell_all(self, data: bytes) -> None:
        for link in self._links.values():
            link.write(data)

    # What links call.

    def met(self, link: Link) -> None:
        """Another worker has said hello."""
        before = self._links.get(link.tag)
        if before is None or before is link:
            self._links[link.tag] = link
            # Since this side said hello, namespaces may have come or gone.
            for nsp in link.told.symmetric_difference(self.namespaces):
                link.send(Present(nsp, nsp in self.namespaces))
            return
        # Each has called the other: both keep the call of the one whose tag comes first.
        kept, other = (link, before) if link.called is (self.tag < link.tag) else (before, link)
        self._links[link.tag] = kept
        for nsp in self.namespaces:
            kept.send(Present(nsp, True))
        other.close()

    def lost(self, link: Link) -> None:
        """A link is gone."""
        if self._links.get(link.tag) is link:
            del self._links[link.tag]
        self.on_lost(link)

    def received(self, link: Link, message: Message) -> None:
        """A message came."""
        if isinstance(message, Bus):
            adapter = self.namespaces.get(message.nsp)
            if adapter is not None:
                adapter.take(message.data)
        else:
            self.on_message(link, message)


def _ignore(link: Link, message: Any) -> None:
    pass


def _ignore_lost(link: Link) -> None:
    pass
