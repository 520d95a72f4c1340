from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import pytest

from nuncio import (
    AckTimeout,
    ClusterTimeout,
    Disconnected,
    OptionError,
    RemoteSocket,
    Server,
    Socket,
    conflate,
)
from nuncio.cluster import LocalBus
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    Flags,
    Kind,
    Options,
)
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.recipients import from_wire, to_wire
from nuncio.slow import policy_of
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client


class Pair:
    """Two servers on one bus, each with a client: `ada` on the first, `bob` on the second."""

    def __init__(self, bus: LocalBus, one: Server, two: Server) -> None:
        self.bus, self.one, self.two = bus, one, two
        self.ada, self.bob = Client.join(one), Client.join(two)

    @classmethod
    async def start(cls, **options: Any) -> Pair:
        """Start both."""
        bus = LocalBus()
        one, two = (Server(adapter=bus, **options) for _ in range(2))
        for server in (one, two):
            await server.engine.start()
        return cls(bus, one, two)

    @property
    def a(self) -> Socket:
        """The first client's socket."""
        return self.ada.socket

    @property
    def b(self) -> Socket:
        """The second client's socket."""
        return self.bob.socket

    async def heard(self) -> tuple[list[Any], list[Any]]:
        """What the two clients received, after the bus has come to rest."""
        for _ in range(5):
            await asyncio.sleep(0)
        return self.ada.take(), self.bob.take()


@run_async
async def test_what_cannot_be_sent_is_told_also_where_nobody_is() -> None:
    pair = await Pair.start()
    for nobody in (pair.one.to("nobody"), pair.one.local.to("nobody")):
        with pytest.raises(TypeError):
            nobody.emit("e", object())


@run_async
async def test_a_broadcast_reaches_the_clients_of_all_servers() -> None:
    pair = await Pair.start()
    pair.a.join("x")
    pair.b.join(["x", 7])
    pair.one.emit("e", 1)
    assert await pair.heard() == (['2["e",1]'], ['2["e",1]'])
    pair.one.to("x").except_(pair.b.id).emit("e", 2)
    assert await pair.heard() == (['2["e",2]'], [])
    pair.one.to(7).emit("e", b"3")
    heard = await pair.heard()
    assert heard == ([], ['51-["e",{"_placeholder":true,"num":0}]', b"3"])
    pair.a.broadcast.emit("e", 4)
    assert await pair.heard() == ([], ['2["e",4]'])
    pair.one.local.emit("e", 5)
    assert await pair.heard() == (['2["e",5]'], [])
    pair.two.to(pair.a.id).compress(False).volatile.emit("e", 6)
    assert await pair.heard() == (['2["e",6]'], [])
    assert pair.ada.wire.compressed[-1] is False


@run_async
async def test_a_broadcast_that_cannot_be_published_reaches_this_servers_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = await Pair.start()
    errors: list[Any] = []
    pair.one.on_error(lambda error, socket, event: errors.append((str(error), event)))

    def fail(message: ClusterMessage) -> None:
        raise ConnectionError("the bus is down")

    monkeypatch.setattr(pair.one.sockets.adapter, "publish", fail)
    pair.one.emit("e", 1)
    assert await pair.heard() == (['2["e",1]'], [])
    assert errors == [("the bus is down", "e")]


@run_async
async def test_the_order_of_broadcasts_and_joins_is_kept() -> None:
    pair = await Pair.start()
    pair.one.emit("e", 1)
    pair.one.sockets_join("x")
    pair.one.to("x").emit("e", 2)
    pair.one.sockets_leave("x")
    pair.one.to("x").emit("e", 3)
    assert await pair.heard() == (['2["e",1]', '2["e",2]'],) * 2


@run_async
async def test_acknowledgements_come_from_all_servers() -> None:
    pair = await Pair.start()
    waiting = asyncio.ensure_future(pair.one.timeout(30).emit_with_ack("q"))
    await pair.heard()
    pair.bob.send('30["b"]')
    pair.ada.send('30["a"]')
    assert sorted(await within(waiting)) == ["a", "b"]


@run_async
async def test_missing_acknowledgements_are_told() -> None:
    pair = await Pair.start()
    waiting = asyncio.ensure_future(pair.one.timeout(0.1).emit_with_ack("q"))
    await pair.heard()
    pair.bob.send("30[7]")
    with pytest.raises(AckTimeout) as caught:
        await within(waiting)
    assert caught.value.responses == [7]
    assert pair.one.sockets.adapter._requests == {}  # type: ignore[attr-defined]


