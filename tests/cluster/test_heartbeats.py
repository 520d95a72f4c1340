from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import AckTimeout, ClusterTimeout, ClusterUnavailable, OptionError, Server
from nuncio.cluster import heartbeats
from nuncio.cluster.envelope import decode_packed, encode_packed
from nuncio.cluster.heartbeats import HeartbeatAdapter, NamedRequest, Pace
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import EMITTER, Kind
from tests.support.aio import eventually, run_async, until, within
from tests.support.memory import Client

STEADY = Pace(600, 1200)


class Bus:
    """Carries messages to all who listen; `Server(adapter=bus)`."""

    def __init__(self, pace: Pace = STEADY) -> None:
        self.pace = pace
        self.adapters: list[Beating] = []
        self.said: list[tuple[str, int]] = []
        self.cut: set[Beating] = set()

    def __call__(self, nsp: Any) -> Beating:
        return Beating(nsp, self)

    def post(self, sender: Beating | None, message: ClusterMessage) -> None:
        """Carry a message to all others."""
        self.said.append((message.uid, message.type))
        data = encode_packed(message)
        if sender in self.cut:
            return
        for adapter in self.adapters:
            if adapter is not sender and adapter not in self.cut:
                asyncio.get_running_loop().call_soon(adapter.received, decode_packed(data))

    def kinds(self, uid: str) -> list[int]:
        """What somebody has said."""
        return [kind for name, kind in self.said if name == uid]


class Beating(HeartbeatAdapter):
    """One server's part."""

    def __init__(self, nsp: Any, bus: Bus) -> None:
        super().__init__(nsp, bus.pace)
        self.bus = bus

    def publish(self, message: ClusterMessage) -> None:
        """See `ClusterAdapter.publish`."""
        self.bus.post(self, message)

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """See `ClusterAdapter.reply`."""
        self.bus.post(self, message)

    async def init(self) -> None:
        """See `Adapter.init`."""
        self.bus.adapters.append(self)
        self.say_hello()

    async def close(self) -> None:
        """See `Adapter.close`."""
        self.say_goodbye()
        if self in self.bus.adapters:
            self.bus.adapters.remove(self)

    def vanish(self) -> None:
        """Be gone without a word, as who dies."""
        self.bus.cut.add(self)


@asynccontextmanager
async def joined(bus: Bus, count: int = 2) -> AsyncIterator[list[Server]]:
    """Servers that know of each other."""
    servers = [Server(adapter=bus) for _ in range(count)]
    for server in servers:
        await server.engine.start()
    for server in servers:
        await until(server.sockets.adapter.server_count, count)
    try:
        yield servers
    finally:
        for server in servers:
            await server.close(0.1)


def adapter(server: Server) -> Any:
    """A server's adapter of the default namespace."""
    return server.sockets.adapter


def stranger(uid: str, kind: int, data: Any = None, nsp: str = "/") -> ClusterMessage:
    """A message of somebody else."""
    return ClusterMessage(uid, nsp, kind, data)


@run_async
async def test_servers_that_say_hello_are_counted_at_once_by_all() -> None:
    bus = Bus()
    async with joined(bus, 3) as servers:
        uids = [adapter(server).uid for server in servers]
        assert [bus.kinds(uid)[0] for uid in uids] == [Kind.INITIAL_HEARTBEAT] * 3
        for server in servers:
            assert await server.sockets.adapter.server_count() == 3
        # Many hellos at once are answered by one heartbeat.
        assert all(bus.kinds(uid).count(Kind.HEARTBEAT) <= 2 for uid in uids)


@run_async
async def test_who_asks_right_after_its_hello_waits_for_the_answers() -> None:
    bus = Bus()
    async with joined(bus, 1) as (one,):
        two = Server(adapter=bus)
        await two.engine.start()
        ada = Client.join(one)
        assert await two.sockets.adapter.server_count() == 2
        assert [found.id for found in await two.fetch_sockets()] == [ada.sid]
        await two.close(0.1)


@run_async
async def test_who_says_goodbye_is_counted_no_longer() -> None:
    bus = Bus()
    async with joined(bus) as (one, two):
        await two.close(0.1)
        assert bus.kinds(adapter(two).uid)[-1] == Kind.ADAPTER_CLOSE
        await until(adapter(one).server_count, 1)
        assert await one.fetch_sockets() == []
        # It says nothing more, and knows of nobody.
        said = len(bus.said)
        adapter(two).received(stranger("x", Kind.INITIAL_HEARTBEAT))
        await asyncio.sleep(0.05)
        assert len(bus.said) == said
        # And it may come again.
        await two.engine.start()
        await until(adapter(one).server_count, 2)
        await until(adapter(two).server_count, 2)


@run_async
async def test_nobody_waits_before_the_hello() -> None:
    server = Server(adapter=Bus())
    assert await within(adapter(server).server_count()) == 1


@run_async
async def test_who_is_silent_for_too_long_is_counted_no_longer() -> None:
    bus = Bus(Pace(0.05, 0.4))
    async with joined(bus) as (one, two):
        adapter(two).vanish()
        await until(adapter(one).server_count, 1)
        bus.cut.clear()
        await until(adapter(one).server_count, 2)


@run_async
async def test_heartbeats_are_said_in_time_whatever_else_is_said() -> None:
    bus = Bus(Pace(0.03, 60))
    async with joined(bus) as (one, two):
        uid = adapter(two).uid
        before = bus.kinds(uid).count(Kind.HEARTBEAT)

        def more() -> bool:
            two.emit("e")
            return bus.kinds(uid).count(Kind.HEARTBEAT) > before + 3

        await eventually(more)
        assert await adapter(one).server_count() == 2


