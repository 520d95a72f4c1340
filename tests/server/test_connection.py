from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nuncio import ConnectError, Limits, PacketError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.live import give_up
from tests.support.memory import Client, Refused
from tests.support.rawclient import Polling

SOON = 0.05


# Joining.


@run_async
async def test_a_client_joins_a_namespace_and_learns_its_public_id() -> None:
    io = Server()
    io.of("/admin")
    client = Client(io)
    client.send("0", "0/admin,")
    (main,), (admin,) = io.sockets.sockets, io.of("/admin").sockets
    assert client.take() == [f'0{{"sid":"{main}"}}', f'0/admin,{{"sid":"{admin}"}}']
    assert main != admin


@run_async
async def test_nobody_joins_the_default_namespace_unasked() -> None:
    io = Server()
    io.of("/admin")
    client = Client(io)
    client.connect("/admin")
    client.emit("x", nsp="/admin,")
    assert io.sockets.sockets == {}
    assert client.wire.ended == ""


@run_async
async def test_an_unknown_namespace_is_refused_and_the_connection_goes_on() -> None:
    io = Server()
    client = Client(io)
    client.send("0/nowhere,", '0/__proto__,{"token":1}')
    assert client.take() == [
        '4/nowhere,{"message":"Invalid namespace"}',
        '4/__proto__,{"message":"Invalid namespace"}',
    ]
    client.connect()


@run_async
async def test_the_query_of_a_namespace_is_part_of_its_name() -> None:
    io = Server()
    io.of("/admin")
    client = Client(io)
    client.send("0/admin?token=1,")
    assert client.take() == ['4/admin?token=1,{"message":"Invalid namespace"}']


@run_async
async def test_a_connection_may_join_so_many_namespaces_and_no_more() -> None:
    io = Server(limits=Limits(namespaces=2))
    for name in ("/a", "/b", "/c"):
        io.of(name)
    client = Client(io)
    client.connect("/a")
    client.connect("/b")
    client.send("0/c,")
    assert client.take() == ['4/c,{"message":"Too many namespaces"}']
    client.send("1/a,")
    client.connect("/c")


@run_async
async def test_namespaces_that_are_still_deciding_count() -> None:
    io = Server(limits=Limits(namespaces=2))

    async def middleware(socket: Socket) -> None:
        raise ConnectError("no")

    for name in ("/a", "/b", "/c"):
        io.of(name).use(middleware)
    client = Client(io)
    client.send("0/a,", "0/b,", "0/c,")
    assert client.take() == ['4/c,{"message":"Too many namespaces"}']
    await io.settle(30)
    assert client.take() == ['4/a,{"message":"no"}', '4/b,{"message":"no"}']


@run_async
async def test_a_client_may_leave_and_join_again() -> None:
    io = Server()
    client = Client(io)
    ids = set()
    for _ in range(3):
        ids.add(client.connect().id)
        client.send("1")
    assert len(ids) == 3
    assert io.sockets.sockets == {}
    assert client.wire.ended == ""


# Violations.


@pytest.mark.parametrize(
    "packet",
    [
        '2["x"]',
        '20["x"]',
        "30[]",
        "1",
        '4{"message":"x"}',
        '51-["x",{"_placeholder":true,"num":0}]',
        '2/other,["x"]',
    ],
)
@run_async
async def test_whoever_has_not_joined_and_sends_something_else_is_disconnected(packet: str) -> None:
    io = Server()
    io.of("/other")
    other = Client.join(io)
    client = Client(io)
    client.send(packet)
    assert client.wire.ended == "closed"
    assert io.engine.clients_count == 1
    assert other.socket.connected


@run_async
async def test_an_event_to_another_namespace_than_was_joined_ends_all() -> None:
    io = Server()
    io.of("/other")
    client = Client.join(io)
    reasons: list[str] = []
    client.socket.on("disconnect", lambda reason: reasons.append(reason))
    client.emit("x", nsp="/other,")
    assert reasons == ["forced close"]
    assert client.wire.ended == "closed"


@run_async
async def test_joining_twice_ends_all() -> None:
    io = Server()
    client = Client.join(io)
    reasons: list[str] = []
    client.socket.on("disconnect", lambda reason: reasons.append(reason))
    client.send("0")
    assert reasons == ["forced close"]


@run_async
async def test_joining_twice_while_the_first_is_being_decided_ends_all() -> None:
    io = Server()
    calls: list[str] = []

    @io.use
    async def middleware(socket: Socket) -> None:
        calls.append("middleware")

    io.on("connection", lambda: calls.append("connection"))
    client = Client(io)
    client.send("0", "0")
    assert client.wire.ended == "closed"
    await io.settle(30)
    assert calls == ["middleware"]
    assert io.sockets.sockets == {}


