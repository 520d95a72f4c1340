"""Socket.IO 2.x clients: joined without asking, and told in the words of their time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import ConnectError, Limits, Server, Socket
from tests.support.aio import eventually, run_async
from tests.support.memory import Client, Refused


def old(io: Server) -> Client:
    """A client of revision 3."""
    return Client(io, query="&EIO=3")


@run_async
async def test_a_client_is_in_the_default_namespace_at_once() -> None:
    io = Server(allow_eio3=True)
    seen: list[Socket] = []
    io.on("connection", seen.append)
    client = old(io)
    assert client.take() == ["0"]
    (socket,) = seen
    assert socket.id == client.session_id == socket.conn.id
    assert socket.handshake.auth == {}
    assert io.handshakes == 0


@run_async
async def test_it_has_to_be_let_in() -> None:
    with pytest.raises(Refused):
        old(Server())


@run_async
async def test_middlewares_run_and_may_wait() -> None:
    io = Server(allow_eio3=True)
    gate = asyncio.Event()

    @io.use
    async def middleware(socket: Socket) -> None:
        await gate.wait()

    client = old(io)
    assert client.take() == []
    gate.set()
    await eventually(lambda: client.received == ["0"])


@pytest.mark.parametrize(
    ("error", "packet"),
    [
        (ConnectError("no"), '4"no"'),
        (ConnectError("no", {"code": 1}), '4{"code":1}'),
        (ConnectError("no", [1]), "4[1]"),
        (ConnectError("no", ""), '4"no"'),
        (ConnectError("no", 0), '4"no"'),
    ],
)
@run_async
async def test_a_refusal_is_a_string_or_what_was_given(error: Exception, packet: str) -> None:
    io = Server(allow_eio3=True)

    @io.use
    def middleware(socket: Socket) -> None:
        raise error

    client = old(io)
    assert client.take() == [packet]
    assert client.wire.ended == ""


@run_async
async def test_what_fails_inside_is_not_told(caplog: Any) -> None:
    io = Server(allow_eio3=True)

    @io.use
    def middleware(socket: Socket) -> None:
        raise RuntimeError("secret")

    assert old(io).take() == ['4"internal error"']
    caplog.clear()


@run_async
async def test_other_namespaces_are_joined_by_asking() -> None:
    io = Server(allow_eio3=True)
    seen: list[Socket] = []
    io.of("/chat").on("connection", seen.append)
    client = old(io)
    client.take()
    client.send("0/chat?token=a%20b&x=1,", "0/nowhere")
    assert client.take() == ["0/chat,", '4/nowhere,{"message":"Invalid namespace"}']
    (socket,) = seen
    assert socket.id == f"/chat#{client.session_id}"
    assert socket.handshake.auth == {"token": "a b", "x": "1"}
    assert io.of("/chat").sockets == {socket.id: socket}


@run_async
async def test_packets_may_name_the_query_again() -> None:
    io = Server(allow_eio3=True)
    io.of("/chat").on("echo", lambda socket, value: value)
    client = old(io)
    client.send("0/chat?a=1", '2/chat?a=1,7["echo",5]')
    assert client.answers(7, "/chat,") == [5]


@run_async
async def test_events_answers_and_bytes_are_the_same() -> None:
    io = Server(allow_eio3=True)
    io.on("echo", lambda socket, *args: args)
    client = old(io)
    client.take()
    client.send('51-3["echo",{"_placeholder":true,"num":0}]', b"\x01")
    assert client.take() == ['61-3[[{"_placeholder":true,"num":0}]]', b"\x01"]
    io.emit("news", b"\x02")
    assert client.take() == ['51-["news",{"_placeholder":true,"num":0}]', b"\x02"]


@pytest.mark.parametrize("packet", ["0", '0{"token":1}', "0/", '4"x"', '2/chat,["x"]', "2[", "7"])
@run_async
async def test_what_breaks_the_protocol_ends_the_connection(packet: str) -> None:
    io = Server(allow_eio3=True)
    io.of("/chat")
    reasons: list[str] = []
    io.on("disconnect", lambda socket, reason: reasons.append(str(reason)))
    client = old(io)
    client.send(packet)
    assert client.wire.ended
    assert reasons == ["forced close"]
    assert io.engine.clients_count == 0


@run_async
async def test_joining_while_the_server_decides_is_a_violation() -> None:
    io = Server(allow_eio3=True)

    @io.use
    async def middleware(socket: Socket) -> None:
        await asyncio.get_running_loop().create_future()

    client = old(io)
    client.send("0")
    assert client.wire.ended
    await io.close(timeout=0.01)


@run_async
async def test_a_client_may_leave_and_come_back() -> None:
    io = Server(allow_eio3=True)
    client = old(io)
    client.take()
    client.send("1")
    assert io.sockets.sockets == {}
    client.send("0")
    assert client.take() == ["0"]
    assert list(io.sockets.sockets) == [client.session_id]


@run_async
async def test_a_handler_may_turn_it_away_at_once() -> None:
    io = Server(allow_eio3=True)
    reasons: list[str] = []
    io.on("disconnect", lambda socket, reason: reasons.append(str(reason)))
    io.on("connection", lambda socket: socket.disconnect(True))
    client = old(io)
    assert client.take() == ["0", "1"]
    assert reasons == ["server namespace disconnect"]
    assert io.engine.clients_count == 0


@run_async
async def test_a_listener_of_the_engine_may_close_it_first() -> None:
    io = Server(allow_eio3=True)
    io.engine.on("connection", lambda session: session.close())
    io.on("connection", lambda socket: pytest.fail("nobody is there"))
    client = old(io)
    assert client.take() == []
    assert io.handshakes == 0


@run_async
async def test_both_revisions_share_rooms_and_broadcasts() -> None:
    io = Server(allow_eio3=True)
    io.on("connection", lambda socket: socket.join("room"))
    first, second = old(io), Client.join(io)
    first.take()
    second.take()
    io.to("room").emit("news", 1)
    assert first.take() == second.take() == ['2["news",1]']
    io.to(first.session_id).emit("only")
    assert first.take() == ['2["only"]']
    assert second.take() == []


@run_async
async def test_recovery_is_not_offered() -> None:
    io = Server(allow_eio3=True, connection_state_recovery=True)
    assert old(io).take() == ["0"]


@run_async
async def test_a_namespace_with_too_many_is_refused_in_its_words() -> None:
    io = Server(allow_eio3=True, limits=Limits(namespaces=1))
    io.of("/chat")
    client = old(io)
    client.take()
    client.send("0/chat")
    assert client.take() == ['4/chat,{"message":"Too many namespaces"}']
