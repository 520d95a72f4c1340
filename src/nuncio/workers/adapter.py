"""The workers of one machine as a cluster: rooms, broadcasts and requests across them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.envelope import encode_packed, opened
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import EMITTER, Envelope, Kind
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.rooms import Room
from nuncio.workers import messages
from nuncio.workers.link import Link
from nuncio.workers.mesh import Mesh
from nuncio.workers.rendezvous import TAG_LENGTH
from nuncio.workers.rooms import OwnRooms, places_of, places_of_anybody, remembered_places

_decoder = msgspec.msgpack.Decoder(Envelope)

# Sockets have joined rooms here, as another worker asked. No other family says this.
JOINED: Final = 120

_OF_EMITTERS: Final = (
    Kind.BROADCAST,
    Kind.SOCKETS_JOIN,
    Kind.SOCKETS_LEAVE,
    Kind.DISCONNECT_SOCKETS,
    Kind.SERVER_SIDE_EMIT,
)

# What is for more rooms than these is for somebody everywhere, most likely.
MOST_ROOMS: Final = 64


class WorkersAdapter(ClusterAdapter):
    """One worker's part in them, for one namespace.

    A message goes to those workers that may have somebody it is for, see `nuncio.workers.rooms`.

    Args:
        nsp: see `Adapter`.
        mesh: the workers.
    """

    def __init__(self, nsp: Any, mesh: Mesh) -> None:
        super().__init__(nsp)
        self._mesh = mesh
        self._here: set[Room] = set()
        self._shown: OwnRooms | None = None
        self._places = remembered_places(nsp.name)
        self._anybody = places_of_anybody(nsp.name)
        # How many joins that this worker asked for are not done yet, as far as it knows.
        self._joining: WeakKeyDictionary[Link, int] = WeakKeyDictionary()
        self._handlers[JOINED] = self._on_joined
        self._sent = 0
        self._spared = 0
        self._received = 0
        self.follows = True

    # To other workers.

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        self._post(self._mesh.with_namespace(self.nsp.name), message)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`: a worker's uid begins with its tag."""
        link = self._mesh.find(uid[:TAG_LENGTH])
        if link is not None:
            self._post([link], message)

    def _post(self, links: Collection[Link], message: ClusterMessage) -> None:
        if links:
            data = messages.encode(messages.Bus(self.nsp.name, encode_packed(message)))
            self._sent += len(links)
            for link in links:
                link.write(data)

    def _tell(self, kind: int, data: Any, chosen: Collection[Any] | None = None) -> None:
        if chosen is None:
            chosen = self._mesh.with_namespace(self.nsp.name)
        self._post(chosen, ClusterMessage(self.uid, self.nsp.name, kind, data))
        if kind == Kind.SOCKETS_JOIN:
            for link in chosen:
                self._joining[link] = self._joining.get(link, 0) + 1

    def _chosen(self, options: BroadcastOptions) -> list[Link] | None:
        """See `ClusterAdapter._chosen`: the workers that may have somebody in one of the rooms."""
        links = self._mesh.with_namespace(self.nsp.name)
        if not links:
            # That is no answer while the place where workers meet is away.
            return links if self.healthy else None
        if len(options.rooms) > MOST_ROOMS:
            return links
        wanted = [self._places(room) for room in options.rooms] or [self._anybody]
        chosen = self._mesh.routes.leading_to(links, wanted)
        if self._joining:
            # Who has joins to do does them before what comes after, and shows the rooms only then.
            chosen = [link for link in links if link in chosen or link in self._joining]
        self._spared += len(links) - len(chosen)
        return chosen

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: while the place where workers meet is away, and all of them are lost.
        """
        links = self._mesh.with_namespace(self.nsp.name)
        if not links and not self.healthy:
            raise ConnectionError("the other workers cannot be reached")
        return 1 + len(links)

    def stats(self) -> dict[str, int]:
        """See `ClusterAdapter.stats`.

        Besides: `sent` and `received`, messages, counted for each worker; `spared`, those that were
        not sent because the worker has nobody whom they are for; `flooded`, how many workers are
        sent everything, as it cannot be seen what they have. Those of links are of all namespaces.
        """
        links = self._mesh.with_namespace(self.nsp.name)
        return {
            **super().stats(),
            **self._mesh.stats(),
            "sent": self._sent,
            "spared": self._spared,
            "received": self._received,
            "flooded": self._mesh.routes.flooded(links),
        }

    # From other workers.

    def link_made(self, tag: str) -> None:
        """See `Member.link_made`."""

    def link_lost(self, tag: str) -> None:
        """See `Member.link_lost`."""

    def take(self, data: bytes) -> None:
        """See `Member.take`."""
        self._received += 1
        message = self._opened(data)
        if message is not None:
            self.received(message)

    def take_outside(self, data: bytes) -> None:
        """See `Member.take_outside`: it may say what official emitters may, and cannot ask."""
        message = self._opened(data)
        if message is None:
            return
        if message.uid == EMITTER and message.type in _OF_EMITTERS:
            self.received(message)
        else:
            self.drop("no message of an emitter")

    def _opened(self, data: bytes) -> ClusterMessage | None:
        try:
            return opened(_decoder.decode(data))
        except msgspec.DecodeError as error:
            self.drop(str(error))
            return None

    def _on_join(self, message: ClusterMessage) -> None:
        try:
            super()._on_join(message)
        finally:
            if message.uid != EMITTER:
                self.reply(message.uid, ClusterMessage(self.uid, self.nsp.name, JOINED))

    def _on_joined(self, message: ClusterMessage) -> None:
        link = self._mesh.find(message.uid[:TAG_LENGTH])
        if link is not None and link in self._joining:
            self._joining[link] -= 1
            if not self._joining[link]:
                del self._joining[link]

    # What the others see.

    def follow(self, room: Room) -> None:
        """See `FollowingAdapter.follow`."""
        here = self._here
        if self.has_room(room):
            if room not in here:
                here.add(room)
                self._show(room, first=len(here) == 1)
        elif room in here:
            here.discard(room)
            if self._shown is not None:
                self._shown.remove(places_of(self.nsp.name, room))
                if not here:
                    self._shown.remove(self._anybody)

    def _show(self, room: Room, first: bool) -> None:
        if self._shown is not None:
            self._shown.add(places_of(self.nsp.name, room))
            if first:
                self._shown.add(self._anybody)

    # Life.

    async def init(self) -> None:
        """See `Adapter.init`."""
        await self._mesh.start()
        self.uid = self._mesh.tag + self.uid[TAG_LENGTH:]
        self._hide()
        self._shown = self._mesh.routes.own
        for number, room in enumerate(self._here):
            self._show(room, first=number == 0)
        self._mesh.enter(self.nsp.name, self)

    def _hide(self) -> None:
        """Show nothing any longer."""
        shown, self._shown = self._shown, None
        if shown is None:
            return
        if self._here:
            shown.remove(self._anybody)
        for room in self._here:
            shown.remove(places_of(self.nsp.name, room))

    async def close(self) -> None:
        """See `Adapter.close`."""
        self._mesh.leave(self.nsp.name, self)
        self._hide()
