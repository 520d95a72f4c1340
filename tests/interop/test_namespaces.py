"""Namespaces, and the middlewares that let clients in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import ConnectError, Limits, Namespace, OptionError, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import Node, Way


@run_async
async def test_namespaces_share_a_connection_and_nothing_else(node: Node, way: Way) -> None:
    io = Server()
    gone = Inbox()
    news = Inbox()
    for name in ("/", "/admin", "/ünï code"):
        io.of(name).on("disconnect", lambda socket, reason: gone.put(socket.nsp.name, reason))
        io.of(name).on("news", lambda socket, *args: news.put(socket.nsp.name, *args))
        io.of(name).on("ask", lambda socket, n: n)
    async with node.clients(io) as clients:
        main = await clients.connect(way=way)
        admin = await clients.join(main, "/admin", auth={"role": "admin"})
        odd = await clients.join(main, "/ünï code")
        assert io.engine.clients_count == 1
        here, there = await main.peer(io), await admin.peer(io, "/admin")
        assert here.conn is there.conn
        assert here.id != there.id
        assert (here.handshake.auth, there.handshake.auth) == ({}, {"role": "admin"})
        for client, name in ((main, "/"), (admin, "/admin"), (odd, "/ünï code")):
            await client.emit("news", b"1", 2)
            assert await news.next() == [name, b"1", 2]
            assert await client.ask("ask", b"3") == [b"3"]
            io.of(name).emit("to", name, b"4")
            assert await client.next("to") == [name, b"4"]
        there.join("room")
        here.join("room")
        io.of("/admin").to("room").emit("room", "admin")
        io.to("room").emit("room", "main")
        assert await admin.next("room") == ["admin"]
        assert await main.next("room") == ["main"]

        there.disconnect()
        assert await gone.next() == ["/admin", "server namespace disconnect"]
        assert (await admin.next("disconnect"))[0] == "io server disconnect"
        await odd.disconnect()
        assert await gone.next() == ["/ünï code", "client namespace disconnect"]
        assert await main.ask("ask", 5) == [5]
        # Left namespaces can be joined again, under a new id.
        await admin.run("socket.connect()")
        assert await admin.next("connect") == []
        assert (await admin.peer(io, "/admin")).id != there.id
        assert io.engine.clients_count == 1
        await main.run("socket.io.engine.close()")
        reasons = [await gone.next(), await gone.next()]
        assert reasons == [["/", "transport close"], ["/admin", "transport close"]]


@run_async
async def test_disconnecting_the_connection_ends_every_namespace(node: Node, way: Way) -> None:
    io = Server()
    gone = Inbox()
    for name in ("/a", "/b"):
        io.of(name).on("disconnect", lambda socket, reason: gone.put(socket.nsp.name, reason))
    async with node.clients(io) as clients:
        second = await clients.connect("/b", way=way)
        first = await clients.join(second, "/a")
        (await first.peer(io, "/a")).disconnect(True)
        assert gone.seen == [
            ["/b", "server namespace disconnect"],
            ["/a", "server namespace disconnect"],
        ]
        for client in (first, second):
            assert (await client.next("disconnect"))[0] == "io server disconnect"
        await eventually(lambda: io.engine.clients_count == 0)


@run_async
async def test_a_namespace_that_does_not_exist(node: Node, way: Way) -> None:
    io = Server()
    io.on("ask", lambda socket: "here")
    async with node.clients(io) as clients:
        main = await clients.connect(way=way)
        other = await clients.start_joining(main, "/other")
        [error] = await other.next("connect_error")
        assert error.message == "Invalid namespace"
        assert not await other.value("socket.active")
        # Those that exist go on, and a client may try again.
        assert await main.ask("ask") == ["here"]
        created = Inbox()
        io.on("new_namespace", created.put)
        io.of("other")
        assert [nsp.name for [nsp] in created.seen] == ["/other"]
        await other.run("socket.connect()")
        assert await other.next("connect") == []


@run_async
async def test_names_of_namespaces() -> None:
    io = Server()
    assert io.of("/") is io.of("") is io.sockets
    assert io.of("admin") is io.of("/admin") is not io.sockets
    assert isinstance(io.of("/admin"), Namespace)
    for wrong in (None, 7, "/a,b"):
        with pytest.raises(OptionError, match="name"):
            io.of(wrong)  # type: ignore[arg-type]  # which is the point


@run_async
async def test_a_connection_joins_a_limited_number_of_namespaces(node: Node) -> None:
    io = Server(limits=Limits(namespaces=2))
    for name in ("/a", "/b", "/c"):
        io.of(name)
    async with node.clients(io) as clients:
        first = await clients.connect("/a")
        second = await clients.join(first, "/b")
        third = await clients.start_joining(first, "/c")
        [error] = await third.next("connect_error")
        assert error.message == "Too many namespaces"
        await second.disconnect()
        await third.run("socket.connect()")
        assert await third.next("connect") == []


@run_async
async def test_middlewares_run_in_order_before_the_connection(node: Node, way: Way) -> None:
    io = Server()
    seen: list[Any] = []

    @io.use
    async def first(socket: Socket) -> None:
        seen.append("first begins")
        await asyncio.sleep(0)
        assert not socket.connected
        socket.data["user"] = socket.handshake.auth["user"]
        socket.join("early")
        seen.append("first ends")

    @io.use
    def second(socket: Socket) -> None:
        seen.append(("second", socket.data["user"]))
        io.to("early").emit("nobody is there yet")

    io.on("connection", lambda socket: seen.append(("connection", socket.rooms - {socket.id})))
    io.on("connect", lambda socket: seen.append("connect"))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, auth={"user": "ada"})
        assert seen == [
            "first begins",
            "first ends",
            ("second", "ada"),
            "connect",
            ("connection", {"early"}),
        ]
        io.to("early").emit("now")
        assert await client.next("now") == []
        assert client.names() == ["connect", "now"]


@run_async
async def test_the_first_refusal_counts(node: Node, way: Way) -> None:
    io = Server()
    seen: list[str] = []

    @io.use
    def first(socket: Socket) -> None:
        seen.append("first")
        socket.join("room")
        raise ConnectError("closed", {"until": 8, "why": ["night"]})

    @io.use
    def second(socket: Socket) -> None:
        seen.append("second")

    io.on("connection", lambda socket: seen.append("connection"))
    io.on("disconnect", lambda socket: seen.append("disconnect"))
    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        [error] = await client.next("connect_error")
        assert error.message == "closed"
        assert error.fields["data"] == {"until": 8, "why": ["night"]}
        assert seen == ["first"]
        assert not io.sockets.sockets
        assert io.sockets.adapter.rooms == {}
        # It was the only namespace, so the client ends the connection.
        await eventually(lambda: io.engine.clients_count == 0)


@run_async
async def test_a_refusal_without_data(node: Node) -> None:
    io = Server()

    @io.use
    async def gate(socket: Socket) -> None:
        raise ConnectError("no")

    async with node.clients(io) as clients:
        client = await clients.start()
        [error] = await client.next("connect_error")
        assert (error.message, error.fields["data"]) == ("no", None)


@run_async
async def test_a_middleware_that_fails_refuses_and_tells_nothing(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    errors = Inbox()
    io.on_error(errors.put)

    @io.use
    async def gate(socket: Socket) -> None:
        raise ZeroDivisionError("secret")

    async with node.clients(io) as clients:
        client = await clients.start()
        [error] = await client.next("connect_error")
        assert (error.message, error.fields["data"]) == ("internal error", None)
        assert type((await errors.next())[0]) is ZeroDivisionError
    caplog.clear()


@run_async
async def test_a_client_that_leaves_while_a_middleware_decides(node: Node, way: Way) -> None:
    io = Server()
    deciding = asyncio.Event()
    decide = asyncio.Event()
    decided = asyncio.Event()
    seen: list[str] = []

    @io.use
    async def gate(socket: Socket) -> None:
        socket.join("room")
        deciding.set()
        await decide.wait()
        decided.set()

    io.on("connection", lambda socket: seen.append("connection"))
    io.on("disconnect", lambda socket: seen.append("disconnect"))
    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        await within(deciding.wait())
        await client.run("socket.io.engine.close()")
        await eventually(lambda: io.engine.clients_count == 0)
        decide.set()
        await decided.wait()
        await eventually(lambda: not io.sockets.adapter.rooms)
        assert seen == []
        assert not io.sockets.sockets


@run_async
async def test_a_client_that_joins_nothing_is_sent_away(node: Node) -> None:
    io = Server(connect_timeout=1.5)
    async with node.clients(io) as clients:
        member = await clients.connect()
        refused = await clients.start("/nowhere")
        # One that stays although it was let in nowhere.
        await refused.run("socket.io._destroy = () => {}")
        silent = [
            await clients.engine("/socket.io", transports=[name])
            for name in ("websocket", "polling")
        ]
        for client in silent:
            assert await client.next("close") == ["transport close"]
        await eventually(lambda: io.engine.clients_count == 1)
        assert refused.names() == ["connect_error"]
        assert member.names() == ["connect"]


@run_async
async def test_the_client_decides_its_auth_at_each_connection(node: Node) -> None:
    io = Server()
    seen = Inbox()
    io.on("connection", lambda socket: seen.put(socket.handshake.auth))
    async with node.clients(io) as clients:
        client = await clients.start(autoConnect=False)
        await client.run(
            """
            let n = 0;
            socket.auth = (give) => give({ attempt: ++n });
            socket.connect();
            """
        )
        assert await seen.next() == [{"attempt": 1}]
        await client.next("connect")
        await client.run("socket.disconnect().connect()")
        assert await seen.next() == [{"attempt": 2}]