@run_async
async def test_acknowledgements_of_this_server_alone() -> None:
    pair = await Pair.start()
    waiting = asyncio.ensure_future(pair.one.local.timeout(30).emit_with_ack("q"))
    await pair.heard()
    pair.ada.send('30["a"]')
    assert await within(waiting) == ["a"]
    assert await within(pair.one.to("nobody").timeout(30).emit_with_ack("q")) == []


@run_async
async def test_sockets_of_other_servers_are_remote() -> None:
    pair = await Pair.start()
    pair.b.join("x")
    pair.b.data = {"name": "Bob"}
    found = {socket.id: socket for socket in await within(pair.one.fetch_sockets())}
    assert found[pair.a.id] is pair.a
    remote = found[pair.b.id]
    assert isinstance(remote, RemoteSocket)
    assert (remote.data, remote.rooms) == ({"name": "Bob"}, {pair.b.id, "x"})
    there, here = pair.b.handshake, remote.handshake
    for name in ("headers", "query", "auth", "address", "url", "time", "secure", "xdomain"):
        assert getattr(here, name) == getattr(there, name)
    assert abs(here.issued - there.issued) < 0.001
    assert [one.id for one in await pair.one.in_("x").fetch_sockets()] == [pair.b.id]
    assert [one.id for one in await pair.one.local.fetch_sockets()] == [pair.a.id]


@run_async
async def test_a_socket_whose_data_cannot_be_sent_is_found_without_it() -> None:
    pair = await Pair.start()
    Client.join(pair.two).socket.data = object()
    found = await within(pair.one.fetch_sockets())
    assert [one.data for one in found[1:]] in ([{}, None], [None, {}])


@run_async
async def test_what_messagepack_cannot_hold_is_told_as_near_as_can_be() -> None:
    pair = await Pair.start()
    strange = {"\ud800": ["a\udfff", 2**64, -(2**63) - 1, 10**400]}
    near = {"\ufffd": ["a\ufffd", 2.0**64, -(2.0**63), inf]}
    eve = Client.join(pair.two, auth=strange)
    found = {one.id: one for one in await within(pair.one.fetch_sockets())}
    assert found[eve.socket.id].handshake.auth == near
    waiting = asyncio.ensure_future(pair.one.timeout(30).emit_with_ack("q"))
    await pair.heard()
    pair.ada.send("30[1]")
    pair.bob.send("30[2]")
    eve.send(f"30{json.dumps([strange])}")
    assert near in await within(waiting)
    pair.one.emit("e", "a\udfff")
    assert await pair.heard() == ([r'2["e","a\udfff"]'], ['2["e","a\ufffd"]'])


@run_async
async def test_a_remote_socket_can_be_acted_on() -> None:
    pair = await Pair.start()
    (remote,) = await within(pair.one.in_(pair.b.id).fetch_sockets())
    remote.emit("e", 1)
    remote.join(["x", "y"])
    remote.leave("y")
    assert await pair.heard() == ([], ['2["e",1]'])
    assert pair.b.rooms == {pair.b.id, "x"}
    waiting = remote.timeout(30).emit_with_ack("q")
    await pair.heard()
    pair.bob.send('30["yes","more"]')
    assert await within(waiting) == "yes"
    socket = pair.b
    remote.disconnect(True)
    await eventually(lambda: not socket.connected)
    assert pair.bob.wire.ended


@run_async
async def test_a_loop_need_not_know_which_sockets_are_remote() -> None:
    pair = await Pair.start()
    found = await within(pair.one.fetch_sockets())
    assert [isinstance(one, RemoteSocket) for one in found] == [False, True]
    heard: list[Any] = []
    waiting: list[Any] = []
    for one in found:
        await one.join("x")
        await one.leave("x")
        await one.emit("e", 1)
        waiting.append(asyncio.ensure_future(one.emit_with_ack("q")))
        one.emit("q", lambda *values: heard.append(values))
        one.timeout(5).emit("q", 5, lambda *values: heard.append(values))
    for client, (event, *questions) in zip((pair.ada, pair.bob), await pair.heard(), strict=True):
        assert event == '2["e",1]'
        assert len(questions) == 3
        for question in questions:
            client.send(f'3{question[1 : question.index("[")]}["yes"]')
    assert await within(asyncio.gather(*waiting)) == ["yes", "yes"]
    await eventually(lambda: len(heard) == 4)
    assert sorted(heard, key=len) == [("yes",), ("yes",), (None, "yes"), (None, "yes")]
    for one in found:
        with pytest.raises(OptionError, match="reason"):
            one.disconnect(data=1)
        one.disconnect(reason="full", data={"limit": 2})
    told = ['2["disconnect_reason","full",{"limit":2}]', "1"]
    assert await pair.heard() == (told, told)


