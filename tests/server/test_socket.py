from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest

from nuncio import DisconnectReason, Limits, OptionError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client


class Point(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Picture:
    name: str
    data: bytes


class Guest(pydantic.BaseModel):
    name: str


RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener")


# Who it is.


@run_async
async def test_ids_are_unique_and_differ_from_the_secret_ids_of_sessions() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(50)]
    public = {client.sid for client in clients}
    secret = {client.session_id for client in clients}
    assert len(public) == len(secret) == 50
    assert not public & secret
    assert all(len(id) == 20 for id in public | secret)
    socket = clients[0].socket
    assert clients[0].session_id not in repr(socket)
    assert repr(socket) == f"<Socket {socket.id!r} of '/' connected>"


@run_async
async def test_a_socket_knows_its_connection() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    assert socket.nsp is io.of("/")
    assert socket.conn is io.engine.sessions[client.session_id]
    assert socket.conn.transport.name == "websocket"
    assert socket.request is socket.conn.request
    assert socket.connected
    assert not socket.disconnected
    assert not socket.recovered


@run_async
async def test_data_is_the_applications_own() -> None:
    io = Server()
    one, other = Client.join(io).socket, Client.join(io).socket
    one.data["user"] = "ada"
    assert one.data == {"user": "ada"}
    assert other.data == {}
    other.data = Point(1)
    assert other.data == Point(1)


# Sending.


@run_async
async def test_emit_sends_an_event_with_its_arguments() -> None:
    io = Server()
    client = Client.join(io)
    client.socket.emit("x")
    client.socket.emit("x", 1, "two", None, [True], {"a": {}})
    client.socket.send("text", 5)
    assert client.take() == [
        '2["x"]',
        '2["x",1,"two",null,[true],{"a":{}}]',
        '2["message","text",5]',
    ]


@run_async
async def test_emit_sends_bytes_wherever_they_are() -> None:
    io = Server()
    client = Client.join(io)
    client.socket.emit("x", b"1", {"deep": [bytearray(b"2"), (memoryview(b"3"),)]})
    assert client.take() == [
        '53-["x",{"_placeholder":true,"num":0},'
        '{"deep":[{"_placeholder":true,"num":1},[{"_placeholder":true,"num":2}]]}]',
        b"1",
        b"2",
        b"3",
    ]


@run_async
async def test_emit_sends_structs_dataclasses_and_models() -> None:
    io = Server()
    client = Client.join(io)
    client.socket.emit("x", Point(1), Picture("p", b"\xff"), [Guest(name="ada")])
    assert client.take() == [
        '51-["x",{"x":1},{"name":"p","data":{"_placeholder":true,"num":0}},[{"name":"ada"}]]',
        b"\xff",
    ]


@run_async
async def test_emit_does_not_change_what_it_is_given() -> None:
    io = Server()
    client = Client.join(io)
    data: dict[str, Any] = {"list": [b"bytes", {"deep": b"more"}]}
    client.socket.emit("x", data)
    io.emit("x", data)
    assert data == {"list": [b"bytes", {"deep": b"more"}]}


@run_async
async def test_emit_takes_what_it_is_given_at_once() -> None:
    io = Server()
    client = Client.join(io)
    client.stall()
    data = [1]
    client.socket.emit("x", data)
    data.append(2)
    client.drain()
    assert client.take() == ['2["x",[1]]']


@pytest.mark.parametrize("name", RESERVED)
@run_async
async def test_reserved_names_cannot_be_emitted(name: str) -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    for emit in (
        socket.emit,
        socket.volatile.emit,
        socket.broadcast.emit,
        io.emit,
        io.to("a").emit,
    ):
        with pytest.raises(OptionError, match=f'event: "{name}" is a reserved event name'):
            emit(name)
    assert client.take() == []


@run_async
async def test_the_names_connection_and_error_are_not_reserved() -> None:
    io = Server()
    client = Client.join(io)
    client.socket.emit("connection")
    client.socket.emit("error", "text")
    assert client.take() == ['2["connection"]', '2["error","text"]']


