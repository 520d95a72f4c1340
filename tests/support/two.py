"""Two servers of a cluster, with a client each in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nuncio import Server
from tests.support.aio import until, within
from tests.support.memory import Client


class Two:
    """Two servers with a client each."""

    def __init__(self, one: Server, two: Server) -> None:
        self.one, self.two = one, two
        self.ada, self.bob = Client.join(one), Client.join(two)

    def adapter(self, server: Server | None = None) -> Any:
        """An adapter; the first server's by default."""
        return (server or self.one).sockets.adapter

    async def reaches(self, event: str) -> None:
        """Emit until the other server's client hears it, and both are counted."""
        heard = json.dumps([event], separators=(",", ":"))

        async def attempts() -> None:
            while f"2{heard}" not in self.bob.take():
                self.one.emit(event)
                await asyncio.sleep(0.02)

        await within(attempts())
        assert f"2{heard}" in self.ada.take()
        await until(self.adapter().server_count, 2)


@asynccontextmanager
async def joined(one: Any, two: Any, **options: Any) -> AsyncIterator[Two]:
    """Two servers with these adapters, which end with the block."""
    servers = [Server(adapter=adapter, **options) for adapter in (one, two)]
    for server in servers:
        await server.engine.start()
    try:
        yield Two(*servers)
    finally:
        for server in servers:
            await server.close(0.2)
