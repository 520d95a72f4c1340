"""Who was recovered over JetStream when connections broke off at the worst moment."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import Manager
from tests.cluster.nats.test_recovery import scene
from tests.support.aio import eventually, run_async, within
from tests.support.nats import Nats
from tests.support.nodeserver import NodeHome
from tests.support.wanderer import Wanderer, arrival


@run_async
async def test_a_client_whose_loss_its_server_has_not_noticed_comes_back_to_another(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "unnoticed") as servers:
        first, second = await servers.place(), await servers.place()
        before, client = await arrival(first.port), Wanderer()
        await first.join(before.sid, "room")
        await first.emit("e", 1, to="room")
        await before.next()
        client.pid, client.offset = before.pid, before.offset
        await first.emit("e", 2, to="room")
        assert await client.come_back(second.port) == [["e", 2]]
        assert client.sid == before.sid
        await first.gone(client.sid)
        assert (await second.socket(client.sid) or {})["rooms"] == {client.sid, "room"}
        before.lose()
        await client.leave()


@pytest.mark.parametrize("heard", [False, True], ids=["lost-before", "lost-after"])
@run_async
async def test_who_was_given_an_event_before_jetstream_had_it_is_not_given_it_again(
    home: NodeHome, program: Any, heard: bool
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "early") as servers:
        first, second = await servers.place(), await servers.place()
        client, other = await arrival(first.port), await arrival(first.port)
        await first.emit("e", 0)
        assert await client.next() == await other.next() == ["e", 0]
        nats.freeze()
        first.io.emit("e", 1)
        assert await client.next() == await other.next() == ["e", 1]
        assert client.offset.endswith(".2")
        if heard:
            # The log has the event when the client is lost, which cannot know its place.
            adapter: Any = first.io.sockets.adapter
            nats.thaw()
            await eventually(lambda: not adapter._numbered.early())
            client.lose()
            await first.gone(client.sid)
        else:
            client.lose()
            await first.gone(client.sid)
            nats.thaw()
        first.io.emit("e", 2)
        assert await other.next() == ["e", 2]
        assert await client.come_back(second.port) == [["e", 2]]
        for one in (client, other):
            await one.leave()


@run_async
async def test_what_is_promised_while_jetstream_says_nothing_has_names_of_its_own(
    home: NodeHome, program: Any
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "names") as servers:
        place = await servers.place(delivery="at-least-once")
        manager = Manager(f"http://127.0.0.1:{place.port}", transports=["websocket"])
        socket = manager.socket("/", delivery="at-least-once")
        heard: list[int] = []
        socket.on("e", heard.append)
        await within(socket.wait_connected())
        nats.freeze()
        for number in (1, 2, 3):
            place.io.emit("e", number)
        await eventually(lambda: heard == [1, 2, 3])
        nats.thaw()
        place.io.emit("e", 4)
        await eventually(lambda: heard == [1, 2, 3, 4])
        await manager.close()


@run_async
async def test_a_server_does_not_give_up_whom_another_one_waits_for(
    home: NodeHome, nats: Nats
) -> None:
    async with scene(nats, "waits") as servers:
        first = await servers.place(connection_state_recovery={"max_disconnection_duration": 0.3})
        second = await servers.place()
        client = await arrival(first.port)
        sid = client.sid
        client.lose()
        await first.gone(sid)
        await client.come_back(second.port)
        client.lose()
        await second.gone(sid)
        # The first one's patience ends while the client is away from the second.
        await eventually(lambda: not first.io.sockets.adapter.occupied)
        await eventually(lambda: not first.io.stats()["tasks"])
        await client.come_back(second.port)
        assert client.sid == sid
        await client.leave()
