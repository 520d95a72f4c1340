"""NATS goes away and comes back, says nothing or nonsense; servers keep serving their clients."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

import nuncio.sync
from nuncio import ClusterUnavailable, Emitter, LimitExceeded, OptionError, Server
from nuncio.cluster import NatsAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast, Kind, Options
from nuncio.cluster.nats import link
from nuncio.cluster.nats.wire import Wire
from nuncio.cluster.signing import Signer
from tests.support.aio import eventually, run_async, until, within
from tests.support.nats import Nats
from tests.support.ports import free_port
from tests.support.two import Two, joined

SECRET = "0123456789abcdef"


@pytest.fixture
def own(program: Any) -> Nats:
    """A server of the test's own, without JetStream."""
    return Nats(program("nats-server"), jetstream=False)


def two(nats: Nats, **options: Any) -> AbstractAsyncContextManager[Two]:
    """Two servers, which end with the block."""
    adapters = [NatsAdapter(nats.url, **options) for _ in range(2)]
    return joined(*adapters)


@run_async
async def test_nats_is_restarted(own: Nats) -> None:
    async with own, two(own) as pair:
        told = pair.health()
        await pair.reaches("before")
        await own.stop()
        await pair.is_alone()
        pair.bob.socket.join("late")
        await own.start()
        await pair.back()
        await pair.reaches("after")
        pair.one.to("late").emit("e", 2)
        await eventually(lambda: '2["e",2]' in pair.bob.wire.messages)
        assert told[:2] == ["ConnectionError", "healthy"]
        assert pair.adapter().stats()["losses"] > 0


@run_async
async def test_nats_says_nothing_for_a_while(own: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PULSE_SECONDS", 0.1)
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.3)
    async with own, two(own) as pair:
        await pair.reaches("before")
        own.freeze()
        pair.one.emit("e", 1)
        assert pair.ada.take() == ['2["e",1]']
        await eventually(lambda: not pair.adapter().healthy)
        with pytest.raises(ClusterUnavailable):
            await pair.one.timeout(0.05).fetch_sockets()
        own.thaw()
        await pair.back()
        await pair.reaches("after")


@run_async
async def test_what_is_said_while_nats_is_frozen_arrives_later(own: Nats) -> None:
    async with own, two(own) as pair:
        await pair.reaches("before")
        pair.bob.take()
        own.freeze()
        # More than the network takes by itself.
        for number in range(100):
            pair.one.emit("e", number, "x" * 50_000)
            await asyncio.sleep(0)
        assert len(pair.ada.take()) == 100
        own.thaw()
        await eventually(lambda: len(pair.bob.wire.messages) >= 100)
        assert [json.loads(str(one)[1:])[1] for one in pair.bob.take()] == list(range(100))
        assert pair.adapter().stats()["losses"] == 0


@run_async
async def test_a_server_leaves_though_nats_says_nothing(own: Nats) -> None:
    async with own:
        async with two(own) as pair:
            await pair.reaches("before")
            own.freeze()
            for _ in range(200):
                pair.one.emit("e", "x" * 50_000)
                await asyncio.sleep(0)
            adapter = pair.adapter()
            await within(pair.one.close(0.2))
            assert adapter.stats()["subscriptions"] == 0
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@run_async
async def test_what_waits_for_nats_is_bounded(own: Nats) -> None:
    async with own:
        io = Server(adapter=NatsAdapter(own.url, outgoing_bytes=10_000))
        await io.engine.start()
        adapter: Any = io.sockets.adapter
        await own.stop()
        await eventually(lambda: not adapter.healthy)
        for _ in range(100):
            io.emit("e", "x" * 1000)
        assert 80 < adapter.stats()["dropped_outgoing"] < 100
        # What would never fit is told.
        with pytest.raises(LimitExceeded, match="outgoing_bytes"):
            io.server_side_emit("e", "x" * 20_000)
        await io.close(0.1)


@run_async
async def test_a_server_does_not_start_without_nats(program: Any) -> None:
    io = Server(adapter=NatsAdapter(f"nats://127.0.0.1:{free_port()}"))
    with pytest.raises(ConnectionError, match="NATS cannot be reached"):
        await io.listen(0)
    await io.close(0.1)


@run_async
async def test_one_of_several_addresses_is_enough(own: Nats) -> None:
    async with own:
        urls = [f"nats://127.0.0.1:{free_port()}", own.url]
        async with joined(NatsAdapter(urls), NatsAdapter(own.url)) as pair:
            await pair.reaches("e")


