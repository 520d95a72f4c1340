"""Clients that move between workers: what each has heard, who waits for whom, and what is left."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.cluster import RedisMeeting
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.past import Past
from nuncio.workers import moving
from nuncio.workers.estate import CLAIMED, ESTATE, INHERITED, LEAVING, POSITION
from tests.support.aio import eventually, run_async, within
from tests.support.gate import Gate
from tests.support.wanderer import Wanderer
from tests.workers.conftest import Start, place, worker_of
from tests.workers.team import (
    OFFSET,
    Team,
    adapter_of,
    apart,
    is_only_at,
    team,
    wanderer,
    where,
)

redis = pytest.mark.parametrize("meeting", ["redis"], indirect=True)


@pytest.fixture
def meeting(request: pytest.FixtureRequest) -> Path | RedisMeeting:
    """A folder, where all is the same and quicker; Redis for tests that say so."""
    return place(request, getattr(request, "param", "folder"))


# What is heard, and what is not.


@run_async
async def test_what_another_worker_said_in_a_room_before_it_came_is_not_for_it(
    crew: Start,
) -> None:
    async with team(crew) as workers:
        workers.servers[2].to("room").emit("secret")
        workers.servers[2].emit("to all that are there")
        await workers.heard(2)
        client = wanderer()
        await client.connect(workers.ports[0])
        workers.servers[0].sockets.sockets[client.sid].join("room")
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[1]) == []
        # Nor where a worker ends.
        client.lose()
        await workers.gone(client)
        await workers.servers[1].close(timeout=1.0)
        assert await client.come_back(workers.ports[0]) == []
        await client.leave()


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("speaker", [1, 2])
@run_async
async def test_what_was_not_for_its_worker_may_be_forgotten(
    crew: Start, speaker: int, ends: bool
) -> None:
    async with team(crew, connection_state_recovery={"max_packets": 5}) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        for number in range(8):
            workers.servers[speaker].to("elsewhere").emit("e", number)
        client.lose()
        await workers.gone(client)
        if ends:
            await workers.servers[0].close(timeout=1.0)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid == sid
        await client.leave()


@run_async
async def test_many_that_move_at_once_ask_together(crew: Start) -> None:
    async with team(crew, 2) as workers:
        clients = [wanderer() for _ in range(20)]
        for client in clients:
            await client.connect(workers.ports[0])
        for client in clients:
            client.lose()
            await workers.gone(client)
        workers.servers[1].to("everybody").emit("e", 1)
        sent = adapter_of(workers.servers[0]).stats()["sent"]
        came = await asyncio.gather(*(one.come_back(workers.ports[1]) for one in clients))
        assert came == [[["e", 1]]] * 20
        # For each its estate in two messages and the answer to what was emitted meanwhile.
        assert adapter_of(workers.servers[0]).stats()["sent"] - sent < 20 * 3 + 20
        for client in clients:
            await client.leave()


@pytest.mark.parametrize("count", [2, 4])
@run_async
async def test_workers_that_start_at_once_know_each_other(meeting: Path, count: int) -> None:
    servers = [nuncio.Server(workers=meeting, connection_state_recovery=True) for _ in range(count)]
    try:
        listening = await asyncio.gather(*(io.listen(0) for io in servers))
        await eventually(lambda: all(len(adapter_of(io)._tags()) == count - 1 for io in servers))
        client = wanderer()
        await client.connect(listening[0].port)
        sid = client.sid
        for one in listening[1:]:
            client.lose()
            assert await client.come_back(one.port) == []
            assert client.sid == sid
        await client.leave()
    finally:
        for io in servers:
            await io.close(timeout=1.0)


async def long_lost(workers: Team, client: Wanderer, patch: pytest.MonkeyPatch) -> None:
    """The second worker forgets the first, from which it is apart."""
    patch.setattr(adapter_of(workers.servers[1])._hearing, "_seconds", -1.0)
    # Others move meanwhile, at which it is looked whose numbers are old.
    for to in (1, 2):
        await client.come_back(workers.ports[to])


@redis
@run_async
async def test_a_worker_that_was_lost_for_long_is_asked_again(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew) as workers:
        client, other = wanderer(), wanderer()
        await client.connect(workers.ports[0])
        await other.connect(workers.ports[2])
        sid = client.sid
        async with apart(*workers.servers[:2]):
            await long_lost(workers, other, monkeypatch)
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid == sid
        await client.leave()
        await other.leave()


@redis
@run_async
async def test_what_was_received_before_a_link_was_lost_does_not_come_twice(crew: Start) -> None:
    async with team(crew) as workers:
        client, other = wanderer(), wanderer()
        await client.connect(workers.ports[1])
        await other.connect(workers.ports[2])
        sid = client.sid
        workers.servers[0].to("everybody").emit("e", 1)
        assert await client.next() == ["e", 1]
        async with apart(*workers.servers[:2]):
            for to in (1, 2):
                await other.come_back(workers.ports[to])
            client.lose()
            await workers.gone(client)
            assert await client.come_back(workers.ports[2]) == []
        assert client.sid == sid
        await client.leave()
        await other.leave()


@redis
@run_async
async def test_who_is_away_while_a_link_is_lost_gets_what_was_said_elsewhere(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        async with apart(workers.servers[0], workers.servers[2]):
            workers.servers[2].emit("e", 1)
        assert await client.come_back(workers.ports[1]) == [["e", 1]]
        assert client.sid == sid
        await client.leave()


def rooms(io: nuncio.Server) -> None:
    """Dynamic namespaces."""
    io.of(re.compile("^/room-"))


COMING_AND_GOING = {"connection_state_recovery": True, "cleanup_empty_child_namespaces": True}


@run_async
async def test_what_was_said_before_a_session_began_is_not_for_it(crew: Start) -> None:
    async with crew(3, rooms, **COMING_AND_GOING) as workers:
        client, there, other = (Wanderer(OFFSET, "/room-1") for _ in range(3))
        await there.connect(workers.ports[1])
        await other.connect(workers.ports[2])
        workers.servers[2].of("/room-1").emit("old")
        assert await there.next() == ["old"]
        await other.leave()
        mesh = worker_of(workers.servers[2]).mesh
        await eventually(lambda: "/room-1" not in mesh.namespaces)
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await eventually(lambda: sid not in workers.servers[0].of("/room-1").sockets)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid == sid
        await client.leave()
        await there.leave()


@run_async
async def test_a_namespace_that_comes_and_goes_is_not_remembered_each_time(crew: Start) -> None:
    async with crew(2, rooms, **COMING_AND_GOING) as workers:
        there = Wanderer(OFFSET, "/room-1")
        await there.connect(workers.ports[0])
        mesh = worker_of(workers.servers[1]).mesh
        adapter: Any = workers.servers[0].of("/room-1").adapter
        adapter._hearing._seconds = -1.0
        for _ in range(5):
            other = Wanderer(OFFSET, "/room-1")
            await other.connect(workers.ports[1])
            await other.leave()
            await eventually(lambda: "/room-1" not in mesh.namespaces)
            await eventually(lambda: not adapter._there())
        adapter._hearing.forget()
        assert not adapter._hearing.numbers
        await there.leave()


# Waiting, and looking.


@run_async
async def test_who_was_at_many_workers_is_found(crew: Start) -> None:
    async with team(crew, 8) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        for number in range(1, 8):
            client.lose()
            await workers.gone(client)
            assert await client.come_back(workers.ports[number]) == []
            assert client.sid == sid
        await client.leave()


@redis
@run_async
async def test_heirs_that_name_each_other_are_not_all_who_are_asked(crew: Start) -> None:
    async with team(crew, 4) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        for number in (1, 0):
            client.lose()
            await workers.gone(client)
            await client.come_back(workers.ports[number])
        client.lose()
        await workers.gone(client)
        first, told = adapter_of(workers.servers[0]), asyncio.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(first._handlers, INHERITED, lambda message: None)
            patch.setitem(first._handlers, CLAIMED, lambda message: told.set())
            await client.come_back(workers.ports[2])
            await within(told.wait())
        async with apart(workers.servers[0], workers.servers[2]):
            await eventually(lambda: first.remembers(pid))
        await is_only_at(workers, client)
        client.lose()
        await workers.gone(client)
        await client.come_back(workers.ports[3])
        assert client.sid == sid
        await client.leave()


@run_async
async def test_two_that_look_for_the_same_client_do_not_wait_for_each_other(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MOVING_SECONDS", 3600.0)
    async with team(crew) as workers:
        for io in workers.servers:
            adapter_of(io).request_seconds = 3600.0
        # Its worker was killed.
        clients = [wanderer() for _ in range(3)]
        for client in clients:
            client.pid = "A" * 20
        coming = [one.come_back(port) for one, port in zip(clients, workers.ports, strict=True)]
        assert await within(asyncio.gather(*coming)) == [[], [], []]
        for client in clients:
            await client.leave()


@pytest.mark.parametrize("to", [0, 1])
@run_async
async def test_who_comes_again_while_it_is_let_in_slowly_is_who_it_was(
    crew: Start, monkeypatch: pytest.MonkeyPatch, to: int
) -> None:
    monkeypatch.setattr(moving, "MOVING_SECONDS", 0.01)
    async with team(crew, 2, connection_state_recovery={"skip_middlewares": False}) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        gate = Gate(workers.servers[1])
        await client.begin(workers.ports[1], pid=pid)
        await gate.wait()
        client.lose()
        coming = asyncio.ensure_future(client.come_back(workers.ports[to]))
        await asyncio.sleep(0.1)
        gate.open()
        await within(coming)
        assert (client.sid, workers.of(client)) == (sid, to)
        await client.leave()


# The end of a worker.


@run_async
async def test_a_namespace_that_is_made_again_while_it_ends_stays_among_the_others(
    crew: Start,
) -> None:
    async with crew(2, rooms, **COMING_AND_GOING) as workers:
        first, second = workers.servers
        there, client, again = (Wanderer(OFFSET, "/room-1") for _ in range(3))
        await there.connect(workers.ports[1])
        await client.connect(workers.ports[0])
        # As if the other worker were a few milliseconds away.
        adapter: Any = second.of("/room-1").adapter
        ending: Any = first.of("/room-1").adapter
        hear, held = adapter._handlers[LEAVING], list[ClusterMessage]()
        adapter._handlers[LEAVING] = held.append
        await client.leave()
        await eventually(lambda: held)
        await again.connect(workers.ports[0])
        for message in held:
            hear(message)
        await eventually(lambda: ending._shown is None, "it has ended")
        second.of("/room-1").emit("e", 1)
        assert await again.next() == ["e", 1]
        adapter = first.of("/room-1").adapter
        assert worker_of(first).mesh.namespaces["/room-1"] is adapter
        await again.leave()
        await there.leave()


@run_async
async def test_clients_of_a_namespace_that_is_nowhere_else_are_left_to_another(
    crew: Start,
) -> None:
    async with crew(3, rooms, connection_state_recovery=True) as workers:
        client = Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        there = workers.servers[0].of("/room-1")
        await eventually(lambda: sid not in there.sockets)
        there.delivery("at-least-once").emit("e", 1)
        await workers.servers[0].close(timeout=3.0)
        assert await client.come_back(workers.ports[1]) == [["e", 1]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("nsp", ["/", "/room-1"])
@run_async
async def test_two_workers_that_end_leave_their_clients_to_the_third(crew: Start, nsp: str) -> None:
    async with crew(3, rooms, connection_state_recovery=True) as workers:
        clients = [Wanderer(OFFSET, nsp) for _ in range(2)]
        for client, port in zip(clients, workers.ports[:2], strict=True):
            await client.connect(port)
        sids = [client.sid for client in clients]
        for client in clients:
            client.lose()
        await eventually(lambda: not any(io.of(nsp).sockets for io in workers.servers[:2]))
        await asyncio.gather(*(io.close(timeout=3.0) for io in workers.servers[:2]))
        for client in clients:
            await client.come_back(workers.ports[2])
        assert [client.sid for client in clients] == sids
        for client in clients:
            await client.leave()


@run_async
async def test_an_heir_whose_namespace_goes_meanwhile_is_asked_to_make_it_again(
    crew: Start,
) -> None:
    async with crew(2, rooms, **COMING_AND_GOING) as workers:
        first = workers.servers[0]
        client, there = Wanderer(OFFSET, "/room-1"), Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        await there.connect(workers.ports[1])
        sid = client.sid
        client.lose()
        await eventually(lambda: sid not in first.of("/room-1").sockets)
        adapter: Any = first.of("/room-1").adapter
        hear_out = adapter._hear_out

        async def slowly() -> None:
            await hear_out()
            # The only client of the heir leaves just then.
            await there.leave()
            await eventually(lambda: not adapter._tags())

        adapter._hear_out = slowly
        await first.close(timeout=5.0)
        await client.come_back(workers.ports[1])
        assert client.sid == sid
        await client.leave()


@run_async
async def test_a_namespace_that_was_needed_in_vain_is_removed(crew: Start) -> None:
    async with crew(2, rooms, **COMING_AND_GOING) as workers:
        first, second = workers.servers
        client = Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        # It cannot be told.
        first.of("/room-1").sockets[client.sid].data["it"] = object()
        client.lose()
        await eventually(lambda: not first.of("/room-1").sockets)
        await first.close(timeout=3.0)
        await eventually(lambda: second.find_namespace("/room-1") is None)


@run_async
async def test_a_namespace_that_was_made_too_late_is_removed(crew: Start) -> None:
    async with crew(3, rooms, **COMING_AND_GOING) as workers:
        client = Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await eventually(lambda: not workers.servers[0].of("/room-1").sockets)
        # Whoever is asked first is busy.
        asked = worker_of(workers.servers[0]).mesh.others[0].tag
        tags = [worker_of(io).mesh.tag for io in workers.servers]
        late = worker_of(workers.servers[tags.index(asked)]).mesh
        have, held = late.on_needed, list[str]()
        late.on_needed = held.append
        await workers.servers[0].close(timeout=3.0)
        for nsp in held:
            have(nsp)
        await client.come_back(workers.ports[3 - tags.index(asked)])
        assert client.sid == sid
        await client.leave()
        others = workers.servers[1:]
        await eventually(lambda: not any(io.find_namespace("/room-1") for io in others))


@run_async
async def test_a_namespace_that_nobody_can_make_is_not_needed(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register(io: nuncio.Server) -> None:
        io.of(lambda name, auth: name.startswith("/room-"))

    async with crew(3, register, connection_state_recovery=True) as workers:
        needed: list[str] = []
        for io in workers.servers[1:]:
            worker_of(io).mesh.on_needed = needed.append
        reports: list[nuncio.Undelivered] = []
        client = Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        client.lose()
        there = workers.servers[0].of("/room-1")
        there.on("undelivered", reports.append)
        await eventually(lambda: not there.sockets)
        there.delivery("at-least-once").emit("e", 1)
        await workers.servers[0].close(timeout=3.0)
        assert not needed and len(reports) == 1


@run_async
async def test_who_is_being_let_in_by_a_worker_that_ends_is_left_to_another(crew: Start) -> None:
    async with team(crew, 2, connection_state_recovery={"skip_middlewares": False}) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", 1)
        gate = Gate(workers.servers[1])
        await client.begin(workers.ports[1], pid=pid)
        await gate.wait()
        # The middleware goes on for longer than the server waits.
        closing = asyncio.ensure_future(workers.servers[1].close(timeout=0.2))
        await eventually(lambda: workers.servers[1].engine.clients_count == 0)
        client.lose()
        await within(closing)
        assert await client.come_back(workers.ports[0]) == [["e", 1]]
        assert client.sid == sid
        assert not reports
        await client.leave()


@run_async
async def test_who_is_lost_while_a_worker_ends_is_waited_for(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        away, client = wanderer(), wanderer()
        for one in (away, client):
            await one.connect(workers.ports[0])
        away.lose()
        await workers.gone(away)
        first, second = (adapter_of(io) for io in workers.servers)
        # The second worker is slow to say how far it is, and then to take whom it is left.
        heard, asked = second._handlers[POSITION], list[ClusterMessage]()
        taken, left = second._handlers[ESTATE], list[ClusterMessage]()
        monkeypatch.setitem(second._handlers, POSITION, asked.append)
        monkeypatch.setitem(second._handlers, ESTATE, left.append)
        first.give_up_sessions()
        await eventually(lambda: asked)
        client.lose()
        await workers.gone(client)
        monkeypatch.setitem(second._handlers, POSITION, heard)
        heard(asked[0])
        await eventually(lambda: left)
        sid = client.sid
        coming = asyncio.ensure_future(client.come_back(workers.ports[1]))
        await eventually(lambda: client.pid in second._searches)
        # The question has come there.
        await workers.heard(1)
        taken(left[0])
        assert await within(coming) == []
        assert client.sid == sid
        await client.leave()


@run_async
async def test_what_an_heir_did_not_say_that_it_has_is_not_taken_for_newer(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 4) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        order = [worker_of(workers.servers[number]).mesh.tag for number in (1, 2, 3)]
        monkeypatch.setattr(random, "shuffle", lambda tags: tags.sort(key=order.index))
        first, mesh = adapter_of(workers.servers[0]), worker_of(workers.servers[0]).mesh
        heard = first._handlers[INHERITED]
        lost: list[asyncio.Task[None]] = []

        async def lose() -> None:
            # It comes to the heir, and goes on, before the link is lost.
            assert await client.come_back(workers.ports[1]) == []
            assert await client.come_back(workers.ports[3]) == []
            await workers.heard(3)
            link = mesh.find(order[0])
            assert link is not None
            link.abort()

        def inherited(message: ClusterMessage) -> None:
            if lost:
                heard(message)
            else:
                lost.append(asyncio.ensure_future(lose()))

        monkeypatch.setitem(first._handlers, INHERITED, inherited)
        await workers.servers[0].close(timeout=8.0)
        await lost[0]
        assert client.sid == sid
        await is_only_at(workers, client)
        await client.leave()


@run_async
async def test_a_worker_whose_application_goes_on_emitting_asks_again_before_it_ends(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        first = adapter_of(workers.servers[0])
        heard = first._handlers[LEAVING]
        farewells: list[ClusterMessage] = []

        def leaving(message: ClusterMessage) -> None:
            farewells.append(message)
            if len(farewells) == 1:
                workers.servers[1].emit("late")
            heard(message)

        monkeypatch.setitem(first._handlers, LEAVING, leaving)
        await workers.servers[1].close(timeout=1.0)
        assert len(farewells) == 2


# What is kept.


@run_async
async def test_what_came_along_is_known_until_it_was_received_after_the_last_return(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        for number in range(4):
            workers.servers[0].to("everybody").emit("e", number)
        loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
        later = loop.call_later

        def call_later(delay: float, callback: Any, *args: Any, **options: Any) -> Any:
            handle = later(delay, callback, *args, **options)
            if args and args[0] == client.pid:
                timers.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        got = await client.come_back_briefly(workers.ports[1], 1)
        await workers.gone(client)
        # A minute and a half later, when the first of these timers ends, it has just come back.
        await client.begin(workers.ports[1], pid=client.pid, offset=client.offset)
        got.append(await client.next())
        assert [timer.cancelled() for timer in timers] == [True, False]
        client.lose()
        await workers.gone(client)
        got += await client.come_back(workers.ports[1])
        assert client.sid == sid
        assert got == [["e", number] for number in range(4)]
        await client.leave()


@run_async
async def test_what_a_client_missed_that_goes_to_and_fro_is_remembered_once(crew: Start) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        client.lose()
        await workers.gone(client)
        workers.servers[0].to("everybody").emit("e", "x" * 10_000)
        for number in range(30):
            # It never says that it has received anything.
            client.offset = ""
            await client.come_back(workers.ports[(number + 1) % 2])
            client.lose()
            await workers.gone(client)
        gc.collect()
        pasts = [one for one in gc.get_objects() if isinstance(one, Past)]
        kept = [past for past in pasts if any("xxx" in str(e.message.text) for _, e in past.all())]
        assert len(kept) <= 4


async def moved_long_ago(workers: Team, client: Wanderer) -> None:
    """A client moves from the first worker to the second, and long after that stamps grow old."""
    for io in workers.servers:
        adapter_of(io)._claims._seconds = 0.1
    other = wanderer()
    await client.connect(workers.ports[0])
    await other.connect(workers.ports[2])
    assert await client.come_back(workers.ports[1]) == []
    await asyncio.sleep(0.2)
    # The third worker ends and leaves somebody to the second, which the first does not hear of.
    order = [worker_of(workers.servers[number]).mesh.tag for number in (1, 0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "shuffle", lambda tags: tags.sort(key=order.index))
        other.lose()
        await workers.servers[2].close(timeout=1.0)
    assert adapter_of(workers.servers[1]).remembers(other.pid)


@run_async
async def test_who_moved_long_ago_may_move_again(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await moved_long_ago(workers, client)
        sid = client.sid
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[0]) == []
        assert client.sid == sid
        await client.leave()


@redis
@run_async
async def test_who_moved_long_ago_stays_when_a_link_is_made_anew(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await moved_long_ago(workers, client)
        async with apart(*workers.servers[:2]):
            pass
        await workers.heard(0)
        await workers.heard(1)
        assert where(workers, client.pid) == ["", "live", ""]
        await client.leave()


@redis
@run_async
async def test_who_is_let_in_for_long_is_not_at_two_workers(crew: Start) -> None:
    async with team(crew, 2, connection_state_recovery={"skip_middlewares": False}) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        first = adapter_of(workers.servers[0])
        gate = Gate(workers.servers[1])
        told = asyncio.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(first._handlers, INHERITED, lambda message: None)
            patch.setitem(first._handlers, CLAIMED, lambda message: told.set())
            await client.begin(workers.ports[1], pid=pid)
            await gate.wait()
            await within(told.wait())
        client.lose()
        async with apart(*workers.servers):
            await eventually(lambda: first.remembers(pid), "the first one keeps it")
            assert await client.come_back(workers.ports[0]) == []
            assert client.sid == sid
        await eventually(lambda: where(workers, pid) == ["live", ""], "the second one gives it up")
        gate.open()
        await eventually(lambda: workers.servers[1].stats()["tasks"] == 0)
        assert where(workers, pid) == ["live", ""]
        await client.leave()


@redis
@run_async
async def test_parts_of_an_estate_are_not_kept_when_the_link_is_lost(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        client.lose()
        await workers.gone(client)
        first, second = (adapter_of(io) for io in workers.servers)
        with monkeypatch.context() as patch:
            patch.setitem(second._handlers, ESTATE, lambda message: None)
            pid = client.pid
            await client.begin(workers.ports[1], pid=pid)
            await eventually(lambda: second._parts)
            client.lose()
            async with apart(*workers.servers):
                await eventually(lambda: first.remembers(pid))
        assert not second._parts
        await client.come_back(workers.ports[1])
        assert client.pid == pid
        await client.leave()
