"""Through an HTTP proxy, tinyproxy, to the official server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import nuncio
from tests.support.aio import run_async
from tests.support.authority import Authority
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours
from tests.support.ports import free_port
from tests.support.proxies import Tinyproxy, basic, tinyproxy

pytestmark = pytest.mark.proxy

Program = Callable[[str], str]

WHO = ("ada", "secret")
THREE = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)


@pytest.fixture(scope="module")
def authority(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the server's certificate."""
    return Authority(program("openssl"), tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(home: NodeHome, authority: Authority) -> Iterator[NodeServer]:
    """A server with a certificate."""
    cert, key = authority.issue("localhost")
    server = NodeServer(home.program, tls={"cert": str(cert), "key": str(key)})
    home.run(server.start())
    yield server
    home.run(server.stop())


@pytest.fixture(scope="module")
def proxy(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tinyproxy]:
    """A proxy for everybody."""
    with tinyproxy(program, tmp_path_factory.mktemp("tinyproxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def guarded(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tinyproxy]:
    """A proxy that wants credentials."""
    with tinyproxy(program, tmp_path_factory.mktemp("guarded"), WHO) as proxy:
        yield proxy


async def works(url: str, way: Way, **options: Any) -> None:
    """A client can do what it can do without a proxy."""
    values: list[Any] = ["text", b"\x00\xff" * 5000]
    async with ours(url, **options) as clients:
        client = await clients.connect(way=way)
        assert await client.socket.emit_with_ack("echo", *values) == values
        assert client.transport == way.transport


@THREE
@run_async
async def test_http(home: NodeHome, server: NodeServer, proxy: Tinyproxy, way: Way) -> None:
    before = len(proxy.requests())
    await works(server.url, way, proxy=proxy.url)
    made = [line.split()[0] for line in proxy.requests()[before:]]
    # Nothing went past it; and what becomes a WebSocket has a tunnel.
    assert len(made) == len(await server.reports("request"))
    assert made.count("CONNECT") == (way.transport == "websocket")


@THREE
@run_async
async def test_https(
    home: NodeHome, secure: NodeServer, proxy: Tinyproxy, authority: Authority, way: Way
) -> None:
    before = len(proxy.requests())
    await works(secure.url, way, proxy=proxy.url, ca=str(authority.ca))
    made = proxy.requests()[before:]
    # What is asked for is a secret between client and server.
    assert {line.split()[0] for line in made} == {"CONNECT"}
    await secure.emptied()


@pytest.mark.parametrize("given", ["in the URL", "in a header"])
@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
@run_async
async def test_credentials_for_the_proxy(
    home: NodeHome,
    server: NodeServer,
    secure: NodeServer,
    guarded: Tinyproxy,
    authority: Authority,
    secured: bool,
    given: str,
) -> None:
    options: dict[str, Any] = {"proxy": guarded.url}
    if given == "in the URL":
        options["proxy"] = guarded.url.replace("://", "://{}:{}@".format(*WHO))
    else:
        options["proxy_headers"] = {"Proxy-Authorization": basic(*WHO)}
    chosen = secure if secured else server
    for way in (POLLING, WEBSOCKET):
        await works(chosen.url, way, ca=str(authority.ca) if secured else None, **options)
    await secure.emptied()
    # They are for the proxy alone.
    for one in (server, secure):
        for _, _, headers in await one.reports("request"):
            assert "proxy-authorization" not in headers


@THREE
@run_async
async def test_a_proxy_that_refuses(
    home: NodeHome, server: NodeServer, guarded: Tinyproxy, way: Way
) -> None:
    with pytest.raises(nuncio.TransportError, match="407"):
        await nuncio.connect(server.url, transports=way.transports, proxy=guarded.url)


@THREE
@run_async
async def test_a_proxy_that_is_not_there(home: NodeHome, server: NodeServer, way: Way) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(nuncio.TransportError, match="proxy"):
        await nuncio.connect(server.url, transports=way.transports, proxy=nobody)


@pytest.mark.parametrize("trusted", [True, False])
@run_async
async def test_the_environments_proxy(
    home: NodeHome,
    server: NodeServer,
    proxy: Tinyproxy,
    trusted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    before = len(proxy.requests())
    for way in (POLLING, WEBSOCKET):
        await works(server.url, way, trust_env=trusted)
    assert bool(proxy.requests()[before:]) is trusted


@run_async
async def test_the_environment_may_except_a_host(
    home: NodeHome, server: NodeServer, proxy: Tinyproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    before = len(proxy.requests())
    for way in (POLLING, WEBSOCKET):
        await works(server.url, way, trust_env=True)
    assert proxy.requests()[before:] == []
