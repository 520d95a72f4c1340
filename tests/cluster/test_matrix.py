"""Every adapter, every operation, with each pair of servers: ours alone, and beside Node's."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from nuncio.errors import DisconnectReason
from tests.cluster.kinds import KINDS
from tests.support.aio import eventually, run_async, until, within
from tests.support.clusters import NODE, OURS, PAIRS, Bus, Cluster, Kind, NodeSide, Side
from tests.support.nodeserver import NodeHome

ROWS = [(kind, *pair) for kind in KINDS for pair in PAIRS if kind.node or NODE not in pair]


class Pair:
    """The servers of a test: one does something, and both clients see what comes of it."""

    def __init__(self, kind: Kind, bus: Bus, one: Side, two: Side) -> None:
        self.one, self.two = one, two
        self.number = 0
        self._kind = kind
        self._bus = bus

    async def subscribed(self, room: str | int) -> int:
        """How many servers are subscribed to a room's own channel."""
        assert self._kind.room_channel is not None
        bus: Any = self._bus
        found: int = await bus.subscribed(self._kind.room_channel(room))
        return found

    @property
    def has_room_channels(self) -> bool:
        """Whether rooms have channels of their own, to which servers subscribe without waiting."""
        return self._kind.room_channel is not None

    async def binary_arrived(self) -> None:
        """Wait for something binary or long, where something else might overtake it."""
        sides = (self.one, self.two)
        if self._kind.node_overtakes and any(isinstance(side, NodeSide) for side in sides):
            await eventually(lambda: all(side.client.log for side in sides))

    @property
    def ids(self) -> tuple[str, str]:
        """The ids of their clients."""
        return str(self.one.client.socket.id), str(self.two.client.socket.id)

    async def heard(self) -> tuple[list[Any], list[Any]]:
        """What the clients have received since the last time: nothing comes before what is last."""
        self.number += 1
        await self.one.emit("end", self.number)
        found = []
        for client in (self.one.client, self.two.client):
            while await client.next("end") != [self.number]:
                pass
            found.append([[name, *args] for name, args in client.log if name in ("e", "q")])
            client.forget()
        return found[0], found[1]


