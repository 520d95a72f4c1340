from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nuncio import (
    ConnectError,
    Limits,
    OptionError,
    RemoteSocket,
    Server,
    Socket,
    Undelivered,
)
from nuncio.cluster.local import LocalBus
from nuncio.cluster.memory import MemoryAdapter
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client


def recovering(**options: Any) -> Server:
    """A server whose clients may recover."""
    return Server(connection_state_recovery=True, **options)


class Visitor:
    """A client that comes back, as the official one does: with its secret and its offset."""

    def __init__(self, io: Server, nsp: str = "/") -> None:
        self.io = io
        self.prefix = "" if nsp == "/" else nsp + ","
        self.pid = ""
        self.sid = ""
        self.offset: str | None = None
        self.acks: list[int] = []
        self.connect({})

    def connect(self, auth: dict[str, Any]) -> list[Any]:
        """Open a new connection; returns the events that came before and after its answer."""
        self.client = Client(self.io)
        self.client.send(f"0{self.prefix}{json.dumps(auth)}")
        return self.take()

    def come_back(self, **auth: Any) -> list[Any]:
        """Come back with what it was given."""
        known: dict[str, Any] = {"pid": self.pid}
        if self.offset is not None:
            known["offset"] = self.offset
        return self.connect({**known, **auth})

    def lose(self) -> None:
        """Lose the link."""
        self.client.lose()

    def take(self) -> list[Any]:
        """The events that came: name and arguments, the offset taken off and remembered."""
        events: list[Any] = []
        for message in self.client.take():
            assert isinstance(message, str)
            kind, rest = message[0], message[1:].removeprefix(self.prefix)
            if kind == "0":
                answer = json.loads(rest)
                self.sid, self.pid = answer["sid"], answer["pid"]
            elif kind == "2":
                digits = rest[: rest.index("[")]
                payload = json.loads(rest[len(digits) :])
                if digits:
                    self.acks.append(int(digits))
                    payload.pop()
                else:
                    self.offset = payload.pop()
                events.append(payload)
        return events

    def beat(self) -> None:
        """A heartbeat comes through."""
        session = self.socket.conn
        session.expire(session.deadline)
        assert self.client.wire.sink is not None
        self.client.wire.sink.text(self.client.wire, b"3")

    def acknowledge(self) -> None:
        """Acknowledge all it has seen."""
        for id in self.acks:
            self.client.send(f"3{self.prefix}{id}[]")
        self.acks.clear()

    @property
    def socket(self) -> Socket:
        """The server's socket."""
        return self.io.of(self.prefix.rstrip(",") or "/").sockets[self.sid]


@run_async
async def test_a_client_that_comes_back_is_who_it_was() -> None:
    io = recovering()
    visitor = Visitor(io)
    sid, pid, before = visitor.sid, visitor.pid, visitor.socket
    assert sid != pid
    assert not before.recovered
    before.join(["a", "b"])
    before.data = {"name": "Ada"}
    visitor.lose()
    assert not before.connected
    assert visitor.come_back() == []
    after = visitor.socket
    assert after is not before
    assert (visitor.sid, visitor.pid, after.recovered) == (sid, pid, True)
    assert after.rooms == {sid, "a", "b"}
    assert after.data == {"name": "Ada"}


@run_async
async def test_the_secret_is_nowhere_in_the_handshake() -> None:
    io = recovering(adapter=LocalBus())
    await io.engine.start()
    seen: list[dict[str, Any]] = []
    io.use(lambda socket: seen.append(socket.handshake.auth))
    visitor = Visitor(io)
    io.emit("e")
    visitor.take()
    visitor.lose()
    visitor.come_back(token="t")
    assert visitor.socket.recovered
    assert visitor.socket.handshake.auth == {"token": "t"}
    # Nor when it has been forgotten here: another server may know it still.
    visitor.connect({"pid": "forgotten", "offset": "1", "token": "t"})
    assert not visitor.socket.recovered
    assert visitor.socket.handshake.auth == {"token": "t"}
    assert seen == [{}, {"token": "t"}]
    # What has nothing to do with recovery is the application's own.
    visitor.connect({"pid": 7, "offset": 1})
    assert visitor.socket.handshake.auth == {"pid": 7, "offset": 1}
    plain = Server()
    client = Client(plain)
    client.send('0{"pid":"p","offset":"o"}')
    (socket,) = plain.sockets.sockets.values()
    assert socket.handshake.auth == {"pid": "p", "offset": "o"}


