"""Clients come back to another server than they left, and miss nothing: JetStream has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats as nats_py
import pytest

from nuncio import Emitter, RemoteSocket, Server, Undelivered
from nuncio.cluster import NatsAdapter
from tests.support.aio import eventually, run_async, within
from tests.support.nats import Nats
from tests.support.nodeserver import NodeHome
from tests.support.places import OurPlace
from tests.support.wanderer import Wanderer


@dataclass
class Scene:
    """Servers on one stream."""

    nats: Nats
    name: str
    places: list[OurPlace] = field(default_factory=list)

    def adapter(self, **options: Any) -> NatsAdapter:
        """What joins them."""
        settings = {"stream": self.name, "max_bytes": 1 << 20, "secret": "0123456789abcdef"}
        return NatsAdapter(self.nats.url, subject_prefix=self.name, **{**settings, **options})

    async def place(self, adapter: NatsAdapter | None = None, **options: Any) -> OurPlace:
        """Start a server."""
        settings = {"connection_state_recovery": True, **options}
        io = Server(adapter=adapter or self.adapter(), **settings)
        listening = await io.listen(0)
        place = OurPlace(io, listening.port)
        self.places.append(place)
        return place

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[Any]:
        """nats-py's own part for streams."""
        client = await nats_py.connect(self.nats.url)
        try:
            yield client.jetstream()
        finally:
            await client.close()


@asynccontextmanager
async def scene(nats: Nats, name: str) -> AsyncIterator[Scene]:
    """Servers, which end with the block."""
    found = Scene(nats, name)
    try:
        yield found
    finally:
        for place in found.places:
            await place.io.close(0.5)


def healthy(place: OurPlace) -> bool:
    """Whether its server knows the others."""
    adapter: Any = place.io.sockets.adapter
    return bool(adapter.healthy)


@run_async
async def test_a_client_comes_back_to_another_server(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "back") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        sid, pid = client.sid, client.pid
        await first.join(sid, "room")
        data = {"user": "bob", "n": 1, "binary": b"zz"}
        await first.set_data(sid, data)
        await first.emit("one", 1)
        assert await client.next() == ["one", 1]
        await second.emit("two", 2, to="room")
        assert await client.next() == ["two", 2]
        client.lose()
        await first.gone(sid)
        await first.emit("three", b"3")
        await second.emit("four", 4, to="room")
        await first.emit("not for it", to="elsewhere")
        await second.emit("five", "5")
        missed = await client.come_back(second.port)
        # Two servers emitted at the same time.
        assert sorted(missed) == [["five", "5"], ["four", 4], ["three", b"3"]]
        assert (client.sid, client.pid) == (sid, pid)
        there = await second.socket(sid)
        assert there == {"recovered": True, "rooms": {sid, "room"}, "data": data}
        await first.emit("six", to="room")
        assert await client.next() == ["six"]
        # And once more, from there.
        client.lose()
        await second.gone(sid)
        await second.emit("seven")
        assert await client.come_back(first.port) == [["seven"]]
        await client.leave()


@run_async
async def test_a_session_is_in_one_place(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "once") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        await first.emit("e", 1)
        await client.next()
        client.lose()
        await first.gone(client.sid)
        sid = client.sid
        others = []
        for _ in range(4):
            other = Wanderer()
            other.pid, other.offset = client.pid, client.offset
            others.append(other)
        # At the same time, at both servers.
        places = [first, second, first, second]
        async with asyncio.TaskGroup() as group:
            for one, place in zip(others, places, strict=True):
                group.create_task(one.come_back(place.port))
        found = [place for place in (first, second) if await place.socket(sid) is not None]
        assert len(found) == 1 and sid in [one.sid for one in others]
        for one in others:
            one.lose()


