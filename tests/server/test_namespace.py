from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nuncio import (
    AckTimeout,
    ConnectError,
    Limits,
    NuncioError,
    OptionError,
    Server,
    Socket,
)
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

SOON = 0.03


# Registration.


@run_async
async def test_a_handler_of_the_namespace_is_shared_by_all_its_sockets() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    calls: list[Any] = []

    @io.event
    def hello(socket: Socket, value: int) -> None:
        calls.append((socket, value))

    one.emit("hello", 1)
    other.emit("hello", 2)
    assert calls == [(one.socket, 1), (other.socket, 2)]


@run_async
async def test_every_way_to_register_a_handler() -> None:
    io = Server()
    nsp = io.of("/")
    calls: list[str] = []

    @io.event
    def a(socket: Socket) -> None:
        calls.append("a")

    @io.event(name="b")
    def not_b(socket: Socket) -> None:
        calls.append("b")

    @io.event("c")
    def not_c(socket: Socket) -> None:
        calls.append("c")

    @io.on("d")
    def not_d(socket: Socket) -> None:
        calls.append("d")

    @nsp.event()
    def e(socket: Socket) -> None:
        calls.append("e")

    @nsp.event(concurrency=1)
    async def f(socket: Socket) -> None:
        calls.append("f")

    def g(socket: Socket) -> None:
        calls.append("g")

    assert io.on("g", g) is g
    assert nsp.event(g, name="h") is g
    client = Client.join(io)
    for name in "abcdefgh":
        client.emit(name)
    await io.settle(30)
    assert calls == ["a", "b", "c", "d", "e", "f", "g", "g"]


@run_async
async def test_a_handler_without_a_name_needs_one() -> None:
    io = Server()
    with pytest.raises(OptionError, match=r'use @io.event\(name="…"\)'):
        io.event(lambda socket: None)
    io.event(lambda socket: None, name="named")
    assert len(io.listeners("named")) == 1


@run_async
async def test_connect_error_does_not_happen_here() -> None:
    with pytest.raises(OptionError, match=r"io.engine.on"):
        Server().on("connect_error", lambda: None)


@run_async
async def test_off_and_listeners() -> None:
    io = Server()
    one, two = (lambda: None), (lambda: None)
    for event in ("x", "connection"):
        io.on(event, one)
        io.on(event, two)
        assert io.listeners(event) == [one, two]
        io.off(event, one)
        assert io.listeners(event) == [two]
        io.off(event, one)
        io.off(event)
        assert io.listeners(event) == []
        io.on(event, one)
    io.off()
    assert io.listeners("x") == io.listeners("connection") == []


@pytest.mark.parametrize("takes_socket", [True, False])
@run_async
async def test_once_handles_the_next_event_of_any_socket(takes_socket: bool) -> None:
    io = Server()
    clients = [Client.join(io), Client.join(io)]
    calls: list[str] = []
    if takes_socket:
        io.once("x", lambda socket: calls.append("x"))
    else:
        io.once("x", lambda: calls.append("x"))
    for client in clients:
        client.emit("x")
    assert calls == ["x"]
    assert io.listeners("x") == []


@run_async
async def test_once_connection_sees_one_client() -> None:
    io = Server()
    calls: list[str] = []
    io.once("connection", lambda socket: calls.append(socket.id))
    first = Client.join(io)
    Client.join(io)
    assert calls == [first.sid]


@run_async
async def test_handlers_of_one_namespace_do_not_hear_another() -> None:
    io = Server()
    calls: list[str] = []
    io.on("x", lambda: calls.append("/"))
    io.of("/a").on("x", lambda: calls.append("/a"))
    client = Client.join(io)
    client.connect("/a")
    client.emit("x")
    client.emit("x", nsp="/a,")
    assert calls == ["/", "/a"]


@run_async
async def test_a_handler_registered_later_hears_sockets_that_are_there() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []
    io.on("x", lambda: calls.append("x"))
    client.emit("x")
    assert calls == ["x"]


# Connections.