@run_async
async def test_any_message_is_as_good_as_a_heartbeat_but_not_an_emitters() -> None:
    bus = Bus()
    async with joined(bus, 1) as (one,):
        there = adapter(one)
        told = {"packet": {"data": ["e"]}, "opts": {}}
        for uid in (EMITTER, "", "x" * 5000, there.uid):
            there.received(stranger(uid, Kind.BROADCAST, told))
        there.received(stranger("other namespace", Kind.HEARTBEAT, nsp="/b"))
        assert await there.server_count() == 1
        there.received(stranger("somebody", Kind.BROADCAST, told))
        assert await there.server_count() == 2
        there.received(stranger("somebody", Kind.ADAPTER_CLOSE))
        there.received(stranger("nobody", Kind.ADAPTER_CLOSE))
        assert await there.server_count() == 1


@run_async
async def test_names_on_the_bus_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_MOST_SERVERS", 5)
    async with joined(Bus(), 1) as (one,):
        for number in range(20):
            adapter(one).received(stranger(f"u{number}", Kind.HEARTBEAT))
        assert await adapter(one).server_count() == 6


@run_async
async def test_who_is_asked_and_leaves_is_not_waited_for() -> None:
    async with joined(Bus(), 3) as (one, two, three):
        ada, bob = Client.join(one), Client.join(two)
        adapter(three).vanish()
        asked = asyncio.ensure_future(one.fetch_sockets())
        # The second has answered, the third says goodbye.
        await eventually(lambda: adapter(one)._requests)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asked.done()
        adapter(one).received(stranger(adapter(three).uid, Kind.ADAPTER_CLOSE))
        assert {found.id for found in await within(asked)} == {ada.sid, bob.sid}


@run_async
async def test_who_is_asked_and_falls_silent_is_not_waited_for() -> None:
    bus = Bus(Pace(0.05, 0.4))
    async with joined(bus, 3) as (one, two, three):
        two.on_server("load", lambda: "two")
        three.on_server("load", lambda: asyncio.sleep(100))
        asked = asyncio.ensure_future(one.server_side_emit_with_ack("load", timeout=60))
        await eventually(lambda: adapter(one)._requests)
        adapter(three).vanish()
        assert await within(asked) == ["two"]


@run_async
async def test_who_does_not_answer_but_is_there_is_told() -> None:
    bus = Bus()
    async with joined(bus) as (one, two):
        ada = Client.join(one)
        adapter(two).vanish()
        with pytest.raises(ClusterTimeout) as caught:
            await one.timeout(0.05).fetch_sockets()
        assert caught.value.responses == [ada.socket]
        with pytest.raises(AckTimeout):
            await one.server_side_emit_with_ack("load", timeout=0.05)
        assert not adapter(one)._requests


@run_async
async def test_after_a_loss_only_those_count_who_answer() -> None:
    bus = Bus()
    async with joined(bus) as (one, two):
        told: list[str] = []
        there = adapter(one)
        there.on("unhealthy", lambda error: told.append(str(error)))
        there.on("healthy", lambda: told.append("healthy"))
        there.bus_changed(ConnectionError("lost"))
        with pytest.raises(ConnectionError, match="cannot be reached"):
            await there.server_count()
        with pytest.raises(ClusterUnavailable):
            await one.fetch_sockets()
        there.bus_changed(None)
        assert await there.server_count() == 2
        there.bus_changed(ConnectionError("again"))
        adapter(two).vanish()
        there.bus_changed(None)
        assert await there.server_count() == 1
        assert told == ["lost", "healthy", "again", "healthy"]


@run_async
async def test_a_loss_ends_the_wait_for_the_answers() -> None:
    server = Server(adapter=Bus())
    await server.engine.start()
    asking = asyncio.ensure_future(adapter(server).server_count())
    await asyncio.sleep(0)
    adapter(server).bus_changed(ConnectionError("lost"))
    with pytest.raises(ConnectionError):
        await within(asking)
    await server.close(0.1)


@run_async
async def test_a_flood_of_hellos_is_answered_now_and_then() -> None:
    bus = Bus()
    async with joined(bus, 1) as (one,):
        uid = adapter(one).uid
        for number in range(1000):
            adapter(one).received(stranger(f"u{number % 7}", Kind.INITIAL_HEARTBEAT))
        await eventually(lambda: Kind.HEARTBEAT in bus.kinds(uid))
        assert bus.kinds(uid).count(Kind.HEARTBEAT) == 1


@run_async
async def test_nothing_is_left_behind() -> None:
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks(loop)
    async with joined(Bus()) as (one, two):
        adapter(one).received(stranger("x", Kind.INITIAL_HEARTBEAT))
    for server in (one, two):
        there = adapter(server)
        assert (there._beating, there._meeting, there._answering) == (None, None, None)
    await asyncio.sleep(0)
    assert asyncio.all_tasks(loop) == before


def test_answers_of_those_who_came_later_complete_nothing() -> None:
    request = NamedRequest({"a": 1.0, "b": 2.0})
    for uid in ("c", "d", "a", "a"):
        request.add(uid, uid)
    assert not request.complete.is_set()
    request.gone("b")
    assert request.complete.is_set()
    assert request.responses == ["c", "d", "a"]


def test_a_pace_that_nobody_can_keep_is_told() -> None:
    for interval, timeout in ((5, 5), (5, 1), (0, 1), (-1, 1), ("5", 10)):
        with pytest.raises(OptionError, match="heartbeat_"):
            Pace(interval, timeout)  # type: ignore[arg-type]  # what an application may write
    assert Pace(5, 10).timeout == 10.0
