"""nginx in front, configured as the deployment guide says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

import nuncio
from tests.hosts.process import python, running
from tests.support.aio import eventually, run_async, within
from tests.support.down import NAMES, sid_of
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


@pytest.mark.proxy
@pytest.mark.parametrize("path", ["/socket.io", "/careless", "/old"])
@pytest.mark.parametrize("name", NAMES)
@run_async
async def test_responses_that_stay_open(port: int, name: str, path: str) -> None:
    url = f"http://127.0.0.1:{port}"
    for transports in ([name], ["polling", name]):
        async with nuncio.connect(
            url, path=path, transports=transports, reconnection=False
        ) as client:
            await eventually(lambda: client.io.engine.transport.name == name)
            for number in range(20):
                # Each comes before the next is asked for, so nothing is held back.
                assert await within(client.emit_with_ack("add", {"left": number, "right": 1})) == (
                    number + 1
                )


@pytest.mark.proxy
@pytest.mark.parametrize("name", NAMES)
@run_async
async def test_nothing_is_compressed_or_held_back_for_who_takes_gzip(port: int, name: str) -> None:
    url = f"http://127.0.0.1:{port}/careless/?EIO=4&k=1&transport={name}"
    headers = {"Accept-Encoding": "gzip, br"}
    async with (
        httpx.AsyncClient(headers=headers) as http,
        http.stream("GET", url) as response,
    ):
        assert response.headers.get("content-encoding") in (None, "identity")
        body = response.aiter_raw()
        got = b""
        while b"pingTimeout" not in got:
            got += await within(anext(body))
        answer = await http.post(f"{url}&sid={sid_of(got)}&seq=1", content=b"40")
        assert answer.text == "ok"
        while b"40{" not in got:
            got += await within(anext(body))
        await http.post(f"{url}&sid={sid_of(got)}&seq=2", content=b"1")
