"""Presence with real clients, on one server and on several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio.cluster import LocalBus
from nuncio.errors import OptionError
from tests.support.aio import eventually, run_async, within
from tests.support.wanderer import Wanderer

OPTIONS = {"leave_grace": 0.2, "beat": 0.2, "lost_after": 1.0}


class Site:
    """Servers of one cluster, and what each was told."""

    def __init__(self) -> None:
        self.servers: list[nuncio.Server] = []
        self.ports: list[int] = []
        self.told: list[list[tuple[Any, ...]]] = []
        self.clients: list[nuncio.ClientSocket] = []

    async def add(self, bus: LocalBus, **options: Any) -> None:
        io = nuncio.Server(adapter=bus, presence={**OPTIONS, **options})
        told: list[tuple[Any, ...]] = []
        io.presence.on("join", lambda room, key, meta: told.append(("join", key, meta)))
        io.presence.on("update", lambda room, key, meta: told.append(("update", key, meta)))
        io.presence.on("leave", lambda room, key, meta: told.append(("leave", key, meta)))

        @io.on("connection")
        def connection(socket: nuncio.Socket) -> None:
            auth = socket.handshake.auth
            io.presence.track(socket, "lobby", key=auth["key"], meta=auth.get("meta"))

        @io.event
        def say(socket: nuncio.Socket, meta: Any) -> None:
            key = socket.handshake.auth["key"]
            io.presence.track(socket, "lobby", key=key, meta=meta)

        @io.event
        def leave(socket: nuncio.Socket) -> None:
            socket.leave("lobby")

        self.servers.append(io)
        self.told.append(told)
        self.ports.append((await io.listen(0)).port)

    async def come(self, number: int, key: Any, meta: Any = None) -> nuncio.ClientSocket:
        client = await nuncio.connect(
            f"http://127.0.0.1:{self.ports[number]}",
            auth={"key": key, "meta": meta},
            transports=["websocket"],
            force_new=True,
        )
        self.clients.append(client)
        return client

    def keys(self) -> list[set[Any]]:
        return [set(io.presence.keys("lobby")) for io in self.servers]


@asynccontextmanager
async def site(count: int = 1, **options: Any) -> AsyncIterator[Site]:
    here, bus = Site(), LocalBus()
    for _ in range(count):
        await here.add(bus, **options)
    try:
        yield here
    finally:
        for client in here.clients:
            await client.close()
        for io in here.servers:
            await io.close(0.5)


@run_async
async def test_a_user_with_two_tabs_is_there_once() -> None:
    async with site() as here:
        one = await here.come(0, "ann", 1)
        two = await here.come(0, "ann", 2)
        (present,) = here.servers[0].presence.members("lobby")
        assert present == nuncio.Present("ann", (1, 2), away=False)
        await one.close()
        await eventually(lambda: here.servers[0].presence.members("lobby")[0].metas == (2,))
        await two.close()
        await eventually(lambda: here.servers[0].presence.count("lobby") == 0)
        assert here.told[0] == [("join", "ann", 1), ("leave", "ann", 2)]
        assert here.servers[0].presence.rooms() == []


@run_async
async def test_who_comes_back_in_time_has_never_left() -> None:
    async with site(leave_grace=30.0) as here:
        client = await here.come(0, "ann")
        await client.close()
        presence = here.servers[0].presence
        await eventually(lambda: presence.members("lobby")[0].away)
        await here.come(0, "ann")
        assert not presence.members("lobby")[0].away
        assert here.told[0] == [("join", "ann", None)]


@pytest.mark.parametrize("away", [0.0, 0.5])
@run_async
async def test_who_recovers_is_there_again(away: float) -> None:
    io = nuncio.Server(presence=OPTIONS, connection_state_recovery=True)
    told: list[str] = []
    io.presence.on("join", lambda room, key: told.append("join"))
    io.presence.on("leave", lambda room, key: told.append("leave"))

    port = (await io.listen(0)).port
    client = Wanderer(r"[A-Za-z0-9_-]{8}\.[0-9]+")
    await client.connect(port)
    (socket,) = io.sockets.sockets.values()
    for room in ("one", "two", "three"):
        io.presence.track(socket, room, key="ann", meta={"in": room})
    # In these rooms it is, too, but nobody is to know that.
    socket.join("four")
    io.presence.untrack(socket, "three")
    await eventually(lambda: io.presence.count("three") == 0)
    told.clear()
    client.lose()
    await eventually(lambda: not io.sockets.sockets)
    assert [one.away for one in io.presence.members("one")] == [True]
    await asyncio.sleep(away)
    assert await client.come_back(port) == []
    (socket,) = io.sockets.sockets.values()
    assert socket.recovered
    for room in ("one", "two"):
        (one,) = io.presence.members(room)
        assert (one.key, one.metas, one.away) == ("ann", ({"in": room},), False)
    assert io.presence.rooms() == ["one", "two"]
    # Who was away for long has left, and joined again.
    await asyncio.sleep(2 * OPTIONS["leave_grace"])
    assert told == (["leave", "leave", "join", "join"] if away else [])
    # As anybody else it leaves once it is gone.
    socket.leave("one")
    await client.leave()
    await eventually(lambda: not io.presence.rooms())
    await io.close(0.5)


@run_async
async def test_leaving_the_room_ends_it_and_untrack_does_not_leave() -> None:
    async with site() as here:
        client = await here.come(0, "ann")
        client.emit("leave")
        await eventually(lambda: here.told[0][-1][0] == "leave")
        await here.come(0, "bob")
        presence = here.servers[0].presence
        (socket,) = [
            one for one in here.servers[0].sockets.sockets.values() if "lobby" in one.rooms
        ]
        presence.untrack(socket, "lobby")
        presence.untrack(socket, "elsewhere")
        await eventually(lambda: presence.count("lobby") == 0)
        assert "lobby" in socket.rooms


@run_async
async def test_every_server_knows_everybody() -> None:
    async with site(3) as here:
        await here.come(0, "ann")
        bob = await here.come(1, "bob")
        await here.come(2, 7)
        await eventually(lambda: here.keys() == [{"ann", "bob", 7}] * 3)
        bob.emit("say", {"busy": True})
        await eventually(lambda: all(("update", "bob", {"busy": True}) in t for t in here.told))
        await bob.close()
        await eventually(lambda: here.keys() == [{"ann", 7}] * 3)
        assert all(told.count(("leave", "bob", {"busy": True})) == 1 for told in here.told)


@run_async
async def test_who_moves_to_another_server_has_never_left() -> None:
    async with site(2, leave_grace=30.0) as here:
        client = await here.come(0, "ann")
        await eventually(lambda: here.keys() == [{"ann"}] * 2)
        await client.close()
        await here.come(1, "ann")
        presences = [io.presence for io in here.servers]
        await eventually(lambda: not any(one.members("lobby")[0].away for one in presences))
        assert here.told == [[("join", "ann", None)]] * 2


@run_async
async def test_a_server_that_closes_takes_its_users_along() -> None:
    async with site(2) as here:
        await here.come(0, "ann")
        await here.come(1, "bob")
        await eventually(lambda: here.keys() == [{"ann", "bob"}] * 2)
        await here.servers[0].close(0.5)
        await eventually(lambda: set(here.servers[1].presence.keys("lobby")) == {"bob"})


@run_async
async def test_a_server_that_dies_does_so_after_a_while() -> None:
    async with site(2) as here:
        await here.come(0, "ann")
        await eventually(lambda: here.keys() == [{"ann"}] * 2)
        # As if killed: it says nothing any more.
        here.servers[0].presence._replica._tell = lambda message: None
        await eventually(lambda: here.servers[1].presence.count("lobby") == 0)
        assert here.told[1][-1] == ("leave", "ann", None)


@run_async
async def test_a_server_that_starts_later_is_told() -> None:
    here, bus = Site(), LocalBus()
    await here.add(bus)
    await here.come(0, "ann")
    await here.add(bus)
    await eventually(lambda: here.keys() == [{"ann"}] * 2)
    for client in here.clients:
        await client.close()
    for io in here.servers:
        await io.close(0.5)


@run_async
async def test_clients_are_told_where_that_is_asked_for() -> None:
    async with site(2, announce=True) as here:
        ann = await here.come(0, "ann")
        news: list[Any] = []
        ann.on("presence", news.append)
        bob = await here.come(1, "bob", {"n": 1})
        await eventually(lambda: any("bob" in one["joins"] for one in news))
        await bob.close()
        await eventually(lambda: any("bob" in one["leaves"] for one in news))
        assert all(one["room"] == "lobby" for one in news)


@run_async
async def test_what_makes_no_sense_is_refused() -> None:
    async with site() as here:
        await here.come(0, "ann")
        presence = here.servers[0].presence
        (socket,) = here.servers[0].sockets.sockets.values()
        with pytest.raises(OptionError, match="key must be text or a number"):
            presence.track(socket, "lobby", key=object())  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="meta must be plain data"):
            presence.track(socket, "lobby", key="ann", meta=object())
        with pytest.raises(OptionError, match="no event"):
            presence.on("joined", print)
        assert await within(_keys(presence)) == ["ann"]


async def _keys(presence: nuncio.Presence) -> list[Any]:
    return presence.keys("lobby")


@pytest.mark.parametrize(
    "option",
    [5, "x", {"grace": 1}, {"leave_grace": -1}, {"announce": 1}, {"beat": 5, "lost_after": 6}],
)
def test_options(option: Any) -> None:
    with pytest.raises(OptionError):
        nuncio.Server(presence=option)