@run_async
async def test_other_servers_are_not_told_the_secret() -> None:
    bus = LocalBus()
    one, two = recovering(adapter=bus), recovering(adapter=bus)
    await one.engine.start()
    await two.engine.start()
    visitor = Visitor(one)
    visitor.lose()
    visitor.come_back(token="t")
    assert visitor.socket.recovered
    (remote,) = await within(two.fetch_sockets())
    assert isinstance(remote, RemoteSocket)
    assert remote.handshake.auth == {"token": "t"}
    assert visitor.pid not in repr(vars(remote.handshake))


@run_async
async def test_it_receives_what_it_missed_before_it_is_told_that_it_is_connected() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.socket.join("room")
    io.emit("seen", 1)
    assert visitor.take() == [["seen", 1]]
    visitor.lose()
    io.to("room").emit("room", 2)
    io.to(visitor.sid).emit("own", b"3")
    io.to("other").emit("not mine")
    io.volatile.emit("gone")
    client = Client(io)
    client.send("0" + json.dumps({"pid": visitor.pid, "offset": visitor.offset}))
    kinds = [message if isinstance(message, bytes) else message[:2] for message in client.take()]
    assert kinds == ["2[", "51", b"3", "0{"]


@run_async
async def test_what_a_lost_socket_itself_emits_is_for_the_client_when_it_comes_back() -> None:
    io = recovering()
    visitor = Visitor(io)
    old = visitor.socket
    visitor.lose()
    old.emit("late", 1)
    old.volatile.emit("gone")
    assert visitor.come_back() == [["late", 1]]


@run_async
async def test_events_with_acknowledgements_and_volatile_ones_have_no_offset() -> None:
    io = recovering()
    visitor = Visitor(io)
    answer = visitor.socket.emit_with_ack("q", 1, timeout=1)
    visitor.socket.volatile.emit("v", 1)
    io.volatile.emit("w", 1)
    answers = io.timeout(1).emit_with_ack("x", 1)
    visitor.socket.emit("e", 1)
    received = [str(message) for message in visitor.client.take()]
    assert received[:4] == ['20["q",1]', '2["v",1]', '2["w",1]', '21["x",1]']
    assert received[4].startswith('2["e",1,"')
    visitor.client.send('30["yes"]', '31["yes"]')
    assert (await answer, await answers) == ("yes", ["yes"])


@run_async
async def test_a_broadcast_has_one_offset_for_all() -> None:
    io = recovering()
    visitors = [Visitor(io) for _ in range(3)]
    io.emit("news", 1)
    assert [visitor.take() for visitor in visitors] == [[["news", 1]]] * 3
    assert len({visitor.offset for visitor in visitors}) == 1


@run_async
async def test_catch_alls_see_the_offset_of_an_event_once() -> None:
    io = recovering()
    visitor = Visitor(io)
    seen: list[tuple[Any, ...]] = []
    visitor.socket.on_any_outgoing(lambda *args: seen.append(args))
    visitor.socket.emit("direct")
    io.emit("broadcast")
    visitor.take()
    assert [event[0] for event in seen] == ["direct", "broadcast"]
    assert seen[-1][1] == visitor.offset


@run_async
async def test_what_is_emitted_in_a_middleware_goes_out_before_the_answer() -> None:
    io = recovering()

    @io.use
    def greet(socket: Socket) -> None:
        socket.emit("early", 1)

    client = Client(io)
    client.send("0")
    assert [str(message)[:8] for message in client.take()] == ['2["early', '0{"sid":']


@run_async
async def test_middlewares_are_skipped_unless_they_are_wanted() -> None:
    calls: list[str] = []
    for skip in (True, False):
        io = Server(connection_state_recovery={"skip_middlewares": skip})
        io.use(lambda socket: calls.append("called"))
        visitor = Visitor(io)
        calls.clear()
        visitor.lose()
        visitor.come_back()
        assert visitor.socket.recovered
        assert calls == ([] if skip else ["called"])


@run_async
async def test_a_middleware_that_refuses_ends_the_session() -> None:
    io = Server(connection_state_recovery={"skip_middlewares": False})
    visitor = Visitor(io)
    visitor.socket.join("room")
    visitor.lose()

    @io.use
    def refuse(socket: Socket) -> None:
        assert socket.recovered
        raise ConnectError("no longer")

    visitor.come_back()
    assert io.sockets.sockets == {}
    assert io.sockets.adapter.rooms == {}
    assert not io.sockets.adapter.occupied