@run_async
async def test_connect_comes_before_connection_and_both_find_the_socket_connected() -> None:
    io = Server()
    calls: list[Any] = []

    def note(name: str) -> Any:
        return lambda socket: calls.append(
            (name, socket.connected, socket.rooms == {socket.id}, socket.id in io.sockets.sockets)
        )

    io.on("connection", note("connection"))
    io.on("connect", note("connect"))
    io.on("connection", note("second"))
    Client.join(io)
    assert calls == [
        ("connect", True, True, True),
        ("connection", True, True, True),
        ("second", True, True, True),
    ]


@run_async
async def test_a_connection_handler_that_fails_is_reported_and_the_client_stays() -> None:
    io = Server()
    errors: list[Any] = []
    calls: list[str] = []
    io.on_error(lambda error, socket, event: errors.append((str(error), socket.id, event)))

    @io.on("connection")
    def fails(socket: Socket) -> None:
        raise RuntimeError("failed")

    io.on("connection", lambda: calls.append("second"))
    client = Client.join(io)
    assert errors == [("failed", client.sid, "connection")]
    assert calls == ["second"]
    assert client.socket.connected


@run_async
async def test_a_connection_handler_may_disconnect_at_once() -> None:
    io = Server()
    calls: list[str] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: calls.append(reason))
        socket.disconnect(True)

    client = Client(io)
    client.send("0")
    assert [str(packet)[:1] for packet in client.take()] == ["0", "1"]
    assert calls == ["server namespace disconnect"]
    assert client.wire.ended == "closed"


# Admission.


@run_async
async def test_middlewares_run_in_order_before_the_client_is_connected() -> None:
    io = Server()
    calls: list[Any] = []

    @io.use
    def first(socket: Socket) -> None:
        calls.append(("first", socket.connected, socket.rooms, socket.handshake.auth))

    @io.use
    async def second(socket: Socket) -> None:
        calls.append("second begins")
        await asyncio.sleep(0)
        calls.append("second ends")

    @io.use
    def third(socket: Socket) -> None:
        calls.append("third")
        socket.data["seen"] = True

    io.on("connection", lambda socket: calls.append(("connection", socket.data)))
    client = Client(io)
    client.send('0{"user":"ada"}')
    assert client.take() == []
    await io.settle(30)
    assert calls == [
        ("first", False, set(), {"user": "ada"}),
        "second begins",
        "second ends",
        "third",
        ("connection", {"seen": True}),
    ]
    assert len(client.take()) == 1


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_a_connect_error_refuses_with_its_message_and_data(waits: bool) -> None:
    io = Server()
    calls: list[str] = []

    def refuse(socket: Socket) -> Any:
        if waits:
            return later()
        raise ConnectError("not authorised", {"retry": False})

    async def later() -> None:
        await asyncio.sleep(0)
        raise ConnectError("not authorised", {"retry": False})

    io.use(refuse)
    io.use(lambda socket: calls.append("next middleware"))
    for event in ("connection", "disconnecting", "disconnect"):
        io.on(event, lambda socket: calls.append("event"))
    io.on_error(lambda: calls.append("error"))
    client = Client(io)
    client.send("0")
    await io.settle(30)
    assert client.take() == ['4{"message":"not authorised","data":{"retry":false}}']
    assert calls == []
    assert io.sockets.sockets == {}
    assert client.wire.ended == ""


@run_async
async def test_a_refusal_without_data_has_none_and_may_be_empty() -> None:
    io = Server()
    io.of("/a").use(_raising(ConnectError("no")))
    io.of("/b").use(_raising(ConnectError("")))
    io.of("/c").use(_raising(ConnectError("no", [])))
    client = Client(io)
    client.send("0/a,", "0/b,", "0/c,")
    assert client.take() == [
        '4/a,{"message":"no"}',
        '4/b,{"message":""}',
        '4/c,{"message":"no","data":[]}',
    ]


