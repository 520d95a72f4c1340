"""Clients come back to another server than they left, and miss nothing: JetStream has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Emitter, Server
from nuncio.cluster import NatsAdapter
from tests.cluster.nats.scene import healthy, scene
from tests.support.aio import eventually, run_async, within
from tests.support.nats import Nats
from tests.support.nodeserver import NodeHome
from tests.support.wanderer import Wanderer


@run_async
async def test_an_offset_of_the_future_begins_afresh(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "future") as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        await place.emit("e")
        await client.next()
        await place.loses(client)
        sid = client.sid
        client.offset = client.offset.partition("-")[0] + "-1000"
        await client.come_back(place.port)
        assert client.sid != sid
        await client.leave()


@run_async
async def test_a_secret_that_is_none_begins_afresh(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "secret") as servers:
        place = await servers.ours()
        for pid in ("", "x", "*", ">", "a.b", "\r\nPUB x 0\r\n\r\n", "é", "x" * 5000):
            client = Wanderer()
            client.pid = pid
            await client.come_back(place.port)
            assert client.pid != pid
            await client.leave()
        assert healthy(place)


@run_async
async def test_what_a_stream_has_forgotten_cannot_be_recovered(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "trimmed") as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        await place.emit("e", 1)
        await client.next()
        await place.loses(client)
        await place.emit("e", 2)
        async with servers.jetstream() as jetstream:
            await jetstream.purge_stream("trimmed")
        sid = client.sid
        # The server that it left would still know.
        place = await servers.ours()
        assert await client.come_back(place.port) == []
        assert client.sid != sid
        await client.leave()


@run_async
async def test_more_than_one_message_of_a_consumer_is_missed(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "many") as servers:
        first = await servers.ours()
        client = await servers.arrival(first)
        await first.emit("e", -1)
        await client.next()
        await first.loses(client)
        for number in range(300):
            first.io.emit("e", number, "x" * 500)
            first.io.to("elsewhere").emit("e", number)
        await first.emit("end")
        # This one has not read it before.
        second = await servers.ours()
        missed = await client.come_back(second.port)
        assert [one[1] for one in missed[:-1]] == list(range(300))
        assert missed[-1] == ["end"]
        await client.leave()


@run_async
async def test_joins_and_disconnects_keep_their_place_among_events(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "places") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(second)
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
        place = await servers.ours()
        client = await servers.arrival(place)
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
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
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
        await first.loses(client)
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
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(second)
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
        first, second = await servers.ours(), await servers.ours()
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
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(second)
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
async def test_what_an_emitter_says_can_be_recovered(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "emitter") as servers:
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        async with Emitter(servers.adapter()) as emitter:
            await emitter.emit("e", 1)
            assert await client.next() == ["e", 1]
            await first.loses(client)
            await emitter.to(client.sid).emit("e", 2)
        assert await client.come_back(second.port) == [["e", 2]]
        await client.leave()


@run_async
async def test_an_emitter_needs_no_stream_where_nobody_recovers(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "streamless") as servers, Emitter(servers.adapter()) as emitter:
        first = await servers.ours(connection_state_recovery=None)
        client = Wanderer()
        await client.connect(first.port)
        said = [emitter.emit("e", number) for number in range(3)]
        said.append(emitter.disconnect_sockets())
        await within(asyncio.gather(*said))
        assert [await client.next() for _ in range(3)] == [["e", 0], ["e", 1], ["e", 2]]
        await client.leave()
        # Whoever makes one is told by it from then on.
        second, third = await servers.ours(), await servers.ours()
        other = await servers.arrival(second)
        await second.loses(other)
        await within(emitter.emit("e", 3))
        assert await other.come_back(third.port) == [["e", 3]]
        await other.leave()


@run_async
async def test_a_server_without_recovery_may_stand_beside(home: NodeHome, nats: Nats) -> None:
    async with scene(nats, "beside") as servers:
        first = await servers.ours()
        second = await servers.ours(connection_state_recovery=None)
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
        first, second = await servers.ours(), await servers.ours()
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
        first, second = await servers.ours(), await servers.ours()
        client = await servers.arrival(first)
        await first.emit("e", 1)
        await client.next()
        await first.loses(client)
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
            place = await servers.ours()
            place.io.of("/other")
            client = await servers.arrival(place)
            await place.emit("e")
            await client.next()
            await place.loses(client)
            await client.come_back(place.port)
            await client.leave()
            adapter: Any = place.io.sockets.adapter
        assert adapter.stats()["subscriptions"] == 0
        assert not adapter._pending and not adapter._replays
        while await nats.connections():
            pass
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
