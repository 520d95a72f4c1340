"""Servers of other releases: 3.x, which speaks the same protocol, and 2.x, which does not."""

from __future__ import annotations

from typing import Any

import pytest

import nuncio
from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Way
from tests.support.nodeserver import OLD, NodeHome, NodeServer
from tests.support.ours import ours

SERVER = {"version": "3"}

THREE = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)


@THREE
@run_async
async def test_what_a_server_of_3_does(home: NodeHome, server: NodeServer, way: Way) -> None:
    values: list[Any] = ["text", {"deep": [b"\x00\xff"]}, None, 1.5]
    async with ours(server.url) as clients:
        client = await clients.connect(way=way, auth={"token": 1})
        assert client.transport == way.transport
        client.socket.emit("echo", *values)
        assert await client.next("echo") == values
        assert await client.socket.emit_with_ack("echo", *values) == values
        client.socket.on("question", lambda left, right: left + right)
        client.socket.emit("ask me", "question", 6, 7)
        assert await client.next("answered") == [13]
        assert (await server.next("connection"))[2]["auth"] == {"token": 1}
        client.socket.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@run_async
async def test_namespaces_of_3(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect("/early")
        assert client.log[:2] == [("early", [1]), ("early", [b"\x02"])]
        dynamic = await clients.connect("/dynamic-3", manager=client.manager)
        await dynamic.socket.emit_with_ack("join", "lobby")
        dynamic.socket.emit("to room", "lobby", "news", 3)
        assert await dynamic.next("news") == [3]
        refused = clients.start("/no", manager=client.manager)
        [error] = await refused.next("connect_error")
        assert (error.message, error.data) == ("Not welcome", {"code": 42, "retry": False})
        assert await server.sessions() == 1


@run_async
async def test_reconnecting_to_3(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(way=UPGRADED)
        await server.close_engines()
        assert (await client.next("disconnect"))[0] == "transport close"
        await client.told.next("reconnect")
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", 1) == 1


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_a_server_of_2_is_told_for_what_it_is(home: NodeHome, way: Way) -> None:
    async with NodeServer(home.program, OLD) as server, ours(server.url) as clients:
        client = clients.start(way=way)
        [error] = await client.next("connect_error")
        assert isinstance(error, nuncio.ConnectError)
        assert "2.x" in str(error)
        # Trying again would not help.
        await clients.some_time()
        assert client.names() == ["connect_error"]
        assert not client.socket.connected


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)
@run_async
async def test_connecting_to_2_raises(home: NodeHome, way: Way) -> None:
    async with NodeServer(home.program, OLD) as server:
        with pytest.raises(nuncio.ConnectError, match=r"2\.x"):
            await nuncio.connect(server.url, transports=way.transports)
        if way is WEBSOCKET:
            # Over long-polling it speaks of a session that this client cannot end.
            await server.emptied()