def _raising(error: Exception) -> Any:
    def middleware(socket: Socket) -> None:
        raise error

    return middleware


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_any_other_error_refuses_without_leaking_its_text(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors: list[Any] = []
    io.on_error(lambda error, socket, event: errors.append((str(error), event)))

    async def later() -> None:
        raise RuntimeError("the password of the database")

    def fails(socket: Socket) -> Any:
        if waits:
            return later()
        raise RuntimeError("the password of the database")

    io.use(fails)
    client = Client(io)
    client.send("0")
    await io.settle(30)
    assert client.take() == ['4{"message":"internal error"}']
    assert errors == [("the password of the database", "connection")]
    assert "the password of the database" in caplog.text
    assert io.sockets.sockets == {}


@run_async
async def test_a_refusal_that_cannot_be_sent_is_a_refusal_all_the_same() -> None:
    io = Server()
    errors: list[Any] = []
    io.on_error(lambda error: errors.append(type(error)))
    io.use(_raising(ConnectError("no", object())))
    client = Client(io)
    client.send("0")
    assert client.take() == ['4{"message":"internal error"}']
    assert errors == [TypeError]


@run_async
async def test_a_client_that_leaves_while_a_middleware_waits_is_forgotten() -> None:
    io = Server()
    gate = asyncio.Event()
    calls: list[str] = []

    @io.use
    async def middleware(socket: Socket) -> None:
        socket.join("room")
        await gate.wait()
        calls.append("middleware ends")

    for event in ("connect", "connection", "disconnecting", "disconnect"):
        io.on(event, lambda: calls.append("event"))
    client = Client(io)
    client.send("0")
    await eventually(lambda: io.sockets.adapter.rooms)
    client.lose()
    gate.set()
    await io.settle(30)
    assert calls == ["middleware ends"]
    assert io.sockets.sockets == {}
    assert io.sockets.adapter.rooms == {}
    assert client.take() == []


@run_async
async def test_a_client_that_was_refused_may_try_again() -> None:
    io = Server()

    @io.use
    async def middleware(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "right":
            raise ConnectError("no")

    client = Client(io)
    client.send("0")
    await io.settle(30)
    client.send('0{"token":"right"}')
    await io.settle(30)
    refused, admitted = client.take()
    assert refused == '4{"message":"no"}'
    assert str(admitted).startswith('0{"sid":')


@run_async
async def test_disconnecting_in_a_middleware_does_nothing() -> None:
    io = Server()
    io.use(lambda socket: socket.disconnect())
    assert Client.join(io).socket.connected


@run_async
async def test_closing_the_connection_in_a_middleware_ends_it() -> None:
    io = Server()
    calls: list[str] = []
    io.use(lambda socket: socket.conn.close())
    io.on("connection", lambda: calls.append("connection"))
    client = Client(io)
    client.send("0")
    assert client.wire.ended == "closed"
    assert calls == []
    assert client.take() == []


@run_async
async def test_middlewares_of_one_namespace_do_not_see_another() -> None:
    io = Server()
    calls: list[str] = []
    io.use(lambda socket: calls.append("/"))
    io.of("/a").use(lambda socket: calls.append("/a"))
    client = Client(io)
    client.connect("/a")
    assert calls == ["/a"]


@run_async
async def test_a_middleware_added_meanwhile_is_for_the_next_client() -> None:
    io = Server()
    calls: list[str] = []

    @io.use
    def first(socket: Socket) -> None:
        calls.append("first")
        io.use(lambda socket: calls.append("added"))

    Client.join(io)
    assert calls == ["first"]


@run_async
async def test_events_that_arrive_during_admission_are_a_violation() -> None:
    io = Server()

    async def middleware(socket: Socket) -> None: ...

    io.use(middleware)
    client = Client(io)
    client.send("0", '2["x"]')
    assert client.wire.ended == "closed"
    await io.settle(30)


@run_async
async def test_a_middleware_must_be_callable() -> None:
    with pytest.raises(OptionError, match="middleware must be callable, not 3"):
        Server().use(3)  # type: ignore[arg-type]  # wrong on purpose


# Broadcasts.


@run_async
async def test_a_broadcast_reaches_everybody_in_the_namespace() -> None:
    io = Server()
    io.of("/other")
    clients = [Client.join(io) for _ in range(3)]
    stranger = Client.join(io, "/other")
    io.emit("x", 1, b"2")
    io.send("text")
    io.sockets.send("text")
    for client in clients:
        assert client.take() == [
            '51-["x",1,{"_placeholder":true,"num":0}]',
            b"2",
            '2["message","text"]',
            '2["message","text"]',
        ]
    assert stranger.take() == []


@run_async
async def test_awaiting_a_broadcast_waits_for_those_who_are_behind() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(3)]
    assert io.emit("a").taken
    clients[0].stall()
    clients[2].stall()
    sent = io.emit("b")
    assert not sent.taken
    clients[0].drain()
    with pytest.raises(TimeoutError):
        await within(sent, SOON)
    clients[2].lose()
    assert sent.taken
    await within(sent)


# Acknowledged broadcasts.


@run_async
async def test_everybodys_answers_are_gathered_in_the_order_in_which_they_come() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(3)]
    waiting = io.timeout(30).emit_with_ack("q", 1)
    assert [client.take() for client in clients] == [['20["q",1]']] * 3
    clients[2].send('30["three","more"]')
    clients[0].send("30[]")
    clients[1].send('30["two"]')
    assert await waiting == ["three", None, "two"]


