"""Clients that lose their connection and come back to another worker, or whose worker ends."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.cluster import RedisMeeting
from nuncio.cluster.message import ClusterMessage
from nuncio.workers import estate, numbering, receiving, recovery
from nuncio.workers.arrival import Arrival
from nuncio.workers.estate import CLAIMED, ESTATE, INHERITED, NOTHING, SINCE, WANTED
from nuncio.workers.link import Link
from nuncio.workers.recovery import RecoveringWorkersAdapter
from nuncio.workers.redis import RedisPlace
from nuncio.workers.rendezvous import TAG_LENGTH
from tests.support.aio import eventually, run_async, within
from tests.support.gate import Gate
from tests.support.rawclient import Closed, Refused
from tests.support.wanderer import Wanderer
from tests.workers.conftest import Start, place, worker_of
from tests.workers.team import (
    OFFSET,
    Team,
    adapter_of,
    apart,
    given_in_vain,
    is_only_at,
    promised,
    team,
    wanderer,
    where,
)


@pytest.fixture
def meeting(request: pytest.FixtureRequest) -> Path | RedisMeeting:
    """A folder, where all is the same and quicker; Redis, too, for tests that say so."""
    return place(request, getattr(request, "param", "folder"))


@pytest.mark.parametrize("meeting", ["folder", "redis"], indirect=True)
@run_async
async def test_a_client_comes_back_to_another_worker(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        assert pid[:3] == worker_of(workers.servers[0]).mesh.tag
        socket = workers.servers[0].sockets.sockets[sid]
        socket.join("room")
        socket.data["name"] = "Ada"
        workers.servers[2].to("room").emit("one", 1)
        assert await client.next() == ["one", 1]
        client.lose()
        await workers.gone(client)
        workers.servers[0].to("room").emit("two", b"\x00\x01")
        workers.servers[0].to("elsewhere").emit("not mine")
        workers.servers[0].volatile.emit("of the moment")
        await workers.heard(0)
        workers.servers[1].emit("three", {"deep": [b"3"]})
        await workers.heard(1)
        workers.servers[2].to(sid).emit("four")
        assert await client.come_back(workers.ports[1]) == [
            ["two", b"\x00\x01"],
            ["three", {"deep": [{"_placeholder": True, "num": 0}]}],
            ["four"],
        ]
        assert (client.sid, client.pid) == (sid, pid)
        there = workers.servers[1].sockets.sockets[sid]
        assert there.recovered
        assert there.rooms == {sid, "everybody", "room"}
        assert there.data == {"name": "Ada"}
        workers.servers[0].to("room").emit("five")
        assert await client.next() == ["five"]
        # And on to the third, which does not know where it has been.
        client.lose()
        await workers.gone(client)
        workers.servers[0].to("room").emit("six")
        assert await client.come_back(workers.ports[2]) == [["six"]]
        assert client.sid == sid
        # And home.
        client.lose()
        assert await client.come_back(workers.ports[0]) == []
        assert client.sid == sid and workers.of(client) == 0
        await client.leave()


@pytest.mark.parametrize("ends", [False, True])
@run_async
async def test_who_comes_back_to_another_worker_is_present_there(crew: Start, ends: bool) -> None:
    async with team(crew, 2, presence={"leave_grace": 0.2, "beat": 0.2}) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        first, second = workers.servers
        first.presence.track(first.sockets.sockets[client.sid], "room", key=7, meta={"a": 1})
        await eventually(lambda: second.presence.count("room") == 1)
        client.lose()
        await workers.gone(client)
        if ends:
            await first.close(timeout=1.0)
        await eventually(lambda: second.presence.count("room") == 0, "it has left")
        assert await client.come_back(workers.ports[1]) == []
        (one,) = second.presence.members("room")
        assert (one.key, one.metas, one.away) == (7, ({"a": 1},), False)
        if not ends:
            await eventually(lambda: first.presence.keys("room") == [7])
        await client.leave()


@run_async
async def test_a_link_that_died_unnoticed_is_taken_over(crew: Start) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        # Its old connection stays open.
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid == sid and workers.of(client) == 1
        await client.leave()


@run_async
async def test_a_client_that_is_handed_over_while_it_is_looked_for_is_found(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 3) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[1]) == []
        client.lose()
        await workers.gone(client)
        # Where it began it is not. By the time that this is heard, its worker has left it there.
        order = [worker_of(workers.servers[number]).mesh.tag for number in (0, 2)]
        monkeypatch.setattr(random, "shuffle", lambda tags: tags.sort(key=order.index))
        asking = adapter_of(workers.servers[2])
        heard = asking._handlers[NOTHING]
        ended: list[asyncio.Task[None]] = []

        async def end(message: ClusterMessage) -> None:
            await workers.servers[1].close()
            await eventually(lambda: len(asking._tags()) == 1)
            heard(message)

        def nothing(message: ClusterMessage) -> None:
            if ended:
                heard(message)
            else:
                ended.append(asyncio.ensure_future(end(message)))

        monkeypatch.setitem(asking._handlers, NOTHING, nothing)
        assert await client.come_back(workers.ports[2]) == []
        await ended[0]
        assert (client.sid, workers.of(client)) == (sid, 2)
        await client.leave()


@run_async
async def test_who_comes_again_while_it_is_looked_for_is_who_it_was(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).emit("e", 1)
        handlers = adapter_of(workers.servers[0])._handlers
        answer, asked = handlers[WANTED], list[ClusterMessage]()
        monkeypatch.setitem(handlers, WANTED, asked.append)
        await client.begin(workers.ports[1], pid=pid)
        await eventually(lambda: asked)
        # The first connection looks alive.
        coming = asyncio.ensure_future(client.come_back(workers.ports[1]))
        await eventually(lambda: len(workers.servers[1].engine.sessions) == 2)
        monkeypatch.setitem(handlers, WANTED, answer)
        answer(asked[0])
        assert await within(coming) == [["e", 1]]
        assert (client.sid, workers.of(client)) == (sid, 1)
        await client.leave()


@run_async
async def test_a_session_is_at_one_worker_however_many_ask(crew: Start) -> None:
    async with team(crew) as workers:
        clients = [wanderer() for _ in range(6)]
        await clients[0].connect(workers.ports[0])
        sid, pid = clients[0].sid, clients[0].pid
        clients[0].lose()
        await workers.gone(clients[0])
        for one in clients:
            one.pid = pid
        await asyncio.gather(
            *(one.come_back(workers.ports[n % 3]) for n, one in enumerate(clients))
        )
        assert sid in {one.sid for one in clients}
        there = [sid in io.sockets.sockets for io in workers.servers]
        assert there.count(True) == 1
        assert not any(adapter_of(io).remembers(pid) for io in workers.servers)
        for one in clients:
            await one.leave()


@pytest.mark.parametrize(
    ("pid", "offset"),
    [
        ("", ""),
        ("x", ""),
        ("{tag}" + "A" * 17, ""),
        ("A" * 20, ""),
        ("A" * 2_000, ""),
        ("{pid}", "nonsense"),
        ("{pid}", "AAAAAAAA.1"),
        ("{pid}", "x" * 2_000),
    ],
)
@run_async
async def test_what_nobody_knows_begins_afresh(crew: Start, pid: str, offset: str) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).emit("secret")
        tag = worker_of(workers.servers[0]).mesh.tag
        client.pid, client.offset = pid.format(tag=tag, pid=client.pid), offset
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_what_is_forgotten_is_not_recovered_in_part(crew: Start) -> None:
    recovery = {"max_packets": 5}
    async with team(crew, 2, connection_state_recovery=recovery) as workers:
        reports: list[nuncio.Undelivered] = []
        workers.servers[0].on("undelivered", reports.append)
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("promised")
        for number in range(6):
            workers.servers[0].emit("e", number)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        assert [event.event for event in reports[0].events] == ["promised"]
        await client.leave()


@run_async
async def test_what_was_said_in_a_room_before_it_came_is_not_for_it(crew: Start) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        first = workers.servers[0]
        first.to("room").emit("secret")
        first.emit("one")
        first.sockets.sockets[client.sid].join("room")
        first.to("room").emit("two")
        client.lose()
        # It has received nothing.
        assert await client.come_back(workers.ports[1]) == [["one"], ["two"]]
        await client.leave()


@run_async
async def test_who_breaks_off_in_the_middle_gets_the_rest(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        client.lose()
        await workers.gone(client)
        for number in range(6):
            workers.servers[number % 2].to("everybody").emit("e", number)
            await workers.heard(number % 2)
        got: list[Any] = []
        for port, count in ((1, 2), (1, 0), (2, 1), (0, 0), (2, 0)):
            got += await client.come_back_briefly(workers.ports[port], count)
        got += await client.come_back(workers.ports[1])
        assert got == [["e", number] for number in range(6)]
        await client.leave()


@dataclass
class Profile:
    """What an application keeps of a client."""

    name: str = ""


@run_async
async def test_data_travels_as_far_as_it_can_be_sent(
    crew: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with team(crew, 2, data=Profile) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        workers.servers[0].sockets.sockets[sid].data = Profile("Ada")
        await client.come_back(workers.ports[1])
        assert workers.servers[1].sockets.sockets[sid].data == Profile("Ada")
        workers.servers[1].sockets.sockets[sid].data = object()
        # Here it need not be sent.
        await client.come_back(workers.ports[1])
        assert client.sid == sid
        await client.come_back(workers.ports[0])
        assert client.sid != sid
        assert "cannot come back" in caplog.text
        await client.leave()


@run_async
async def test_dynamic_namespaces_are_made_where_clients_come_back_to(crew: Start) -> None:
    def register(io: nuncio.Server) -> None:
        io.of(re.compile("^/room-"))

    options = {"connection_state_recovery": True, "cleanup_empty_child_namespaces": True}
    async with crew(2, register, **options) as workers:
        client = Wanderer(OFFSET, "/room-1")
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        there = workers.servers[0].of("/room-1")
        await eventually(lambda: sid not in there.sockets)
        workers.servers[0].of("/room-1").emit("e", 1)
        assert await client.come_back(workers.ports[1]) == [["e", 1]]
        assert client.sid == sid
        await eventually(lambda: workers.servers[0].find_namespace("/room-1") is None)
        workers.servers[1].of("/room-1").emit("e", 2)
        assert await client.next() == ["e", 2]
        await client.leave()


@run_async
async def test_workers_without_recovery_are_not_asked(
    crew: Start, meeting: Path | RedisMeeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "BEGIN_SECONDS", 0.1)
    # A deployment begins that has recovery, while one ends that has not.
    old = nuncio.Server(workers=meeting)
    await old.listen(0)
    try:
        async with team(crew, 2, others=1) as workers:
            client = wanderer()
            await client.connect(workers.ports[0])
            sid = client.sid
            client.lose()
            await workers.gone(client)
            old.emit("e", 1)
            await eventually(lambda: adapter_of(workers.servers[0]).log.last == 1)
            assert await client.come_back(workers.ports[1]) == [["e", 1]]
            assert client.sid == sid
            old.emit("e", 2)
            assert await client.next() == ["e", 2]
            await client.leave()
    finally:
        await old.close(timeout=1.0)


@run_async
async def test_who_was_at_a_worker_that_is_killed_begins_afresh(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        for link in worker_of(workers.servers[0]).mesh.others:
            link.abort()
        await eventually(
            lambda: all(len(worker_of(io).mesh.others) == 1 for io in workers.servers[1:])
        )
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_a_worker_that_is_killed_while_a_client_comes_to_it_does_not_take_it_along(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", 1)

        def die(message: ClusterMessage) -> None:
            for link in worker_of(workers.servers[1]).mesh.others:
                link.abort()

        monkeypatch.setitem(adapter_of(workers.servers[1])._handlers, ESTATE, die)
        pid = client.pid
        with suppress(Closed):
            await client.come_back(workers.ports[1])
        await eventually(lambda: adapter_of(workers.servers[0]).remembers(pid))
        client.pid, client.sid = pid, sid
        assert await client.come_back(workers.ports[2]) == [["e", 1]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("meeting", ["redis"], indirect=True)
@run_async
async def test_a_worker_that_is_lost_and_found_while_a_client_comes_to_it_does_not_have_it(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", 1)
        first, second = (worker_of(io).mesh for io in workers.servers[:2])
        lost = first.find(second.tag)

        def lose(message: ClusterMessage) -> None:
            for link in second.others:
                link.abort()
            for io in workers.servers:
                place = worker_of(io).mesh._place
                assert isinstance(place, RedisPlace)
                place._announce()

        monkeypatch.setitem(adapter_of(workers.servers[1])._handlers, ESTATE, lose)
        assert await client.come_back(workers.ports[1]) == []
        await eventually(lambda: first.find(second.tag) not in (None, lost))
        await eventually(lambda: adapter_of(workers.servers[0]).remembers(pid))
        client.pid, client.sid = pid, sid
        assert await client.come_back(workers.ports[2]) == [["e", 1]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("meeting", ["redis"], indirect=True)
@run_async
async def test_who_is_not_told_that_a_client_arrived_keeps_it_until_it_is(
    crew: Start,
) -> None:
    async with team(crew) as workers:
        client = wanderer()
        reports = await given_in_vain(workers, client)
        sid, pid = client.sid, client.pid
        first = adapter_of(workers.servers[0])
        async with apart(*workers.servers[:2]):
            await eventually(lambda: first.remembers(pid), "the first one keeps it")
        await eventually(lambda: not first.remembers(pid), "it knows that it need not")
        assert workers.of(client) == 1
        # Where it began it is not found any more, and where it is nothing is lost.
        workers.servers[2].delivery("at-least-once").emit("e", 1)
        ((id, _),) = await promised(client, 1)
        await client.acknowledge(id)
        workers.servers[2].emit("e", 2)
        client.lose()
        await workers.gone(client)
        workers.servers[2].emit("e", 3)
        assert await client.come_back(workers.ports[2]) == [["e", 2], ["e", 3]]
        assert (client.sid, workers.of(client)) == (sid, 2)
        await client.leave()
        assert not reports


@pytest.mark.parametrize("meeting", ["redis"], indirect=True)
@pytest.mark.parametrize("began", [0, 1, 2])
@pytest.mark.parametrize("way", [[0], [2], [2, 1], [2, 0], [0, 1], [2, 0, 2], [1, 0, 1]])
@run_async
async def test_of_two_workers_that_have_a_client_the_one_keeps_it_to_which_it_came_last(
    crew: Start, began: int, way: list[int]
) -> None:
    async with team(crew) as workers:
        client = wanderer()
        reports = await given_in_vain(workers, client, began)
        sid, pid = client.sid, client.pid
        first = adapter_of(workers.servers[0])
        async with apart(*workers.servers[:2]):
            await eventually(lambda: first.remembers(pid), "the first one keeps it")
            for to in way:
                client.lose()
                await workers.gone(client)
                assert await client.come_back(workers.ports[to]) == []
                assert (client.sid, workers.of(client)) == (sid, to)
        await is_only_at(workers, client)
        workers.servers[1].emit("e", 1)
        assert await client.next() == ["e", 1]
        await client.leave()
        assert not reports


@pytest.mark.parametrize("meeting", ["redis"], indirect=True)
@run_async
async def test_who_goes_back_while_it_arrives_is_not_there_too(crew: Start) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        first, second, third = (adapter_of(io) for io in workers.servers)
        # The third one is slow to say what it has emitted.
        hear = third._handlers[SINCE]
        asked: list[ClusterMessage] = []
        third._handlers[SINCE] = lambda message: (
            asked.append(message) if message.uid == second.uid else hear(message)
        )
        await client.begin(workers.ports[1], pid=pid)
        await eventually(lambda: asked)
        client.lose()
        async with apart(*workers.servers[:2]):
            await eventually(lambda: first.remembers(pid), "the first one keeps it")
            assert await client.come_back(workers.ports[0]) == []
            workers.servers[0].emit("e", 1)
            assert await client.next() == ["e", 1]
            client.lose()
            await workers.gone(client)
            assert await client.come_back(workers.ports[0]) == []
        for message in asked:
            hear(message)
        await eventually(lambda: not second._moving)
        assert (client.sid, where(workers, pid)) == (sid, ["live", "", ""])
        await client.leave()


@pytest.mark.parametrize("meeting", ["redis"], indirect=True)
@pytest.mark.parametrize("told", [True, False])
@run_async
async def test_an_heir_that_has_a_client_already_takes_what_is_newer(
    crew: Start, told: bool
) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        reports = await given_in_vain(workers, client)
        sid, pid = client.sid, client.pid
        first = adapter_of(workers.servers[0])
        if not told:
            first._handlers[CLAIMED] = lambda message: None
        async with apart(*workers.servers):
            await eventually(lambda: first.remembers(pid), "the first one keeps it")
            workers.servers[1].to(sid).emit("e", 1)
            assert await client.next() == ["e", 1]
            workers.servers[1].to(sid).delivery("at-least-once").emit("e", 2)
            client.lose()
            await workers.gone(client)
        await workers.servers[1].close(timeout=3.0)
        assert await client.come_back(workers.ports[0]) == [["e", 2]]
        assert client.sid == sid
        assert not reports
        await client.leave()


@pytest.mark.parametrize("to", [0, 2])
@run_async
async def test_who_could_not_be_given_away_has_not_missed_what_was_emitted_meanwhile(
    crew: Start, monkeypatch: pytest.MonkeyPatch, to: int
) -> None:
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        first, second = (adapter_of(io) for io in workers.servers[:2])
        given = asyncio.Event()
        monkeypatch.setitem(second._handlers, ESTATE, lambda message: given.set())
        await client.begin(workers.ports[1], pid=pid)
        await within(given.wait())
        # The first worker has nobody in that room now.
        workers.servers[2].to("everybody").emit("e", 1)
        workers.servers[0].to("everybody").emit("e", 2)
        workers.servers[2].to(sid).delivery("at-least-once").emit("e", 3)
        client.lose()
        await workers.servers[1].close(timeout=0.2)
        await eventually(lambda: first.remembers(pid), "it is kept")
        for number in (4, 5):
            workers.servers[2].to("everybody").emit("e", number)
            await workers.heard(2)
        assert sorted(await client.come_back(workers.ports[to])) == [["e", n] for n in range(1, 6)]
        assert (client.sid, workers.of(client)) == (sid, to)
        await client.leave()


@pytest.mark.parametrize("ends", [False, True])
@run_async
async def test_a_worker_that_does_not_take_a_client_says_so(
    crew: Start, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    async with team(crew, 2) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        client.lose()
        await workers.gone(client)
        first, second = (adapter_of(io) for io in workers.servers)
        failures: list[Exception] = []
        workers.servers[1].on_error(failures.append)
        arrives = Arrival

        def fails(*args: Any) -> Any:
            monkeypatch.setattr(receiving, "Arrival", arrives)
            raise ValueError("what it was told is nonsense")

        if ends:
            # Its application has ended; the last thing it does is to leave the others.
            second._closing = True
        else:
            monkeypatch.setattr(receiving, "Arrival", fails)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        await eventually(lambda: first.remembers(pid) and not first._moving)
        assert len(failures) == (0 if ends else 1)
        await client.leave()


@run_async
async def test_who_has_missed_more_than_can_be_told_is_given_up_and_that_is_told(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate, "MOST_BYTES", 2_000)
    async with team(crew, 2) as workers:
        reports: list[nuncio.Undelivered] = []
        workers.servers[0].on("undelivered", reports.append)
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", "x" * 3_000)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        await eventually(lambda: reports)
        assert reports[0].events[0].args == ("x" * 3_000,)
        await client.leave()


@run_async
async def test_a_worker_ends_when_all_have_what_it_gave_them(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew, 2) as workers:
        clients = [wanderer() for _ in range(2)]
        first = adapter_of(workers.servers[0])
        hear, held = first._handlers[INHERITED], list[ClusterMessage]()
        monkeypatch.setitem(first._handlers, INHERITED, held.append)
        for client in clients:
            await client.connect(workers.ports[0])
            client.lose()
            await workers.gone(client)
        assert await clients[0].come_back(workers.ports[1]) == []
        closing = asyncio.ensure_future(first.close())
        assert await clients[1].come_back(workers.ports[1]) == []
        await eventually(lambda: len(held) == 2)
        hear(held[0])
        await eventually(lambda: len(first._giving) == 1)
        await workers.heard(1)
        assert not closing.done()
        hear(held[1])
        await within(closing)
        assert not first.log.sessions
        for client in clients:
            await client.leave()


@run_async
async def test_what_a_worker_said_last_is_not_missed_by_who_moves_just_then(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LEAVING_SECONDS", 30.0)
    monkeypatch.setattr(numbering, "HEARING_SECONDS", 0.05)
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        first, second, third = (adapter_of(io) for io in workers.servers)
        # The first one has not read yet what the third one says.
        take, unread = first.take, list[bytes]()

        def hold(data: bytes) -> None:
            if third.uid.encode() in data:
                unread.append(data)
            else:
                take(data)

        monkeypatch.setattr(first, "take", hold)
        arrive, given = second._handlers[ESTATE], list[ClusterMessage]()
        monkeypatch.setitem(second._handlers, ESTATE, given.append)
        workers.servers[2].to("everybody").emit("e", 1)
        workers.servers[2].to(sid).delivery("at-least-once").emit("e", 2)
        coming = asyncio.ensure_future(client.come_back(workers.ports[1]))
        await eventually(lambda: given)
        closing = asyncio.ensure_future(workers.servers[2].close(timeout=30.0))
        await eventually(lambda: len(unread) > 2)
        monkeypatch.setattr(first, "take", take)
        for data in unread:
            take(data)
        await workers.heard(0)
        assert not closing.done()
        for message in given:
            arrive(message)
        assert await within(coming) == [["e", 1], ["e", 2]]
        assert (client.sid, workers.of(client)) == (sid, 1)
        await within(closing)
        await client.leave()


@run_async
async def test_a_worker_that_hangs_is_not_waited_for_without_end(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
            adapter_of(io).request_seconds = 0.2
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", 1)
        monkeypatch.setitem(adapter_of(workers.servers[2])._handlers, SINCE, lambda message: None)
        assert await client.come_back(workers.ports[1]) == []
        assert client.sid != sid
        assert [event.args for event in reports[0].events] == [(1,)]
        assert "did not answer" in reports[0].reason
        await client.leave()


# Promised events.


async def heartbeats(client: Wanderer, socket: nuncio.Socket) -> None:
    """Two heartbeats come through, and a promised event behind each, which is acknowledged."""
    for number in range(2):
        socket.conn.expire(socket.conn.deadline)
        socket.delivery("at-least-once").emit("beat", number)
        ((id, _),) = await promised(client, 1)
        await client.acknowledge(id)
        await eventually(lambda: not socket._outbox)


def settle(io: nuncio.Server, pid: str) -> None:
    """So much time passes that a client is known to have what it missed elsewhere."""
    log = adapter_of(io).log
    past = log.past(pid)
    assert past is not None
    log.settle(pid, past)


@run_async
async def test_who_only_acknowledges_is_known_long_after_it_moved(crew: Start) -> None:
    async with team(crew, 3, delivery="at-least-once") as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, there = client.sid, workers.servers[1]
        # So that places there are others than here.
        for _ in range(3):
            workers.servers[0].to("elsewhere").emit("e")
        await workers.heard(0)
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[1]) == []
        socket = there.sockets.sockets[sid]
        await heartbeats(client, socket)
        settle(there, client.pid)
        client.lose()
        await workers.gone(client)
        # As an official client, which knows no offset of what it acknowledges.
        client.offset = ""
        workers.servers[0].to(sid).emit("e", 3)
        await workers.heard(0)
        assert await client.come_back(workers.ports[2]) == [["e", 3]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("ended", [False, True], ids=["lost", "ended"])
@run_async
async def test_who_has_heard_nothing_since_it_moved_is_known_by_what_it_heard_before(
    crew: Start, ended: bool
) -> None:
    async with team(crew, 3) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, there = client.sid, workers.servers[1]
        workers.servers[0].to(sid).emit("one")
        assert await client.next() == ["one"]
        offset = client.offset
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[1]) == []
        socket = there.sockets.sockets[sid]
        await heartbeats(client, socket)
        settle(there, client.pid)
        client.lose()
        await workers.gone(client)
        client.offset = offset
        if ended:
            await there.close()
        workers.servers[2].to(sid).emit("two")
        assert await client.come_back(workers.ports[2]) == [["two"]]
        assert client.sid == sid
        await client.leave()


@run_async
async def test_what_was_promised_comes_along(crew: Start) -> None:
    async with team(crew) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        client = wanderer()
        await client.connect(workers.ports[0])
        promise = [io.to("everybody").delivery("at-least-once") for io in workers.servers]
        for number in (1, 2, 3):
            promise[1].emit("e", number)
        before = await promised(client, 3)
        await client.acknowledge(before[0][0])
        socket = workers.servers[0].sockets.sockets[client.sid]
        await eventually(lambda: socket._outbox is not None and len(socket._outbox) == 2)
        client.lose()
        await workers.gone(client)
        promise[2].emit("e", 4)
        await workers.heard(2)
        assert await client.come_back(workers.ports[1]) == [
            ["e", 2],
            ["e", 3],
            ["e", 4],
        ]
        there = workers.servers[1].sockets.sockets[client.sid]
        outbox = there._outbox
        assert outbox is not None
        # The same event has the same id, and a late acknowledgement is one of that event.
        assert [payload[1] for payload in outbox.payloads()] == [2, 3, 4]
        assert f'"{outbox.payloads()[0][-1]}"' in before[1][1]
        await client.acknowledge(before[1][0])
        await eventually(lambda: len(outbox) == 2)
        assert [payload[1] for payload in outbox.payloads()] == [3, 4]
        await client.leave()
        await eventually(lambda: reports)
        assert [event.args for event in reports[0].events] == [(3,), (4,)]


@run_async
async def test_what_is_promised_while_a_client_is_let_in_is_kept(crew: Start) -> None:
    recovery = {"skip_middlewares": False}
    async with team(crew, 2, connection_state_recovery=recovery) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        client.lose()
        await workers.gone(client)
        gate = Gate(workers.servers[1])
        coming = asyncio.ensure_future(client.come_back(workers.ports[1]))
        await gate.wait()
        await eventually(lambda: not adapter_of(workers.servers[0]).occupied)
        workers.servers[0].to("everybody").delivery("at-least-once").emit("e", 1)
        await workers.heard(0)
        workers.servers[1].to("everybody").emit("e", 2)
        gate.open()
        assert sorted(await within(coming)) == [["e", 1], ["e", 2]]
        outbox = workers.servers[1].sockets.sockets[client.sid]._outbox
        assert outbox is not None and len(outbox) == 1
        await client.leave()


@run_async
async def test_who_leaves_while_it_is_let_in_may_come_back(crew: Start) -> None:
    recovery = {"skip_middlewares": False}
    async with team(crew, 2, connection_state_recovery=recovery) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        workers.servers[0].to(sid).delivery("at-least-once").emit("e", 1)
        await promised(client, 1)
        client.lose()
        gate = Gate(workers.servers[1])
        coming = asyncio.ensure_future(client.come_back(workers.ports[1]))
        adapter = adapter_of(workers.servers[1])
        await gate.wait()
        client.lose()
        with pytest.raises(Closed):
            await coming
        await eventually(lambda: workers.servers[1].engine.clients_count == 0)
        gate.open()
        await eventually(lambda: adapter.remembers(client.pid))
        assert await client.come_back(workers.ports[0]) == [["e", 1]]
        assert client.sid == sid
        await client.leave()


@pytest.mark.parametrize("to", [0, 1])
@run_async
async def test_what_is_said_to_a_client_alone_while_it_is_let_in_is_its(
    crew: Start, to: int
) -> None:
    recovery = {"skip_middlewares": False}
    async with team(crew, connection_state_recovery=recovery) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        client.lose()
        await workers.gone(client)
        gate = Gate(workers.servers[to])
        coming = asyncio.ensure_future(client.come_back(workers.ports[to]))
        await gate.wait()
        # What was to be done at once when it came back is done.
        await workers.heard(to)
        workers.servers[2].to(sid).emit("e", 1)
        workers.servers[2].to("everybody").emit("e", 2)
        workers.servers[2].to(sid).delivery("at-least-once").emit("e", 3)
        await workers.heard(2)
        gate.open()
        assert await within(coming) == [["e", 1], ["e", 2], ["e", 3]]
        assert client.sid == sid
        adapter = adapter_of(workers.servers[to])
        client.lose()
        await workers.gone(client)
        assert await client.come_back(workers.ports[2]) == [["e", 3]]
        await eventually(lambda: not adapter.has_room(sid) and not adapter.occupied)
        await client.leave()


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("to", [0, 1])
@run_async
async def test_who_comes_again_while_it_is_let_in_is_who_it_was(
    crew: Start, to: int, dead: bool
) -> None:
    recovery = {"skip_middlewares": False}
    async with team(crew, 2, connection_state_recovery=recovery) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid, pid = client.sid, client.pid
        workers.servers[0].to(sid).emit("e", 0)
        assert await client.next() == ["e", 0]
        client.lose()
        await workers.gone(client)
        gate = Gate(workers.servers[1])
        await client.begin(workers.ports[1], pid=pid, offset=client.offset)
        await gate.wait()
        workers.servers[0].to(sid).emit("e", 1)
        await workers.heard(0)
        if dead:
            client.lose()
            await eventually(lambda: workers.servers[1].engine.clients_count == 0)
        coming = asyncio.ensure_future(client.come_back(workers.ports[to]))
        if to:
            await eventually(lambda: gate.asked == 2)
            gate.open()
        assert await within(coming) == [["e", 1]]
        # What is said of the first connection does not matter any more.
        gate.open()
        await eventually(lambda: workers.servers[1].stats()["tasks"] == 0)
        assert (client.sid, workers.of(client)) == (sid, to)
        await client.leave()


# Under load.


class Emitters:
    """Every worker emits numbers of its own without pause."""

    def __init__(
        self, workers: Team, *, delivery: str = "at-most-once", pause: float = 0.002
    ) -> None:
        self.counts = [0] * len(workers.servers)
        self._workers = workers
        self._guarantee = delivery
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self._tasks = [
            asyncio.ensure_future(self._emit(number)) for number in range(len(self.counts))
        ]

    async def _emit(self, number: int) -> None:
        room = self._workers.servers[number].to("everybody").delivery(self._guarantee)
        while True:
            for _ in range(random.randrange(4)):
                room.emit("e", number, self.counts[number])
                self.counts[number] += 1
            await asyncio.sleep(random.choice((0, self._pause)))

    def end(self, number: int | None = None) -> None:
        for one in self._tasks if number is None else [self._tasks[number]]:
            one.cancel()


async def rest(client: Wanderer, got: list[Any], counts: list[int]) -> None:
    """Read until the last number of everybody has come."""
    wanted = {(number, count - 1) for number, count in enumerate(counts) if count}
    wanted -= {(event[1], event[2]) for event in got}
    while wanted:
        event = await client.next()
        if got[-1] is not event:
            got.append(event)
        wanted.discard((event[1], event[2]))


@pytest.fixture(params=["to all", "to whom it concerns"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether broadcasts go to all workers, or to those alone that have somebody in the room."""
    if request.param == "to whom it concerns":
        return

    def everybody(self: RecoveringWorkersAdapter, options: object) -> list[Link]:
        return self._mesh.with_namespace(self.nsp.name)

    monkeypatch.setattr(RecoveringWorkersAdapter, "_chosen", everybody)


