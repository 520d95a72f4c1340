"""What becomes of a poll that waits under plain ASGI, when its client goes away or uvicorn stops.

Some of it is uvicorn's own doing, and shown with an application that has nothing of Nuncio: when
such a test fails, uvicorn has changed, and docs/guide/deployment.md has to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from nuncio import Server
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.rawclient import Connection, Polling, request

BOTH = pytest.mark.parametrize("http", ["httptools", "h11"])


class Patient:
    """An ASGI application that answers no request; it knows nothing of Nuncio.

    Attributes:
        heard: the types of the messages that it was given.
    """

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        last = "lifespan.shutdown" if scope["type"] == "lifespan" else "http.disconnect"
        while True:
            kind = (await receive())["type"]
            self.heard.append(kind)
            if kind.startswith("lifespan."):
                await send({"type": f"{kind}.complete"})
            if kind == last:
                return


class Host:
    """uvicorn as `uvicorn app:app` runs it, until it is stopped.

    Attributes:
        port: where it listens.
    """

    def __init__(self, app: Any, http: str, **options: Any) -> None:
        config = uvicorn.Config(app, port=0, http=http, log_level="critical", **options)
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._stopping: asyncio.Future[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        await self._server.startup()
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    async def begin_stopping(self) -> None:
        """As SIGTERM does: from here on it takes no connection."""
        self._stopping = asyncio.ensure_future(self._server.shutdown())
        for _ in range(10):
            # Whoever is told of it has been told now.
            await asyncio.sleep(0)
        assert not self._server.servers[0].is_serving()

    @property
    def stopped(self) -> bool:
        """Whether it has come to an end."""
        return self._stopping is not None and self._stopping.done()

    async def end(self) -> None:
        """Wait until it has."""
        if self._stopping is None:
            await self.begin_stopping()
        assert self._stopping is not None
        await within(self._stopping)


@asynccontextmanager
async def hosted(app: Any, http: str, **options: Any) -> AsyncIterator[Host]:
    """Run an application."""
    host = Host(app, http, **options)
    await host.start()
    yield host
    await host.end()


async def waiting(host: Host, app: Patient) -> Connection:
    """A request that waits for its answer."""
    connection = await Connection.open(host.port)
    await connection.send(request("/"))
    await eventually(lambda: "http.request" in app.heard)
    return connection


async def polling(io: Server, host: Host) -> tuple[Polling, Connection]:
    """A client whose poll waits."""
    client = await Polling.open(host.port)
    await client.post("40")
    await client.receive()
    poll = await client.begin_poll()
    [session] = io.engine.sessions.values()
    await eventually(lambda: session.transport.writable)
    return client, poll


# A client that goes away.


@BOTH
@pytest.mark.parametrize("how", ["closes", "resets"])
@run_async
async def test_an_application_hears_that_a_client_went_away(http: str, how: str) -> None:
    app = Patient()
    async with hosted(app, http) as host:
        connection = await waiting(host, app)
        await leave(connection, how)
        await eventually(lambda: app.heard[-1] == "http.disconnect")


@BOTH
@pytest.mark.parametrize("how", ["closes", "resets"])
@run_async
async def test_a_session_whose_poll_goes_away_ends_at_once(http: str, how: str) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with hosted(io.asgi(), http) as host:
        _, poll = await polling(io, host)
        await leave(poll, how)
        assert await gone.next() == ["transport error", "poll connection closed prematurely"]
        assert io.engine.clients_count == 0


async def leave(connection: Connection, how: str) -> None:
    """Go away without a word."""
    if how == "resets":
        connection.writer.transport.abort()
    else:
        await connection.close()


# uvicorn stops.


@BOTH
@run_async
async def test_uvicorn_tells_nobody_that_it_stops_while_a_request_waits(http: str) -> None:
    app = Patient()
    async with hosted(app, http) as host:
        connection = await waiting(host, app)
        await host.begin_stopping()
        assert app.heard == ["lifespan.startup", "http.request"]
        assert not host.stopped
        await connection.close()
    assert app.heard[2:] == ["http.disconnect", "lifespan.shutdown"]


@BOTH
@run_async
async def test_a_goodbye_comes_to_nobody_while_uvicorn_stops(http: str) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with hosted(io.asgi(), http) as host:
        client, poll = await polling(io, host)
        await host.begin_stopping()
        # Its poll waits on a connection of its own, and this one is not taken any more.
        with pytest.raises(ConnectionRefusedError):
            await client.post("1")
        assert not host.stopped
        assert io.engine.clients_count == 1
        # What nobody told the server it can be told by the application.
        await within(io.close())
        assert (await poll.response()).text == "1"
        await poll.close()
    assert await gone.next() == ["server shutting down", ""]


@BOTH
@run_async
async def test_a_graceful_timeout_of_uvicorns_lets_polls_go(http: str) -> None:
    io = Server()
    gone = Inbox()
    io.on("disconnect", gone)
    async with hosted(io.asgi(), http, timeout_graceful_shutdown=1) as host:
        _, poll = await polling(io, host)
        await host.begin_stopping()
        assert (await gone.next())[0] == "transport error"
        await poll.close()
    assert io.engine.clients_count == 0