@run_async
async def test_with_nobody_to_answer_there_is_nothing_to_wait_for() -> None:
    io = Server()
    Client.join(io)
    assert await io.to("nobody").timeout(30).emit_with_ack("q") == []


@run_async
async def test_answers_that_do_not_come_in_time_leave_those_that_did() -> None:
    io = Server()
    quick, silent = Client.join(io), Client.join(io)
    waiting = io.timeout(SOON).emit_with_ack("q")
    quick.send('30["quick"]')
    with pytest.raises(AckTimeout, match="operation has timed out") as caught:
        await waiting
    assert caught.value.responses == ["quick"]
    silent.send('30["late"]')
    quick.send('30["again"]')
    assert caught.value.responses == ["quick"]


@run_async
async def test_a_client_that_leaves_does_not_answer() -> None:
    io = Server()
    staying, leaving = Client.join(io), Client.join(io)
    waiting = io.timeout(60).emit_with_ack("q")
    staying.send('30["here"]')
    leaving.lose()
    with pytest.raises(AckTimeout) as caught:
        await within(waiting)
    assert caught.value.responses == ["here"]


@run_async
async def test_an_acknowledged_broadcast_needs_a_time_out() -> None:
    io = Server()
    socket = Client.join(io).socket
    for target in (io, io.to("a"), socket.broadcast, io.of("/")):
        with pytest.raises(OptionError, match=r"needs \.timeout\(seconds\)"):
            target.emit_with_ack("q")
    with pytest.raises(OptionError, match="reserved"):
        io.timeout(1).emit_with_ack("disconnect")


@run_async
async def test_a_client_that_already_owes_too_many_answers_does_not_stop_the_others() -> None:
    io = Server(limits=Limits(pending_acks=1))
    debtor, fine = Client.join(io), Client.join(io)
    owed = debtor.socket.emit_with_ack("first")
    waiting = io.timeout(30).emit_with_ack("q")
    fine.send('31["fine"]')
    with pytest.raises(AckTimeout) as caught:
        await within(waiting)
    assert caught.value.responses == ["fine"]
    assert debtor.take() == ['20["first"]']
    debtor.send('30["paid"]')
    assert await owed == "paid"


@run_async
async def test_what_cannot_be_sent_to_many_is_told_at_once() -> None:
    io = Server()
    client = Client.join(io)
    with pytest.raises(TypeError):
        io.emit("x", object())
    with pytest.raises(TypeError):
        await io.timeout(1).emit_with_ack("x", object())
    assert client.take() == []


@run_async
async def test_a_namespace_made_by_name_outlives_its_clients() -> None:
    io = Server(cleanup_empty_child_namespaces=True)
    chat = io.of("/chat")
    main, client = Client.join(io), Client.join(io, "/chat")
    client.send("1/chat,")
    main.lose()
    assert not chat.sockets and not io.sockets.sockets
    assert io.of("/chat") is chat
    assert [Client.join(io, "/chat").sid] == list(chat.sockets)
    assert [Client.join(io).sid] == list(io.sockets.sockets)


@run_async
async def test_a_namespace_shows_itself() -> None:
    io = Server()
    Client.join(io)
    assert repr(io.of("/")) == "<Namespace '/' with 1 sockets>"
    assert io.of("/admin").server is io


@run_async
async def test_a_refusal_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    io.use(_raising(ConnectError("no")))
    with caplog.at_level(logging.INFO, "nuncio"):
        Client(io).send("0")
    assert caplog.records == []
    assert issubclass(ConnectError, NuncioError)
