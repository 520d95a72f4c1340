"""nginx in front, configured as the deployment guide says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.hosts.process import python, running
from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Node, Way
from tests.support.ports import free_port
from tests.support.proxies import nginx


@pytest.fixture(scope="module")
def port(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where nginx listens."""
    behind = free_port()
    serve = f"from tests.hosts.application import io; io.run(port={behind})"
    folder = tmp_path_factory.mktemp("nginx")
    with running(python("-c", serve), behind), nginx(program, folder, behind) as port:
        yield port


@pytest.mark.proxy
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_through_a_reverse_proxy(node: Node, port: int, way: Way) -> None:
    async with node.clients(port=port) as clients:
        client = await clients.connect(way=way)
        values = ["text", {"a": 1}, b"\x00\xff" * 40_000]
        await client.emit("echo", *values)
        assert await client.next("echo") == values
        # The proxy is on this machine, and so trusted to say who the client is.
        assert await client.ask("who") == ["203.0.113.7", True]
        assert await client.transport() == way.transport
        await client.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"
