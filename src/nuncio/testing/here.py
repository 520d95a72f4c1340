"""What the tests of one event loop have going: engines that are served, clients, and their links.

An engine that is tested in memory has a host all the same, which begins and ends it as one with a
port does. It is kept here, one for each loop, and so is what `settle` has to look at.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from nuncio.client.tools import tools
from nuncio.engine.engine import Engine
from nuncio.server.server import Server

if TYPE_CHECKING:
    from nuncio.client.manager import Manager
    from nuncio.testing.network import Network
    from nuncio.testing.pulse import Pulse
    from nuncio.testing.stage import Stage


def server_of(engine: Engine) -> Server[Any, Any] | None:
    """The server whose engine it is; None for one that stands alone."""
    server = getattr(engine.accept, "__self__", None)
    return server if isinstance(server, Server) else None


class Here:
    """Of one event loop.

    Attributes:
        engines: those that are served, each with the context it began in.
        managers: of the clients.
        networks: what they run through.
        stages: that have clients.
        stage: whose clients those of `nuncio.testing.connect` are; None for nobody's.
        pulse: knows when the loop has nothing to do; None until somebody asks.
    """

    def __init__(self) -> None:
        self.engines: WeakKeyDictionary[Engine, Context] = WeakKeyDictionary()
        self.managers: WeakSet[Manager] = WeakSet()
        self.networks: WeakSet[Network] = WeakSet()
        self.stages: WeakSet[Stage] = WeakSet()
        self.stage: Stage | None = None
        self.pulse: Pulse | None = None

    async def serve(self, engine: Engine, *, again: bool) -> bool:
        """Begin to serve an engine, as a host does, unless that has been done.

        Args:
            engine: the engine.
            again: whether to begin anew where it was closed meanwhile.

        Returns:
            whether it was begun here and now, so that whoever called should end it.

        Raises:
            Exception: what keeps the application from serving.
        """
        if engine in self.engines and not (again and engine.stopping):
            return False
        await engine.start()
        begun = engine not in self.engines
        self.engines[engine] = copy_context()
        return begun

    async def stop(self, engine: Engine) -> None:
        """End an engine: handlers that are still running have had their time."""
        self.engines.pop(engine, None)
        if engine.hosts:
            # Others serve it, too, over a network.
            return
        engine.host_stopping()
        await engine.wind_down(0.0)

    # What is under way.

    @property
    def moves(self) -> bool:
        """Whether a packet is on its way and will arrive."""
        return any(link.moves for network in self.networks for link in network.links)

    @property
    def busy(self) -> bool:
        """Whether a handler has not ended yet, be it on a server or a client."""
        current = asyncio.current_task()
        for tasks in self._running():
            for task in tasks:
                if task is not current and not task.done():
                    return True
        return False

    def _running(self) -> list[set[asyncio.Future[Any]]]:
        servers = [server_of(engine) for engine in list(self.engines)]
        running = [server.running for server in servers if server is not None]
        # And those of `nuncio.connect`, in the code that is tested.
        managers = {*self.managers, *tools().managers.values()}
        return running + [manager._runner.running for manager in managers]

    @property
    def count(self) -> int:
        """A number that grows with everything that arrives anywhere."""
        return sum(network.count for network in self.networks)


_here: dict[asyncio.AbstractEventLoop, Here] = {}


def here() -> Here:
    """Of the running loop."""
    loop = asyncio.get_running_loop()
    found = _here.get(loop)
    if found is None:
        for other in [one for one in _here if one.is_closed()]:
            # What is going on in a loop knows the loop, so nothing else would let go of it.
            _here.pop(other, None)
        found = _here[loop] = Here()
    return found