@run_async
async def test_what_is_said_while_a_middleware_decides_is_not_lost() -> None:
    io = Server(connection_state_recovery={"skip_middlewares": False})
    visitor = Visitor(io)
    visitor.lose()
    go = asyncio.Event()

    @io.use
    async def wait(socket: Socket) -> None:
        await go.wait()

    assert visitor.come_back() == []
    io.emit("meanwhile")
    go.set()
    await eventually(lambda: io.sockets.sockets)
    assert visitor.take() == [["meanwhile"]]


@run_async
async def test_what_is_promised_while_a_middleware_decides_is_kept() -> None:
    io = Server(connection_state_recovery={"skip_middlewares": False}, delivery="at-least-once")
    visitor = Visitor(io)
    visitor.lose()
    go = asyncio.Event()

    @io.use
    async def wait(socket: Socket) -> None:
        await go.wait()

    assert visitor.come_back() == []
    io.emit("meanwhile", 1)
    # It goes, and that is to be kept for it.
    visitor.lose()
    go.set()
    await eventually(lambda: io.sockets.adapter.occupied)
    assert visitor.come_back() == []
    io.emit("meanwhile", 2)
    await eventually(lambda: io.sockets.sockets)
    assert visitor.take() == [["meanwhile", 1], ["meanwhile", 2]]
    outbox = visitor.socket._outbox
    assert outbox is not None and len(outbox) == 2
    visitor.acknowledge()
    assert len(outbox) == 0


@run_async
async def test_a_link_that_breaks_before_what_was_missed_has_arrived() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.socket.join("room")
    visitor.lose()
    io.to("room").emit("e", 1)
    io.emit("e", 2)
    client = Client(io)
    client.send("0" + json.dumps({"pid": visitor.pid}))
    # Nothing of that is received.
    client.lose()
    io.to("room").emit("e", 3)
    assert visitor.come_back() == [["e", 1], ["e", 2], ["e", 3]]


@run_async
async def test_what_is_sent_again_does_not_set_the_client_back() -> None:
    io = recovering()
    visitor = Visitor(io)
    io.delivery("at-least-once").emit("e", 1)
    io.emit("e", 2)
    assert visitor.take() == [["e", 1], ["e", 2]]
    visitor.lose()
    client = Client(io)
    client.send("0" + json.dumps({"pid": visitor.pid, "offset": visitor.offset}))
    # All that is received is the first event, which was not acknowledged. An official client takes
    # its offset for the last.
    again = str(client.take()[0])
    visitor.offset = json.loads(again[again.index("[") :])[-1]
    client.lose()
    io.emit("e", 3)
    assert visitor.come_back() == [["e", 1], ["e", 3]]


@run_async
async def test_the_connection_handler_runs_again() -> None:
    io = recovering()
    seen: list[bool] = []
    io.on("connection", lambda socket: seen.append(socket.recovered))
    visitor = Visitor(io)
    visitor.lose()
    visitor.come_back()
    assert seen == [False, True]


@pytest.mark.parametrize("nobody", ["", "x", "constructor", "__proto__", 5, None, ["x"], {"a": 1}])
@run_async
async def test_a_forged_secret_is_a_new_client(nobody: Any) -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.lose()
    pid, sid = visitor.pid, visitor.sid
    io.emit("secret")
    assert visitor.connect({"pid": nobody, "offset": visitor.offset}) == []
    assert visitor.pid != pid
    assert visitor.sid != sid
    assert not visitor.socket.recovered


@pytest.mark.parametrize("offset", [5, None, ["x"], "forged", "", {"a": 1}])
@run_async
async def test_a_forged_offset_brings_nobody_elses_events(offset: Any) -> None:
    io = recovering()
    other, visitor = Visitor(io), Visitor(io)
    visitor.lose()
    io.to(other.sid).emit("secret")
    assert visitor.connect({"pid": visitor.pid, "offset": offset}) == []
    assert visitor.socket.recovered == (offset == "")


@run_async
async def test_the_public_id_recovers_nothing() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.lose()
    sid = visitor.sid
    visitor.connect({"pid": sid})
    assert visitor.sid != sid


@run_async
async def test_who_leaves_on_purpose_does_not_come_back() -> None:
    io = recovering()
    visitor = Visitor(io)
    sid = visitor.sid
    visitor.client.send("1")
    visitor.come_back()
    assert visitor.sid != sid
    sid = visitor.sid
    visitor.socket.disconnect()
    visitor.come_back()
    assert visitor.sid != sid


