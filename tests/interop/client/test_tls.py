"""TLS with the official server: who is trusted, who is refused, and who has to say who they are."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio import OptionError
from tests.support.aio import run_async
from tests.support.authority import PASSPHRASE, Authority
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours

Program = Callable[[str], str]

THREE = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
BOTH = pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)


@pytest.fixture(scope="module")
def authority(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the server's certificate, and clients'."""
    return Authority(program("openssl"), tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Has nothing to do with the server."""
    return Authority(program("openssl"), tmp_path_factory.mktemp("other"), "Somebody else")


@pytest.fixture(scope="module")
def shared_server(home: NodeHome, authority: Authority) -> Iterator[NodeServer]:
    """A server with a certificate."""
    cert, key = authority.issue("localhost")
    server = NodeServer(home.program, tls={"cert": str(cert), "key": str(key)})
    home.run(server.start())
    yield server
    home.run(server.stop())


async def works(url: str, way: Way, **options: Any) -> None:
    """A client can do what it can do without TLS."""
    async with ours(url, **options) as clients:
        client = await clients.connect(way=way)
        assert await client.socket.emit_with_ack("echo", b"\x00" * 70_000) == b"\x00" * 70_000
        assert client.transport == way.transport
        assert (await client.socket.emit_with_ack("handshake"))["secure"] is True


async def fails(url: str, way: Way, **options: Any) -> str:
    """A client cannot connect; returns the error's text."""
    with pytest.raises(nuncio.TransportError) as caught:
        await nuncio.connect(url, transports=way.transports, **options)
    return str(caught.value)


@THREE
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@run_async
async def test_an_authority_that_is_known(
    home: NodeHome, server: NodeServer, authority: Authority, way: Way, host: str
) -> None:
    await works(f"https://{host}:{server.port}", way, ca=str(authority.ca))


@BOTH
@run_async
async def test_a_context_of_ones_own(
    home: NodeHome, server: NodeServer, authority: Authority, way: Way
) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    await works(server.url.replace("https", "wss"), way, ssl=context)


@BOTH
@run_async
async def test_an_authority_that_is_not_known(
    home: NodeHome, server: NodeServer, other: Authority, way: Way
) -> None:
    for options in ({}, {"ca": str(other.ca)}):
        text = await fails(server.url, way, **options)
        assert "certificate" in text and "ca=" in text


@BOTH
@run_async
async def test_whoever_it_is_when_told_so(home: NodeHome, server: NodeServer, way: Way) -> None:
    await works(server.url, way, reject_unauthorized=False)


@BOTH
@run_async
async def test_a_certificate_for_another_host(
    home: NodeHome, authority: Authority, way: Way
) -> None:
    cert, key = authority.issue("elsewhere", "subjectAltName=DNS:elsewhere.example")
    tls = {"cert": str(cert), "key": str(key)}
    async with NodeServer(home.program, tls=tls) as server:
        assert "certificate" in await fails(server.url, way, ca=str(authority.ca))
        await works(server.url, way, ca=str(authority.ca), server_hostname="elsewhere.example")


@BOTH
@run_async
async def test_a_client_with_a_certificate(
    home: NodeHome, authority: Authority, other: Authority, way: Way
) -> None:
    cert, key = authority.issue("server")
    tls = {"cert": str(cert), "key": str(key), "ca": str(authority.ca), "requestCert": True}
    async with NodeServer(home.program, tls={**tls, "rejectUnauthorized": True}) as server:
        own, secret = authority.issue("client")
        ca = str(authority.ca)
        await works(server.url, way, ca=ca, cert=str(own), key=str(secret))
        locked = str(authority.lock(secret))
        await works(server.url, way, ca=ca, cert=str(own), key=locked, passphrase=PASSPHRASE)
        await fails(server.url, way, ca=ca)
        stranger, its_key = other.issue("stranger")
        await fails(server.url, way, ca=ca, cert=str(stranger), key=str(its_key))


@BOTH
@run_async
async def test_http_where_tls_is_spoken_and_the_other_way_round(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    await fails(server.url.replace("https", "http"), way)
    async with NodeServer(home.program) as plain:
        text = await fails(plain.url.replace("http", "https"), way)
        assert "TLS" in text
        # Without a scheme it is https, as outside of browsers.
        assert "http://" in await fails(plain.url.partition("://")[2], way)


@run_async
async def test_files_that_cannot_be_used_are_named(
    home: NodeHome, server: NodeServer, authority: Authority, tmp_path: Path
) -> None:
    cert, _ = authority.issue("wrong")
    _, key = authority.issue("pair")
    gone = str(tmp_path / "gone.crt")
    for options, name in (
        ({"ca": gone}, "gone.crt"),
        ({"cert": gone}, "gone.crt"),
        ({"cert": str(cert), "key": str(key)}, "pair.key"),
    ):
        with pytest.raises(OptionError, match=name):
            await nuncio.connect(server.url, **options)