@run_async
async def test_another_server_of_nats_takes_over(program: Any) -> None:
    # Each knows of the other; ours know of one.
    ports = [free_port(), free_port()]
    found = [
        Nats(
            program("nats-server"),
            jetstream=False,
            more=f"cluster {{ name: c, listen: 127.0.0.1:{ports[n]},"
            f" routes: [nats://127.0.0.1:{ports[1 - n]}] }}",
        )
        for n in range(2)
    ]
    async with found[0] as first, found[1] as second:

        async def routes() -> int:
            return int((await first.told("/routez"))["num_routes"])

        while not await routes():
            pass
        # From one server of NATS to the other, too.
        async with joined(NatsAdapter(first.url), NatsAdapter(second.url)) as pair:
            await pair.reaches("before")
            await first.stop()
            await eventually(lambda: pair.adapter().stats()["losses"] > 0)
            await eventually(lambda: pair.adapter().healthy)
            await pair.reaches("after")


@run_async
async def test_a_server_leaves_in_order_and_may_start_again(own: Nats) -> None:
    async with own, two(own) as pair:
        await pair.second_leaves()
        # Nobody hears it.
        before = pair.adapter(pair.two).stats()["dropped_outgoing"]
        pair.two.emit("alone", "x" * 3_000_000)
        assert pair.adapter(pair.two).stats()["dropped_outgoing"] == before + 1
        await pair.second_returns()


@run_async
async def test_nothing_is_left_behind(own: Nats) -> None:
    async with own:
        async with two(own) as pair:
            pair.two.of("/other")
            pair.bob.socket.join([f"room {number}" for number in range(50)])
            await pair.reaches("e")
            await own.restart()
            await pair.back()
            await pair.reaches("after")
            adapter = pair.adapter(pair.two)
        await until(own.connections, 0)
        assert adapter.stats()["subscriptions"] == 0
        assert adapter._followed == set() and len(adapter._parts) == 0
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def garbage() -> list[bytes]:
    """What is no message, though it may look like one."""
    envelope = {"uid": "x", "nsp": "/", "type": 3, "data": {"packet": 5, "opts": {}}}
    found = [
        b"",
        b"\x00",
        b"{}",
        b"\xc1",
        b"\xc1" + bytes(16),
        b"\xc1" + b"\xff" * 16,
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 50_000,
        b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.",
        json.dumps(envelope).encode(),
        msgspec.msgpack.encode(envelope),
        msgspec.msgpack.encode({"uid": "x", "nsp": "/", "type": 99}),
    ]
    # To disconnect everybody is a message.
    for kind in set(range(Kind.INITIAL_HEARTBEAT, Kind.ADAPTER_CLOSE + 1)) - {
        Kind.DISCONNECT_SOCKETS
    }:
        shapes: list[Any] = [
            None,
            5,
            [],
            {"opts": 5},
            {"opts": {}, "rooms": [None]},
            {"packet": []},
        ]
        for data in shapes:
            said = {"uid": "x", "nsp": "/", "type": int(kind), "data": data}
            found.append(msgspec.msgpack.encode(said))
    return found


@run_async
async def test_what_is_no_message_is_counted_and_dropped(own: Nats) -> None:
    async with own, two(own) as pair:
        await pair.reaches("before")
        pair.ada.socket.join("room")
        subjects = pair.adapter().subjects
        rooms = dict(pair.adapter().rooms)
        for subject in (
            subjects.all,
            subjects.log,
            subjects.room("room"),
            subjects.server(pair.adapter().uid),
        ):
            await own.publish(subject, *garbage())
        await pair.reaches_both("after")
        assert pair.adapter().stats()["dropped"] > 100
        assert pair.adapter().rooms == rooms
        assert pair.adapter().healthy and pair.adapter().stats()["losses"] == 0


@run_async
async def test_only_what_is_signed_is_taken(own: Nats) -> None:
    told = Broadcast(packet={"type": 2, "data": ["forged"]}, opts=Options())
    message = ClusterMessage("x", "/", Kind.BROADCAST, told)
    async with own, two(own, secret=SECRET) as pair:
        await pair.reaches("before")
        subject = pair.adapter().subjects.all
        for wire in (NatsAdapter(own.url).wire, Wire(Signer(SECRET[::-1]))):
            await own.publish(subject, *wire.encode(message, subject, 1 << 20))
        async with Emitter(NatsAdapter(own.url)) as nobody:
            await nobody.emit("forged")
        assert '2["forged"]' not in await pair.reaches_both("after")
        assert pair.adapter().stats()["dropped"] == 3
        async with Emitter(NatsAdapter(own.url, secret=SECRET)) as one_of_us:
            await one_of_us.emit("signed")
        await eventually(lambda: '2["signed"]' in pair.ada.wire.messages)


