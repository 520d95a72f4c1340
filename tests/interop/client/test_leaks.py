"""A thousand reconnections to the official server leave nothing behind."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, NamedTuple

import pytest

from nuncio.client import EngineClient
from tests.support.aio import eventually
from tests.support.faults import FaultProxy
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import Ours

SERVER: dict[str, Any] = {"pingInterval": 5000, "pingTimeout": 5000}


def descriptors() -> int:
    """How many files and sockets are open."""
    return len(os.listdir("/proc/self/fd"))


class Losing:
    """One client, whose connection is lost again and again.

    Args:
        home: where it runs, piece by piece: all together may take longer than one test may.
        server: to what it connects.
        way: by which transports.
    """

    def __init__(self, home: NodeHome, server: NodeServer, way: Way) -> None:
        self._home = home
        self._server = server
        self._way = way

    async def begin(self) -> None:
        """Connect."""
        self._proxy = FaultProxy(self._server.port)
        await self._proxy.__aenter__()
        self._clients = Ours(self._proxy.url, {"reconnection_delay": 0})
        self._client = await self._clients.connect(way=self._way)

    async def lose(self, times: int) -> None:
        """Lose the connection: by its own end, by the network's, by an error of it."""
        client, proxy = self._client, self._proxy
        for number in range(times):
            if number % 3 == 0:
                client.cut()
            else:
                proxy.cut(rst=number % 3 == 1)
            await client.next("disconnect")
            await client.next("connect")
            if self._way.upgraded:
                await client.upgraded()
            client.forget()
            client.told.forget()

    async def count(self) -> Counts:
        """What there is now."""
        await eventually(lambda: self._proxy.open <= 2)
        # What the test itself remembers is not what is measured.
        await self._server.value("0")
        self._server.forget()
        self._proxy.counts.requests.clear()
        gc.collect()
        engines = sum(type(thing) is EngineClient for thing in gc.get_objects())
        tasks = len(self._home.tasks()) - 1
        return Counts(tasks, descriptors(), engines, sys.getallocatedblocks())

    async def end(self) -> None:
        """Close the client."""
        await self._clients.close()
        await self._proxy.__aexit__()
        # A session without a request at the moment of a cut ends with its heartbeat only.
        await self._server.close_engines(discard=True)


class Counts(NamedTuple):
    """What may be left behind: tasks, files and sockets, engines, blocks of memory."""

    tasks: int
    files: int
    engines: int
    blocks: int


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
@pytest.mark.parametrize(
    ("way", "times"),
    [(WEBSOCKET, 1000), (POLLING, 200), (UPGRADED, 30)],
    ids=lambda value: value.name if isinstance(value, Way) else "",
)
def test_reconnecting_leaves_nothing_behind(
    home: NodeHome, server: NodeServer, way: Way, times: int
) -> None:
    losing = Losing(home, server, way)
    home.run(losing.begin())
    # Everything that is made once has been made then.
    home.run(losing.lose(20))
    before = home.run(losing.count())
    for _ in range(10):
        home.run(losing.lose(times // 10))
    after = home.run(losing.count())
    home.run(losing.end())
    more = Counts(*(new - old for new, old in zip(after, before, strict=True)))
    print(f"{way.name}: {times} times, {more}")
    assert abs(more.tasks) <= 3
    assert abs(more.files) <= 3
    assert more.engines <= 3
    # Ticks of the timer wheel, and caches that have their bounds; one session is many more.
    assert more.blocks < 5 * times + 1500
