"""`nuncio.testing.connect`: a client that is connected to a server of the same process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from nuncio.client.connect import connected
from nuncio.client.manager import Manager
from nuncio.client.options import split
from nuncio.engine.engine import Engine
from nuncio.errors import OptionError
from nuncio.hosts.asgi import ASGIApp
from nuncio.server.server import Server
from nuncio.testing.client import Client
from nuncio.testing.here import here, server_of
from nuncio.testing.memory import Memory
from nuncio.testing.network import Network
from nuncio.testing.stage import Stage

# Where clients of tests differ from others: who is cut off comes back soon, and when is no chance.
DEFAULTS = {"reconnection_delay": 0.05, "randomization_factor": 0.0}

# What would have no effect.
_NOT_HERE = {
    "transports": "there is one, which is memory",
    "auto_connect": "it connects when it is awaited or entered",
    "force_new": "each client has a connection of its own",
    "multiplex": "connect(client, nsp) shares the connection of another client",
}


def connect(
    target: Any,
    nsp: str = "/",
    *,
    auth: Mapping[str, Any] | Callable[[], Any] | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | str | None = None,
    address: str = "127.0.0.1",
    secure: bool = False,
    network: Network | None = None,
    retry: bool = False,
    **options: Any,
) -> Connecting:
    """Connect a client to a server in memory: no network, no port, and everything else as ever.

        async with nuncio.testing.connect(io, auth={"user": "ada"}) as ada:
            await ada.expect("welcome", "ada")

    Args:
        target: a `nuncio.Server`; or the application that `io.asgi(…)` returned; or a client, whose
            connection is shared, to join another namespace.
        nsp: the namespace.
        auth: see `nuncio.client.SocketOptions`.
        headers: of the request with which it connects, such as `Origin` and `Cookie`.
        query: further parameters of that request.
        address: where it comes from.
        secure: whether it comes over TLS, as far as the server is told.
        network: what it runs through; None for a network of its own.
        retry: whether to go on when the first attempt fails, as reconnection does.
        options: those of `nuncio.connect`. Two have other defaults: `reconnection_delay` is 0.05,
            `randomization_factor` 0. The parser is the server's.

    Returns:
        something to await, or to enter, that gives a `Client`. Leaving it closes the client.

    Raises:
        OptionError: for a wrong option, with the fix.
        TypeError: for a target that is none.
        ConnectError: when it is awaited or entered, and the server refuses.
    """
    return Connecting(
        here().stage,
        target,
        nsp,
        auth=auth,
        headers=headers,
        query=query,
        address=address,
        secure=secure,
        network=network,
        retry=retry,
        **options,
    )


class Connecting:
    """What `connect` returns."""

    def __init__(
        self,
        stage: Stage | None,
        target: Any,
        nsp: str,
        *,
        auth: Any = None,
        headers: Any = None,
        query: Any = None,
        address: str = "127.0.0.1",
        secure: bool = False,
        network: Network | None = None,
        retry: bool = False,
        **options: Any,
    ) -> None:
        for name in options:
            if name in _NOT_HERE:
                raise OptionError(f"{name} means nothing here: {_NOT_HERE[name]}")
        self._stage = stage
        self._retry = retry
        self._nsp = nsp
        self._client: Client | None = None
        self._shared: Client | None = None
        if isinstance(target, Client):
            self._shared = target
            manager, socket = split(options)
            given = dict(headers=headers, query=query, network=network, **manager)
            for name, value in given.items():
                if value is not None:
                    raise OptionError(f"{name}: the connection is there already")
            self._engine, self._memory = target.engine, target.memory
            self._manager_options: dict[str, Any] = {}
        else:
            if headers is not None:
                options["extra_headers"] = headers
            if query is not None:
                options["query"] = query
            self._engine = engine_of(target, options.get("path"))
            manager, socket = split(options)
            self._memory = Memory(self._engine, network, address)
            server = server_of(self._engine)
            mine = {"path": self._engine.options.path, **DEFAULTS}
            mine["add_trailing_slash"] = self._engine.options.add_trailing_slash
            if server is not None:
                mine["parser"] = server.parser
            self._manager_options = {**mine, **manager}
        self._socket_options = {**socket, "auth": auth}
        self._url = ("https" if secure else "http") + "://localhost"

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> Client:
        at = here()
        if await at.serve(self._engine, again=True) and self._stage is not None:
            self._stage.serves(self._engine)
        manager = self._manager()
        if manager.has(self._nsp):
            raise OptionError(f"nsp: this client is in {self._nsp!r} already")
        socket = manager.socket(self._nsp, **self._socket_options)
        patient = self._socket_options.get("ack_timeout") is not None
        client = Client(socket, self._engine, self._memory, patient=patient)
        if self._stage is not None:
            self._stage.add(client)
        await connected(socket, retry=self._retry)
        client.came_in()
        return client

    def _manager(self) -> Manager:
        if self._shared is not None:
            return self._shared.manager
        manager = Manager(
            self._url, transports=[self._memory], auto_connect=False, **self._manager_options
        )
        here().managers.add(manager)
        return manager


def engine_of(target: Any, path: str | None) -> Engine:
    """The engine that a test means.

    Args:
        target: a server, its engine, or an application with one.
        path: where Socket.IO is to be found, if there are several; None for the outermost.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(target, Server):
        return target.engine
    if isinstance(target, Engine):
        return target
    if isinstance(target, ASGIApp):
        found = None if path is None else target.find(path.rstrip("/") + "/")
        return target.engine if found is None else found
    raise TypeError(
        "target must be a nuncio.Server, or the application that io.asgi(…) returned, not "
        f"{target!r}"
    )