async def fetched(side: Side) -> int:
    """How many sockets there are in the other namespace."""
    return len(await side.fetch(nsp="/foo"))


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: f"{row[0].name}-{row[1]}-{row[2]}")
def joined(home: NodeHome, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two servers of a cluster, for all tests of one row."""
    kind, one, two = request.param
    bus: Bus = request.getfixturevalue(kind.bus)
    cluster = Cluster(kind, bus.url, home.program)

    async def start() -> Pair:
        pair = Pair(kind, bus, await cluster.side(one), await cluster.side(two))
        await pair.one.knows(2)
        await pair.two.knows(2)
        return pair

    yield home.run(start())
    home.run(cluster.close())


@pytest.fixture
def pair(home: NodeHome, joined: Pair) -> Iterator[Pair]:
    """The servers, whose clients are in no rooms but their own."""
    home.run(_clean(joined))
    yield joined


async def _clean(pair: Pair) -> None:
    for side in (pair.one, pair.two):
        client = side.client
        if not client.socket.connected:
            client.forget()
            client.socket.connect()
            await client.next("connect")
    for side in (pair.one, pair.two):
        others = await side.rooms() - {side.client.socket.id}
        if others:
            await side.leave(sorted(others, key=repr))
    for side in (pair.one, pair.two):
        await until(side.rooms, {side.client.socket.id})
    await pair.heard()


async def in_rooms(pair: Pair, one: list[str | int], two: list[str | int]) -> None:
    """Have the clients join rooms, each by its own server."""
    for side, rooms in ((pair.one, one), (pair.two, two)):
        id = str(side.client.socket.id)
        if rooms:
            await side.join(rooms, to=[id])
        await until(side.rooms, {id, *rooms})
    if pair.has_room_channels:
        for room in {*one, *two}:
            members = (room in one) + (room in two)
            await until(functools.partial(pair.subscribed, room), members)


@run_async
async def test_all_are_counted(home: NodeHome, pair: Pair) -> None:
    assert (await pair.one.count(), await pair.two.count()) == (2, 2)


@run_async
async def test_an_event_reaches_everybody_whatever_it_holds(home: NodeHome, pair: Pair) -> None:
    values: list[Any] = [1, -1, 3.5, "hé☃😀", None, True, [], {}, {"three": [[1], {"a": None}]}]
    values += [2**40, -(2**40), 0, ""]
    await pair.one.emit("e", *values)
    expected = [["e", *values]]
    assert await pair.heard() == (expected, expected)
    binary = [b"\x00\xff", {"deep": [b"abc"]}, 1]
    await pair.one.emit("e", *binary)
    await pair.binary_arrived()
    await pair.one.emit("e")
    assert await pair.heard() == ([["e", *binary], ["e"]],) * 2
    long = ["e", "é" * 5000]
    await pair.one.emit(*long)
    await pair.binary_arrived()
    assert await pair.heard() == ([long],) * 2


@run_async
async def test_an_event_reaches_rooms_and_leaves_out_others(home: NodeHome, pair: Pair) -> None:
    await in_rooms(pair, ["a", "b"], ["a", "c", "room#☃"])
    two = pair.ids[1]
    await pair.one.emit("e", 1, to=["a"])
    await pair.one.emit("e", 2, to=["b"])
    await pair.one.emit("e", 3, to=["c"])
    await pair.one.emit("e", 4, to=["b", "c"])
    await pair.one.emit("e", 5, to=["room#☃"])
    await pair.one.emit("e", 6, but=["c"])
    await pair.one.emit("e", 7, to=["a"], but=["b"])
    await pair.one.emit("e", 8, to=["nobody"])
    await pair.one.emit("e", 9, to=[two])
    await pair.one.emit("e", 10, to=["a"], but=[two])
    first, second = await pair.heard()
    assert sorted(first) == [["e", n] for n in (1, 2, 4, 6, 10)]
    assert sorted(second) == [["e", n] for n in (1, 3, 4, 5, 7, 9)]


@run_async
async def test_rooms_may_be_numbers(home: NodeHome, pair: Pair) -> None:
    await in_rooms(pair, [42], [42, 7])
    await pair.one.emit("e", 1, to=[42])
    await pair.one.emit("e", 2, to=["42"])
    await pair.one.emit("e", 3, to=[7])
    first, second = await pair.heard()
    assert (first, sorted(second)) == ([["e", 1]], [["e", 1], ["e", 3]])
    found = {one["id"]: one["rooms"] for one in await pair.one.fetch()}
    assert set(found[pair.ids[1]]) == {pair.ids[1], 42, 7}


@run_async
async def test_flags_go_along(home: NodeHome, pair: Pair) -> None:
    await pair.one.emit("e", 1, flags=["volatile"])
    await pair.one.emit("e", 2, flags=["local"])
    first, second = await pair.heard()
    assert (sorted(first), second) == ([["e", 1], ["e", 2]], [["e", 1]])


@run_async
async def test_clients_of_all_servers_acknowledge(home: NodeHome, pair: Pair) -> None:
    await in_rooms(pair, [], ["there"])
    for number, side in enumerate((pair.one, pair.two)):
        side.client.socket.off("q")
        side.client.socket.on("q", lambda *args, n=number: {"n": n, "b": b"\x01", "args": args})
    answers = [{"n": n, "b": b"\x01", "args": [1, b"x"]} for n in (0, 1)]
    assert await pair.one.ask("q", 1, b"x") == answers
    assert await pair.one.ask("q", 1, b"x", to=["there"]) == answers[1:]
    assert await pair.one.ask("q", to=["nobody"]) == []


@run_async
async def test_who_does_not_acknowledge_is_not_waited_for(home: NodeHome, pair: Pair) -> None:
    for side in (pair.one, pair.two):
        side.client.socket.off("q")
    pair.one.client.socket.on("q", lambda: "first")
    pair.two.client.socket.on("q", lambda ack: None)
    assert await pair.one.ask("silence", timeout=0.2) == []
    assert "first" in await pair.one.ask("q", timeout=0.5)


@run_async
async def test_sockets_of_all_servers_are_found(home: NodeHome, pair: Pair) -> None:
    one, two = pair.ids
    await in_rooms(pair, ["a"], ["a", "b"])
    await pair.two.set_data({"user": "bob", "n": [1, None]})
    found = {socket["id"]: socket for socket in await pair.one.fetch()}
    assert set(found) == {one, two}
    there = found[two]
    assert set(there["rooms"]) == {two, "a", "b"}
    assert there["data"] == {"user": "bob", "n": [1, None]}
    handshake = there["handshake"]
    assert handshake["auth"]["name"] in (OURS, NODE)
    assert handshake["query"]["EIO"] == "4"
    assert handshake["url"].startswith("/socket.io/")
    assert handshake["address"].endswith("127.0.0.1")
    assert handshake["headers"]["host"].startswith("127.0.0.1:")
    assert handshake["issued"] > 1e12
    assert "GMT" in handshake["time"]
    assert (handshake["secure"], handshake["xdomain"]) == (False, False)
    assert [socket["id"] for socket in await pair.one.fetch(["b"])] == [two]
    assert await pair.one.fetch(["nobody"]) == []


@run_async
async def test_sockets_of_all_servers_join_and_leave(home: NodeHome, pair: Pair) -> None:
    one, two = pair.ids
    await pair.one.join(["x", "y", 9])
    await until(pair.two.rooms, {two, "x", "y", 9})
    await pair.one.join(["z"], to=["x"], but=[one])
    await until(pair.two.rooms, {two, "x", "y", 9, "z"})
    await pair.one.leave(["x", 9], to=["y"])
    await until(pair.two.rooms, {two, "y", "z"})
    await until(pair.one.rooms, {one, "y"})


@run_async
async def test_sockets_of_other_servers_are_disconnected(home: NodeHome, pair: Pair) -> None:
    _, two = pair.ids
    await pair.one.disconnect([two])
    reason = (await pair.two.client.next("disconnect"))[0]
    assert reason == DisconnectReason.IO_SERVER_DISCONNECT
    assert pair.one.client.socket.connected


@run_async
async def test_servers_tell_and_ask_each_other(home: NodeHome, pair: Pair) -> None:
    await pair.one.tell_servers("told", 1, "x", {"y": [None]})
    assert await pair.two.told() == [1, "x", {"y": [None]}]
    assert await pair.one.ask_servers("load", 5) == [{"extra": 5}]


@run_async
async def test_namespaces_are_apart(home: NodeHome, pair: Pair) -> None:
    one: Any = pair.one
    two: Any = pair.two
    first = one.client.manager.socket("/foo")
    second = two.client.manager.socket("/foo")
    heard: list[Any] = []
    for number, socket in enumerate((first, second)):
        socket.on("e", lambda *args, n=number: heard.append((n, args[0])))
        await within(socket.wait_connected())
    await until(lambda: fetched(one), 2)
    await one.emit("e", 1, nsp="/foo")
    await eventually(lambda: len(heard) == 2)
    assert sorted(heard) == [(0, 1), (1, 1)]
    assert await pair.heard() == ([], [])
    for socket in (first, second):
        socket.disconnect()


@run_async
async def test_a_remote_socket_can_be_acted_on(home: NodeHome, pair: Pair) -> None:
    _, two = pair.ids
    pair.two.client.socket.off("q")
    pair.two.client.socket.on("q", lambda n: {"got": n})
    await pair.one.on_remote(two, "emit", "e", 1)
    assert await pair.heard() == ([], [["e", 1]])
    assert await pair.one.on_remote(two, "emitWithAck", "q", 5) == {"got": 5}
    await pair.one.on_remote(two, "join", "r")
    await until(pair.two.rooms, {two, "r"})
    await pair.one.on_remote(two, "leave", "r")
    await until(pair.two.rooms, {two})
    await pair.one.on_remote(two, "disconnect")
    await pair.two.client.next("disconnect")


def test_every_row_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert all(isinstance(kind, Kind) for kind in KINDS)