@run_async
async def test_a_remote_socket_that_does_not_answer_or_has_gone() -> None:
    pair = await Pair.start()
    (remote,) = await within(pair.one.in_(pair.b.id).fetch_sockets())
    heard: list[Any] = []
    remote.timeout(0.05).emit("q", lambda error, value=None: heard.append(type(error)))
    await eventually(lambda: heard == [AckTimeout])
    with pytest.raises(OptionError):
        remote.timeout(-1)
    with pytest.raises(OptionError, match="reserved"):
        remote.emit_with_ack("connect")
    pair.b.disconnect()
    with pytest.raises(Disconnected):
        await within(remote.emit_with_ack("q"))


@run_async
async def test_a_callback_receives_the_answers_of_the_other_servers() -> None:
    pair = await Pair.start()
    pair.two.on_server("load", lambda extra: 7 + extra)
    heard: list[Any] = []
    pair.one.server_side_emit("load", 1, lambda error, answers: heard.append((error, answers)))
    await eventually(lambda: heard == [(None, [8])])
    alone = Server()
    alone.server_side_emit("load", lambda *given: heard.append(given))
    await eventually(lambda: heard[1:] == [(None, [])])


@run_async
async def test_many_sockets_at_once() -> None:
    pair = await Pair.start()
    a, b = pair.a, pair.b
    pair.one.sockets_join(["x", "y"])
    await pair.heard()
    assert b.rooms == {b.id, "x", "y"}
    pair.two.in_("x").sockets_leave(["x", "z"])
    await pair.heard()
    assert a.rooms == {a.id, "y"}
    pair.two.local.disconnect_sockets()
    await pair.heard()
    assert (a.connected, b.connected) == (True, False)
    pair.two.disconnect_sockets()
    await pair.heard()
    assert not a.connected


@dataclass
class Task:
    """What an application sends between its servers."""

    name: str
    size: int


@run_async
async def test_servers_speak_to_each_other() -> None:
    pair = await Pair.start()
    heard: list[Any] = []
    pair.one.on_server("task", lambda task: heard.append("one"))

    @pair.two.on_server("task")
    async def task(task: dict[str, Any]) -> dict[str, Any]:
        heard.append(task)
        return {"done": task["name"]}

    pair.one.server_side_emit("task", Task("clean", 5))
    await eventually(lambda: heard)
    assert heard == [{"name": "clean", "size": 5}]
    answers = await within(pair.one.server_side_emit_with_ack("task", Task("cook", 1)))
    assert answers == [{"done": "cook"}]


@run_async
async def test_a_clients_event_is_never_taken_for_a_servers() -> None:
    pair = await Pair.start()
    heard: list[str] = []
    pair.two.on_server("revoke", lambda: heard.append("revoked"))
    pair.bob.emit("revoke")
    await pair.heard()
    assert heard == []


@run_async
async def test_a_server_that_does_not_answer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pair = await Pair.start()

    @pair.two.on_server("load")
    def fails() -> None:
        raise RuntimeError("no idea")

    assert await within(pair.one.server_side_emit_with_ack("load")) == [None]
    assert "no idea" in caplog.text
    with pytest.raises(AckTimeout):
        await pair.one.server_side_emit_with_ack("unknown", timeout=0.05)


@run_async
async def test_a_silent_server_does_not_hide_the_others() -> None:
    pair = await Pair.start()
    silent: Any = pair.two.sockets.adapter
    silent.received = lambda message: None
    with pytest.raises(ClusterTimeout) as caught:
        await pair.one.timeout(0.05).fetch_sockets()
    assert caught.value.responses == [pair.a]
    assert "0 of 1" in str(caught.value)


@run_async
async def test_a_server_that_ends_is_not_waited_for() -> None:
    pair = await Pair.start()
    assert await pair.one.sockets.adapter.server_count() == 2
    await pair.two.close()
    assert await pair.one.sockets.adapter.server_count() == 1
    assert await within(pair.one.fetch_sockets()) == [pair.a]
    assert await within(pair.one.server_side_emit_with_ack("load")) == []


