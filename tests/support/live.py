"""Servers that run inside a test, by Nuncio's own path or under another ASGI path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from websockets.exceptions import InvalidState

from nuncio import Server
from nuncio.engine import Engine
from tests.support.aio import SharedLoop, eventually

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
    engine = server if isinstance(server, Engine) else server.engine
    config = uvicorn.Config(
        server.asgi(), port=0, http="h11", ws="websockets-sansio", log_level="warning"
    )
    other = uvicorn.Server(config)
    config.load()
    other.lifespan = config.lifespan_class(config)
    await other.startup()
    try:
        yield other.servers[0].sockets[0].getsockname()[1]
    finally:
        # While polls wait, uvicorn tells nobody that it stops: tests/hosts/test_waiting_polls.py.
        engine.host_stopping()
        await _shut_down(other)


async def _shut_down(server: uvicorn.Server) -> None:
    """Shut uvicorn down, also when it meets a WebSocket whose client is just saying goodbye."""
    while True:
        try:
            await server.shutdown()
            return
        except InvalidState:
            # It has told the others, and not this one, which will be gone.
            await asyncio.sleep(0.05)


def give_up(engine: Engine) -> None:
    """End the sessions of clients that are gone, so that nobody waits until they say goodbye."""
    for session in list(engine.sessions.values()):
        session.give_up()


class Home(SharedLoop):
    """A server that several tests share, in the loop they share.

    Args:
        server: what to serve.
        host: see `listening`.
        uvloop: see `SharedLoop`.
    """

    def __init__(
        self, server: Server | Engine, host: str = "native", *, uvloop: bool = False
    ) -> None:
        super().__init__(uvloop=uvloop)
        self.server = server
        self.host = host
        self._listening = listening(server, host)
        self.port = self.run(self._listening.__aenter__())

    @property
    def engine(self) -> Engine:
        """The engine that is served."""
        return self.server if isinstance(self.server, Engine) else self.server.engine

    def unknown(self, sid: str) -> bool:
        """Whether there is no such session, or no longer."""
        return sid not in self.engine.sessions

    async def polled(self, sid: str) -> None:
        """Wait until a poll of this session is waiting at the server."""
        transport = self.engine.sessions[sid].transport
        await eventually(lambda: transport.writable, "a poll waits")

    def close(self) -> None:
        """Stop the server and end the loop; the clients are gone."""
        self.runner.get_loop().call_soon(give_up, self.engine)
        self.run(self._listening.__aexit__(None, None, None))
        super().close()