@run_async
async def test_what_cannot_be_sent_is_told_at_once() -> None:
    io = Server()
    client = Client.join(io)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="'object' cannot be sent"):
        client.socket.emit("x", object())
    with pytest.raises(ValueError, match="contains itself"):
        client.socket.emit("x", circle)
    assert client.take() == []
    assert client.socket.connected


@run_async
async def test_emit_before_the_client_is_admitted_goes_out_before_the_connect_packet() -> None:
    io = Server()

    @io.use
    def middleware(socket: Socket) -> None:
        socket.emit("early")

    client = Client(io)
    client.send("0")
    assert [str(packet)[:2] for packet in client.take()] == ["2[", "0{"]


@run_async
async def test_emit_after_the_end_is_harmless() -> None:
    io = Server()
    io.of("/other")
    client = Client.join(io)
    client.connect("/other")
    socket = next(iter(io.sockets.sockets.values()))
    heard: list[str] = []
    socket.on_any_outgoing(lambda event: heard.append(event))
    socket.disconnect()
    assert client.take() == ["1"]
    # The connection is still there, for the other namespace, and is left in peace.
    socket.emit("x")
    socket.volatile.emit("y")
    socket.emit("z", lambda: None)
    socket.to("room").emit("x")
    await socket.emit("x")
    client.lose()
    socket.emit("x")
    socket.disconnect()
    socket.disconnect(True)
    assert client.take() == []
    assert "x" in heard


# Back-pressure.


@run_async
async def test_awaiting_an_emit_waits_for_a_peer_that_is_behind() -> None:
    io = Server()
    client = Client.join(io)
    sent = client.socket.emit("a")
    assert sent.taken
    await within(sent)
    client.stall()
    sent = client.socket.emit("b")
    assert not sent.taken
    with pytest.raises(TimeoutError):
        await within(sent, 0.01)
    assert client.take() == ['2["a"]']
    client.drain()
    await within(sent)
    assert client.take() == ['2["b"]']


@run_async
async def test_awaiting_an_emit_ends_when_the_client_does() -> None:
    io = Server()
    client = Client.join(io)
    client.stall()
    sent = client.socket.emit("b")
    everybody = io.emit("c")
    client.lose()
    await within(sent)
    await within(everybody)


@run_async
async def test_volatile_packets_are_dropped_while_the_peer_is_behind() -> None:
    io = Server()
    client = Client.join(io)
    client.stall()
    client.socket.emit("kept")
    client.socket.volatile.emit("dropped", b"with an attachment")
    client.socket.broadcast.volatile.emit("nobody")
    io.volatile.emit("dropped")
    client.socket.emit("kept too")
    client.drain()
    client.socket.volatile.emit("sent", b"1")
    assert client.take() == [
        '2["kept"]',
        '2["kept too"]',
        '51-["sent",{"_placeholder":true,"num":0}]',
        b"1",
    ]


@run_async
async def test_a_peer_that_never_reads_is_disconnected_with_its_own_reason() -> None:
    io = Server(limits=Limits(outgoing_bytes=10_000))
    client, other = Client.join(io), Client.join(io)
    reasons: list[str] = []
    client.socket.on("disconnect", lambda reason: reasons.append(reason))
    client.stall()
    for _ in range(20):
        io.emit("x", "y" * 1000)
    assert reasons == ["slow consumer"]
    assert client.wire.ended == "aborted"
    assert len(other.take()) == 20


# Flags.


@run_async
async def test_compress_tells_the_transport() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    client.wire.compressed.clear()
    socket.emit("a")
    socket.compress(False).emit("b")
    socket.compress(True).emit("c")
    socket.volatile.compress(False).emit("d")
    io.compress(False).emit("e")
    socket.compress(False).timeout(30).emit("f", lambda: None)
    waiting = socket.compress(False).emit_with_ack("g")
    assert client.wire.compressed == [True, False, True, False, False, False, False]
    del waiting


# Rooms.


@run_async
async def test_every_socket_is_in_the_room_of_its_own_id() -> None:
    io = Server()
    one, other = Client.join(io), Client.join(io)
    assert one.socket.rooms == {one.sid}
    io.to(one.sid).emit("x")
    other.socket.to(one.sid).emit("y")
    assert one.take() == ['2["x"]', '2["y"]']
    assert other.take() == []