@pytest.mark.parametrize("seed", range(2))
@run_async
async def test_every_number_arrives_once_and_in_order_whatever_the_client_does(
    crew: Start, way: None, seed: int
) -> None:
    chance = random.Random(seed)
    async with team(crew) as workers:
        client = wanderer()
        await client.connect(workers.ports[0])
        sid = client.sid
        emitters = Emitters(workers)
        emitters.begin()
        got: list[Any] = []
        for _ in range(40):
            for _ in range(chance.randrange(12)):
                got.append(await client.next())
            client.lose()
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.01)
            while chance.random() < 0.3:
                port = chance.choice(workers.ports)
                got += await client.come_back_briefly(port, chance.randrange(6))
            got += await client.come_back(chance.choice(workers.ports))
            assert client.sid == sid
        emitters.end()
        await rest(client, got, emitters.counts)
        for number, count in enumerate(emitters.counts):
            numbers = [event[2] for event in got if event[1] == number]
            assert numbers == list(range(count))
        await client.leave()


@run_async
async def test_every_promise_is_kept_whatever_the_client_does(crew: Start, way: None) -> None:
    chance = random.Random(1)
    reports: list[nuncio.Undelivered] = []
    async with team(crew) as workers:
        for io in workers.servers:
            io.on("undelivered", reports.append)
        client = Reliable()
        await client.connect(workers.ports[0])
        sid = client.sid
        emitters = Emitters(workers, delivery="at-least-once")
        emitters.begin()
        for _ in range(40):
            for _ in range(chance.randrange(12)):
                await client.next()
            client.lose()
            await client.come_back(chance.choice(workers.ports))
            assert client.sid == sid
        emitters.end()
        await eventually_read(client, emitters.counts)
        for number, count in enumerate(emitters.counts):
            assert client.numbers(number) == list(range(count))
        socket = workers.servers[workers.of(client)].sockets.sockets[sid]
        await eventually(lambda: socket._outbox is None or len(socket._outbox) == 0)
        await client.leave()
    assert reports == []


