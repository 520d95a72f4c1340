"""Everything that one test has going, so that nothing of it is left to the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from nuncio.engine.engine import Engine
from nuncio.errors import ArgumentError, LimitExceeded, RateLimited
from nuncio.server.server import Server
from nuncio.testing.here import here, server_of
from nuncio.testing.settling import settle, wait_for

if TYPE_CHECKING:
    from nuncio.testing.client import Client
    from nuncio.testing.connecting import Connecting

# What the other side did wrong, and is told: in tests mostly on purpose.
_THEIRS: Final = (ArgumentError, LimitExceeded, RateLimited)

# Real seconds that a client may take to say goodbye.
CLOSE_SECONDS: Final = 1.0


class Stage:
    """Clients of one test, and what their handlers and the server's raise.

        async with nuncio.testing.Stage() as stage:
            ada = await stage.connect(io, auth={"user": "ada"})

    At its end clients are closed, the servers they were connected to are ended, handlers that still
    run are cancelled, and what handlers raised is raised again. It is called as `connect` is; the
    fixture `nuncio_client` is one.

    Attributes:
        clients: those that were connected.
        errors: what handlers raised, of clients and servers. Taken out of it, it is forgiven.
    """

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.errors: list[Exception] = []
        self._engines: list[Engine] = []
        self._heard: list[WeakSet[Stage]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def connect(self, target: Any, nsp: str = "/", **options: Any) -> Connecting:
        """Connect a client; see `nuncio.testing.connect`."""
        from nuncio.testing.connecting import Connecting

        return Connecting(self, target, nsp, **options)

    __call__ = connect

    async def __aenter__(self) -> Stage:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self.close()
        if error is None:
            self.raise_errors()
        else:
            for one in self.take_errors():
                error.add_note(f"Beside that, a handler raised {one!r}.")

    async def close(self) -> None:
        """End everything; what handlers raised meanwhile is among the errors, too."""
        # What was sent at the very end is to be handled, too, and may fail.
        await settle(patience=0.0)
        clients, self.clients = self.clients, []
        for client in clients:
            await _close(client)
        engines, self._engines = self._engines, []
        at = here()
        for engine in engines:
            await at.stop(engine)
        while self._heard:
            self._heard.pop().discard(self)

    def take_errors(self) -> list[Exception]:
        """What handlers have raised so far; it is forgiven."""
        errors, self.errors = self.errors, []
        return errors

    def raise_errors(self) -> None:
        """Raise what handlers raised, all together.

        Raises:
            ExceptionGroup: when they did.
        """
        errors = self.take_errors()
        if errors:
            raise ExceptionGroup("handlers raised", errors)

    @property
    def is_open(self) -> bool:
        """Whether something is left to be closed."""
        return bool(self.clients or self._engines)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where its clients live; None before the first."""
        return self._loop

    # What `connect` tells.

    def serves(self, engine: Engine) -> None:
        """An engine was begun on its behalf."""
        self._engines.append(engine)
        self.hears(engine)

    def hears(self, engine: Engine) -> None:
        """What the handlers of this engine's server raise is its business."""
        stages = _listening_to(engine)
        stages.add(self)
        self._heard.append(stages)

    def add(self, client: Client) -> None:
        """A client is about to connect."""
        self._loop = asyncio.get_running_loop()
        self.clients.append(client)
        here().stages.add(self)
        if not any(one is not client and one.manager is client.manager for one in self.clients):
            client.manager.on_error(self._client_failed)
        self.hears(client.engine)

    def _client_failed(self, error: Exception, socket: Any, event: str) -> None:
        self.failed(error, "client", event)

    def failed(self, error: Exception, side: str, event: str) -> None:
        """A handler raised."""
        if not isinstance(error, _THEIRS):
            error.add_note(f"It was raised by a handler of {event!r} on the {side}.")
            self.errors.append(error)


async def _close(client: Client) -> None:
    """Close a client in order where that can be done, and in any case."""
    network = client.network
    if network.disturbed:
        network.cut()
    closing = asyncio.ensure_future(client.close())
    if not await wait_for(closing, CLOSE_SECONDS):
        network.cut()
    await closing


_listening: WeakKeyDictionary[Server[Any, Any], WeakSet[Stage]] = WeakKeyDictionary()


def _listening_to(engine: Engine) -> WeakSet[Stage]:
    """The stages that are told what the handlers of a server raise."""
    server = server_of(engine)
    if server is None:
        return WeakSet()
    stages = _listening.get(server)
    if stages is None:
        stages = _listening[server] = WeakSet()
        server.on_error(_Ear(stages).heard)
    return stages


class _Ear:
    """Listens to one server as long as it lives, for listeners cannot be removed."""

    def __init__(self, stages: WeakSet[Stage]) -> None:
        self._stages = stages

    def heard(self, error: Exception, socket: Any, event: str) -> None:
        """A handler raised."""
        for stage in list(self._stages):
            stage.failed(error, "server", event)
