"""Several workers in one process: each a server of its own, at a port of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.workers.group import Worker
from tests.interop.conftest import node as node
from tests.support.aio import eventually

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


@pytest.fixture
def crew(folder: Path) -> Start:
    """Starts workers: `async with crew(3) as workers`; `others` are there already."""

    @asynccontextmanager
    async def start(
        count: int = 3, register: Register = usual, *, others: int = 0, **options: Any
    ) -> AsyncIterator[Crew]:
        crew = Crew()
        listening = []
        try:
            for _ in range(count):
                io = nuncio.Server(workers=folder, **options)
                register(io)
                crew.servers.append(io)
                listening.append(await io.listen(0))
                crew.ports.append(listening[-1].port)
            await eventually(
                lambda: all(
                    len(worker_of(io).mesh.others) == count - 1 + others for io in crew.servers
                )
            )
            yield crew
        finally:
            for io in crew.servers:
                await io.close(timeout=1.0)

    return start
