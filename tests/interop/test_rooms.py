"""Who receives what: rooms, broadcasts and their flags."""

from __future__ import annotations

from typing import Any

import pytest

from nuncio import LimitExceeded, Limits, OptionError, Server, Socket
from tests.support.aio import eventually, run_async
from tests.support.node import Client, Clients, Node, Way
from tests.support.rawclient import Polling


class Party:
    """Four clients, `a` to `d`, and who of them received an event."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.clients: dict[str, Client] = {}
        self.sockets: dict[str, Socket] = {}
        self._count = 0

    @classmethod
    async def gather(cls, io: Server, clients: Clients, way: Way) -> Party:
        """Connect them."""
        party = cls(io)
        for name in "abcd":
            party.clients[name] = await clients.connect(way=way)
            party.sockets[name] = await party.clients[name].peer(io)
        return party

    async def who(self, operator: Any) -> str:
        """Who receives what this operator emits, and that nobody receives it twice."""
        self._count += 1
        operator.emit("party", self._count)
        # Everything before it has arrived when the end has.
        self.io.emit("end", self._count)
        received = ""
        for name, client in self.clients.items():
            assert await client.next("end") == [self._count]
            count = client.seen.log.count(("party", [self._count]))
            assert count <= 1, f"{name} received it {count} times"
            received += name * count
        return received


@run_async
async def test_rooms_choose_who_receives(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        party = await Party.gather(io, clients, way)
        who = party.who
        a, b, c, d = party.sockets.values()
        a.join("x")
        b.join(["x", "y"])
        c.join(["y", 7])
        assert a.rooms == {a.id, "x"}
        assert b.rooms == {b.id, "x", "y"}
        assert c.rooms == {c.id, "y", 7}
        assert d.rooms == {d.id}

        assert await who(io) == "abcd"
        assert await who(io.to("x")) == "ab"
        assert await who(io.in_("y")) == "bc"
        assert await who(io.to(7)) == "c"
        assert await who(io.to("7")) == ""
        assert await who(io.to("nobody")) == ""
        assert await who(io.to(["x", "y"])) == "abc"
        assert await who(io.to("x").to("y").in_(7)) == "abc"
        assert await who(io.to(d.id)) == "d"
        assert await who(io.to([d.id, "x", a.id])) == "abd"
        assert await who(io.except_("x")) == "cd"
        assert await who(io.except_(["x", "y"])) == "d"
        assert await who(io.except_("x").except_(d.id)) == "c"
        assert await who(io.to("x").except_("y")) == "a"
        assert await who(io.to(["x", "y"]).except_(b.id)) == "ac"
        assert await who(io.local.to("x")) == "ab"
        assert await who(io.local) == "abcd"

        assert await who(a) == "a"
        assert await who(a.broadcast) == "bcd"
        assert await who(a.to("x")) == "b"
        assert await who(a.in_("y")) == "bc"
        assert await who(a.except_("y")) == "d"
        assert await who(a.to(["x", "y"]).except_(c.id)) == "b"
        assert await who(a.to(a.id)) == ""
        assert await who(a.to(d.id)) == "d"
        assert await who(a.local) == "bcd"
        assert await who(a.local.to("x")) == "b"


@run_async
async def test_rooms_are_left(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        party = await Party.gather(io, clients, way)
        who = party.who
        a, b, _, _ = party.sockets.values()
        a.join(["x", "y"])
        b.join("x")
        a.join("x")
        a.leave("x")
        a.leave("x")
        a.leave("never joined")
        assert a.rooms == {a.id, "y"}
        assert await who(io.to("x")) == "b"
        assert await who(io.to("y")) == "a"
        a.leave(a.id)
        assert a.rooms == {"y"}
        assert await who(io.to(a.id)) == ""
        assert await who(io) == "abcd"
        assert await who(a.broadcast) == "abcd"
        a.join(a.id)
        assert await who(io.to(a.id)) == "a"
        b.join(a.id)
        assert await who(io.to(a.id)) == "ab"
        assert await who(io.except_(a.id)) == "cd"


@run_async
async def test_operators_never_change(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        party = await Party.gather(io, clients, Way("websocket", ("websocket",)))
        who = party.who
        a, b, _, d = party.sockets.values()
        a.join("x")
        b.join("y")
        x = io.to("x")
        assert await who(x.to("y")) == "ab"
        assert await who(x.except_(a.id)) == ""
        assert await who(x) == "a"
        others = d.broadcast
        assert await who(others.to("y")) == "b"
        assert await who(others) == "abc"


@run_async
async def test_rooms_end_with_the_socket(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        party = await Party.gather(io, clients, way)
        a, b, _, _ = party.sockets.values()
        a.join("x")
        b.join("x")
        gone = party.clients.pop("a")
        a.disconnect()
        await gone.next("disconnect")
        assert a.rooms == set()
        a.join("x")
        assert a.rooms == set()
        assert await party.who(io.to("x")) == "b"
        assert await party.who(a.to("x")) == "b"
        assert io.sockets.adapter.rooms["x"] == {b.id}
        assert a.id not in io.sockets.adapter.rooms
        a.emit("nobody hears this")
        a.leave("x")


@run_async
async def test_rooms_tell_what_happens_to_them(node: Node) -> None:
    io = Server()
    seen: list[Any] = []
    adapter = io.sockets.adapter
    for event in ("create_room", "join_room", "leave_room", "delete_room"):
        adapter.on(event, lambda *args, event=event: seen.append((event, *args)))
    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)
        id = socket.id
        assert seen == [("create_room", id), ("join_room", id, id)]
        seen.clear()
        socket.join("x")
        socket.join("x")
        socket.leave("x")
        assert seen == [
            ("create_room", "x"),
            ("join_room", "x", id),
            ("leave_room", "x", id),
            ("delete_room", "x"),
        ]
        seen.clear()
        socket.disconnect()
        assert seen == [("leave_room", id, id), ("delete_room", id)]


@run_async
async def test_what_is_no_room_is_refused(node: Node) -> None:
    io = Server(limits=Limits(rooms=2))
    async with node.clients(io) as clients:
        client = await clients.connect()
        socket = await client.peer(io)
        for wrong in (None, 1.5, [None], b"x", {"x": 1}.items()):
            for method in (socket.join, io.to, io.except_, socket.to):
                with pytest.raises(OptionError, match="room"):
                    method(wrong)  # type: ignore[arg-type]  # which is the point
        socket.join(["a", "b"])
        with pytest.raises(LimitExceeded, match="rooms"):
            socket.join("c")


@run_async
async def test_broadcasts_carry_bytes_to_every_kind_of_client(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        polling = await clients.connect(transports=["polling"])
        websocket = await clients.connect(transports=["websocket"])
        upgraded = await clients.connect(transports=["polling", "websocket"])
        for n in range(20):
            io.emit("data", n, {"bytes": bytes([n]) * n}, b"")
            io.emit("text", n)
        for client in (polling, websocket, upgraded):
            for n in range(20):
                assert await client.next("data") == [n, {"bytes": bytes([n]) * n}, b""]
                assert await client.next("text") == [n]
            assert client.names()[1:] == ["data", "text"] * 20


@run_async
async def test_volatile_events_arrive_when_the_client_is_ready(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        socket.join("x")
        if way.name == "upgrading":
            await client.upgraded()
        operators: list[Any] = [socket, socket.timeout(1), io, io.to("x"), io.compress(False)]
        for n, operator in enumerate(operators):
            await eventually(lambda: socket.conn.transport.writable)
            operator.volatile.emit("volatile", n, b"bytes")
            assert await client.next("volatile") == [n, b"bytes"]


@run_async
async def test_volatile_events_are_dropped_while_nothing_polls(node: Node) -> None:
    io = Server()
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    async with node.clients(io) as clients:
        # A client that polls only when told.
        client = await Polling.open(clients.port)
        await client.post("40")
        [packet] = await client.receive()
        assert packet.startswith("40{")
        [socket] = sockets
        socket.volatile.emit("dropped")
        io.volatile.emit("dropped", b"with bytes")
        socket.emit("kept", b"\x01")
        io.to(socket.id).volatile.emit("dropped")
        assert await client.receive() == ['451-["kept",{"_placeholder":true,"num":0}]', "bAQ=="]


@run_async
async def test_compression_is_a_choice(node: Node) -> None:
    io = Server(per_message_deflate=True)
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    text = "all the same " * 10_000
    async with node.clients(io) as clients:
        client = await clients.connect(perMessageDeflate={"threshold": 0})
        extensions = await client.value("socket.io.engine.transport.ws.extensions")
        assert "permessage-deflate" in extensions
        socket = await client.peer(io)

        async def cost(operator: Any) -> int:
            read = "socket.io.engine.transport.ws._socket.bytesRead"
            before = await client.value(read)
            operator.emit("text", text)
            assert await client.next("text") == [text]
            after = await client.value(read)
            return int(after - before)

        size = len(text)
        assert await cost(socket) < size / 10
        assert await cost(io) < size / 10
        assert await cost(io.compress(True)) < size / 10
        assert await cost(socket.compress(False)) > size
        assert await cost(io.compress(False)) > size
        assert await cost(io.to(socket.id).compress(False)) > size
        for args in ([text, text.encode()], ["short", b"short"], [b""]):
            await client.emit("echo", *args)
            assert await client.next("back") == args
        plain = await clients.connect(perMessageDeflate=False)
        assert await plain.value("socket.io.engine.transport.ws.extensions") == ""
        await plain.emit("echo", text)
        assert await plain.next("back") == [text]