@run_async
async def test_rooms_are_joined_one_or_many_at_a_time_and_left() -> None:
    io = Server()
    socket = Client.join(io).socket
    await socket.join("a")
    socket.join(["b", 1])
    socket.join({"c"})
    socket.join(room for room in ("d",))
    assert socket.rooms == {socket.id, "a", "b", "c", "d", 1}
    await socket.leave("a")
    socket.leave("never joined")
    socket.leave(1)
    assert socket.rooms == {socket.id, "b", "c", "d"}


@run_async
async def test_the_set_of_rooms_is_a_copy() -> None:
    io = Server()
    socket = Client.join(io).socket
    socket.rooms.add("not joined")
    assert socket.rooms == {socket.id}


@pytest.mark.parametrize("room", [None, 1.5, b"bytes", [None], ["a", ["b"]], object()])
@run_async
async def test_a_room_is_a_name_or_a_number(room: Any) -> None:
    io = Server()
    socket = Client.join(io).socket
    for method in (socket.join, socket.to, socket.in_, socket.except_, io.to, io.except_):
        with pytest.raises(OptionError, match=r"^rooms"):
            method(room)
    with pytest.raises((OptionError, TypeError)):
        socket.leave(room)
    assert socket.rooms == {socket.id}


@run_async
async def test_nothing_is_joined_after_the_end() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    socket.on("disconnect", lambda: socket.join("in the handler"))
    client.lose()
    socket.join("later")
    socket.leave("later")
    assert socket.rooms == set()
    assert io.sockets.adapter.rooms == {}


@run_async
async def test_rooms_of_a_namespace_are_its_own() -> None:
    io = Server()
    io.of("/other")
    client = Client.join(io)
    other = client.connect("/other")
    other.join("room")
    io.to("room").emit("x")
    io.of("/other").to("room").emit("y")
    assert client.take() == ['2/other,["y"]']


# The end.


@run_async
async def test_the_end_in_its_order() -> None:
    io = Server()
    client, friend = Client.join(io), Client.join(io)
    socket = client.socket
    socket.join("room")
    friend.socket.join("room")
    calls: list[Any] = []

    def note(name: str) -> None:
        known = io.sockets.sockets.get(socket.id) is socket
        calls.append((name, socket.connected, len(socket.rooms), known))

    @io.on("disconnecting")
    def disconnecting(found: Socket, reason: str) -> None:
        assert found is socket
        note(f"namespace disconnecting: {reason}")
        found.to("room").emit("farewell")

    io.on("disconnect", lambda found, reason: note(f"namespace disconnect: {reason}"))
    socket.on("disconnecting", lambda reason: note(f"disconnecting: {reason}"))
    socket.on("disconnect", lambda reason: note(f"disconnect: {reason}"))
    client.lose()
    assert calls == [
        ("namespace disconnecting: transport close", True, 2, True),
        ("disconnecting: transport close", True, 2, True),
        ("namespace disconnect: transport close", False, 0, False),
        ("disconnect: transport close", False, 0, False),
    ]
    assert friend.take() == ['2["farewell"]']
    assert repr(socket) == f"<Socket {socket.id!r} of '/' disconnected>"


@pytest.mark.parametrize(
    "reason", ["transport close", "transport error", "ping timeout", "parse error", "forced close"]
)
@run_async
async def test_the_reason_is_the_sessions_and_a_member_of_the_enumeration(reason: str) -> None:
    io = Server()
    client = Client.join(io)
    found: list[Any] = []
    client.socket.on("disconnect", lambda *args: found.extend(args))
    client.lose(reason)
    assert found == [reason, ""]
    assert type(found[0]) is DisconnectReason


@run_async
async def test_a_client_that_leaves_the_namespace() -> None:
    io = Server()
    client = Client.join(io)
    found: list[Any] = []
    client.socket.on("disconnect", lambda reason: found.append(reason))
    client.send("1")
    assert found == [DisconnectReason.CLIENT_NAMESPACE_DISCONNECT]
    assert client.wire.ended == ""
    assert client.take() == []


