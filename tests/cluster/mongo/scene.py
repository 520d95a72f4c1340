"""Servers over one collection, ours and Node's, and clients that move between them."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nuncio import Server
from nuncio.cluster import MongoAdapter
from tests.cluster.kinds import NODE_COLLECTION
from tests.support.aio import until
from tests.support.clusters import LEAVE
from tests.support.mongod.server import COLLECTION, Mongod
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.places import NodePlace, OurPlace, Place
from tests.support.wanderer import Wanderer

_NODE = (
    "io.lines = [];"
    + NODE_COLLECTION.replace("NAME", f'"{COLLECTION}"')
    + 'const { createAdapter } = require("@socket.io/mongo-adapter");'
    "io.adapter(createAdapter(collection,"
    " { heartbeatInterval: 500, addCreatedAtField: args[1] }));"
)


@dataclass
class Scene:
    """Servers over one collection."""

    home: NodeHome
    mongod: Mongod
    dated: bool = False
    places: list[Place] = field(default_factory=list)

    async def ours(self, **options: Any) -> OurPlace:
        """Start one of ours."""
        settings: dict[str, Any] = {"add_created_at_field": self.dated, "heartbeat_interval": 0.5}
        io = Server(
            adapter=MongoAdapter(self.mongod.url, **settings),
            **{"connection_state_recovery": True, **options},
        )
        listening = await io.listen(0)
        place = OurPlace(io, listening.port)
        self.places.append(place)
        return place

    async def node(self) -> NodePlace:
        """Start one of Node's."""
        server = NodeServer(self.home.program, connectionStateRecovery={})
        await server.start()
        await server.run(_NODE, self.mongod.url, self.dated)
        place = NodePlace(server)
        self.places.append(place)
        return place

    async def place(self, which: str) -> Place:
        """Start a server."""
        return await (self.ours() if which == "ours" else self.node())

    async def met(self) -> None:
        """Wait until all servers know all others, so that each reads what is said."""
        for place in self.places:
            await until(functools.partial(self._count, place), len(self.places))

    async def _count(self, place: Place) -> int:
        if isinstance(place, OurPlace):
            return await place.io.sockets.adapter.server_count()
        assert isinstance(place, NodePlace)
        count: int = await place.server.value('io.of("/").adapter.serverCount()')
        return count

    async def end(self) -> None:
        """End all servers."""
        for place in self.places:
            if isinstance(place, OurPlace):
                await place.io.close(0.5)
            elif isinstance(place, NodePlace):
                await place.server.run(LEAVE)
                await place.server.stop()


@asynccontextmanager
async def scene(home: NodeHome, mongod: Mongod, dated: bool = False) -> AsyncIterator[Scene]:
    """Servers, which end with the block."""
    mongod.clear()
    found = Scene(home, mongod, dated)
    try:
        yield found
    finally:
        await found.end()


def sessions(mongod: Mongod) -> list[dict[str, Any]]:
    """What is kept of lost clients."""
    return [one["data"] for one in mongod.documents() if one["type"] == 13]


def wanderer() -> Wanderer:
    """A client whose offsets are ids of documents."""
    return Wanderer(r"[0-9a-f]{24}(\+[0-9a-f]+\.[0-9]+)?")


async def next_second(*servers: str) -> None:
    """Wait until ids are above all that were made before, whoever makes them.

    Node's servers go by them, and within a second those of several servers are in no order.
    """
    if "node" in servers:
        await asyncio.sleep(1.01 - time.time() % 1)