@pytest.mark.parametrize(
    "offset", ["x", "1-", "-", "99999999999999999999-1", "999999999999999-1", "1-1\n"]
)
@run_async
async def test_an_offset_that_is_none_begins_afresh(
    home: NodeHome, nats: Nats, offset: str
) -> None:
    async with scene(nats, "offset") as servers:
        place = await servers.place()
        client = Wanderer()
        await client.connect(place.port)
        client.lose()
        await place.gone(client.sid)
        sid, client.offset = client.sid, offset
        await client.come_back(place.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_an_offset_of_the_future_begins_afresh(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "future") as servers:
        place = await servers.place()
        client = Wanderer()
        await client.connect(place.port)
        await place.emit("e")
        await client.next()
        client.lose()
        await place.gone(client.sid)
        sid = client.sid
        client.offset = client.offset.partition("-")[0] + "-1000"
        await client.come_back(place.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_a_secret_that_is_none_begins_afresh(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "secret") as servers:
        place = await servers.place()
        for pid in ("", "x", "*", ">", "a.b", "\r\nPUB x 0\r\n\r\n", "é", "x" * 5000):
            client = Wanderer()
            client.pid = pid
            await client.come_back(place.port)
            assert client.pid != pid
            await client.leave()
        assert healthy(place)


@run_async
async def test_a_client_that_has_received_nothing_may_come_back(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "nothing") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await first.emit("before")
        await client.connect(first.port)
        await first.join(client.sid, "late")
        client.lose()
        await first.gone(client.sid)
        await second.emit("e", to="late")
        assert await client.come_back(second.port) == [["e"]]
        await client.leave()


@run_async
async def test_what_was_said_in_a_room_before_it_came_is_not_for_it(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "room") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        await first.emit("one")
        await client.next()
        await first.emit("secret", to="room")
        await first.emit("two")
        await client.next()
        await first.join(client.sid, "room")
        client.offset = ""
        client.lose()
        await first.gone(client.sid)
        await first.emit("three", to="room")
        assert await client.come_back(second.port) == [["one"], ["two"], ["three"]]
        await client.leave()


@run_async
async def test_what_a_stream_has_forgotten_cannot_be_recovered(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "trimmed") as servers:
        place = await servers.place()
        client = Wanderer()
        await client.connect(place.port)
        await place.emit("e", 1)
        await client.next()
        client.lose()
        await place.gone(client.sid)
        await place.emit("e", 2)
        async with servers.jetstream() as jetstream:
            await jetstream.purge_stream("trimmed")
        sid = client.sid
        # The server that it left would still know.
        place = await servers.place()
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_more_than_one_message_of_a_consumer_is_missed(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "many") as servers:
        first = await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        await first.emit("e", -1)
        await client.next()
        client.lose()
        await first.gone(client.sid)
        for number in range(300):
            first.io.emit("e", number, "x" * 500)
            first.io.to("elsewhere").emit("e", number)
        await first.emit("end")
        # This one has not read it before.
        second = await servers.place()
        missed = await client.come_back(second.port)
        assert [one[1] for one in missed[:-1]] == list(range(300))
        assert missed[-1] == ["end"]
        await client.leave()


@run_async
async def test_events_are_received_in_the_order_of_the_stream(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "order") as servers:
        first, second = await servers.place(), await servers.place()
        clients = [Wanderer(), Wanderer()]
        for client, place in zip(clients, (first, second), strict=True):
            await client.connect(place.port)
        for number in range(50):
            (first, second)[number % 2].io.emit("e", number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        heard = [[await client.next() for _ in range(50)] for client in clients]
        assert heard[0] == heard[1]
        for client in clients:
            await client.leave()


@run_async
async def test_joins_and_disconnects_keep_their_place_among_events(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "places") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(second.port)
        first.io.to("room").emit("too early")
        first.io.sockets_join("room")
        first.io.to("room").emit("in time")
        first.io.sockets_leave("room")
        first.io.to("room").emit("too late")
        first.io.emit("end")
        assert [await client.next(), await client.next()] == [["in time"], ["end"]]
        other = Wanderer()
        await other.connect(first.port)
        first.io.emit("last")
        first.io.disconnect_sockets()
        for one in (client, other):
            assert await one.next() == ["last"]
            assert await one.raw() == "41"
            await one.leave()


@run_async
async def test_nobody_waits_for_nats(home: NodeHome, program: Any) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "away") as servers:
        place = await servers.place()
        client = Wanderer()
        await client.connect(place.port)
        nats.freeze()
        sent = place.io.emit("e", "frozen")
        assert await client.next() == ["e", "frozen"]
        await within(asyncio.wait_for(sent, 5))
        nats.thaw()
        await nats.stop()
        await eventually(lambda: not healthy(place))
        place.io.emit("e", "stopped")
        assert await client.next() == ["e", "stopped"]
        await nats.start()
        await eventually(lambda: healthy(place))
        await place.emit("e", "back")
        assert await client.next() == ["e", "back"]
        assert client.offset
        await client.leave()


@run_async
async def test_a_stream_that_was_made_anew_recovers_nobody_of_the_old_one(
    home: NodeHome, program: Any
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "anew") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        for number in range(3):
            await first.emit("e", number)
            await client.next()
        await nats.stop()
        await eventually(lambda: not healthy(first) and not healthy(second))
        nats.forget()
        await nats.start()
        await eventually(lambda: healthy(first) and healthy(second))
        sid = client.sid
        old = client.offset
        for number in range(5):
            await second.emit("e", number)
            assert await client.next() == ["e", number]
        client.lose()
        await first.gone(sid)
        # With what it has of the new one it may come back; the old one's numbers mean nothing.
        offset, client.offset = client.offset, old
        assert offset.partition("-")[0] != old.partition("-")[0]
        await client.come_back(second.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_what_the_log_said_meanwhile_is_read_after_a_loss(
    home: NodeHome, program: Any
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "meanwhile") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(second.port)
        await first.emit("e", 0)
        await client.next()
        connection = second.io.sockets.adapter.bus.connection  # type: ignore[attr-defined]
        connection.fail("as if the network had failed")
        for number in range(1, 6):
            first.io.emit("e", number)
        assert [await client.next() for _ in range(5)] == [["e", number] for number in range(1, 6)]
        await eventually(lambda: healthy(second))
        await client.leave()


async def cut_before(connection: Any) -> None:
    """Lose what is written next."""
    swallowed = asyncio.Event()

    async def swallow(data: bytes) -> None:
        swallowed.set()

    connection.write = swallow
    await within(swallowed.wait())


@run_async
async def test_what_was_on_its_way_when_a_connection_is_lost_arrives_once(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "losses") as servers:
        first, second = await servers.place(), await servers.place()
        near, far = Wanderer(), Wanderer()
        await near.connect(first.port)
        await far.connect(second.port)
        adapter: Any = first.io.sockets.adapter

        async def again_after(losses: int) -> None:
            await eventually(lambda: adapter.stats()["losses"] == losses and adapter.healthy)

        for number in range(200):
            first.io.emit("e", number)
            if number % 50 == 25:
                await again_after(number // 50)
                first.io.emit("lost")
                if number % 100 == 25:
                    await cut_before(adapter.bus.connection)
                else:
                    # It is written, but not answered.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                adapter.bus.connection.fail("as if the network had failed")
        await again_after(4)
        first.io.emit("end")
        heard: list[list[Any]] = [[], []]
        for client, events in zip((near, far), heard, strict=True):
            while (event := await client.next()) != ["end"]:
                events.append(event)
        expected = [["e", number] for number in range(200)]
        for number in (175, 125, 75, 25):
            expected.insert(number + 1, ["lost"])
        assert heard == [expected, expected]
        for client in (near, far):
            await client.leave()


@run_async
async def test_a_consumer_that_is_gone_is_replaced(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "consumer") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(second.port)
        await first.emit("e", 0)
        await client.next()
        # A message that does not arrive is missed with the next one.
        log = second.io.sockets.adapter._stream  # type: ignore[attr-defined]
        log._consumer._last -= 1
        await first.emit("e", 1)
        assert await client.next() == ["e", 1]
        assert second.io.sockets.adapter.stats()["losses"] == 1  # type: ignore[attr-defined]
        await client.leave()


@run_async
async def test_what_was_promised_is_sent_until_it_is_acknowledged(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "promised") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        sid = client.sid
        await first.emit("known")
        await client.next()
        for number in (1, 2):
            await first.io.delivery("at-least-once").emit("e", number)
        packets = [await client.raw(), await client.raw()]
        assert all(packet.startswith("42") and "[" in packet[3:] for packet in packets)
        ids = [int(packet[2 : packet.index("[")]) for packet in packets]
        await client.acknowledge(ids[0])
        await eventually(lambda: len(first.io.sockets.sockets[sid]._outbox or ()) == 1)
        client.lose()
        await first.gone(sid)
        await second.io.delivery("at-least-once").emit("e", 3)
        await second.emit("plain")
        missed = await client.come_back(second.port)
        assert missed == [["e", 2], ["e", 3], ["plain"]]
        assert client.sid == sid
        await client.leave()


@run_async
async def test_what_was_promised_to_somebody_who_never_came_back_is_told(
    home: NodeHome, nats: Nats
) -> None:
    recovery = {"max_disconnection_duration": 0.3}
    async with scene(nats, "never") as servers:
        place = await servers.place(connection_state_recovery=recovery)
        told: list[Undelivered] = []
        place.io.on("undelivered", told.append)
        client, other = Wanderer(), Wanderer()
        await client.connect(place.port)
        await other.connect(place.port)
        await place.io.to(client.sid).delivery("at-least-once").emit("e", 1)
        client.lose()
        other.lose()
        await eventually(lambda: told)
        assert [event.args for event in told[0].events] == [(1,)]
        assert told[0].socket_id == client.sid
        adapter: Any = place.io.sockets.adapter
        assert await adapter.take_session(client.pid) is None


@run_async
async def test_data_becomes_what_the_application_makes_of_it(home: NodeHome, nats: Nats) -> None:
    @dataclass
    class Data:
        name: str = ""

    async with scene(nats, "data") as servers:
        first, second = await servers.place(data=Data), await servers.place(data=Data)
        client = Wanderer()
        await client.connect(first.port)
        await first.set_data(client.sid, Data("ada"))
        await first.emit("e")
        await client.next()
        client.lose()
        await first.gone(client.sid)
        await client.come_back(second.port)
        assert second.io.sockets.sockets[client.sid].data == Data("ada")
        (found,) = await first.io.fetch_sockets()
        assert isinstance(found, RemoteSocket) and found.id == client.sid
        await client.leave()


@run_async
async def test_what_an_emitter_says_can_be_recovered(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "emitter") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        async with Emitter(servers.adapter()) as emitter:
            await emitter.emit("e", 1)
            assert await client.next() == ["e", 1]
            client.lose()
            await first.gone(client.sid)
            await emitter.to(client.sid).emit("e", 2)
        assert await client.come_back(second.port) == [["e", 2]]
        await client.leave()


@run_async
async def test_a_server_without_recovery_may_stand_beside(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "beside") as servers:
        first = await servers.place()
        second = await servers.place(connection_state_recovery=None)
        clients = [Wanderer(), Wanderer()]
        await clients[0].connect(first.port)
        await clients[1].connect(second.port)
        await first.emit("e", 1)
        await second.emit("e", 2)
        for client in clients:
            assert sorted([await client.next(), await client.next()]) == [["e", 1], ["e", 2]]
            await client.leave()


@run_async
async def test_what_is_too_large_for_the_stream_arrives_without_a_place(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "large") as servers:
        first, second = await servers.place(), await servers.place()
        clients = [Wanderer(), Wanderer()]
        for client, place in zip(clients, (first, second), strict=True):
            await client.connect(place.port)
        first.io.emit("e", "x" * 2_000_000)
        for client in clients:
            event = await client.next()
            assert (event[0], len(event[1])) == ("e", 2_000_000)
            assert client.offset == ""
            await client.leave()


@run_async
async def test_what_is_no_entry_is_counted_and_dropped(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "garbage") as servers:
        first, second = await servers.place(), await servers.place()
        client = Wanderer()
        await client.connect(first.port)
        await first.emit("e", 1)
        await client.next()
        client.lose()
        await first.gone(client.sid)
        adapter: Any = second.io.sockets.adapter
        before = adapter.stats()["dropped"]
        await nats.publish(adapter.subjects.log, b"", b"\xc1", b"{}", b"x" * 100, b"\x91" * 5000)
        await first.emit("e", 2)
        assert await client.come_back(second.port) == [["e", 2]]
        assert adapter.stats()["dropped"] - before >= 5
        assert healthy(second)
        await client.leave()


@run_async
async def test_without_jetstream_a_server_does_not_start(program: Any) -> None:
    async with Nats(program("nats-server"), jetstream=False) as nats:
        io = Server(adapter=NatsAdapter(nats.url), connection_state_recovery=True)
        with pytest.raises(ConnectionError, match="JetStream"):
            await io.listen(0)
        await io.close(0.1)


@run_async
async def test_a_stream_of_somebody_else_is_not_used(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "taken") as servers:
        async with servers.jetstream() as jetstream:
            await jetstream.add_stream(name="taken", subjects=["elsewhere"])
        io = Server(adapter=servers.adapter(), connection_state_recovery=True)
        with pytest.raises(ConnectionError, match="other subjects"):
            await io.listen(0)
        await io.close(0.1)


@run_async
async def test_nothing_is_left_behind(program: Any) -> None:
    async with Nats(program("nats-server")) as nats:
        async with scene(nats, "left") as servers:
            place = await servers.place()
            place.io.of("/other")
            client = Wanderer()
            await client.connect(place.port)
            await place.emit("e")
            await client.next()
            client.lose()
            await place.gone(client.sid)
            await client.come_back(place.port)
            await client.leave()
            adapter: Any = place.io.sockets.adapter
        assert adapter.stats()["subscriptions"] == 0
        assert not adapter._pending and not adapter._replays
        while await nats.connections():
            pass
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