@run_async
async def test_namespaces_are_apart() -> None:
    pair = await Pair.start()
    one, two = pair.one.of("/chat"), pair.two.of("/chat")
    await eventually(lambda: one.takes_part and two.takes_part)
    chat = Client.join(pair.one, "/chat")
    two.emit("e")
    assert await pair.heard() == ([], [])
    assert chat.take() == ['2/chat,["e"]']


@run_async
async def test_what_was_promised_on_one_server_is_kept_on_the_other() -> None:
    pair = await Pair.start(connection_state_recovery=True)
    pair.one.delivery("at-least-once").emit("e", 1)
    ((first,), (second,)) = await pair.heard()
    for message in (first, second):
        assert message.startswith('20["e",1,"')


ALL_KINDS = range(Kind.INITIAL_HEARTBEAT, Kind.ADAPTER_CLOSE + 1)


def messages(nsp: str = "/") -> list[Any]:
    """What is no message, though it may look like one."""
    data: list[Any] = [None, 5, "x", [], {}, {"opts": 5}]
    found: list[Any] = [
        {"uid": "x", "nsp": nsp, "type": kind, "data": one} for kind in ALL_KINDS for one in data
    ]
    found += [
        {"uid": "x", "nsp": nsp, "type": 99},
        {
            "uid": "x",
            "nsp": nsp,
            "type": Kind.BROADCAST,
            "data": {"packet": {"data": []}, "opts": {}},
        },
        {"uid": "x", "nsp": nsp, "type": Kind.SOCKETS_JOIN, "data": {"opts": {}, "rooms": [None]}},
        {"uid": "x"},
        5,
        None,
    ]
    return found


@run_async
async def test_garbage_on_the_bus_is_counted_and_dropped() -> None:
    pair = await Pair.start()
    adapter: Any = pair.two.sockets.adapter
    rooms = dict(adapter.rooms)
    for message in messages():
        adapter.take(msgspec.msgpack.encode(message))
    for data in (b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"{}", b"\x91" * 100_000):
        adapter.take(data)
    assert adapter.dropped > 50
    assert adapter.rooms == rooms
    assert await pair.heard() == ([], [])
    pair.one.emit("e")
    assert (await pair.heard())[1] == ['2["e"]']


@run_async
async def test_answers_to_questions_nobody_asked_are_ignored() -> None:
    pair = await Pair.start()
    adapter: Any = pair.two.sockets.adapter
    for kind, data in (
        (Kind.FETCH_SOCKETS_RESPONSE, {"requestId": "x", "sockets": []}),
        (Kind.SERVER_SIDE_EMIT_RESPONSE, {"requestId": "x", "packet": 1}),
        (Kind.BROADCAST_CLIENT_COUNT, {"requestId": "x", "clientCount": 1}),
        (Kind.BROADCAST_ACK, {"requestId": "x", "packet": 1}),
    ):
        adapter.received(ClusterMessage("other", "/", kind, data))
    assert adapter.dropped == 0


@run_async
async def test_what_slow_clients_of_other_servers_lose() -> None:
    pair = await Pair.start()
    for sender in (pair.one, pair.two):
        pair.ada.stall()
        pair.bob.stall()
        for index in range(5):
            sender.when_slow(conflate(lambda event, *args: args[0])).emit("e", "a", index)
            sender.when_slow(conflate(("b", 1))).emit("e", "b", index)
        assert await pair.heard() == ([], [])
        pair.ada.drain()
        pair.bob.drain()
        latest = ['2["e","a",4]', '2["e","b",4]']
        assert await pair.heard() == (latest, latest)
    assert pair.b.conn.dropped == pair.two.counters.dropped_events == 16


def test_policies_travel_by_their_names() -> None:
    for word in ("block", "drop_newest", "drop_oldest"):
        options = BroadcastOptions()
        options.slow = policy_of(word, "x")
        found = from_wire(msgspec.convert(msgspec.to_builtins(to_wire(options)), Options))
        assert found.slow is options.slow
    options = BroadcastOptions()
    options.slow = conflate("price").of_event("/", ["e"])
    found = from_wire(to_wire(options))
    assert found.slow is not None
    assert (found.slow.word, found.slow.key) == ("conflate", "price")
    assert from_wire(to_wire(BroadcastOptions())).slow is None


def test_a_policy_of_another_version_is_no_reason_to_fail() -> None:
    options = Options(flags=Flags(slow="from the future"))
    assert from_wire(options).slow is None
