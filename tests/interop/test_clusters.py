"""Clusters, as the official client sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Server
from nuncio.cluster import LocalBus
from nuncio.cluster.local import LocalAdapter
from tests.support.aio import eventually, run_async
from tests.support.node import OLD, JSError, Node, Way


class Bus(LocalBus):
    """One that can be slow or out of reach, except for the default namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.failing = False
        self.asked: list[str] = []

    def __call__(self, nsp: Any) -> LocalAdapter:
        """See `LocalBus`."""
        return Late(nsp, self)


class Late(LocalAdapter):
    """Waits for the bus."""

    def __init__(self, nsp: Any, bus: Bus) -> None:
        super().__init__(nsp, bus)
        self.bus = bus

    async def init(self) -> None:
        if self.nsp.name != "/":
            self.bus.asked.append(self.nsp.name)
            await self.bus.reached.wait()
            if self.bus.failing:
                raise ConnectionError("no bus")
        await super().init()


@run_async
async def test_a_client_waits_for_the_cluster_and_misses_nothing(node: Node, way: Way) -> None:
    bus = Bus()
    io, other = Server(adapter=bus), Server(adapter=bus)
    async with await other.listen(0), node.clients(io) as clients:
        main = await clients.connect(way=way)
        io.of("/later").on("ask", lambda socket, n: n)
        client = await clients.start_joining(main, "/later")
        await eventually(lambda: io.engine.sessions and bus.asked)
        # What it sends meanwhile waits on its side; the rest of the connection is not held up.
        io.on("ping", lambda socket: "pong")
        assert await main.ask("ping") == ["pong"]
        assert "connect" not in client.names()
        bus.reached.set()
        assert await client.next("connect") == []
        await eventually(lambda: other.of("/later").takes_part)
        other.of("/later").emit("news", 1)
        assert await client.next("news") == [1]
        assert await client.ask("ask", 2) == [2]


@run_async
async def test_a_client_of_a_namespace_without_its_cluster_is_refused(
    node: Node, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus()
    bus.failing = True
    bus.reached.set()
    io = Server(adapter=bus)
    errors: list[str] = []
    io.on_error(lambda error: errors.append(str(error)))
    async with node.clients(io) as clients:
        main = await clients.connect(way=way)
        io.of("/later")
        client = await clients.start_joining(main, "/later")
        (error,) = await client.next("connect_error")
        assert isinstance(error, JSError) and error.message == "internal error"
        assert errors == ["no bus"]
        assert "The adapter of the namespace /later could not begin." in caplog.text
        caplog.clear()


@run_async
async def test_an_old_client_waits_too(node: Node) -> None:
    bus = Bus()
    io = Server(adapter=bus, allow_eio3=True)
    async with node.clients(io) as clients:
        io.of("/later").on("ask", lambda socket, n: n)
        client = await clients.start("/later", version=OLD)
        await eventually(lambda: "/later" in bus.asked and io.sockets.sockets)
        assert "connect" not in client.names()
        bus.reached.set()
        assert await client.next("connect") == []
        assert await client.ask("ask", 3) == [3]
