"""Servers that run inside a test, by Nuncio's own path or under another ASGI path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from nuncio import Server
from nuncio.engine import Engine

HOSTS = ("native", "asgi")


@asynccontextmanager
async def listening(server: Server | Engine, host: str = "native") -> AsyncIterator[int]:
    """Serve on a free port.

    Args:
        server: what to serve.
        host: `native`, the path of `io.listen`; or `asgi`, the plain ASGI interface under uvicorn.

    Yields:
        the port.
    """
    if host == "native":
        async with await server.listen(0) as own:
            yield own.port
        return
    config = uvicorn.Config(
        server.asgi(), port=0, http="h11", ws="websockets-sansio", log_level="warning"
    )
    other = uvicorn.Server(config)
    config.load()
    other.lifespan = config.lifespan_class(config)
    await other.startup()
    task = asyncio.ensure_future(other.main_loop())
    try:
        yield other.servers[0].sockets[0].getsockname()[1]
    finally:
        other.should_exit = True
        await task
        await other.shutdown()
