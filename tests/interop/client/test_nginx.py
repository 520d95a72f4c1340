"""Through nginx, which stands in front of the official server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours
from tests.support.proxies import nginx


@pytest.fixture(scope="module")
def port(
    program: Callable[[str], str],
    shared_server: NodeServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """Where nginx listens."""
    with nginx(program, tmp_path_factory.mktemp("nginx"), shared_server.port) as port:
        yield port


@pytest.mark.proxy
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_through_a_reverse_proxy(
    home: NodeHome, server: NodeServer, port: int, way: Way
) -> None:
    values: list[Any] = ["text", {"a": 1}, b"\x00\xff" * 40_000]
    async with ours(f"http://127.0.0.1:{port}") as clients:
        client = await clients.connect(way=way)
        client.socket.emit("echo", *values)
        assert await client.next("echo") == values
        assert client.transport == way.transport
        _, _, handshake = await server.next("connection")
        assert handshake["headers"]["x-forwarded-for"] == "203.0.113.7"
        client.cut()
        await client.next("disconnect")
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", *values) == values
        client.socket.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"


@pytest.mark.proxy
@run_async
async def test_a_server_that_is_gone_behind_the_proxy(
    home: NodeHome, server: NodeServer, port: int
) -> None:
    async with ours(f"http://127.0.0.1:{port}") as clients:
        client = await clients.connect()
        await server.stop()
        await client.next("disconnect")
        # The proxy answers that nobody is there.
        [error] = await client.next("connect_error")
        assert error.status == 502
        await server.start()
        await client.next("connect")
