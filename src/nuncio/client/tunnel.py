"""A tunnel through an HTTP proxy, for WebSocket where no TLS is spoken.

aiohttp asks a proxy for a tunnel where TLS goes through it, and else hands the request over. From
such a request proxies take the upgrade away, so WebSocket always has a tunnel, as in browsers.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nuncio.errors import TransportError

# What a proxy may answer.
_LONGEST_HEAD: Final = 64 * 1024


async def open_tunnel(
    proxy: str, host: str, port: int, headers: Mapping[str, str] | None
) -> socket.socket:
    """Ask a proxy for a connection to a server.

    Args:
        proxy: its URL, with `http`; a name and a password may be in it.
        host: the server's, IPv6 addresses in brackets.
        port: the server's.
        headers: for the proxy.

    Returns:
        a socket whose other end is the server.

    Raises:
        TransportError: when the proxy is not there, or refuses.
    """
    parts = urlsplit(proxy)
    authority = f"{host}:{port}"
    given = {"Host": authority}
    if parts.username is not None:
        given["Proxy-Authorization"] = _basic(parts.username, parts.password or "")
    given.update(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    request = f"CONNECT {authority} HTTP/1.1\r\n{lines}\r\n".encode()
    try:
        sock = await _connect(parts.hostname or "", parts.port or 80)
    except OSError as error:
        raise _unusable(error.strerror or str(error)) from error
    try:
        await asyncio.get_running_loop().sock_sendall(sock, request)
        await _answer(sock)
    except OSError as error:
        sock.close()
        raise _unusable(error.strerror or str(error)) from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


async def _answer(sock: socket.socket) -> None:
    """Read the proxy's answer.

    Raises:
        TransportError: for any but a success.
    """
    loop = asyncio.get_running_loop()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte in the end, for what is behind the head is not ours.
        part = await loop.sock_recv(sock, 1)
        if not part:
            raise _unusable("it ended the connection without an answer")
        head += part
        if len(head) > _LONGEST_HEAD:
            raise _unusable("its answer is too long")
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise _unusable("its answer is no HTTP")
    status = int(words[1])
    if not 200 <= status < 300:
        raise _unusable(f"it answered with status {' '.join(words[1:])}", status)


def _unusable(why: str, status: int = 0) -> TransportError:
    return TransportError(f"websocket: the proxy cannot be used: {why}", "websocket", status)


def _basic(name: str, password: str) -> str:
    pair = f"{unquote(name)}:{unquote(password)}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def connector(sock: socket.socket) -> Any:
    """A connector for aiohttp that has this one connection to give."""
    made: Any = _connector()(sock)
    return made


@cache
def _connector() -> Any:
    import aiohttp

    class Connector(aiohttp.BaseConnector):
        """See `connector`."""

        def __init__(self, sock: socket.socket) -> None:
            super().__init__(force_close=True)
            self._sock: socket.socket | None = sock

        async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
            sock, self._sock = self._sock, None
            if sock is None:
                raise aiohttp.ClientConnectionError("a tunnel leads to one server only")
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
            return protocol

        def close(self, **how: Any) -> Any:
            if self._sock is not None:
                self._sock.close()
                self._sock = None
            return super().close(**how)

    return Connector
