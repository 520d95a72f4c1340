"""Messages reach the workers that have somebody they are for, and no others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.workers.adapter import MOST_ROOMS, WorkersAdapter
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client
from tests.workers.conftest import Crew, Start, worker_of


@pytest.fixture
def meeting(folder: Path) -> Path:
    """Where these workers meet: elsewhere they would not see each other's rooms."""
    return folder


def quiet(io: nuncio.Server) -> None:
    """Nobody is in any room but his own."""


def adapter(io: nuncio.Server, nsp: str = "/") -> WorkersAdapter:
    """A worker's adapter."""
    found = io.of(nsp).adapter
    assert isinstance(found, WorkersAdapter)
    return found


class Counts:
    """What each worker has received since the last time."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._before = self._now()

    def _now(self) -> list[int]:
        return [adapter(io).stats()["received"] for io in self._crew.servers]

    async def settled(self) -> list[int]:
        """So many messages each, once everything that was said has arrived."""
        for io in self._crew.servers:
            # It takes the same links, after everything else, and is answered.
            io.on_server("mark", lambda: 1)
        for io in self._crew.servers:
            await within(io.server_side_emit_with_ack("mark"))
        others = len(self._crew.servers) - 1
        marks = 2 * others
        found = [n - b - marks for n, b in zip(self._now(), self._before, strict=True)]
        self._before = self._now()
        return found


def heard(client: Client) -> list[str]:
    """The events that a client received."""
    return [str(one)[1:] for one in client.take()]


@run_async
async def test_a_room_s_messages_go_to_its_workers_only(crew: Start) -> None:
    async with crew(3, quiet) as workers:
        one, _, three = workers.servers
        ada, bob, eve = [await Client.arrive(io) for io in workers.servers]
        counts = Counts(workers)
        bob.socket.join("news")
        one.to("news").emit("e", 1)
        assert await counts.settled() == [0, 1, 0]
        one.to(["news", "sport"]).except_("nobody").emit("e", 2)
        three.to("news").emit("e", 3)
        assert await counts.settled() == [0, 2, 0]
        assert sorted(heard(bob)) == ['["e",1]', '["e",2]', '["e",3]']
        one.to("sport").emit("e")
        bob.socket.leave("news")
        one.to("news").emit("e")
        assert await counts.settled() == [0, 0, 0]
        assert adapter(one).stats()["spared"] == 1 + 1 + 2 + 2
        one.to([f"room {n}" for n in range(MOST_ROOMS + 1)]).emit("e")
        assert await counts.settled() == [0, 1, 1]
        one.emit("all")
        assert await counts.settled() == [0, 1, 1]
        assert heard(ada) == heard(bob) == heard(eve) == ['["all"]']


@run_async
async def test_one_client_s_messages_go_to_his_worker(crew: Start) -> None:
    async with crew(3, quiet) as workers:
        one = workers.servers[0]
        bob = await Client.arrive(workers.servers[1])
        counts = Counts(workers)
        # In the same turn in which he was let in.
        one.to(bob.sid).emit("e", 1)
        assert await counts.settled() == [0, 1, 0]
        assert heard(bob) == ['["e",1]']
        sid = bob.sid
        bob.lose()
        await asyncio.sleep(0)
        one.to(sid).emit("e", 2)
        assert await counts.settled() == [0, 0, 0]


@run_async
async def test_a_namespace_without_clients_receives_nothing(crew: Start) -> None:
    async with crew(3, quiet) as workers:
        one, two, _ = workers.servers
        counts = Counts(workers)
        one.emit("e")
        assert await within(one.fetch_sockets()) == []
        assert await within(one.timeout(5).emit_with_ack("q")) == []
        one.sockets_join("x")
        one.disconnect_sockets()
        assert await counts.settled() == [0, 0, 0]
        bob = await Client.arrive(two)
        one.emit("e")
        assert await counts.settled() == [0, 1, 0]
        bob.lose()
        await asyncio.sleep(0)
        one.emit("e")
        assert await counts.settled() == [0, 0, 0]


@run_async
async def test_who_joins_at_another_worker_s_wish_is_reached_at_once(crew: Start) -> None:
    async with crew(3, quiet) as workers:
        one, two, three = workers.servers
        bob, eve = await Client.arrive(two), await Client.arrive(three)
        counts = Counts(workers)
        one.to(bob.sid).sockets_join("first")
        one.to("first").sockets_join("second")
        one.to("second").emit("e", 1)
        await eventually(lambda: bob.wire.messages)
        assert heard(bob) == ['["e",1]']
        # The third was not concerned; the first was told twice that it is done.
        assert await counts.settled() == [2, 3, 0]
        one.to("third").emit("e", 2)
        assert await counts.settled() == [0, 0, 0]
        (found,) = [s for s in await within(one.fetch_sockets()) if s.id == eve.sid]
        await found.join("fourth")
        one.to("fourth").emit("e", 3)
        await eventually(lambda: eve.wire.messages)
        assert heard(eve) == ['["e",3]']


@run_async
async def test_only_who_is_asked_is_waited_for(crew: Start) -> None:
    async with crew(3, quiet) as workers:
        one, two, _ = workers.servers
        bob = await Client.arrive(two)
        bob.socket.join("news")
        counts = Counts(workers)
        assert [s.id for s in await within(one.to("news").fetch_sockets())] == [bob.sid]
        assert await within(one.to("sport").fetch_sockets()) == []
        asked = asyncio.ensure_future(one.to("news").timeout(30).emit_with_ack("q"))
        await eventually(lambda: bob.wire.messages)
        packet = str(bob.take()[0])
        bob.send(f'3{packet[1 : packet.index("[")]}["here"]')
        assert await within(asked) == ["here"]
        assert await within(one.to("sport").timeout(30).emit_with_ack("q")) == []
        assert await counts.settled() == [3, 2, 0]
        assert await adapter(one).server_count() == 3


@run_async
async def test_a_worker_that_dies_is_forgotten_and_one_that_comes_is_found(
    crew: Start, folder: Path
) -> None:
    async with crew(2, quiet) as workers:
        one, two = workers.servers
        (await Client.arrive(two)).socket.join("news")
        await two.close(0.5)
        await eventually(lambda: not worker_of(one).mesh.others)
        assert sum([name.endswith(".rooms") for name in os.listdir(folder)]) == 1
        assert adapter(one).stats()["flooded"] == 0
        three = nuncio.Server(workers=folder)
        listening = await three.listen(0)
        eve = await Client.arrive(three)
        eve.socket.join("news")
        await eventually(lambda: worker_of(one).mesh.with_namespace("/"))
        one.to("news").emit("e")
        await eventually(lambda: eve.wire.messages)
        await three.close(0.5)
        await listening.close()


@run_async
async def test_a_server_that_starts_again_shows_its_rooms_again(crew: Start) -> None:
    async with crew(2, quiet) as workers:
        one, two = workers.servers
        await Client.arrive(two)
        await two.close(0.5)
        await eventually(lambda: not worker_of(one).mesh.others)
        await two.engine.start()
        await eventually(lambda: worker_of(one).mesh.with_namespace("/"))
        spared = adapter(one).stats()["spared"]
        one.emit("e")
        assert adapter(one).stats()["spared"] == spared + 1
        bob = await Client.arrive(two)
        bob.socket.join("news")
        one.to("news").emit("e")
        await eventually(lambda: bob.wire.messages)


@run_async
async def test_rooms_of_clients_that_are_away_are_there(crew: Start) -> None:
    recovery = {"max_disconnection_duration": 60, "max_sessions": 1}
    async with crew(2, quiet, connection_state_recovery=recovery) as workers:
        one, two = workers.servers
        bob = await Client.arrive(two)
        socket = bob.socket
        socket.join("news")
        counts = Counts(workers)
        bob.lose()
        await asyncio.sleep(0)
        one.to("news").emit("e")
        one.to(socket.id).emit("e")
        one.emit("e")
        assert await counts.settled() == [0, 3]
        # Another one crowds him out.
        eve = await Client.arrive(two)
        eve.lose()
        await asyncio.sleep(0)
        one.to("news").emit("e")
        one.to(socket.id).emit("e")
        assert await counts.settled() == [0, 0]
        one.emit("e")
        assert await counts.settled() == [0, 1]


@run_async
async def test_a_worker_that_does_not_show_its_rooms_is_sent_everything(
    crew: Start, folder: Path
) -> None:
    async with crew(2, quiet) as workers:
        one, two = workers.servers
        (folder / f"{worker_of(two).mesh.tag}.rooms").unlink()
        counts = Counts(workers)
        one.to("news").emit("e")
        one.emit("e")
        assert adapter(one).stats()["flooded"] == 1
        assert await counts.settled() == [0, 2]


def told(io: nuncio.Server) -> Any:
    """What a worker shows of itself."""
    return adapter(io)._here


@run_async
async def test_nothing_is_left_of_those_who_are_gone(crew: Start) -> None:
    async with crew(1, quiet) as workers:
        (io,) = workers.servers
        shown = adapter(io)._shown
        assert shown is not None
        clients = [await Client.arrive(io) for _ in range(20)]
        for number, client in enumerate(clients):
            client.socket.join(["all", f"of {number % 3}", number])
        assert len(told(io)) == 20 + 1 + 3 + 20
        assert sum(shown._counts[:]) == 2 * (len(told(io)) + 1)
        for client in clients:
            client.lose()
        await asyncio.sleep(0)
        assert not told(io) and not any(shown._counts[:])
