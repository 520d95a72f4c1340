"""python-socketio's server, under uvicorn in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nuncio
from tests.hosts.process import python, running
from tests.support.aio import run_async
from tests.support.node import WAYS, Way
from tests.support.nodeserver import NodeHome
from tests.support.ours import ours
from tests.support.ports import free_port

APP = str(Path(__file__).with_name("psio.py"))

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where it is served."""
    port = free_port()
    with running(python(APP, str(port)), port):
        yield f"http://127.0.0.1:{port}"


@EVERY_WAY
@run_async
async def test_events_both_ways(home: NodeHome, url: str, way: Way) -> None:
    values: list[Any] = ["text", {"deep": [b"\x00\xff"]}, None, "€" * 20_000]
    async with ours(url, query={"own": "1"}) as clients:
        client = await clients.connect(way=way, auth={"user": "ada"})
        [greeting] = await client.next("greeting")
        assert greeting["auth"] == {"user": "ada"}
        assert "own=1" in greeting["query"]
        client.socket.emit("echo", *values)
        assert await client.next("echo") == values
        assert await client.socket.emit_with_ack("echo", *values) == values
        client.socket.on("question", lambda *args: nuncio.Ack(len(args), args[0]))
        client.socket.emit("ask", *values)
        assert await client.next("answered") == [4, "text"]


@run_async
async def test_rooms_and_namespaces(home: NodeHome, url: str) -> None:
    async with ours(url) as clients:
        client = await clients.connect()
        client.socket.emit("join", "lobby")
        client.socket.emit("tell", "lobby", 1, b"2")
        assert await client.next("told") == [1, b"2"]
        foo = await clients.connect("/foo", manager=client.manager)
        assert await foo.socket.emit_with_ack("echo", 1) == ["foo", 1]


@EVERY_WAY
@run_async
async def test_refusals(home: NodeHome, url: str, way: Way) -> None:
    async with ours(url) as clients:
        client = clients.start(way=way, auth={"fail": True})
        [error] = await client.next("connect_error")
        assert (error.message, error.data) == ("Not here", {"code": 7})
        assert not client.socket.active


@EVERY_WAY
@run_async
async def test_it_is_sent_away(home: NodeHome, url: str, way: Way) -> None:
    async with ours(url) as clients:
        client = await clients.connect(way=way)
        client.socket.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@run_async
async def test_it_reconnects(home: NodeHome, url: str) -> None:
    async with ours(url) as clients:
        client = await clients.connect()
        client.cut()
        await client.told.next("reconnect")
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", 1) == 1
