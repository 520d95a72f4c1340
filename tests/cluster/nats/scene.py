"""Servers on one stream of JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import nats as nats_py

from nuncio.cluster import NatsAdapter
from tests.cluster.scene import Scene, ending
from tests.support.nats import Nats
from tests.support.places import OurPlace


class NatsScene(Scene):
    """Servers on a stream; there is no adapter of Node's.

    Args:
        nats: where it is.
        name: the stream's.
    """

    def __init__(self, nats: Nats, name: str) -> None:
        super().__init__()
        self.nats = nats
        self.name = name

    def adapter(self) -> NatsAdapter:
        """See `Scene.adapter`."""
        settings: dict[str, Any] = {"max_bytes": 1 << 20, "secret": "0123456789abcdef"}
        return NatsAdapter(self.nats.url, subject_prefix=self.name, stream=self.name, **settings)

    async def is_kept(self, place: OurPlace, pid: str) -> bool:
        """See `Scene.is_kept`; it is no longer, then."""
        adapter: Any = place.io.sockets.adapter
        return await adapter.take_session(pid) is not None

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[Any]:
        """nats-py's own part for streams."""
        client = await nats_py.connect(self.nats.url)
        try:
            yield client.jetstream()
        finally:
            await client.close()


def scene(nats: Nats, name: str) -> AbstractAsyncContextManager[NatsScene]:
    """Servers, which end with the block."""
    return ending(NatsScene(nats, name))


def healthy(place: OurPlace) -> bool:
    """Whether its server knows the others."""
    adapter: Any = place.io.sockets.adapter
    return bool(adapter.healthy)
