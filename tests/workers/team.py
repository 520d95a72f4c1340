"""Workers whose clients recover: who is where, links that are lost, middlewares that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio.workers.estate import CLAIMED, INHERITED
from nuncio.workers.recovery import RecoveringWorkersAdapter
from nuncio.workers.redis import RedisPlace
from tests.support.aio import eventually
from tests.support.wanderer import Wanderer
from tests.workers.conftest import Crew, Start, worker_of

OFFSET = r"[A-Za-z0-9_-]{8}\.[0-9]+"


def wanderer() -> Wanderer:
    return Wanderer(OFFSET)


def adapter_of(io: nuncio.Server) -> RecoveringWorkersAdapter:
    adapter = io.of("/").adapter
    assert isinstance(adapter, RecoveringWorkersAdapter)
    return adapter


class Team(Crew):
    """Workers, as these tests need them."""

    def of(self, client: Wanderer) -> int:
        """Which worker a client is connected to."""
        (found,) = [
            number for number, io in enumerate(self.servers) if client.sid in io.sockets.sockets
        ]
        return found

    async def gone(self, client: Wanderer) -> None:
        """Wait until everybody knows that a client has lost its connection."""
        await eventually(lambda: not any(client.sid in io.sockets.sockets for io in self.servers))

    async def heard(self, sender: int) -> None:
        """Wait until what one emitted has reached the others."""
        # Links keep the order.
        await self.servers[sender].server_side_emit_with_ack("heard")


@asynccontextmanager
async def team(crew: Start, count: int = 3, **options: Any) -> AsyncIterator[Team]:
    options.setdefault("connection_state_recovery", True)

    def register(io: nuncio.Server) -> None:
        io.on("connection", lambda socket: socket.join("everybody"))
        io.on_server("heard", lambda: True)

    async with crew(count, register, **options) as workers:
        workers.__class__ = Team
        assert isinstance(workers, Team)
        yield workers


@asynccontextmanager
async def apart(*servers: nuncio.Server) -> AsyncIterator[None]:
    """Some workers cannot hear each other, and neither is dead."""
    meshes = [worker_of(io).mesh for io in servers]
    tags = {mesh.tag for mesh in meshes}
    places = [mesh._place for mesh in meshes]
    with pytest.MonkeyPatch.context() as patch:
        for mesh in meshes:
            place = mesh._place
            assert isinstance(place, RedisPlace)
            heard_of = place._heard_of
            patch.setattr(
                place, "_heard_of", lambda tag, heard=heard_of: None if tag in tags else heard(tag)
            )
            for tag in tags:
                link = mesh.find(tag)
                if link is not None:
                    link.abort()
        await eventually(lambda: not any(mesh.find(tag) for mesh in meshes for tag in tags))
        yield
    for place in places:
        assert isinstance(place, RedisPlace)
        place._announce()
    others = len(servers) - 1
    await eventually(
        lambda: all(sum(mesh.find(tag) is not None for tag in tags) == others for mesh in meshes)
    )


async def given_in_vain(
    workers: Team, client: Wanderer, began: int = 0
) -> list[nuncio.Undelivered]:
    """A client comes from the first worker to the second, which the first one is not told.

    Args:
        workers: they.
        client: it.
        began: where its session began.

    Returns:
        What is reported as undelivered from now on.
    """
    reports: list[nuncio.Undelivered] = []
    for io in workers.servers:
        io.on("undelivered", reports.append)
    first, second = (adapter_of(io) for io in workers.servers[:2])
    await client.connect(workers.ports[began])
    pid = client.pid
    if began:
        await client.come_back(workers.ports[0])
    client.lose()
    await workers.gone(client)
    told = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(first._handlers, INHERITED, lambda message: None)
        patch.setitem(first._handlers, CLAIMED, lambda message: told.set())
        assert await client.come_back(workers.ports[1]) == []
        await told.wait()
    assert not first.remembers(pid) and second._namespace.is_live(pid)
    return reports


async def is_only_at(workers: Team, client: Wanderer) -> None:
    """Wait until no other worker has a client than that to which it is connected."""
    here, pid = workers.of(client), client.pid
    expected = ["live" if number == here else "" for number in range(len(workers.servers))]
    await eventually(lambda: where(workers, pid) == expected, "the others give it up")


def where(workers: Team, pid: str) -> list[str]:
    """What each worker has of a client."""
    found = []
    for adapter in map(adapter_of, workers.servers):
        live = adapter._namespace.is_live(pid)
        found.append("live" if live else "away" if adapter.remembers(pid) else "")
    return found


async def promised(client: Wanderer, count: int) -> list[tuple[int, str]]:
    """The next promised events: their acknowledgements' ids, and the packets."""
    found = []
    for _ in range(count):
        packet = await client.raw()
        found.append((int(packet[2 : packet.index("[")]), packet))
    return found
