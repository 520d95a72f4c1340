"""Rates of events: of one client, of an address, of a handler; and of joining namespaces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nuncio import (
    ArgumentError,
    ConnectError,
    DisconnectReason,
    Limits,
    OptionError,
    Rate,
    RateLimited,
    Server,
    Socket,
)
from tests.support.aio import eventually, run_async
from tests.support.inbox import Inbox
from tests.support.memory import Client

HOUR = 3600.0


def serving(**limits: Any) -> tuple[Server, Inbox]:
    io = Server(limits=Limits(**limits))
    heard = Inbox()

    @io.event
    def say(socket: Socket, *args: Any) -> str:
        heard(socket, *args)
        return "heard"

    return io, heard


def code(answer: list[Any] | None) -> Any:
    """What an answer that is an error says."""
    assert answer is not None
    [value] = answer
    error = value["error"]
    assert error["message"] == "Too many requests"
    assert error["retry_after"] > 0
    return error["code"]


# Pausing, which is the default.


@run_async
async def test_a_client_that_is_too_fast_is_not_read_for_a_while_and_loses_nothing() -> None:
    io, heard = serving(events_per_connection=Rate(100, burst=3))
    client = Client.join(io)
    for index in range(3):
        client.emit("say", index, id=index)
    assert client.wire.reading
    client.emit("say", 3, id=3)
    assert not client.wire.reading
    # What was under way already is not lost.
    client.emit("say", 4, id=4)
    assert [one[0] for one in heard.seen] == [0, 1, 2, 3, 4]
    assert [client.answers(index) for index in range(5)] == [["heard"]] * 5
    await eventually(lambda: client.wire.reading)
    assert io.counters.rate_pauses == 1
    assert io.counters.rate_limited_events == 0
    # It is counted again from here.
    for _ in range(4):
        client.emit("say")
    await eventually(lambda: client.wire.reading)
    assert len(heard.seen) == 9


@run_async
async def test_within_its_rate_a_client_is_never_paused() -> None:
    io, heard = serving(events_per_connection=Rate(1, per=HOUR, burst=50))
    client = Client.join(io)
    for _ in range(50):
        client.emit("say")
    assert client.wire.reading
    assert io.counters.rate_pauses == 0
    assert len(heard.seen) == 50


@run_async
async def test_a_paused_client_that_leaves_leaves_no_timer() -> None:
    io, _ = serving(events_per_connection=Rate(1, per=HOUR))
    client = Client.join(io)
    client.emit("say")
    client.emit("say")
    assert not client.wire.reading
    client.lose()
    wheel: Any = io.engine.config().wheel
    assert not any(wheel._buckets.values())


@run_async
async def test_a_pause_for_the_rate_and_one_for_the_queue_do_not_end_each_other() -> None:
    io = Server(
        limits=Limits(events_per_connection=Rate(200, burst=4), queued_events=3), concurrency=1
    )
    running = []

    @io.event
    async def slow(socket: Socket) -> None:
        future: Any = io.engine.config().loop.create_future()
        running.append(future)
        await future

    client = Client.join(io)
    for _ in range(5):
        client.emit("slow")
    assert not client.wire.reading
    assert (io.counters.rate_pauses, io.counters.queue_pauses) == (1, 1)
    meter: Any = client.socket._connection._meter
    await eventually(lambda: not meter._paused)
    assert not client.wire.reading
    for index in range(5):
        await eventually(lambda: len(running) > index)  # noqa: B023
        running[index].set_result(None)
    await eventually(lambda: client.wire.reading)


# Dropping and disconnecting.


@run_async
async def test_events_beyond_the_rate_are_dropped_and_whoever_asks_is_told() -> None:
    io, heard = serving(events_per_connection=Rate(2, per=HOUR), on_event_rate="drop")
    client = Client.join(io)
    any_event: list[Any] = []
    client.socket.on_any(lambda *args: any_event.append(args))
    for index in range(5):
        client.emit("say", index, id=index)
    client.emit("say", "unasked")
    assert [one[0] for one in heard.seen] == [0, 1]
    assert len(any_event) == 2
    assert client.answers(1) == ["heard"]
    for index in (2, 3, 4):
        assert code(client.answers(index)) == "rate_limited"
    assert client.wire.reading
    assert client.wire.ended == ""
    assert io.counters.rate_limited_events == 4
    # Others are not concerned.
    other = Client.join(io)
    other.emit("say", "other", id=1)
    assert other.answers(1) == ["heard"]


@run_async
async def test_a_dropped_event_is_dropped_with_its_attachments() -> None:
    io, heard = serving(events_per_connection=Rate(1, per=HOUR), on_event_rate="drop")
    client = Client.join(io)
    for id in (1, 2):
        client.send(f'51-{id}["say",{{"_placeholder":true,"num":0}}]', b"bytes")
    assert heard.seen == [[b"bytes"]]
    assert code(client.answers(2)) == "rate_limited"
    assert client.wire.ended == ""


@run_async
async def test_answers_and_goodbyes_are_no_events() -> None:
    io, _ = serving(events_per_connection=Rate(1, per=HOUR), on_event_rate="drop")
    client = Client.join(io)
    got: list[Any] = []
    for _ in range(5):
        client.socket.emit("question", got.append)
    for index in range(5):
        client.send(f"3{index}[{index}]")
    assert got == [0, 1, 2, 3, 4]
    client.emit("say", id=1)
    assert client.answers(1) == ["heard"]
    client.send("1")
    assert io.sockets.sockets == {}


@run_async
async def test_a_client_beyond_the_rate_is_disconnected() -> None:
    io, heard = serving(events_per_connection=Rate(2, per=HOUR), on_event_rate="disconnect")
    gone = Inbox()
    io.on("disconnect", gone)
    client = Client.join(io)
    for index in range(5):
        client.emit("say", index, id=index)
    assert [one[0] for one in heard.seen] == [0, 1]
    [(reason, description)] = gone.seen
    assert reason is DisconnectReason.RATE_LIMITED
    assert description.startswith("too many events")
    assert client.wire.ended == "discarded"
    assert io.engine.clients_count == 0
    assert io.counters.rate_limited_events == 1
    assert io.counters.rate_limited_connections == 1


# Whose events count together.


@run_async
async def test_a_client_does_not_get_more_by_joining_more_namespaces() -> None:
    io, _ = serving(events_per_connection=Rate(2, per=HOUR), on_event_rate="drop")
    io.of("/b").on("say", lambda socket: "b")
    client = Client.join(io)
    client.connect("/b")
    client.emit("say", id=1)
    client.emit("say", id=2, nsp="/b,")
    client.emit("say", id=3, nsp="/b,")
    assert client.answers(2, "/b,") == ["b"]
    assert code(client.answers(3, "/b,")) == "rate_limited"


@run_async
async def test_clients_of_an_address_share_a_rate() -> None:
    io, _ = serving(events_per_address=Rate(3, per=HOUR), on_event_rate="drop")
    one, two = Client(io, client=("192.0.2.1", 1)), Client(io, client=("192.0.2.1", 2))
    far = Client(io, client=("192.0.2.9", 1))
    nowhere = Client(io, client=None)
    for client in (one, two, far, nowhere):
        client.connect()
    for client, id in ((one, 1), (two, 1), (one, 2)):
        client.emit("say", id=id)
        assert client.answers(id) == ["heard"]
    for client, id in ((one, 3), (two, 3)):
        client.emit("say", id=id)
        assert code(client.answers(id)) == "rate_limited"
    for id in range(10):
        far.emit("say", id=id)
        nowhere.emit("say", id=id)
    assert far.answers(2) == ["heard"]
    assert code(far.answers(3)) == "rate_limited"
    assert nowhere.answers(9) == ["heard"]
    # Coming back does not help.
    one.lose()
    back = Client(io, client=("192.0.2.1", 3))
    back.connect()
    back.emit("say", id=1)
    assert code(back.answers(1)) == "rate_limited"


# Bytes.


@run_async
async def test_bytes_count_attachments_among_them() -> None:
    io, heard = serving(event_bytes_per_connection=Rate(1000, per=HOUR), on_event_rate="drop")
    client = Client.join(io)
    client.emit("say", "x" * 400, id=1)
    client.send('51-2["say",{"_placeholder":true,"num":0}]', b"x" * 400)
    assert client.answers(2) == ["heard"]
    client.send('51-3["say",{"_placeholder":true,"num":0}]', b"x" * 400)
    assert code(client.answers(3)) == "rate_limited"
    # What was dropped took nothing: a smaller one still fits.
    client.emit("say", "x" * 50, id=4)
    assert client.answers(4) == ["heard"]
    assert len(heard.seen) == 3


@run_async
async def test_many_bytes_pause_longer_and_never_between_a_packet_and_its_attachment() -> None:
    io, heard = serving(event_bytes_per_connection=Rate(10_000))
    client = Client.join(io)
    client.send('51-["say",{"_placeholder":true,"num":0}]')
    assert client.wire.reading
    client.send(b"x" * 10_500)
    assert not client.wire.reading
    assert len(heard.seen) == 1
    await eventually(lambda: client.wire.reading)


# Joining.


@run_async
async def test_a_client_may_join_so_often_and_no_oftener() -> None:
    io, _ = serving(joins_per_connection=Rate(2, per=HOUR))
    asked: list[Socket] = []
    io.use(asked.append)
    client = Client(io)
    for _ in range(3):
        # The first is not counted: everybody has to join once.
        client.connect()
        client.send("1")
    client.send("0")
    [refusal] = client.take()
    assert isinstance(refusal, str)
    refused = json.loads(refusal[1:])
    assert refusal.startswith("4{")
    assert refused["message"] == "Too many requests"
    assert refused["data"]["code"] == "rate_limited"
    assert refused["data"]["retry_after"] > 1000
    assert len(asked) == 3
    assert client.wire.ended == ""
    assert io.counters.refused_joins == 1


@run_async
async def test_an_honest_client_joins_all_its_namespaces_by_default() -> None:
    io = Server()
    for index in range(99):
        io.of(f"/{index}")
    client = Client.join(io)
    for _ in range(3):
        for index in range(99):
            client.connect(f"/{index}")
            client.send(f"1/{index},")
    assert io.counters.refused_joins == 0


@run_async
async def test_too_many_namespaces_are_counted() -> None:
    io = Server(limits=Limits(namespaces=1))
    io.of("/b")
    client = Client.join(io)
    client.send("0/b,")
    assert client.take() == ['4/b,{"message":"Too many namespaces"}']
    assert io.counters.refused_joins == 1


# Of one handler.


@run_async
async def test_a_handler_may_have_a_rate_of_its_own() -> None:
    io, _ = serving()
    ran: list[int] = []
    told: list[Exception] = []
    io.on_error(told.append)

    @io.event(rate=Rate(2, per=HOUR))
    def costly(socket: Socket, value: int) -> int:
        ran.append(value)
        return value

    client, other = Client.join(io), Client.join(io)
    for index in range(4):
        client.emit("costly", index, id=index)
    client.emit("costly", 4)
    assert ran == [0, 1]
    assert client.answers(1) == [1]
    assert code(client.answers(2)) == code(client.answers(3)) == "rate_limited"
    # Neither other events nor other clients are concerned.
    client.emit("say", id=9)
    assert client.answers(9) == ["heard"]
    other.emit("costly", 5, id=5)
    assert other.answers(5) == [5]
    assert io.counters.rate_limited_events == 3
    assert [type(error) for error in told] == [RateLimited] * 3
    [first, *_] = told
    assert isinstance(first, RateLimited)
    assert first.event == "costly"


@run_async
async def test_an_async_handler_and_one_of_a_socket_may_have_a_rate() -> None:
    io = Server()

    @io.event(rate=Rate(1, per=HOUR))
    async def slow(socket: Socket) -> str:
        return "done"

    client = Client.join(io)

    @client.socket.on("own", rate=Rate(1, per=HOUR))
    def own() -> str:
        return "own"

    for id in (1, 2):
        client.emit("slow", id=id)
    for id in (3, 4):
        client.emit("own", id=id)
    await eventually(lambda: client.answers(1) == ["done"])
    assert client.answers(3) == ["own"]
    assert code(client.answers(2)) == code(client.answers(4)) == "rate_limited"


@run_async
async def test_of_several_handlers_only_the_one_with_a_rate_is_skipped() -> None:
    io = Server()
    ran: list[str] = []
    io.on("e", lambda socket: ran.append("limited"), rate=Rate(1, per=HOUR))
    io.on("e", lambda socket: ran.append("free"))
    client = Client.join(io)
    client.emit("e")
    client.emit("e")
    assert ran == ["limited", "free", "free"]


@run_async
async def test_arguments_that_do_not_fit_count_too() -> None:
    io = Server()
    told: list[Exception] = []
    io.on_error(told.append)

    @io.event(rate=Rate(1, per=HOUR))
    def strict(socket: Socket, value: int) -> None: ...

    client = Client.join(io)
    for _ in range(2):
        client.emit("strict", "no number")
    assert [type(error) for error in told] == [ArgumentError, RateLimited]


@pytest.mark.parametrize("rate", [5, "5/s", (5, 1)])
def test_a_handlers_rate_is_a_rate(rate: Any) -> None:
    with pytest.raises(OptionError, match=r"rate: what limits 'e' must be a nuncio\.Rate"):
        Server().on("e", lambda socket: None, rate=rate)


def test_what_nobody_sends_has_no_rate() -> None:
    with pytest.raises(OptionError, match="rate: what limits 'disconnect'"):
        Server().on("disconnect", lambda socket: None, rate=Rate(1))


# Who goes on in spite of refusals.


def farewells(client: Client) -> list[Any]:
    """What a client was sent that is no acknowledgement."""
    return [one for one in client.take() if not str(one).startswith("3")]


@run_async
async def test_a_client_that_goes_on_in_spite_of_refusals_is_disconnected() -> None:
    io, heard = serving(
        events_per_connection=Rate(1, per=HOUR),
        on_event_rate="drop",
        refusals_per_connection=Rate(3, per=HOUR),
    )
    gone = Inbox()
    io.on("disconnect", gone)
    client = Client.join(io)
    for id in range(10):
        client.emit("say", id, id=id)
    assert heard.seen == [[0]]
    # Three are borne, and the one that is too much is answered, too; then nothing is read.
    for id in (1, 2, 3, 4):
        assert code(client.answers(id)) == "rate_limited"
    assert client.answers(5) is None
    assert gone.seen == [[DisconnectReason.RATE_LIMITED, "too many refusals"]]
    # The official client does not come back by itself after a DISCONNECT packet.
    assert farewells(client) == ['2["disconnect_reason","rate limited"]', "1"]
    assert client.wire.ended == "closed"
    assert io.counters.rate_limited_events == 4
    assert io.counters.rate_limited_connections == 1
    assert io.sockets.sockets == {}


@run_async
async def test_refusals_are_forgotten_in_time() -> None:
    io, _ = serving(
        events_per_connection=Rate(1, per=HOUR),
        on_event_rate="drop",
        refusals_per_connection=Rate(20, burst=2),
    )
    client = Client.join(io)
    client.emit("say")
    for _ in range(2):
        client.emit("say")
        client.emit("say")
        patience: Any = client.socket._connection._patience
        await eventually(lambda: patience.wait(clock(io), 2) == 0.0)  # noqa: B023
    assert client.wire.ended == ""
    for _ in range(3):
        client.emit("say")
    assert client.wire.ended == "closed"


def clock(io: Server) -> float:
    """The time by which refusals are forgotten."""
    now: float = io.engine.config().wheel.now()
    return now


@run_async
async def test_all_namespaces_of_who_goes_on_end() -> None:
    io, _ = serving(
        events_per_connection=Rate(1, per=HOUR),
        on_event_rate="drop",
        refusals_per_connection=Rate(1, per=HOUR),
    )
    gone = Inbox()
    for nsp in ("/", "/b"):
        io.of(nsp).on("disconnect", gone)
    client = Client.join(io)
    client.connect("/b")
    for _ in range(3):
        client.emit("say", nsp="/b,")
    assert [reason for reason, _ in gone.seen] == ["rate limited"] * 2
    assert farewells(client) == [
        '2["disconnect_reason","rate limited"]',
        '2/b,["disconnect_reason","rate limited"]',
        "1",
        "1/b,",
    ]


@run_async
async def test_without_such_a_rate_a_client_may_be_refused_for_ever() -> None:
    io, _ = serving(events_per_connection=Rate(1, per=HOUR), on_event_rate="drop")
    client = Client.join(io)
    for _ in range(1000):
        client.emit("say")
    assert client.wire.ended == ""
    connection: Any = client.socket._connection
    assert connection._patience is None


@run_async
async def test_the_application_is_told_of_a_flood_once_and_not_for_each_event() -> None:
    io, _ = serving(events_per_connection=Rate(1, per=HOUR), on_event_rate="drop")
    told = Inbox()
    client = Client.join(io)
    client.socket.on("error", told.put)
    for _ in range(100):
        client.emit("say")
    [[error]] = told.seen
    assert isinstance(error, RateLimited)
    assert error.event == "say"
    assert error.retry_after > 1000
    # Every client is told of for itself, and later again.
    other = Client.join(io)
    other.socket.on("error", told.put)
    other.emit("say")
    other.emit("say")
    assert len(told.seen) == 2
    meter: Any = client.socket._connection._meter
    await eventually(lambda: clock(io) >= meter._tell_at)
    client.emit("say")
    client.emit("say")
    assert len(told.seen) == 3


@run_async
async def test_whoever_is_told_may_disconnect_at_the_first_refusal() -> None:
    io, heard = serving(
        events_per_connection=Rate(1, per=HOUR),
        on_event_rate="drop",
        refusals_per_connection=Rate(1, per=HOUR),
    )

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("error")
        def error(error: Exception) -> None:
            socket.disconnect(True)

    gone = Inbox()
    io.on("disconnect", gone)
    client = Client.join(io)
    for _ in range(5):
        client.emit("say")
    assert len(heard.seen) == 1
    assert [reason for reason, _ in gone.seen] == ["server namespace disconnect"]
    assert io.counters.rate_limited_connections == 0


@run_async
async def test_refusals_of_handlers_count_and_those_that_handlers_raise() -> None:
    io, _ = serving(refusals_per_connection=Rate(3, per=HOUR))
    gone = Inbox()
    io.on("disconnect", gone)

    @io.event(rate=Rate(1, per=HOUR))
    def costly(socket: Socket) -> str:
        return "done"

    @io.event
    def counted(socket: Socket) -> None:
        raise RateLimited("counted", 5.0)

    @io.event
    async def slow(socket: Socket) -> None:
        raise RateLimited("slow", 5.0)

    client = Client.join(io)
    client.emit("costly", id=1)
    client.emit("costly", id=2)
    client.emit("counted", id=3)
    client.emit("slow", id=4)
    await eventually(lambda: client.answers(4) is not None)
    assert gone.seen == []
    client.emit("costly", id=5)
    assert gone.seen == [["rate limited", "too many refusals"]]
    assert client.answers(1) == ["done"]
    for id in (2, 3, 4, 5):
        assert code(client.answers(id)) == "rate_limited"


@run_async
async def test_refusals_that_the_application_answers_itself_count_too() -> None:
    io, _ = serving(refusals_per_connection=Rate(1, per=HOUR))

    @io.exception_handler(RateLimited)
    def answer(error: RateLimited) -> str:
        return "slow down"

    io.on("costly", lambda socket: None, rate=Rate(1, per=HOUR))
    client = Client.join(io)
    for id in (1, 2, 3):
        client.emit("costly", id=id)
    assert client.answers(3) == ["slow down"]
    assert client.wire.ended == "closed"


@run_async
async def test_a_handler_that_is_refused_when_the_client_is_gone_does_no_harm() -> None:
    io, _ = serving(refusals_per_connection=Rate(1, per=HOUR))
    ready: Any = io.engine.config().loop.create_future()

    @io.event
    async def late(socket: Socket) -> None:
        await ready
        raise RateLimited("late", 5.0)

    client = Client.join(io)
    for _ in range(3):
        client.emit("late")
    client.lose()
    ready.set_result(None)
    await eventually(lambda: io.stats()["tasks"] == 0)
    assert io.counters.rate_limited_connections == 0


@run_async
async def test_refused_joins_count_too_also_when_no_namespace_is_left() -> None:
    io, _ = serving(
        joins_per_connection=Rate(1, per=HOUR), refusals_per_connection=Rate(2, per=HOUR)
    )
    client = Client.join(io)
    client.send("1")
    client.connect()
    client.send("1")
    for _ in range(5):
        client.send("0")
    refusals = client.take()
    assert len(refusals) == 3
    assert all("Too many requests" in str(one) for one in refusals)
    assert client.wire.ended == "closed"
    assert io.counters.rate_limited_connections == 1


@run_async
async def test_who_is_paused_is_not_refused() -> None:
    io, heard = serving(
        events_per_connection=Rate(100, burst=1), refusals_per_connection=Rate(1, per=HOUR)
    )
    client = Client.join(io)
    for _ in range(5):
        client.emit("say")
    assert len(heard.seen) == 5
    assert client.wire.ended == ""
    assert io.counters.rate_limited_connections == 0


# Caps of the application itself.


@run_async
async def test_rooms_joined_in_a_middleware_count_too() -> None:
    io = Server(limits=Limits(rooms=2))

    @io.use
    def enter(socket: Socket) -> None:
        try:
            socket.join(["a", "b", "c"])
        except Exception as error:
            raise ConnectError(type(error).__name__) from error

    client = Client(io)
    client.send("0")
    assert client.take() == ['4{"message":"LimitExceeded"}']
    assert io.sockets.adapter.rooms == {}
    assert io.counters.limits_exceeded == 1


@run_async
async def test_one_socket_with_too_many_rooms_does_not_keep_the_others_out() -> None:
    io = Server(limits=Limits(rooms=1))
    clients = [Client.join(io) for _ in range(3)]
    clients[1].socket.join("other")
    with pytest.raises(Exception, match="raise Limits"):
        io.sockets_join("all")
    assert [("all" in client.socket.rooms) for client in clients] == [True, False, True]


# All numbers at once.


@run_async
async def test_the_numbers_of_a_server() -> None:
    io, _ = serving(events_per_connection=Rate(1, per=HOUR), on_event_rate="drop")
    io.of("/b")
    client = Client.join(io)
    client.connect("/b")
    waiting = Client(io)
    client.emit("say")
    client.emit("say")
    waiting.send("nonsense")
    other = Client(io)
    stats = io.stats()
    assert {name: stats[name] for name in ("connections", "handshakes", "sockets")} == {
        "connections": 2,
        "handshakes": 1,
        "sockets": 2,
    }
    assert stats["namespaces"] == 2
    assert stats["rate_limited_events"] == io.counters.rate_limited_events == 1
    assert stats["parse_errors"] == 1
    other.emit("say")
    assert io.stats()["protocol_errors"] == 1