@run_async
async def test_a_packet_that_only_servers_send_ends_all() -> None:
    io = Server()
    client = Client.join(io)
    client.send('4{"message":"x"}')
    assert client.wire.ended == "closed"


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "7",
        "x",
        "2",
        "2[]",
        "2{}",
        "2[",
        '2"text"',
        "2[null]",
        "2[true]",
        "2[[]]",
        "2[{}]",
        '2["disconnect"]',
        "3[]",
        "30{}",
        "0[]",
        '0"auth"',
        '1{"data":1}',
        '5["x"]',
        '50-["x"]',
        '5999999-["x"]',
        '511-["x"]',
        '2["x"]garbage',
        "2" + "[" * 100_000,
        '21e3["x"]',
        '2["x",NaN]',
    ],
)
@run_async
async def test_what_is_no_packet_ends_that_connection_alone(
    packet: str, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    io.of("/other")
    client, other = Client.join(io), Client.join(io)
    client.connect("/other")
    calls: list[Any] = []
    for nsp in ("/", "/other"):
        for socket in io.of(nsp).sockets.values():
            socket.on("error", lambda error: calls.append(type(error)))
            socket.on("disconnect", lambda reason: calls.append(reason))
    with caplog.at_level(logging.INFO):
        client.send(packet)
    # Every socket of the connection learns why, then all end.
    assert calls == [PacketError, PacketError, "forced close", "forced close"]
    assert client.wire.ended == "closed"
    assert other.socket.connected
    assert caplog.records == []
    client.send('2["x"]')


# Attachments.


@run_async
async def test_an_event_waits_for_its_attachments() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda socket, *args: calls.append(args))
    head = '52-["x",{"_placeholder":true,"num":1},{"a":{"_placeholder":true,"num":0}}]'
    client.send(head, b"zero")
    assert calls == []
    client.send(b"one")
    assert calls == [(b"one", {"a": b"zero"})]


@run_async
async def test_an_acknowledgement_waits_for_its_attachments() -> None:
    io = Server()
    client = Client.join(io)
    waiting = client.socket.emit_with_ack("q")
    client.send('61-0[{"_placeholder":true,"num":0}]', b"data")
    assert await waiting == b"data"


@run_async
async def test_attachments_may_be_empty() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda socket, data: calls.append(data))
    client.send('51-["x",{"_placeholder":true,"num":0}]', b"")
    assert calls == [b""]


@pytest.mark.parametrize(
    "packets",
    [
        [b"an attachment of nothing"],
        ['51-["x",{"_placeholder":true,"num":0}]', '2["text in between"]'],
        ['51-["x",{"_placeholder":true,"num":1}]', b"x"],
        ['51-["x",{"_placeholder":true,"num":-1}]', b"x"],
        ['51-["x",{"_placeholder":true,"num":"0"}]', b"x"],
        ['51-["x"]', b"x"],
        ['51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', b"x"],
    ],
)
@run_async
async def test_wrong_attachments_end_the_connection(packets: list[str | bytes]) -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda: calls.append("handled"))
    client.socket.on("error", lambda error: calls.append(type(error)))
    client.socket.on("disconnect", lambda reason: calls.append(reason))
    client.send(*packets)
    assert calls == [PacketError, "forced close"]


