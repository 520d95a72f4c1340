"""Node's own `instrument` beside ours, on one Redis: the page of each shows the sockets of both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nuncio
from nuncio.admin import RedisStore
from nuncio.cluster import RedisAdapter
from tests.admin.site import AUTH, CREDENTIALS, Site, application, site
from tests.cluster.kinds import NODE_CLIENTS
from tests.support.aio import eventually, run_async, until
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.redis import Redis

_JOIN = (
    "io.lines = [];"
    + NODE_CLIENTS
    + """
const { createAdapter } = require("@socket.io/redis-adapter");
io.adapter(createAdapter(...lines, { key: "admin" }));
const { instrument, RedisStore } = require("@socket.io/admin-ui");
const [auth, mode] = args.slice(1);
// The store is made for clients of redis 3, with callbacks and values that need not be text.
const exists = (key, done) => lines[0].exists(key).then((found) => done(null, found), done);
const keep = (key, EX) => ({ exec: () => lines[0].set(key, "1", { EX }) });
const set = (key) => ({ expire: keep });
const store = new RedisStore({ exists, multi: () => ({ set }) });
instrument(io, { auth: { type: "basic", ...auth }, mode, serverId: "node", store });
"""
)


class Both:
    """A server of each kind, a page and a user at each.

    Attributes:
        ours: ours.
        theirs: Node's.
    """

    def __init__(self, ours: Site, server: NodeServer) -> None:
        self.ours = ours
        self.server = server
        self.theirs = Site(ours.io, server.port)

    @property
    def sites(self) -> tuple[Site, Site]:
        """Both."""
        return self.ours, self.theirs

    async def come(self, here: Site) -> nuncio.ClientSocket:
        """A user comes, and both pages see it, with its connection."""
        user = await here.comes(here.client("user"))
        await eventually(lambda: all(user.id in connected(there) for there in self.sites))
        for there in self.sites:
            assert len(connected(there)[user.id]["clientId"]) == 12
        return user


def connected(here: Site) -> dict[Any, dict[str, Any]]:
    """The sockets that a page was told of, by their ids."""
    return {told[0]["id"]: told[0] for told in here.told("socket_connected")}


@asynccontextmanager
async def both(home: NodeHome, redis: Redis, mode: Any = "development") -> AsyncIterator[Both]:
    """Both servers, with an open page at each."""
    io = application(adapter=RedisAdapter(redis.url, key="admin"))
    store = RedisStore(redis.url)
    async with NodeServer(home.program) as server, site(io, mode=mode, store=store) as ours:
        await server.run(_JOIN, redis.url, AUTH, mode)
        here = Both(ours, server)
        await until(io.sockets.adapter.server_count, 2)
        await until(io.of("/admin").adapter.server_count, 2)
        for there in here.sites:
            there.page().connect()
            await there.hears("config")
        try:
            yield here
        finally:
            await here.theirs.close()


@run_async
async def test_each_page_sees_the_clients_of_both(home: NodeHome, redis: Redis) -> None:
    async with both(home, redis) as here:
        users = [await here.come(there) for there in here.sites]
        # What comes and goes.
        await users[0].emit("hi", {"x": 1})
        await users[1].emit("anything", 1)
        for there in here.sites:
            received = await there.hears("event_received", lambda told: len(told) == 2)
            assert sorted(told[2] for told in received) == [["anything", 1], ["hi", {"x": 1}]]
        # A page that comes later.
        for there in here.sites:
            there.log.clear()
            there.page().connect()
            (all_sockets,) = await there.hears("all_sockets")
            shown = {one["id"]: one for one in all_sockets[0]}
            for user in users:
                assert shown[user.id]["transport"] == "websocket"
                assert len(shown[user.id]["clientId"]) == 12
            assert all("_admin" not in one["data"] for one in shown.values())
            assert shown[users[0].id]["data"] == {"user": "u1"}


async def acts(here: Both, at: Site, of: Site) -> None:
    """The page of one does to the user of the other what it can."""
    user = await here.come(of)
    page = await at.comes(at.page())
    id = user.id
    await page.emit("join", "/", "vip", id)
    await at.hears("room_joined", lambda told: ["/", "vip", id] in firsts(told))
    await page.emit("emit", "/", "vip", "from-admin", 1)
    assert await of.hears("from-admin", name="user") == [[1]]
    await page.emit("leave", "/", "vip", id)
    await at.hears("room_left", lambda told: ["/", "vip", id] in firsts(told))
    await page.emit("_disconnect", "/", False, id)
    gone = ["/", id, "server namespace disconnect"]
    for there in here.sites:
        await there.hears("socket_disconnected", lambda told: gone in firsts(told))
    assert not user.connected


def firsts(told: list[list[Any]]) -> list[list[Any]]:
    """Without the times."""
    return [one[:3] for one in told]


@run_async
async def test_each_page_acts_on_the_clients_of_both(home: NodeHome, redis: Redis) -> None:
    async with both(home, redis) as here:
        await acts(here, here.ours, here.theirs)
        await acts(here, here.theirs, here.ours)


def servers(told: list[list[Any]]) -> set[str]:
    """Whose numbers they are."""
    return {one[0]["serverId"] for one in told}


@run_async
async def test_in_production_each_page_has_the_numbers_of_both(
    home: NodeHome, redis: Redis
) -> None:
    async with both(home, redis, "production") as here:
        for there in here.sites:
            await there.hears("server_stats", lambda told: servers(told) == {"node", "srv-1"})
            assert not there.told("socket_connected")


@run_async
async def test_who_has_signed_in_at_one_is_let_in_at_the_other(
    home: NodeHome, redis: Redis
) -> None:
    async with both(home, redis, "production") as here:
        for at, other in ((here.ours, here.theirs), (here.theirs, here.ours)):
            at.page(CREDENTIALS).connect()
            session = (await at.hears("session"))[-1][0]
            await other.comes(other.page({"sessionId": session}))


@run_async
async def test_applications_see_no_marks(home: NodeHome, redis: Redis) -> None:
    async with both(home, redis) as here:
        user = await here.come(here.theirs)
        await here.server.run('io.of("/").sockets.get(args[0]).data.name = "ada"', user.id)
        found = {one.id: one for one in await here.ours.io.fetch_sockets()}
        assert found[user.id].data == {"name": "ada"}
        # While Node's server is told where ours are, as its page has to know.
        mine = await here.come(here.ours)
        marks = await here.server.value(
            "(await io.fetchSockets()).find((one) => one.id === args[0]).data._admin", mine.id
        )
        assert marks == {
            "clientId": connected(here.ours)[mine.id]["clientId"],
            "transport": "websocket",
        }
