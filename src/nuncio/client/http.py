"""HTTP for clients, by aiohttp: one pool for all connections of a loop.

aiohttp brings what Socket.IO is not about: proxies, TLS, cookies, redirects, encodings. It is
imported when the first connection is opened, and its pool is closed with the last that needs it.
A WebSocket does not: once it is open, its raw connection is taken out of aiohttp's hands.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nuncio.client.tools import Tools
from nuncio.errors import TransportError

OLD_SERVER: Final = (
    "the server speaks an older protocol, Socket.IO 2.x, which this client does not; update the "
    "server to 3.x or later"
)


class OldServer(TransportError):
    """A server to which it makes no sense to connect again."""


# A redirect leads to another; a server that goes on like this leads nowhere.
MOST_REDIRECTS: Final = 10


# Servers close connections on which nothing was asked for a while, many after five seconds. A
# request that meets that moment is lost, so they are given up here a little sooner.
IDLE_SECONDS: Final = 4.0


class Pool:
    """aiohttp's session, for as long as anybody needs it."""

    def __init__(self) -> None:
        import aiohttp

        self.aiohttp = aiohttp
        self.session = new_session(
            aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=IDLE_SECONDS)
        )
        self._fresh: Any = None
        self.users = 0

    @property
    def fresh(self) -> Any:
        """A session that makes a connection for each request.

        It is for requests that are handed to a proxy: some close the connection behind each answer
        without a word, and the next request on it would be lost.
        """
        if self._fresh is None:
            connector = self.aiohttp.TCPConnector(limit=0, limit_per_host=0, force_close=True)
            self._fresh = new_session(connector)
        return self._fresh

    def close(self, tools: Tools) -> None:
        """Nobody needs it any more."""
        close(tools, self.session)
        if self._fresh is not None:
            close(tools, self._fresh)


def new_session(connector: Any) -> Any:
    """A session of aiohttp that does what it is told and nothing else."""
    import aiohttp

    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        skip_auto_headers=("User-Agent",),
    )
    # A GET whose connection was cut is not repeated in silence: the server may have given its
    # packets to the first, and every failure is one failure.
    session._retry_connection = False
    return session


def acquire(tools: Tools) -> Pool:
    """The pool of a loop, made with its first user."""
    pool: Pool | None = tools.http
    if pool is None:
        pool = Pool()
        tools.http = pool
    pool.users += 1
    return pool


def release(tools: Tools, pool: Pool) -> None:
    """One user less; the last one closes it."""
    pool.users -= 1
    if pool.users == 0:
        if tools.http is pool:
            tools.http = None
        pool.close(tools)


def close(tools: Tools, session: Any) -> None:
    """Close one of aiohttp's sessions; `closed` waits for that."""
    task = asyncio.ensure_future(session.close())
    tools.closing.add(task)
    task.add_done_callback(tools.closing.discard)


async def closed(tools: Tools) -> None:
    """Wait until the pools of a loop that are being closed are closed."""
    if tools.closing:
        await asyncio.wait(list(tools.closing))


class Tail:
    """Stands where aiohttp's own WebSocket would: takes what came behind the handshake."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """aiohttp: bytes arrived."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """aiohttp: the connection ended."""


def take_over(response: Any) -> tuple[Any, bytes]:
    """The raw connection of a response with status 101, and what has arrived behind it.

    aiohttp forgets the connection: its pool may be closed, and nothing of it stays in memory.

    Raises:
        TransportError: when the connection is gone.
    """
    connection = response.connection
    protocol = None if connection is None else connection.protocol
    io = None if connection is None else connection.transport
    if protocol is None or io is None or io.is_closing():
        response.close()
        raise TransportError("websocket: the connection was cut behind the handshake", "websocket")
    tail = Tail()
    protocol.set_parser(tail, None)
    protocol.transport = None
    return io, tail.data


def explain(error: BaseException, assumed: bool, origin: str) -> str:
    """What went wrong with a request, in words that tell what to do.

    Args:
        error: aiohttp's, or the system's.
        assumed: whether the URL had no scheme.
        origin: the server's.
    """
    import aiohttp

    if isinstance(error, TimeoutError):
        return f"no answer from {origin} in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"the certificate of {origin} is not trusted ({error.certificate_error}); give its "
            "authority with ca=…"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        words = "the URL has no scheme, so https was tried: " if assumed else ""
        plain = assumed or "WRONG_VERSION_NUMBER" in str(error.os_error)
        hint = f"; {words}if the server speaks plain HTTP, write http://…" if plain else ""
        return f"TLS with {origin} failed ({_reason(error.os_error)}){hint}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host}:{error.port} cannot be reached: {_reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with status {error.status}: {_short(error)}"
    if isinstance(error, aiohttp.TooManyRedirects):
        return f"{origin} redirects without end"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"nobody can be reached at {origin}: {_reason(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{origin} ended the connection without an answer"
    return f"{_short(error)}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _short(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) < 300 else text[:300] + "…"