@run_async
async def test_what_is_large_arrives_in_parts(program: Any) -> None:
    nats = Nats(program("nats-server"), jetstream=False, more="max_payload: 1024")
    async with nats, two(nats, secret=SECRET) as pair:
        await pair.reaches("before")
        errors: list[Any] = []
        pair.one.on_error(lambda error, socket, event: errors.append((type(error), event)))
        pair.one.emit("large", "x" * 100_000)
        await eventually(lambda: f'2["large","{"x" * 100_000}"]' in pair.bob.wire.messages)
        pair.bob.socket.data = {"text": "y" * 20_000}
        found = await within(pair.one.fetch_sockets())
        assert "y" * 20_000 in [one.data.get("text") for one in found]
        # Not even in parts: whoever emits is told, and only the others miss it.
        pair.ada.take()
        pair.one.emit("huge", "x" * 5_000_000)
        assert errors == [(LimitExceeded, "huge")]
        assert len(pair.ada.take()) == 1
        with pytest.raises(LimitExceeded):
            pair.one.server_side_emit("huge", "x" * 5_000_000)
        await pair.reaches("after")
        assert pair.adapter().stats()["losses"] == 0


@run_async
async def test_a_room_reaches_only_servers_with_members(own: Nats) -> None:
    def adapter(name: str) -> NatsAdapter:
        return NatsAdapter(
            own.url, connect={"name": name}, heartbeat_interval=3600, heartbeat_timeout=7200
        )

    async def delivered(name: str) -> int:
        found = (await own.told("/connz"))["connections"]
        return int(next(one["out_msgs"] for one in found if one["name"] == name))

    async with own, joined(adapter("one"), adapter("two")) as pair:
        third = Server(adapter=adapter("third"))
        await third.engine.start()
        await until(pair.adapter().server_count, 3)
        rooms: list[str | int] = ["room", "a.b *>", 42]
        pair.bob.socket.join(rooms)
        for room in rooms:
            subject = pair.adapter().subjects.room(room)
            while not await own.subscribed(subject):
                pass
        pair.bob.take()
        before = await delivered("two"), await delivered("third")
        for number in range(20):
            for room in rooms:
                pair.one.to(room).emit("e", number)
            pair.one.to(pair.bob.socket.id).emit("own", number)
        await eventually(lambda: len(pair.bob.wire.messages) == 80)
        assert await delivered("two") - before[0] == 80
        assert await delivered("third") - before[1] == 0
        # A room without members concerns nobody any longer.
        for room in rooms:
            pair.bob.socket.leave(room)
        while await own.subscribed(pair.adapter().subjects.room("room")):
            pass
        before = await delivered("two"), await delivered("third")
        pair.one.to("room").emit("e")
        await pair.adapter().bus.flush()
        assert (await delivered("two"), await delivered("third")) == before
        await third.close(0.1)


@run_async
async def test_what_one_server_says_is_heard_in_order(own: Nats) -> None:
    async with own, two(own) as pair:
        await pair.reaches("before")
        pair.bob.socket.join(["x", "y"])
        while not await own.subscribed(pair.adapter().subjects.room("y")):
            pass
        pair.bob.take()
        # Over subjects of their own, or the common one.
        ways = [
            pair.one.to("x"),
            pair.one.to("y"),
            pair.one.to(["x", "y"]),
            pair.one.compress(True),
        ]
        ways.append(pair.one.to(pair.bob.socket.id))
        for number in range(500):
            ways[number % len(ways)].emit("e", number)
        pair.one.disconnect_sockets()
        await eventually(lambda: pair.bob.sid not in pair.two.sockets.sockets)
        heard = [json.loads(str(one)[1:])[1] for one in pair.bob.take() if "e" in str(one)]
        assert heard == list(range(500))


@run_async
async def test_names_may_be_anything(own: Nats) -> None:
    async with own, two(own) as pair:
        pair.bob.socket.join(["\ud800", "", " ", "*", ">", "a.>", "x" * 10_000, "é" * 500])
        for room in ("\ud800", "*", ">"):
            pair.one.to(room).emit("e", "\udfff")
        for name in ("/a.b", "/*", "/>", "/a b", "/" + "é" * 300):
            pair.one.of(name)
            pair.two.of(name)
        await pair.reaches("after")
        await until(pair.one.of("/*").adapter.server_count, 2)
        assert pair.adapter().healthy and pair.adapter().stats()["losses"] == 0