class Reliable(Wanderer):
    """A client that acknowledges what it receives, late at times, and knows what it had before."""

    def __init__(self) -> None:
        super().__init__(OFFSET)
        self.handled: dict[str, list[Any]] = {}
        self._owed: list[int] = []
        self._chance = random.Random(2)

    async def _event(self, packet: str) -> Any:
        event = await super()._event(packet)
        self.handled.setdefault(self.offset, event)
        self._owed.append(int(packet[2 : packet.index("[")]))
        if self._chance.random() < 0.7:
            for id in self._owed:
                await self.acknowledge(id)
            self._owed.clear()
        return event

    def numbers(self, number: int) -> list[int]:
        """What of one worker has come, each once."""
        return [event[2] for event in self.handled.values() if event[1] == number]


async def eventually_read(client: Reliable, counts: list[int]) -> None:
    while any(
        count and (count - 1) not in client.numbers(number) for number, count in enumerate(counts)
    ):
        await client.next()
    client._chance = _Always()
    for id in client._owed:
        await client.acknowledge(id)


class _Always(random.Random):
    def random(self) -> float:
        return 0.0


# Workers that end.


@pytest.mark.parametrize("meeting", ["folder", "redis"], indirect=True)
@run_async
async def test_what_a_worker_leaves_is_found_at_another(crew: Start) -> None:
    async with team(crew) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        client, silent, fresh = wanderer(), wanderer(), wanderer()
        for one in (client, silent, fresh):
            await one.connect(workers.ports[0])
        sids = [client.sid, silent.sid, fresh.sid]
        first = workers.servers[0]
        first.to("everybody").emit("one", 1)
        assert await client.next() == ["one", 1]
        # Those two have not seen it.
        for one in (client, silent, fresh):
            one.lose()
            await workers.gone(one)
        first.to("everybody").delivery("at-least-once").emit("two", 2)
        workers.servers[1].to("everybody").emit("three", 3)
        await workers.heard(1)
        await first.close(timeout=1.0)
        workers.servers[2].to("everybody").emit("four", 4)
        workers.servers[1].to("everybody").delivery("at-least-once").emit("five", 5)
        for number in (1, 2):
            await workers.heard(number)
        await eventually(
            lambda: sum(len(adapter_of(io).log.sessions) for io in workers.servers[1:]) == 3
        )
        expected = [["two", 2], ["three", 3], ["four", 4], ["five", 5]]
        assert sorted(await client.come_back(workers.ports[1])) == sorted(expected)
        got = await silent.come_back(workers.ports[2])
        assert got[0] == ["one", 1] and sorted(got[1:]) == sorted(expected)
        # In the middle of it, and from one to the other.
        got = await fresh.come_back_briefly(workers.ports[2], 2)
        got += await fresh.come_back_briefly(workers.ports[1], 1)
        got += await fresh.come_back(workers.ports[2])
        assert ["one", 1] in got and all(event in got for event in expected)
        assert [client.sid, silent.sid, fresh.sid] == sids
        assert reports == []
        for one in (client, silent, fresh):
            await one.leave()