@run_async
async def test_a_new_connection_takes_over_from_one_that_is_dead_unnoticed() -> None:
    io = recovering()
    visitor = Visitor(io)
    reasons: list[Any] = []
    io.on("disconnect", lambda socket, reason: reasons.append(reason))
    sid, dead = visitor.sid, visitor.client
    io.emit("into the void")
    visitor.client.take()
    assert visitor.come_back() == [["into the void"]]
    assert visitor.sid == sid
    assert reasons == ["transport close"]
    assert dead.wire.ended
    assert list(io.sockets.sockets) == [sid]
    assert io.engine.clients_count == 1


@run_async
async def test_it_works_again_and_again() -> None:
    io = recovering()
    visitor = Visitor(io)
    sid = visitor.sid
    for number in range(5):
        io.emit("seen", number)
        assert visitor.take() == [["seen", number]]
        visitor.lose()
        io.emit("missed", number)
        assert visitor.come_back() == [["missed", number]]
        assert visitor.sid == sid


@run_async
async def test_a_client_that_comes_back_twice_without_news_still_misses_nothing() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.lose()
    io.emit("missed")
    assert visitor.come_back() == [["missed"]]
    # It never got the answer, so it comes with the same offset.
    visitor.offset = None
    visitor.lose()
    assert visitor.come_back() == [["missed"]]


@run_async
async def test_nor_does_it_miss_what_was_said_in_its_rooms() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.socket.join("room")
    io.emit("known")
    visitor.take()
    known = visitor.offset
    visitor.lose()
    io.to("room").emit("missed")
    for _ in range(3):
        assert visitor.come_back() == [["missed"]]
        # It was lost again before it heard that.
        visitor.offset = known
        visitor.lose()


@run_async
async def test_a_client_that_is_lost_while_a_middleware_decides_may_come_back() -> None:
    io = Server(connection_state_recovery={"skip_middlewares": False}, delivery="at-least-once")
    visitor = Visitor(io)
    visitor.socket.join("room")
    sid = visitor.sid
    visitor.lose()
    io.to("room").emit("missed")
    go = asyncio.Event()

    @io.use
    async def wait(socket: Socket) -> None:
        await go.wait()

    assert visitor.come_back() == []
    visitor.lose()
    go.set()
    await eventually(lambda: io.sockets.adapter.occupied)
    visitor.come_back()
    await eventually(lambda: io.sockets.sockets)
    assert visitor.take() == [["missed"]]
    assert visitor.sid == sid


@pytest.mark.parametrize("lost", [False, True])
@run_async
async def test_who_comes_again_while_a_middleware_decides_is_who_it_was(lost: bool) -> None:
    io = Server(connection_state_recovery={"skip_middlewares": False}, delivery="at-least-once")
    visitor = Visitor(io)
    visitor.socket.join("room")
    sid = visitor.sid
    visitor.lose()
    io.to("room").emit("missed", 1)
    decisions: list[asyncio.Event] = []

    @io.use
    async def wait(socket: Socket) -> None:
        decisions.append(asyncio.Event())
        await decisions[-1].wait()

    assert visitor.come_back() == []
    io.to("room").emit("missed", 2)
    if lost:
        visitor.lose()
    assert visitor.come_back() == []
    io.to(sid).emit("missed", 3)
    await eventually(lambda: len(decisions) == 2)
    decisions[1].set()
    await eventually(lambda: io.sockets.sockets)
    assert visitor.take() == [["missed", 1], ["missed", 2], ["missed", 3]]
    assert visitor.sid == sid
    # What is said of the first connection does not matter any more.
    decisions[0].set()
    await eventually(lambda: io.stats()["tasks"] == 0)
    assert visitor.socket.rooms == {sid, "room"}
    assert io.engine.clients_count == 1
    io.to("room").emit("more")
    assert visitor.take() == [["more"]]
    assert not io.sockets.adapter.occupied


@run_async
async def test_each_namespace_recovers_by_itself() -> None:
    io = recovering()
    io.of("/chat")
    main, chat = Visitor(io), Visitor(io, "/chat")
    chat.lose()
    io.emit("main")
    io.of("/chat").emit("chat")
    # A secret of one namespace is none in another.
    main.lose()
    main.pid, pid = chat.pid, main.pid
    assert main.come_back() == []
    main.lose()
    main.pid = pid
    assert chat.come_back() == [["chat"]]


