"""Who was recovered over JetStream when connections broke off at the worst moment."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import Manager
from tests.cluster.nats.scene import scene
from tests.support.aio import eventually, run_async, within
from tests.support.nats import Nats
from tests.support.nodeserver import NodeHome
from tests.support.wanderer import arrival


@pytest.mark.parametrize("heard", [False, True], ids=["lost-before", "lost-after"])
@run_async
async def test_who_was_given_an_event_before_jetstream_had_it_is_not_given_it_again(
    home: NodeHome, program: Any, heard: bool
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "early") as servers:
        first, second = await servers.ours(), await servers.ours()
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
            await first.loses(client)
        else:
            await first.loses(client)
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
        place = await servers.ours(delivery="at-least-once")
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
async def test_what_others_were_given_early_is_for_who_comes_back_before_it_is_read(
    home: NodeHome, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Nats(program("nats-server")) as nats, scene(nats, "unread") as servers:
        place = await servers.ours()
        adapter: Any = place.io.sockets.adapter
        client, other = await arrival(place.port), await arrival(place.port)
        await place.emit("e", 1)
        assert await client.next() == await other.next() == ["e", 1]
        await place.loses(client)
        # It is read only once the client is there.
        unread: list[tuple[Any, ...]] = []
        consumer = adapter._stream._consumer
        monkeypatch.setattr(consumer, "_arrived", lambda *entry: unread.append(entry))
        nats.freeze()
        place.io.emit("e", 2)
        assert await other.next() == ["e", 2]
        nats.thaw()
        await eventually(lambda: unread)
        assert await client.come_back(place.port) == [["e", 2]]
        monkeypatch.undo()
        for entry in unread:
            consumer._arrived(*entry)
        await place.emit("e", 3)
        assert await client.next() == await other.next() == ["e", 3]
        for one in (client, other):
            await one.leave()
