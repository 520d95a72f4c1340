"""Several workers in one process: each a server of its own, at a port of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.cluster import RedisMeeting
from nuncio.workers.group import Worker
from tests.interop.conftest import node as node
from tests.support.aio import eventually
from tests.support.redis import Redis
from tests.workers.crowd import ONE_MACHINE, TWO_MACHINES, workers

Register = Callable[[nuncio.Server], None]
Start = Callable[..., AbstractAsyncContextManager["Crew"]]


def usual(io: nuncio.Server) -> None:
    """What most tests need of each worker."""

    @io.on("connection")
    def connection(socket: nuncio.Socket) -> None:
        socket.join("everybody")

        @socket.on("echo")
        def echo(*args: Any) -> Any:
            return nuncio.Ack(*args)

        @socket.on("shout")
        def shout(*args: Any) -> None:
            io.to("everybody").emit("shout", *args)


def worker_of(io: nuncio.Server) -> Worker:
    """A server's place among the workers."""
    assert io.engine.worker is not None
    return io.engine.worker


class Crew:
    """The workers.

    Attributes:
        servers: theirs.
        ports: where each listens.
    """

    def __init__(self) -> None:
        self.servers: list[nuncio.Server] = []
        self.ports: list[int] = []

    def holder(self, sid: str) -> int:
        """Which worker holds a session."""
        held = [sid in io.engine.sessions for io in self.servers]
        assert held.count(True) == 1
        return held.index(True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where they meet; short, for the addresses of Unix sockets are."""
    link = Path(f"/tmp/nw-{os.getpid()}-{abs(hash(tmp_path)) % 10**6}")
    yield link
    for path in sorted(link.rglob("*"), reverse=True):
        path.unlink()
    if link.exists():
        link.rmdir()


@pytest.fixture(scope="session")
def lasting_redis(program: Callable[[str], str]) -> Iterator[Redis]:
    """One Redis for all tests that do it no harm."""
    with asyncio.Runner() as runner:
        redis = Redis(program("redis-server"))
        runner.run(redis.__aenter__())
        yield redis
        runner.run(redis.__aexit__())


@pytest.fixture(scope="session", params=[ONE_MACHINE, TWO_MACHINES])
def four_workers(request: pytest.FixtureRequest, lasting_redis: Redis) -> Iterator[list[int]]:
    """Four workers that are processes, for balancers: where they listen."""
    with workers(request.param, lasting_redis) as ports:
        yield ports


@pytest.fixture(params=["folder", "redis"])
def meeting(request: pytest.FixtureRequest) -> Path | RedisMeeting:
    """Where workers meet, one after the other."""
    return place(request, request.param)


def place(request: pytest.FixtureRequest, which: str) -> Path | RedisMeeting:
    """A folder or Redis, for workers to meet."""
    if which == "folder":
        folder: Path = request.getfixturevalue("folder")
        return folder
    redis: Redis = request.getfixturevalue("lasting_redis")
    return RedisMeeting(redis.url, prefix=secrets.token_hex(4))


@pytest.fixture
def crew(meeting: Path | RedisMeeting) -> Start:
    """Starts workers: `async with crew(3) as workers`; `others` are there already."""
    return starter(meeting)


def starter(meeting: Path | RedisMeeting | str) -> Start:
    """What starts workers that meet in a place."""

    @asynccontextmanager
    async def start(
        count: int = 3, register: Register = usual, *, others: int = 0, **options: Any
    ) -> AsyncIterator[Crew]:
        crew = Crew()
        listening = []
        try:
            for _ in range(count):
                io = nuncio.Server(workers=meeting, **options)
                register(io)
                crew.servers.append(io)
                listening.append(await io.listen(0))
                crew.ports.append(listening[-1].port)
            known = count + others
            await eventually(lambda: all(_knows_all(io, known) for io in crew.servers))
            yield crew
        finally:
            for io in crew.servers:
                await io.close(timeout=1.0)

    return start


def _knows_all(io: nuncio.Server, count: int) -> bool:
    """Whether a worker knows all others, and what they have in common."""
    mesh = worker_of(io).mesh
    namespaces = [set(link.namespaces) for link in mesh.others]
    return len(namespaces) == count - 1 and all(set(mesh.namespaces) <= n for n in namespaces)


class Listening:
    """An adapter, as a mesh knows it."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.changes: list[bool] = []

    def take(self, data: bytes) -> None:
        self.taken.append(data)

    def take_outside(self, data: bytes) -> None:
        self.taken.append(data)

    def link_made(self, tag: str) -> None:
        pass

    def link_lost(self, tag: str) -> None:
        pass

    def bus_changed(self, why: Exception | None) -> None:
        self.changes.append(why is None)