@run_async
async def test_without_the_option_nothing_is_offered() -> None:
    io = Server()
    client = Client(io)
    client.send('0{"pid":"x","offset":"y"}')
    (answer,) = client.take()
    assert set(json.loads(str(answer)[1:])) == {"sid"}


@run_async
async def test_without_the_option_the_adapter_is_not_asked() -> None:
    asked: list[str] = []

    class Asked(MemoryAdapter):
        def persist_session(self, session: Any) -> None:
            asked.append("persist")
            super().persist_session(session)

        def restore_session(self, pid: str, offset: str) -> Any:
            asked.append("restore")
            return super().restore_session(pid, offset)

    for wanted in (False, True):
        io = Server(adapter=Asked, connection_state_recovery=wanted)
        Client.join(io).lose()
        client = Client(io)
        client.send('0{"pid":"x","offset":"y"}')
        assert len(client.take()) == 1
        assert asked == (["persist", "restore"] if wanted else [])


@run_async
async def test_closing_the_server_forgets_everybody() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.lose()
    Visitor(io)
    await io.close()
    assert not io.sockets.adapter.occupied


# At-least-once delivery.


def promising(**options: Any) -> tuple[Server, list[Undelivered]]:
    """A server that promises delivery, and its reports."""
    io = Server(connection_state_recovery=True, delivery="at-least-once", **options)
    reports: list[Undelivered] = []
    io.on("undelivered", reports.append)
    return io, reports


def small_log(**recovery: Any) -> tuple[Server, list[Undelivered]]:
    """A server that promises delivery, and remembers little."""
    io = Server(connection_state_recovery=recovery, delivery="at-least-once")
    reports: list[Undelivered] = []
    io.on("undelivered", reports.append)
    return io, reports


@run_async
async def test_an_acknowledged_event_is_delivered_once() -> None:
    io, reports = promising()
    visitor = Visitor(io)
    visitor.socket.emit("order", 1)
    io.emit("order", 2)
    assert visitor.take() == [["order", 1], ["order", 2]]
    visitor.acknowledge()
    visitor.lose()
    assert visitor.come_back() == []
    visitor.client.send("1")
    assert reports == []


@run_async
async def test_an_event_without_acknowledgement_is_sent_again_with_the_same_id() -> None:
    io, _ = promising()
    visitor = Visitor(io)
    visitor.socket.emit("order", 1)
    (first,) = visitor.client.take()
    visitor.lose()
    io.emit("order", 2)
    client = Client(io)
    client.send("0" + json.dumps({"pid": visitor.pid}))
    again, second, answer = client.take()
    assert again == first
    assert str(second).startswith('21["order",2,"')
    assert str(answer).startswith("0{")


@run_async
async def test_promised_and_ordinary_events_keep_their_order() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.lose()
    for number in range(6):
        if number % 2:
            io.emit("e", number)
        else:
            io.delivery("at-least-once").emit("e", number)
    assert visitor.come_back() == [["e", number] for number in range(6)]


@run_async
async def test_a_client_that_does_not_come_back_is_reported() -> None:
    io, reports = promising(limits=Limits())
    visitor = Visitor(io)
    visitor.socket.data = "Ada"
    visitor.socket.emit("order", 1, {"a": 1})
    visitor.lose()
    io.emit("order", 2)
    assert not reports
    io.sockets.adapter.give_up_sessions()
    (report,) = reports
    assert (report.socket_id, report.namespace, report.data) == (visitor.sid, "/", "Ada")
    assert report.reason == "the client did not come back"
    assert [(one.event, one.args) for one in report.events] == [
        ("order", (1, {"a": 1})),
        ("order", (2,)),
    ]
    assert len({one.id for one in report.events}) == 2


@run_async
async def test_who_comes_back_to_a_log_that_has_moved_on_is_reported_as_that() -> None:
    io, reports = small_log(max_packets=2)
    visitor = Visitor(io)
    visitor.lose()
    for number in range(3):
        io.emit("order", number)
    before = visitor.sid
    assert visitor.come_back() == []
    assert visitor.sid != before
    (report,) = reports
    assert report.reason == "the client came back, but what it missed is no longer known"
    assert [one.args for one in report.events] == [(0,), (1,), (2,)]


