"""Servers over one collection of MongoDB, ours and Node's."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

from nuncio.cluster import MongoAdapter
from tests.cluster.kinds import NODE_COLLECTION
from tests.cluster.scene import Scene, ending
from tests.support.aio import eventually
from tests.support.mongod.server import COLLECTION, Mongod
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.places import OurPlace
from tests.support.wanderer import Wanderer

_NODE = (
    "io.lines = [];"
    + NODE_COLLECTION.replace("NAME", f'"{COLLECTION}"')
    + 'const { createAdapter } = require("@socket.io/mongo-adapter");'
    "io.adapter(createAdapter(collection,"
    " { heartbeatInterval: 500, addCreatedAtField: args[1] }));"
)


class MongoScene(Scene):
    """Servers over a collection, which is empty when they begin.

    Args:
        home: see `Scene`.
        mongod: where it is.
        dated: whether documents say when they were made.
    """

    # Ids of documents.
    form = r"[0-9a-f]{24}(\+[0-9a-f]+\.[0-9]+)?"

    def __init__(self, home: NodeHome, mongod: Mongod, dated: bool) -> None:
        super().__init__(home)
        self.mongod = mongod
        self.dated = dated
        mongod.clear()

    def adapter(self) -> MongoAdapter:
        """See `Scene.adapter`."""
        settings: dict[str, Any] = {"add_created_at_field": self.dated, "heartbeat_interval": 0.5}
        return MongoAdapter(self.mongod.url, **settings)

    async def join(self, server: NodeServer) -> None:
        """See `Scene.join`."""
        await server.run(_NODE, self.mongod.url, self.dated)

    async def kept(self) -> None:
        """See `Scene.kept`."""
        await eventually(lambda: sessions(self.mongod))

    async def is_kept(self, place: OurPlace, pid: str) -> bool:
        """See `Scene.is_kept`."""
        mine = [one for one in sessions(self.mongod) if one["pid"] == pid]
        return mine != [] if self.dated else "tombstone" not in mine[-1]


def scene(
    home: NodeHome, mongod: Mongod, dated: bool = False
) -> AbstractAsyncContextManager[MongoScene]:
    """Servers, which end with the block."""
    return ending(MongoScene(home, mongod, dated))


def sessions(mongod: Mongod) -> list[dict[str, Any]]:
    """What is kept of lost clients."""
    return [one["data"] for one in mongod.documents() if one["type"] == 13]


def leaves(mongod: Mongod, *uids: str) -> None:
    """Have servers that wrote something leave, so that nobody asks them and waits."""
    for uid in uids:
        mongod.insert({"type": 2, "data": {"gone": uid}, "uid": "emitter", "nsp": "/"})


def wanderer() -> Wanderer:
    """A client whose offsets are ids of documents."""
    return Wanderer(MongoScene.form)


async def next_second(*servers: str) -> None:
    """Wait until ids are above all that were made before, whoever makes them.

    Node's servers go by them, and within a second those of several servers are in no order.
    """
    if "node" in servers:
        await asyncio.sleep(1.01 - time.time() % 1)
