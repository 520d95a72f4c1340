from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from nuncio.client.http import new_session
from nuncio.client.tunnel import connector, open_tunnel
from nuncio.errors import TransportError
from tests.support.aio import run_async, within
from tests.support.ports import free_port

SILENCE = b""
MADE = b"HTTP/1.1 200 Connection established\r\nX-More: 1\r\n\r\n"


class Proxy:
    """Keeps what it is asked, and answers what it was told to; then it is the server, too."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heads: list[str] = []
        self.asked = asyncio.Event()
        self.port = 0
        self._serving: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def ended(self) -> None:
        await within(asyncio.gather(*self._serving))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            self.asked.set()
            writer.write(self._answer)
            if self._answer in (MADE, SILENCE):
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxy(answer: bytes) -> AsyncIterator[Proxy]:
    found = Proxy(answer)
    server = await asyncio.start_server(found.accept, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
        await found.ended()


@run_async
async def test_a_request_goes_through_a_tunnel() -> None:
    async with proxy(MADE) as there:
        sock = await open_tunnel(there.url, "server", 3000, {"X-Own": "1"})
        async with new_session(connector(sock)) as session:
            answer = await within(session.get("http://server:3000/path"))
            assert await answer.read() == b"body"
            # It is for one request.
            with pytest.raises(aiohttp.ClientConnectionError, match="one server only"):
                await session.get("http://server:3000/path")
        first, second = there.heads
        assert first == "CONNECT server:3000 HTTP/1.1\r\nHost: server:3000\r\nX-Own: 1\r\n\r\n"
        assert second.startswith("GET /path HTTP/1.1\r\n")


@run_async
async def test_a_tunnel_that_nobody_uses_is_closed() -> None:
    async with proxy(MADE) as there:
        sock = await open_tunnel(there.url, "server", 3000, None)
        await new_session(connector(sock)).close()
        assert sock.fileno() == -1


@pytest.mark.parametrize(
    ("user", "headers", "pair"),
    [
        ("", None, None),
        ("ada:secret@", None, "ada:secret"),
        ("ada@", None, "ada:"),
        ("a%40b:%3A%C3%BC@", None, "a@b::ü"),
        ("ada:secret@", {"Proxy-Authorization": "Bearer x"}, "Bearer x"),
    ],
)
@run_async
async def test_credentials(user: str, headers: dict[str, str] | None, pair: str | None) -> None:
    async with proxy(MADE) as there:
        url = there.url.replace("://", f"://{user}")
        (await open_tunnel(url, "[::1]", 80, headers)).close()
        lines = there.heads[0].split("\r\n")
        assert lines[0] == "CONNECT [::1]:80 HTTP/1.1"
        value = None
        if pair is not None:
            value = pair if headers else "Basic " + base64.b64encode(pair.encode()).decode()
        assert dict(line.split(": ") for line in lines[1:-2]).get("Proxy-Authorization") == value


@pytest.mark.parametrize(
    ("answer", "words", "status"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Auth", 407),
        (b"HTTP/1.0 403\r\n\r\n", "status 403", 403),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "302", 302),
        (b"HTTP/1.1 200 OK\r\n", "ended the connection", 0),
        (b"nonsense\r\n\r\n", "no HTTP", 0),
        (b"HTTP/1.1 yes\r\n\r\n", "no HTTP", 0),
        (b"SSH-2.0 200 OK\r\n\r\n", "no HTTP", 0),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000, "too long", 0),
    ],
    ids=lambda value: repr(value)[:40],
)
@run_async
async def test_a_proxy_that_makes_no_tunnel(answer: bytes, words: str, status: int) -> None:
    async with proxy(answer) as there:
        with pytest.raises(TransportError, match="the proxy cannot be used") as caught:
            await within(open_tunnel(there.url, "server", 3000, None))
    assert words in str(caught.value)
    assert (caught.value.transport, caught.value.status) == ("websocket", status)


@run_async
async def test_a_proxy_that_is_not_there() -> None:
    with pytest.raises(TransportError, match="the proxy cannot be used"):
        await within(open_tunnel(f"http://127.0.0.1:{free_port()}", "server", 3000, None))


@run_async
async def test_who_gives_up_waiting_leaves_no_socket() -> None:
    async with proxy(SILENCE) as there:
        opening = asyncio.ensure_future(open_tunnel(there.url, "server", 3000, None))
        await within(there.asked.wait())
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        # The proxy is told.
        await there.ended()
