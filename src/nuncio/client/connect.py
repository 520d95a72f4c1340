"""`nuncio.connect`: a connected socket in one line."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Generator
from typing import Any

from nuncio.client.checks import checked_namespace
from nuncio.client.manager import Manager
from nuncio.client.options import ManagerOptions, SocketOptions, split
from nuncio.client.socket import ClientSocket
from nuncio.client.tools import tools
from nuncio.client.transports import chosen
from nuncio.client.url import Target, parse
from nuncio.errors import ConnectError, ConnectTimeout, OptionError


def connect(url: str, **options: Any) -> Connecting:
    """Connect to a server: `await connect(url)`, or `async with connect(url) as socket`.

    The URL's path is the namespace. Sockets of one server share a connection, unless they have the
    same namespace or `force_new` is set.

    Args:
        url: as `http://localhost:3000/chat`; https, ws and wss, too.
        options: those of `nuncio.client.ManagerOptions` and `nuncio.client.SocketOptions`, and
            `retry`: whether to go on when the first attempt fails, as reconnection does;
            `force_new`, or `multiplex=False`, for a connection of its own.

    Returns:
        something to await, or to enter. Leaving it sends what is left, and disconnects.
        A server that is reached has as long as the option `timeout` to let it in, too.

    Raises:
        OptionError: for a wrong URL or option, with the fix.
        ConnectError: when it is awaited or entered, and the server cannot be reached or refuses.
    """
    return Connecting(url, options)


_OWN = ("force_new", "multiplex", "retry")


class Connecting:
    """What `connect` returns."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        own = {name: options[name] for name in _OWN if name in options}
        for name, value in own.items():
            if not isinstance(value, bool):
                raise OptionError(f"{name} must be True or False, not {value!r}")
        rest = {name: value for name, value in options.items() if name not in own}
        manager, socket = split(rest, *_OWN)
        self._target = parse(url)
        checked_namespace(self._target.nsp)
        self._options = ManagerOptions(**manager)
        chosen(self._options.transports)
        self._socket_options = socket
        SocketOptions(**socket)
        self._retry = own.get("retry", False)
        self._alone = own.get("force_new", False) or not own.get("multiplex", True)
        self._socket: ClientSocket | None = None

    def __await__(self) -> Generator[Any, None, ClientSocket]:
        return self._connect().__await__()

    async def __aenter__(self) -> ClientSocket:
        self._socket = await self._connect()
        return self._socket

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def _connect(self) -> ClientSocket:
        nsp = self._target.nsp
        manager = self._manager()
        socket = manager.socket(nsp, **self._socket_options)
        await connected(socket, retry=self._retry)
        return socket

    def _manager(self) -> Manager:
        """The Manager to use: one that is there, if it may be shared."""
        target, options = self._target, self._options
        known = tools().managers
        key = f"{target.origin}{options.path}"
        found: Manager | None = known.get(key)
        shared = not self._alone and found is not None and found.in_use
        if found is not None and shared and not found.has(target.nsp):
            return found
        # It is opened by the socket, so that what fails is told to it.
        manager = self.make(target, dataclasses.replace(options, auto_connect=False))
        if not self._alone and not shared:
            known[key] = manager
        return manager

    def make(self, target: Target, options: ManagerOptions) -> Manager:
        """Make a Manager, where there is none to share."""
        return Manager.of(target, options)


async def connected(socket: ClientSocket, *, retry: bool) -> None:
    """Connect a socket, and wait until it is.

    Args:
        socket: one that is not connected.
        retry: whether to go on when the first attempt fails.

    Raises:
        ConnectError: when the server cannot be reached or refuses; then the socket is closed.
    """
    failure: list[ConnectError] = []
    waits = _Patience(socket, failure)

    def failed(error: ConnectError) -> None:
        failure.append(error)
        socket.disconnect()

    if not retry:
        socket.on("connect_error", failed)
        waits.begin()
    # What the server sends at once is for handlers that are registered behind this.
    socket.hold()
    try:
        socket.connect()
        await socket.wait_connected()
    except ConnectError:
        await socket.close()
        if failure:
            raise failure[0] from None
        raise
    except BaseException:
        socket.disconnect()
        raise
    finally:
        waits.end()
        socket.off("connect_error", failed)
        socket.loop.call_soon(socket.release)


class _Patience:
    """Gives up a server that takes a connection and does not say whether it lets in.

    It has as long for that as it had for the connection.
    """

    def __init__(self, socket: ClientSocket, failure: list[ConnectError]) -> None:
        self._socket = socket
        self._failure = failure
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        manager = self._socket.io
        if manager.ready_state == "open":
            self._opened()
        else:
            manager.on("open", self._opened)

    def _opened(self) -> None:
        seconds = self._socket.io.timeout
        if seconds is not None and self._timer is None:
            self._timer = self._socket.loop.call_later(seconds, self._give_up, seconds)

    def _give_up(self, seconds: float) -> None:
        self._failure.append(ConnectTimeout(seconds))
        self._socket.disconnect()

    def end(self) -> None:
        self._socket.io.off("open", self._opened)
        if self._timer is not None:
            self._timer.cancel()
