"""All workers of a server, each linked with each.

How they find each other, and over what they are linked, is the business of the place where they
meet: see `place`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from nuncio.ids import new_id
from nuncio.workers import rendezvous
from nuncio.workers.link import Link
from nuncio.workers.messages import Bus, Message, Needed, Present, encode
from nuncio.workers.place import Place
from nuncio.workers.rooms import Routes


class Member(Protocol):
    """A namespace's adapter, as the mesh knows it."""

    def take(self, data: bytes) -> None:
        """A message of another worker."""

    def take_outside(self, data: bytes) -> None:
        """A message of an emitter."""

    def link_made(self, tag: str) -> None:
        """The namespace takes part at another worker, which is there, perhaps again."""

    def link_lost(self, tag: str) -> None:
        """Another worker is gone, or cannot be reached."""

    def bus_changed(self, why: Exception | None) -> None:
        """The place where workers meet cannot be reached, and why; or None: it can again."""


class Mesh:
    """This process's place among the workers.

    Args:
        place: where they meet.

    Attributes:
        tag: this worker's name, with which its sessions' ids begin.
        namespaces: those that take part here; the adapter of each by name.
        on_message: called with a link and a message that concerns sessions.
        on_lost: called with a link that is gone.
        on_needed: called with the name of a namespace that another worker needs to be here.
        routes: to which workers something has to be sent.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.rename()
        self.namespaces: dict[str, Member] = {}
        self.on_message: Callable[[Link, Any], None] = _ignore
        self.on_lost: Callable[[Link], None] = _ignore_lost
        self.on_needed: Callable[[str], None] = _ignore_needed
        self.routes = Routes()
        self._links: dict[str, Link] = {}
        self._meetings = 0
        self._opening: asyncio.Task[None] | None = None

    # Life.

    async def start(self) -> None:
        """Join the others; a second time it waits until that is done.

        Raises:
            OptionError: when the place where they meet cannot be used.
            ConnectionError: when it cannot be reached.
        """
        opening = self._opening
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._place.open(self))
            self._opening = opening
        try:
            await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def stop(self) -> None:
        """Leave."""
        opening, self._opening = self._opening, None
        if opening is None:
            return
        if not opening.done():
            opening.cancel()
            await asyncio.wait((opening,))
        await self._place.close()

    def rename(self) -> None:
        """Take another tag, as the present one is somebody else's."""
        self.tag = new_id()[: rendezvous.TAG_LENGTH]

    # Who is there.

    def find(self, tag: str) -> Link | None:
        """The worker of this tag."""
        return self._links.get(tag)

    @property
    def others(self) -> list[Link]:
        """All other workers."""
        return list(self._links.values())

    def stats(self) -> dict[str, int]:
        """Numbers about it as they are now."""
        return {"links": len(self._links), **self._place.stats()}

    def with_namespace(self, nsp: str) -> list[Link]:
        """The other workers that have a namespace."""
        return [link for link in self._links.values() if nsp in link.namespaces]

    def enter(self, nsp: str, adapter: Member) -> None:
        """A namespace takes part."""
        self.namespaces[nsp] = adapter
        self._tell_all(encode(Present(nsp, True)))

    def leave(self, nsp: str, adapter: Member) -> None:
        """It takes part no longer, unless it was made anew meanwhile."""
        if self.namespaces.get(nsp) is adapter:
            del self.namespaces[nsp]
            self._tell_all(encode(Present(nsp, False)))

    def _tell_all(self, data: bytes) -> None:
        for link in self._links.values():
            link.write(data)

    # What the place and its links call.

    def place_changed(self, why: Exception | None) -> None:
        """The place cannot be reached, and why; or None: it can again."""
        for adapter in list(self.namespaces.values()):
            adapter.bus_changed(why)

    def met(self, link: Link) -> None:
        """Another worker has said hello."""
        before = self._links.get(link.tag)
        if before is None or before is link:
            self._meetings += 1
            link.met = self._meetings
            self._links[link.tag] = link
            # Since this side said hello, namespaces may have come or gone.
            for nsp in link.told.symmetric_difference(self.namespaces):
                link.send(Present(nsp, nsp in self.namespaces))
            for nsp in list(link.namespaces):
                self.appeared(link, nsp)
            return
        # Each has called the other: both keep the call of the one whose tag comes first.
        kept, other = (link, before) if link.called is (self.tag < link.tag) else (before, link)
        self._links[link.tag] = kept
        # Nothing is lost with the other one.
        kept.met = before.met
        for nsp in self.namespaces:
            kept.send(Present(nsp, True))
        other.close()

    def appeared(self, link: Link, nsp: str) -> None:
        """A namespace takes part at another worker."""
        adapter = self.namespaces.get(nsp)
        if adapter is not None:
            adapter.link_made(link.tag)

    def lost(self, link: Link) -> None:
        """A link is gone."""
        if self._links.get(link.tag) is link:
            del self._links[link.tag]
            for adapter in list(self.namespaces.values()):
                adapter.link_lost(link.tag)
        self.on_lost(link)

    def heard_outside(self, nsp: str, data: bytes) -> None:
        """An emitter said something to a namespace."""
        adapter = self.namespaces.get(nsp)
        if adapter is not None:
            adapter.take_outside(data)

    def received(self, link: Link, message: Message) -> None:
        """A message came."""
        if isinstance(message, Bus):
            adapter = self.namespaces.get(message.nsp)
            if adapter is not None:
                adapter.take(message.data)
        elif isinstance(message, Needed):
            self.on_needed(message.nsp)
        else:
            self.on_message(link, message)


def _ignore(link: Link, message: Any) -> None:
    pass


def _ignore_lost(link: Link) -> None:
    pass


def _ignore_needed(nsp: str) -> None:
    pass