@run_async
async def test_attachments_are_limited_in_number_and_size() -> None:
    io = Server(limits=Limits(attachments=2, attachment_bytes=10))
    fine, many, large = (Client.join(io) for _ in range(3))
    fine.send('52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    fine.send(b"12345", b"12345")
    assert fine.wire.ended == ""
    many.send('53-["x",{"_placeholder":true,"num":0}]')
    assert many.wire.ended == "closed"
    large.send('52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    large.send(b"12345", b"123456")
    assert large.wire.ended == "closed"


@run_async
async def test_attachments_come_in_time_or_the_connection_ends() -> None:
    io = Server(limits=Limits(attachment_seconds=SOON))
    client = Client.join(io)
    calls: list[Any] = []
    client.socket.on("error", lambda error: calls.append(str(error)))
    client.socket.on("disconnect", lambda reason: calls.append(reason))
    client.send('51-["x",{"_placeholder":true,"num":0}]')
    await eventually(lambda: client.wire.ended)
    assert calls == ["attachments did not come in time", "forced close"]


@run_async
async def test_attachments_in_time_stop_the_clock() -> None:
    io = Server(limits=Limits(attachment_seconds=SOON))
    client, late = Client.join(io), Client.join(io)
    client.send('51-["x",{"_placeholder":true,"num":0}]', b"x")
    late.send('51-["x",{"_placeholder":true,"num":0}]')
    await eventually(lambda: late.wire.ended)
    assert client.wire.ended == ""


@run_async
async def test_attachments_for_a_socket_that_has_left_are_dropped() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    socket.on("x", lambda data: calls.append(data))
    client.send('51-["x",{"_placeholder":true,"num":0}]')
    socket.disconnect()
    client.send(b"x")
    assert calls == []
    assert client.wire.ended == ""
    client.connect()


@run_async
async def test_a_new_socket_does_not_get_the_attachments_meant_for_the_old_one() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda socket, data: calls.append((socket.id, data)))
    client.send('51-["x",{"_placeholder":true,"num":0}]')
    client.socket.disconnect()
    # Text between a packet and its attachment is wrong, whatever has become of the socket.
    client.send("0")
    assert client.wire.ended == "closed"
    assert calls == []


# Deadlines.


@run_async
async def test_whoever_joins_nothing_is_disconnected_in_time() -> None:
    io = Server(connect_timeout=SOON)
    idle, member = Client(io), Client.join(io)
    await eventually(lambda: idle.wire.ended == "closed")
    assert member.socket.connected
    assert io.engine.clients_count == 1


@run_async
async def test_whoever_was_refused_is_disconnected_in_time_unless_it_tries_again() -> None:
    io = Server(connect_timeout=SOON)
    io.of("/private").use(lambda socket: (_ for _ in ()).throw(ConnectError("no")))
    refused, second = Client(io), Client(io)
    refused.send("0/private,")
    second.send("0/private,")
    second.connect("/")
    assert refused.take() == ['4/private,{"message":"no"}']
    await eventually(lambda: refused.wire.ended == "closed")
    assert second.wire.ended == ""


@run_async
async def test_whoever_left_its_last_namespace_may_stay() -> None:
    io = Server(connect_timeout=SOON)
    client = Client.join(io)
    client.send("1")
    other = Client(io)
    await eventually(lambda: other.wire.ended)
    assert client.wire.ended == ""
    client.connect()


@run_async
async def test_so_many_connections_may_wait_to_join_and_no_more() -> None:
    io = Server(limits=Limits(handshakes=2))
    one, two = Client(io), Client(io)
    with pytest.raises(Refused, match="503"):
        Client(io)
    one.connect()
    three = Client(io)
    with pytest.raises(Refused):
        Client(io)
    # Neither leaving a namespace nor joining another counts again.
    io.of("/other")
    one.connect("/other")
    one.send("1", "1/other,")
    one.connect()
    with pytest.raises(Refused):
        Client(io)
    two.lose()
    three.send("nonsense")
    one.lose()
    Client(io), Client(io)
    with pytest.raises(Refused):
        Client(io)


@run_async
async def test_a_client_that_leaves_during_its_admission_is_counted_once() -> None:
    io = Server(limits=Limits(handshakes=1))

    @io.use
    async def middleware(socket: Socket) -> None:
        return None

    for _ in range(3):
        client = Client(io)
        client.send("0")
        client.lose()
        await io.settle(30)
    assert io.handshakes == 0


# Ending.


@run_async
async def test_a_payload_is_answered_while_its_handlers_wait() -> None:
    io = Server()
    gate = asyncio.Event()
    ended: list[int] = []

    @io.event
    async def wait(socket: Socket, number: int) -> None:
        await gate.wait()
        ended.append(number)

    async with await io.listen(0) as listening:
        session = await Polling.open(listening.port)
        await session.post("40")
        await session.receive()
        response = await within(session.post('42["wait",1]\x1e42["wait",2]'))
        assert (response.status, response.text, ended) == (200, "ok", [])
        gate.set()
        await eventually(lambda: ended == [1, 2])
        give_up(io.engine)


@run_async
async def test_nothing_is_heard_of_a_connection_that_has_ended() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("x", lambda: calls.append("x"))
    client.socket.conn.close()
    client.send('2["x"]', "0", b"data")
    assert calls == []
    assert io.sockets.sockets == {}


@run_async
async def test_closing_while_packets_of_the_same_read_follow() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[Any] = []
    io.on("close", lambda socket: socket.disconnect(True))
    io.on("x", lambda: calls.append("x"))
    client.send('2["close"]', '2["x"]')
    assert calls == []


@run_async
async def test_what_comes_in_one_piece_with_the_end_of_a_socket_is_ignored() -> None:
    io = Server()
    io.of("/admin")
    client = Client.join(io)
    client.connect("/admin")
    calls: list[Any] = []
    io.on("bye", lambda socket: socket.disconnect())
    io.on("x", lambda socket: calls.append("x"))
    client.send('2["bye"]', '2["x"]', '51-["x",{"_placeholder":true,"num":0}]', b"x", "31[]", "1")
    assert calls == []
    assert client.wire.ended == ""
    # The client may come back, and the one that follows is heard.
    client.connect()
    client.send('2["x"]')
    assert calls == ["x"]
    # The same when the client leaves, and in another namespace.
    client.send("1/admin,", '2/admin,["x"]')
    assert client.wire.ended == ""
    # Later it is out.
    await asyncio.sleep(0)
    client.send('2/admin,["x"]')
    assert client.wire.ended == "closed"
    assert calls == ["x"]


@run_async
async def test_who_has_left_one_namespace_is_not_heard_in_another() -> None:
    io = Server()
    io.of("/admin")
    client = Client.join(io)
    io.on("bye", lambda socket: socket.disconnect())
    client.send('2["bye"]', '2/admin,["x"]')
    assert client.wire.ended == "closed"
