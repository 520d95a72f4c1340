"""Operations on the sockets of all workers."""

from __future__ import annotations

from typing import Any

import nuncio
from tests.support.aio import eventually, run_async, within
from tests.workers.conftest import Crew, Start, worker_of


async def clients(crew: Crew) -> list[nuncio.ClientSocket]:
    """One client at each worker."""
    return [
        await nuncio.connect(f"http://127.0.0.1:{port}", transports=["websocket"], force_new=True)
        for port in crew.ports
    ]


async def leave(sockets: list[nuncio.ClientSocket]) -> None:
    for socket in sockets:
        await socket.close()


@run_async
async def test_a_broadcast_reaches_the_clients_of_all(crew: Start) -> None:
    async with crew() as workers:
        sockets = await clients(workers)
        heard: list[tuple[int, Any]] = []
        for number, socket in enumerate(sockets):
            socket.on("news", lambda *args, number=number: heard.append((number, args)))
        workers.servers[1].to("everybody").emit("news", 1, b"\x00")
        await eventually(lambda: len(heard) == 3)
        assert sorted(heard) == [(number, (1, b"\x00")) for number in range(3)]
        heard.clear()
        id = sockets[2].id
        assert id is not None
        workers.servers[0].except_(id).emit("news", 2)
        workers.servers[0].to(id).emit("news", 3)
        workers.servers[0].local.emit("news", 4)
        await eventually(lambda: len(heard) == 4)
        assert sorted(heard) == [(0, (2,)), (0, (4,)), (1, (2,)), (2, (3,))]
        await leave(sockets)


@run_async
async def test_what_is_asked_of_the_sockets_of_all(crew: Start) -> None:
    async with crew() as workers:
        sockets = await clients(workers)
        io = workers.servers[0]
        found = await io.fetch_sockets()
        assert {one.id for one in found} == {socket.id for socket in sockets}
        assert await io.of("/").adapter.server_count() == 3
        for socket in sockets:
            socket.on("question", lambda x: x + 1)
        assert await io.timeout(5).emit_with_ack("question", 1) == [2, 2, 2]
        io.sockets_join("room")
        await eventually(lambda: all("room" in w.of("/").adapter.rooms for w in workers.servers))
        io.disconnect_sockets()
        await eventually(lambda: not any(w.of("/").sockets for w in workers.servers))
        await leave(sockets)


@run_async
async def test_servers_talk_to_each_other(crew: Start) -> None:
    async with crew() as workers:
        for number, io in enumerate(workers.servers):
            io.on_server("sum", _adder(number))
        answers = await within(workers.servers[0].server_side_emit_with_ack("sum", 1, 2))
        assert sorted(answers) == [4, 5]


@run_async
async def test_who_has_not_the_namespace_is_not_waited_for(crew: Start) -> None:
    async with crew() as workers:
        workers.servers[0].of("/here")
        workers.servers[1].of("/here")
        adapter = workers.servers[0].of("/here").adapter
        for _ in range(2):
            await eventually(lambda: len(worker_of(workers.servers[0]).mesh.others) == 2)
        await _count(adapter, 2)
        assert await within(workers.servers[0].of("/here").fetch_sockets()) == []
        await workers.servers[1].close()
        await _count(adapter, 1)
        assert await within(workers.servers[0].of("/here").fetch_sockets()) == []


def _adder(number: int) -> Any:
    def add(a: int, b: int) -> int:
        return a + b + number

    return add


async def _count(adapter: Any, expected: int) -> None:
    links = adapter._mesh
    await eventually(lambda: 1 + len(links.with_namespace("/here")) == expected)
    assert await adapter.server_count() == expected