@pytest.mark.parametrize("meeting", ["folder", "redis"], indirect=True)
@run_async
async def test_what_was_left_to_two_workers_is_found_at_one(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with team(crew) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        clients = [wanderer() for _ in range(3)]
        for client in clients:
            await client.connect(workers.ports[0])
            client.lose()
            await workers.gone(client)
        pids = [client.pid for client in clients]
        first, mesh = adapter_of(workers.servers[0]), worker_of(workers.servers[0]).mesh
        heard = first._handlers[INHERITED]
        lost: list[str] = []

        def lose(message: ClusterMessage) -> None:
            if lost:
                heard(message)
            else:
                lost.append(message.uid[:TAG_LENGTH])
                link = mesh.find(lost[0])
                assert link is not None
                link.abort()

        monkeypatch.setitem(first._handlers, INHERITED, lose)
        workers.servers[2].to("everybody").delivery("at-least-once").emit("e", 1)
        await workers.heard(2)
        await workers.servers[0].close(timeout=5.0)
        for pid in pids:
            assert where(workers, pid)[1:] == ["away", "away"]
        for number, client in enumerate(clients):
            assert await client.come_back(workers.ports[1 + number % 2]) == [["e", 1]]
            assert client.pid == pids[number]
            await is_only_at(workers, client)
        assert not reports
        for client in clients:
            await client.leave()


@run_async
async def test_a_large_estate_comes_in_parts(crew: Start) -> None:
    async with team(crew, 2) as workers:
        clients = [wanderer() for _ in range(20)]
        for client in clients:
            await client.connect(workers.ports[0])
        for client in clients:
            client.lose()
            await workers.gone(client)
        events: list[Any] = [["e", number, "x" * 20_000] for number in range(40)]
        for event in events:
            workers.servers[0].to("everybody").emit(*event)
        await workers.servers[0].close(timeout=1.0)
        for client in clients:
            assert await client.come_back(workers.ports[1]) == events
            await client.leave()


@run_async
async def test_who_does_not_fit_in_is_given_up(
    crew: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate, "MOST_BYTES", 2_000)
    async with team(crew, 2) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        clients = [wanderer() for _ in range(10)]
        for client in clients:
            await client.connect(workers.ports[0])
        for client in clients:
            client.lose()
            await workers.gone(client)
            promise = workers.servers[0].to(client.sid).delivery("at-least-once")
            promise.emit("e", "x" * 300)
        await workers.servers[0].close(timeout=1.0)
        kept = len(adapter_of(workers.servers[1]).log.sessions)
        assert 0 < kept < 10
        assert len(reports) == 10 - kept


@run_async
async def test_the_last_worker_tells_what_it_cannot_keep(crew: Start) -> None:
    async with team(crew) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        client = wanderer()
        await client.connect(workers.ports[0])
        client.lose()
        await workers.gone(client)
        workers.servers[0].to("everybody").delivery("at-least-once").emit("e", 1)
        # All at once: nobody takes it. One after the other: the last one has it.
        await asyncio.gather(*(io.close(timeout=1.0) for io in workers.servers))
        assert [event.args for report in reports for event in report.events] == [(1,)]


@run_async
async def test_workers_are_drained_one_after_the_other_and_nothing_is_lost(crew: Start) -> None:
    chance = random.Random(3)
    async with team(crew, 4) as workers:
        reports: list[nuncio.Undelivered] = []
        for io in workers.servers:
            io.on("undelivered", reports.append)
        clients = [Reliable() for _ in range(6)]
        for number, client in enumerate(clients):
            await client.connect(workers.ports[number % 4])
        sids = [client.sid for client in clients]
        emitters = Emitters(workers, delivery="at-least-once", pause=0.02)
        emitters.begin()
        staying = list(workers.ports)
        going = [
            asyncio.ensure_future(_stay_somewhere(client, staying, chance)) for client in clients
        ]
        await asyncio.sleep(0.05)
        for number in range(3):
            staying.remove(workers.ports[number])
            io = workers.servers[number]
            await io.engine.drain(0.1)
            emitters.end(number)
            await io.close(timeout=2.0)
        emitters.end()
        workers.servers[3].to("everybody").delivery("at-least-once").emit("end", -1, 0)
        await within(asyncio.gather(*going))
        for client in clients:
            await eventually_read(client, emitters.counts)
            for number, count in enumerate(emitters.counts):
                assert client.numbers(number) == list(range(count))
        assert [client.sid for client in clients] == sids
        assert reports == []
        for client in clients:
            await client.leave()


class Roamer(Wanderer):
    """A client that loses its connection again and again, and comes back to any worker.

    Attributes:
        got: all that it has received.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(OFFSET)
        self.got: list[Any] = []
        self.chance = random.Random(seed)

    async def _event(self, packet: str) -> Any:
        event = await super()._event(packet)
        self.got.append(event)
        return event

    async def roam(self, ports: list[int], until: asyncio.Event) -> None:
        """Go from one to the other; at last be connected."""
        while True:
            self.lose()
            await asyncio.sleep(self.chance.choice((0, 0.005, 0.02)))
            with suppress(Closed, Refused, OSError, asyncio.IncompleteReadError):
                if self.chance.random() < 0.3:
                    await self.come_back_briefly(self.chance.choice(ports), 3)
                    continue
                await self.come_back(self.chance.choice(ports))
                if until.is_set():
                    return
                for _ in range(self.chance.randrange(12)):
                    await self.next()


@pytest.mark.parametrize("seed", range(2))
@run_async
async def test_every_number_arrives_once_while_workers_end(
    crew: Start, way: None, seed: int
) -> None:
    async with team(crew, 4) as workers:
        clients = [Roamer(seed * 5 + number) for number in range(5)]
        for client in clients:
            await client.connect(workers.ports[0])
        sids = [client.sid for client in clients]
        emitters = Emitters(workers)
        emitters.begin()
        staying, over = list(workers.ports), asyncio.Event()
        roaming = [asyncio.ensure_future(client.roam(staying, over)) for client in clients]
        for number in range(3):
            await asyncio.sleep(0.2)
            staying.remove(workers.ports[number])
            emitters.end(number)
            await workers.servers[number].close(timeout=2.0)
        over.set()
        # They wait for events.
        await within(asyncio.gather(*roaming))
        emitters.end()
        for client in clients:
            await rest(client, client.got, emitters.counts)
            for number, count in enumerate(emitters.counts):
                numbers = [event[2] for event in client.got if event[1] == number]
                assert numbers == list(range(count))
        assert [client.sid for client in clients] == sids
        for client in clients:
            await client.leave()


async def _stay_somewhere(client: Reliable, ports: list[int], chance: random.Random) -> None:
    """Read, and come back elsewhere whenever the connection ends; at times a little later."""
    while not client.numbers(-1):
        try:
            await client.next()
        except (Closed, Refused, ConnectionError):
            client.lose()
            await asyncio.sleep(chance.choice((0, 0, 0.05, 0.3)))
            await _come_back_somewhere(client, ports, chance)


async def _come_back_somewhere(client: Reliable, ports: list[int], chance: random.Random) -> None:
    while True:
        try:
            await client.come_back(chance.choice(ports))
            return
        except (Closed, Refused, ConnectionError):
            # Or the server would wait for its goodbye.
            client.lose()
            await asyncio.sleep(0.01)
