"""Servers on one stream of Redis."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from nuncio.cluster import RedisStreamsAdapter
from tests.cluster.kinds import NODE_CLIENTS
from tests.cluster.scene import Scene, ending
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.places import OurPlace
from tests.support.redis import Redis

_NODE = (
    "io.lines = [];"
    + NODE_CLIENTS
    + 'const { createAdapter } = require("@socket.io/redis-streams-adapter");'
    "io.adapter(createAdapter(lines[0],"
    " { streamName: args[1], channelPrefix: args[1], blockTimeInMs: 100 }));"
)


class RedisScene(Scene):
    """Servers on a stream.

    Args:
        home: see `Scene`.
        redis: where it is.
        name: the stream's.
    """

    def __init__(self, home: NodeHome, redis: Redis, name: str) -> None:
        super().__init__(home)
        self.redis = redis
        self.name = name

    def adapter(self, url: str = "") -> RedisStreamsAdapter:
        """See `Scene.adapter`.

        Args:
            url: of Redis, if it is not to be reached directly.
        """
        return RedisStreamsAdapter(
            url or self.redis.url, stream_name=self.name, channel_prefix=self.name
        )

    async def join(self, server: NodeServer) -> None:
        """See `Scene.join`."""
        await server.run(_NODE, self.redis.url, self.name)
        while await server.value('io.of("/").adapter.serverCount()') == 0:
            pass

    async def is_kept(self, place: OurPlace, pid: str) -> bool:
        """See `Scene.is_kept`."""
        return bool(await self.redis.command("EXISTS", f"sio:session:{pid}"))


def scene(home: NodeHome, redis: Redis, name: str) -> AbstractAsyncContextManager[RedisScene]:
    """Servers, which end with the block."""
    return ending(RedisScene(home, redis, name))
