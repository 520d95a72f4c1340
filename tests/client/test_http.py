from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from nuncio.client.http import Tail, acquire, closed, explain, release, take_over
from nuncio.client.tools import Tools, tools
from nuncio.errors import TransportError
from tests.support.aio import run_async, within

# The pool.


@run_async
async def test_one_pool_for_all_who_need_it() -> None:
    shared = tools()
    first = acquire(shared)
    second = acquire(shared)
    assert first is second is shared.http
    release(shared, first)
    assert shared.http is first
    assert not first.session.closed
    release(shared, second)
    assert shared.http is None
    await within(closed(shared))
    assert first.session.closed
    assert shared.closing == set()
    # Whoever comes then gets a new one.
    third = acquire(shared)
    assert third is not first
    release(shared, third)
    await within(closed(shared))


@run_async
async def test_nothing_to_wait_for() -> None:
    await within(closed(tools()))


def test_the_pools_of_another_loop_are_not_waited_for() -> None:
    async def leave_behind() -> Tools:
        shared = tools()
        release(shared, acquire(shared))
        return shared

    # It ends before the pool was closed.
    loop = asyncio.new_event_loop()
    shared = loop.run_until_complete(leave_behind())
    assert len(shared.closing) == 1

    async def another() -> None:
        await within(closed(tools()), 10)

    asyncio.run(another())
    loop.run_until_complete(closed(shared))
    loop.close()


@run_async
async def test_a_pool_sends_no_more_than_it_is_told() -> None:
    shared = tools()
    pool = acquire(shared)
    assert "User-Agent" in pool.session.skip_auto_headers
    assert isinstance(pool.session.cookie_jar, aiohttp.DummyCookieJar)
    connector: Any = pool.session.connector
    assert (connector.limit, connector.limit_per_host) == (0, 0)
    release(shared, pool)
    await within(closed(shared))


# A connection that is taken over.


class FakeConnection:
    """What aiohttp keeps of a connection."""

    def __init__(self, *, gone: bool) -> None:
        self.transport = SimpleNamespace(is_closing=lambda: gone)
        self.protocol = SimpleNamespace(transport=self.transport, set_parser=self.set_parser)

    def set_parser(self, parser: Tail, payload: object) -> None:
        assert payload is None
        parser.feed_data(b"be")
        parser.feed_data(b"hind")
        parser.feed_eof()


class FakeResponse:
    def __init__(self, connection: FakeConnection | None) -> None:
        self.connection = connection
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_the_raw_connection_and_what_came_behind_the_handshake() -> None:
    connection = FakeConnection(gone=False)
    assert take_over(FakeResponse(connection)) == (connection.transport, b"behind")
    # aiohttp does not close what is not its own any more.
    assert connection.protocol.transport is None


@pytest.mark.parametrize("connection", [None, FakeConnection(gone=True)])
def test_a_connection_that_is_gone(connection: FakeConnection | None) -> None:
    response = FakeResponse(connection)
    with pytest.raises(TransportError, match="cut behind the handshake") as caught:
        take_over(response)
    assert caught.value.transport == "websocket"
    assert response.closed


# What went wrong, in words.

KEY: Any = SimpleNamespace(host="example.com", port=443, ssl=True, is_ssl=True)
REQUEST: Any = SimpleNamespace(real_url=URL("http://localhost"))
ORIGIN = "https://example.com"


def words(error: BaseException, *, assumed: bool = False) -> str:
    return explain(error, assumed, ORIGIN)


def test_errors_say_what_to_do() -> None:
    assert words(TimeoutError()) == "no answer from https://example.com in time"
    refused = aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "Connection refused"))
    assert words(refused) == "nobody can be reached at https://example.com: Connection refused"
    unknown = aiohttp.ClientConnectorError(KEY, OSError("Name or service not known"))
    assert words(unknown).endswith("Name or service not known")
    assert words(aiohttp.ClientConnectorError(KEY, OSError())).endswith(": OSError")
    assert (
        words(aiohttp.ServerDisconnectedError())
        == "https://example.com ended the connection without an answer"
    )
    endless = aiohttp.TooManyRedirects(REQUEST, ())
    assert words(endless) == "https://example.com redirects without end"


def test_certificates_and_tls() -> None:
    untrusted = aiohttp.ClientConnectorCertificateError(
        KEY, ssl.SSLCertVerificationError("self-signed certificate")
    )
    assert "is not trusted (" in words(untrusted)
    assert "ca=…" in words(untrusted)
    plain = aiohttp.ClientConnectorSSLError(
        KEY, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    )
    assert "write http://" in words(plain)
    assert "the URL has no scheme, so https was tried" in words(plain, assumed=True)
    other = aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "handshake failure"))
    assert words(other) == "TLS with https://example.com failed (handshake failure)"


def test_proxies() -> None:
    unreachable = aiohttp.ClientProxyConnectionError(
        SimpleNamespace(host="proxy", port=3128),  # type: ignore[arg-type]
        ConnectionRefusedError(111, "Connection refused"),
    )
    assert words(unreachable) == "the proxy proxy:3128 cannot be reached: Connection refused"
    refuses = aiohttp.ClientHttpProxyError(REQUEST, (), status=407, message="who are you")
    assert words(refuses).startswith("the proxy answered with status 407: ")


def test_whatever_else_it_is_the_text_is_not_endless() -> None:
    assert words(aiohttp.ClientError("x" * 1000)) == "x" * 300 + "…"
    assert words(aiohttp.ClientError()) == "ClientError"


def test_only_clients_load_aiohttp(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, nuncio; sys.exit('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, "importing nuncio imports aiohttp, which takes a while"