@run_async
async def test_who_only_acknowledges_comes_back_to_a_log_that_has_moved_on() -> None:
    # An official client knows no offset of what it acknowledges.
    io, reports = small_log(max_packets=2)
    visitor = Visitor(io)
    for number in range(4):
        io.emit("order", number)
        assert visitor.take() == [["order", number]]
        visitor.acknowledge()
    visitor.beat()
    visitor.beat()
    visitor.lose()
    io.emit("order", 4)
    before = visitor.sid
    assert visitor.come_back() == [["order", 4]]
    assert (visitor.sid, visitor.socket.recovered) == (before, True)
    assert not reports


@run_async
async def test_a_heartbeat_says_nothing_of_what_was_sent_behind_its_ping() -> None:
    io = recovering()
    visitor = Visitor(io)
    visitor.beat()
    io.emit("e", 1)
    visitor.beat()
    # It was on its way when the connection broke.
    visitor.client.take()
    visitor.lose()
    assert visitor.come_back() == [["e", 1]]
    visitor.offset = None
    for _ in range(2):
        visitor.beat()
    visitor.lose()
    assert visitor.come_back() == []


@run_async
async def test_who_makes_room_for_others_that_are_away_is_reported_as_that() -> None:
    io, reports = small_log(max_sessions=1)
    first, second = Visitor(io), Visitor(io)
    io.emit("order", 1)
    first.lose()
    assert not reports
    second.lose()
    (report,) = reports
    assert (report.socket_id, report.reason) == (first.sid, "too many clients are away")


@run_async
async def test_who_leaves_on_purpose_is_reported_with_the_reason() -> None:
    io, reports = promising()
    leaver, expelled = Visitor(io), Visitor(io)
    io.emit("order", 1)
    leaver.client.send("1")
    expelled.socket.disconnect()
    assert [report.reason for report in reports] == [
        "client namespace disconnect",
        "server namespace disconnect",
    ]


@run_async
async def test_what_the_closing_server_cannot_deliver_is_reported() -> None:
    io, reports = promising()
    visitor = Visitor(io)
    visitor.socket.emit("order", 1)
    await io.close()
    assert [report.socket_id for report in reports] == [visitor.sid]


@run_async
async def test_a_socket_that_is_gone_for_good_is_reported_at_once() -> None:
    io, reports = promising()
    visitor = Visitor(io)
    socket = visitor.socket
    visitor.client.send("1")
    socket.delivery("at-least-once").emit("order", 1)
    assert [(report.reason, report.events[0].event) for report in reports] == [
        ("not connected", "order")
    ]
    socket.emit("order", 2)
    assert len(reports) == 2


@run_async
async def test_too_many_unacknowledged_events_are_reported_and_bounded() -> None:
    io, reports = promising(limits=Limits(unacknowledged_events=2))
    here, away = Visitor(io), Visitor(io)
    away.lose()
    for number in range(4):
        io.emit("order", number)
    assert here.take() == [["order", 0], ["order", 1]]
    assert away.come_back() == [["order", 0], ["order", 1]]
    assert {report.reason for report in reports} == {"too many unacknowledged events"}
    lost = [(report.socket_id, report.events[0].args) for report in reports]
    assert sorted(lost) == sorted((v.sid, (n,)) for v in (here, away) for n in (2, 3))


@run_async
async def test_volatile_events_are_never_promised() -> None:
    io, _ = promising()
    visitor = Visitor(io)
    visitor.socket.volatile.emit("cursor", 1)
    io.volatile.emit("cursor", 2)
    assert [str(message) for message in visitor.client.take()] == [
        '2["cursor",1]',
        '2["cursor",2]',
    ]


@run_async
async def test_one_emit_can_be_promised_or_not() -> None:
    io, _ = promising()
    visitor = Visitor(io)
    visitor.socket.delivery("at-most-once").emit("a")
    io.delivery("at-most-once").emit("b")
    visitor.socket.compress(False).emit("c")
    visitor.take()
    assert len(visitor.acks) == 1


@run_async
async def test_the_promise_needs_recovery() -> None:
    with pytest.raises(OptionError, match="connection_state_recovery=True"):
        Server(delivery="at-least-once")
    io = Server()
    with pytest.raises(OptionError, match="connection_state_recovery=True"):
        io.delivery("at-least-once")
    with pytest.raises(OptionError, match="delivery must be"):
        io.delivery("exactly-once")


@run_async
async def test_nobody_to_tell_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    io = Server(connection_state_recovery=True, delivery="at-least-once")
    for _ in range(3):
        visitor = Visitor(io)
        io.emit("order")
        visitor.client.send("1")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "undelivered" in caplog.text