@run_async
async def test_disconnect_ends_the_socket_and_leaves_the_connection() -> None:
    io = Server()
    client = Client.join(io)
    found: list[Any] = []
    socket = client.socket
    socket.on("disconnect", lambda reason: found.append(reason))
    socket.emit("last")
    socket.disconnect()
    socket.disconnect()
    assert client.take() == ['2["last"]', "1"]
    assert found == [DisconnectReason.SERVER_NAMESPACE_DISCONNECT]
    assert client.wire.ended == ""
    again = client.connect()
    assert again.id != socket.id
    assert again.connected


@run_async
async def test_disconnect_true_ends_every_namespace_in_order_and_the_connection() -> None:
    io = Server()
    found: list[Any] = []
    for nsp in ("/", "/a", "/b"):
        io.of(nsp).on("disconnect", lambda socket, reason: found.append((socket.nsp.name, reason)))
    client = Client(io)
    client.connect("/b")
    client.connect("/")
    client.connect("/a")
    io.of("/a").sockets[client.sid].disconnect(True)
    assert client.take() == ["1/b,", "1", "1/a,"]
    assert found == [(nsp, "server namespace disconnect") for nsp in ("/b", "/", "/a")]
    assert client.wire.ended == "closed"
    assert io.engine.clients_count == 0


@run_async
async def test_a_connection_that_is_lost_ends_its_sockets_in_the_order_of_joining() -> None:
    io = Server()
    found: list[Any] = []
    for nsp in ("/", "/a", "/b"):
        io.of(nsp).on("disconnect", lambda socket: found.append(socket.nsp.name))
    client = Client(io)
    for nsp in ("/b", "/a", "/"):
        client.connect(nsp)
    client.lose()
    assert found == ["/b", "/a", "/"]


@run_async
async def test_conn_close_is_a_forced_close() -> None:
    io = Server()
    client = Client.join(io)
    found: list[Any] = []
    client.socket.on("disconnect", lambda reason: found.append(reason))
    client.socket.conn.close()
    assert found == ["forced close"]
    assert client.wire.ended == "closed"


@run_async
async def test_disconnecting_again_while_disconnecting() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    found: list[Any] = []
    socket.on("disconnecting", lambda: found.append("disconnecting"))
    socket.once("disconnecting", lambda: socket.disconnect())
    socket.on("disconnect", lambda reason: found.append(reason))
    client.lose()
    assert found.count("disconnecting") == 1
    assert len(found) == 2


@run_async
async def test_handlers_of_the_end_may_fail_or_wait() -> None:
    io = Server()
    client = Client.join(io)
    socket = client.socket
    calls: list[Any] = []
    errors: list[Any] = []
    io.on_error(lambda error, failed, event: errors.append((str(error), failed, event)))

    def fails() -> None:
        raise RuntimeError("failed")

    async def waits(reason: str) -> None:
        calls.append(("waits", reason))
        raise RuntimeError("failed later")

    socket.on("disconnecting", fails)
    socket.on("disconnect", waits)
    socket.on("disconnect", fails)
    socket.on("disconnect", lambda: calls.append("last"))
    client.lose()
    await eventually(lambda: len(errors) == 3)
    assert calls == ["last", ("waits", "transport close")]
    assert errors == [
        ("failed", socket, "disconnecting"),
        ("failed", socket, "disconnect"),
        ("failed later", socket, "disconnect"),
    ]


@run_async
async def test_once_disconnect_happens_once() -> None:
    io = Server()
    client = Client.join(io)
    calls: list[str] = []
    client.socket.once("disconnect", lambda: calls.append("once"))
    io.once("disconnect", lambda: calls.append("namespace once"))
    client.lose()
    other = Client.join(io)
    other.lose()
    assert calls == ["namespace once", "once"]


@run_async
async def test_a_handler_may_disconnect_others_in_a_broadcast() -> None:
    io = Server()
    clients = [Client.join(io) for _ in range(3)]
    sockets = [client.socket for client in clients]
    sockets[0].on_any_outgoing(lambda *_: sockets[1].disconnect())
    io.emit("x")
    assert clients[0].take() == ['2["x"]']
    assert clients[1].take()[0] == "1"
    assert clients[2].take() == ['2["x"]']