@run_async
async def test_whoever_may_not_use_nats_is_told(program: Any) -> None:
    more = (
        "authorization { users = [ { user: ada, password: secret },"
        ' { user: bob, password: secret, permissions: { subscribe: { deny: "nuncio.*.room.*" } } }'
        " ] }"
    )

    class Locked(Nats):
        async def _answers(self) -> bool:
            try:
                await self.told("/varz")
            except OSError:
                return False
            return True

    nats = Locked(program("nats-server"), jetstream=False, more=more)
    async with nats:
        address = f"127.0.0.1:{nats.port}"
        io = Server(adapter=NatsAdapter(f"nats://ada:wrong@{address}"))
        with pytest.raises(ConnectionError, match=r"[Aa]uthorization"):
            await io.engine.start()
        await io.close(0.1)
        ada = NatsAdapter(f"nats://ada:secret@{address}")
        bob = NatsAdapter(f"nats://{address}", connect={"user": "bob", "password": "secret"})
        async with joined(ada, bob) as pair:
            await pair.reaches("e")
            pair.bob.socket.join("room")
            # The client's own room is one, too.
            await eventually(lambda: pair.adapter(pair.two).stats()["refused"] >= 2)
            await pair.reaches("after")
            assert pair.adapter(pair.two).healthy


@run_async
async def test_nats_cuts_off_whoever_does_not_listen(own: Nats) -> None:
    async with own, two(own) as pair:
        await pair.reaches("before")
        # As it tells it.
        client = pair.adapter().bus.connection._client
        await client._process_err("'slow consumer'")
        await eventually(lambda: pair.adapter().stats()["losses"] == 1)
        await eventually(lambda: pair.adapter().healthy)
        assert pair.adapter().stats()["slow"] == 1
        await pair.reaches("after")


@run_async
async def test_a_failure_of_a_listener_does_not_end_the_bus(
    own: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    async with own, two(own) as pair:
        await pair.reaches("before")
        adapter = pair.adapter(pair.two)
        handler = adapter._handlers[Kind.BROADCAST]

        def fail(message: ClusterMessage) -> None:
            raise RuntimeError("out of order")

        adapter._handlers[Kind.BROADCAST] = fail
        pair.one.emit("e")
        await eventually(lambda: "out of order" in caplog.text)
        adapter._handlers[Kind.BROADCAST] = handler
        await pair.reaches("after")
        assert adapter.stats()["losses"] == 0


@run_async
async def test_emitters_reach_servers_by_an_address(own: Nats) -> None:
    async with own, two(own) as pair:
        async with Emitter(own.url) as emitter:
            await emitter.emit("e", 1)
            await emitter.emit("e", "x" * 2_000_000)
        async with Emitter(NatsAdapter(own.url, stream="without_jetstream")) as emitter:
            await within(emitter.emit("e", 2))
        await eventually(lambda: len(pair.ada.wire.messages) == 3)

        def blocking() -> None:
            with nuncio.sync.Emitter(own.url) as emitter:
                emitter.to(pair.ada.socket.id).emit("e", 2)
                emitter.close()
                # It begins anew.
                emitter.emit("e", 3)

        pair.ada.take()
        await asyncio.to_thread(blocking)
        await eventually(lambda: '2["e",3]' in pair.ada.wire.messages)
        assert pair.ada.take() == ['2["e",2]', '2["e",3]']


def test_wrong_options_are_told() -> None:
    for url in (5, None, [], [5], "http://localhost", "localhost:4222", ["nats://a", "b"]):
        with pytest.raises(OptionError, match="url"):
            NatsAdapter(url)  # type: ignore[arg-type]
    url = "nats://localhost"
    wrong: list[tuple[str, Any]] = [
        ("outgoing_bytes", 0),
        ("heartbeat_interval", 0),
        ("heartbeat_timeout", 1),
        ("subject_prefix", "a.*"),
        ("secret", "short"),
        ("stream", "a.b"),
        ("max_age", -1),
        ("max_msgs", 0),
        ("max_bytes", "1"),
        ("replicas", 0),
    ]
    for name, value in wrong:
        with pytest.raises(OptionError, match=name):
            NatsAdapter(url, **{name: value})
    with pytest.raises(OptionError, match="connect: 'allow_reconnect'"):
        NatsAdapter(url, connect={"allow_reconnect": True})


def test_another_library_under_the_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("nats.aio.client.Client._process_msg")
    with pytest.raises(OptionError, match="nats-py has no _process_msg"):
        NatsAdapter("nats://localhost")


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nats", "nats.aio", "nats.aio.client"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=r"nuncio\[nats\]"):
        NatsAdapter("nats://localhost")
