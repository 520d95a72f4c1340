"""Several servers and paths in one process, and paths with and without their last slash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Server, Socket
from nuncio.engine import Engine
from tests.support.aio import eventually, run_async, within
from tests.support.live import HOSTS
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Client, Node, Way

THREE = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
EVERY_HOST = pytest.mark.parametrize("host", HOSTS)


def server(name: str, **options: Any) -> Server:
    """A server that tells its name, in a room which the others have, too."""
    io = Server(path=f"/{name}", **options)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("all")

    @io.event
    def who(socket: Socket) -> str:
        io.to("all").emit("asked", name)
        return name

    return io


async def _other(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"other"})


async def leave(io: Server, *clients: Client) -> None:
    """Let clients go and wait until they have: a poll that waits would hold up uvicorn's stop."""
    for client in clients:
        await client.disconnect()
    await eventually(lambda: io.engine.clients_count == 0)


class Nested:
    """Three servers, one in front of the other, and another application behind them."""

    def __init__(self) -> None:
        self.names = ("first", "second", "third")
        self.servers = [server(name) for name in self.names]
        self.app = self.servers[1].asgi(self.servers[2].asgi(_other))

    async def listen(self, **options: Any) -> Any:
        """Serve all of them by the native path."""
        return await self.servers[0].listen(0, app=self.app, **options)


class Outermost(Engine):
    """The first of several, for `listening`, which asks a server for its application."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    def asgi(self, other: Any = None) -> Any:
        """All of them."""
        return self._app

    async def listen(self, port: int = 3000, host: str = "127.0.0.1", **options: Any) -> Any:
        """All of them, by the native path."""
        return await super().listen(port, host, app=self._app, **options)


@EVERY_HOST
@THREE
@run_async
async def test_each_server_has_its_own_clients(node: Node, host: str, way: Way) -> None:
    nested = Nested()
    whole = Outermost(nested.servers[0].asgi(nested.app))
    async with node.clients(whole, host=host) as clients:
        found = [await clients.connect(way=way, path=f"/{name}") for name in nested.names]
        for name, client, io in zip(nested.names, found, nested.servers, strict=True):
            assert await client.ask("who") == [name]
            assert await client.next("asked") == [name]
            assert io.engine.clients_count == len(io.sockets.sockets) == 1
        # No server's broadcast reached another's clients.
        assert [client.names().count("asked") for client in found] == [1, 1, 1]
        beside = await clients.run("return (await fetch(args[0])).text()", f"{clients.url}/fourth")
        assert beside == "other"
        for client, io in zip(found, nested.servers, strict=True):
            await leave(io, client)


@THREE
@run_async
async def test_one_server_closes_and_the_others_go_on(node: Node, way: Way) -> None:
    nested = Nested()
    async with await nested.listen() as own, node.clients(port=own.port) as clients:
        found = [await clients.connect(way=way, path=f"/{name}") for name in nested.names]
        await nested.servers[1].close()
        assert (await found[1].next("disconnect"))[0] == "transport close"
        assert await found[0].ask("who") == ["first"]
        assert await found[2].ask("who") == ["third"]


@THREE
@run_async
async def test_the_end_of_the_host_ends_them_all(node: Node, way: Way) -> None:
    nested = Nested()
    ended: list[str] = []

    async def disconnect(socket: Socket, reason: str) -> None:
        await asyncio.sleep(0)
        ended.append(f"{socket.request.path}: {reason}")

    for io in nested.servers:
        io.on("disconnect", disconnect)
    own = await nested.listen(shutdown_timeout=50)
    async with node.clients(port=own.port) as clients:
        found = [await clients.connect(way=way, path=f"/{name}") for name in nested.names]
        # Nobody waits for a poll's end or for the time-out.
        await within(own.close())
        assert sorted(ended) == [f"/{name}/: server shutting down" for name in nested.names]
        for client in found:
            assert (await client.next("disconnect"))[0] == "transport close"


@EVERY_HOST
@THREE
@run_async
async def test_a_path_without_its_last_slash(node: Node, host: str, way: Way) -> None:
    io = Server(path="/live", add_trailing_slash=False)
    io.on("echo", lambda socket, value: value)
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=way, path="/live", addTrailingSlash=False)
        assert await client.ask("echo", "a") == ["a"]
        # Clients that do not know add theirs.
        other = await clients.connect(way=way, path="/live")
        assert await other.ask("echo", "b") == ["b"]
        await leave(io, client, other)
        neighbour = await clients.start(way=way, path="/lively", addTrailingSlash=False)
        await neighbour.next("connect_error")


@EVERY_HOST
@pytest.mark.parametrize("path", ["/live", "/live/", "/live//"])
@run_async
async def test_a_path_with_its_last_slash(node: Node, host: str, path: str) -> None:
    io = Server(path=path)
    io.on("echo", lambda socket, value: value)
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=UPGRADED, path="/live")
        assert await client.ask("echo", "a") == ["a"]
        # Without it the request is the other application's, of which there is none.
        without = await clients.start(way=POLLING, path="/live", addTrailingSlash=False)
        [error] = await without.next("connect_error")
        assert error.fields["description"] == 404


@EVERY_HOST
@run_async
async def test_two_paths_of_which_one_begins_like_the_other(node: Node, host: str) -> None:
    inner, outer = server("live/inner"), server("live")
    # The first that fits takes a request, so the longer path goes in front.
    whole = Outermost(inner.asgi(outer.asgi()))
    async with node.clients(whole, host=host) as clients:
        for name in ("live", "live/inner"):
            client = await clients.connect(way=UPGRADED, path=f"/{name}")
            assert await client.ask("who") == [name]


@EVERY_HOST
@run_async
async def test_a_server_at_the_root(node: Node, host: str) -> None:
    io = Server(path="/")
    io.on("echo", lambda socket, value: value)
    async with node.clients(io, host=host) as clients:
        client = await clients.connect(way=UPGRADED, path="/")
        assert await client.ask("echo", "a") == ["a"]
