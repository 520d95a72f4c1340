"""Servers of one cluster, ours and Node's, for tests of clients that come back to another one."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeVar

from nuncio import Server
from tests.support.aio import until
from tests.support.clusters import LEAVE, knows
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.places import NodePlace, OurPlace, Place
from tests.support.wanderer import OFFSET, Wanderer


class Scene:
    """Servers, to which an engine gives the adapter.

    Args:
        home: where Node is; None where it cannot join.

    Attributes:
        form: of the offsets that clients are given.
        places: the servers.
    """

    form: ClassVar[str] = OFFSET

    def __init__(self, home: NodeHome | None = None) -> None:
        self.home = home
        self.places: list[Place] = []

    def adapter(self) -> Any:
        """What joins ours."""
        raise NotImplementedError

    async def join(self, server: NodeServer) -> None:
        """Have one of Node's join them."""
        raise NotImplementedError

    async def kept(self) -> None:
        """Wait until others find what is kept of a client that was lost."""

    async def is_kept(self, place: OurPlace, pid: str) -> bool:
        """Whether a client is waited for."""
        raise NotImplementedError

    async def ours(self, adapter: Any = None, **options: Any) -> OurPlace:
        """Start one of ours.

        Args:
            adapter: what joins it, if not what joins all.
            options: of the server.
        """
        settings = {"connection_state_recovery": True, **options}
        io = Server(adapter=adapter or self.adapter(), **settings)
        listening = await io.listen(0)
        place = OurPlace(io, listening.port)
        self.places.append(place)
        return place

    async def pair(self, **options: Any) -> tuple[OurPlace, OurPlace]:
        """Start two of ours, which know each other."""
        found = await self.ours(**options), await self.ours(**options)
        await self.met()
        return found

    async def node(self) -> NodePlace:
        """Start one of Node's."""
        assert self.home is not None
        server = NodeServer(self.home.program, connectionStateRecovery={})
        await server.start()
        await self.join(server)
        place = NodePlace(server)
        self.places.append(place)
        return place

    async def place(self, which: str) -> Place:
        """Start a server."""
        return await (self.ours() if which == "ours" else self.node())

    async def met(self) -> None:
        """Wait until all servers know all others, so that each hears what is said."""
        for place in self.places:
            if isinstance(place, OurPlace):
                await knows(place.io.sockets.adapter, len(self.places))
            else:
                await until(functools.partial(_count, place), len(self.places))

    def wanderer(self) -> Wanderer:
        """A client that has not connected yet."""
        return Wanderer(self.form)

    async def arrival(self, place: Place) -> Wanderer:
        """A client that has connected."""
        client = self.wanderer()
        await client.connect(place.port)
        return client

    async def end(self) -> None:
        """End all servers."""
        for place in self.places:
            if isinstance(place, OurPlace):
                await place.io.close(0.5)
            elif isinstance(place, NodePlace):
                await place.server.run(LEAVE)
                await place.server.stop()


async def _count(place: Place) -> int:
    assert isinstance(place, NodePlace)
    count: int = await place.server.value('io.of("/").adapter.serverCount()')
    return count


S = TypeVar("S", bound=Scene)


@asynccontextmanager
async def ending(scene: S) -> AsyncIterator[S]:
    """Servers, which end with the block."""
    try:
        yield scene
    finally:
        await scene.end()
