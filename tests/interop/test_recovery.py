"""Connection state recovery and promised events, with the official client doing its part."""

from __future__ import annotations

from nuncio import Server, Socket, Undelivered
from tests.support.aio import eventually, run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Node, Way


@run_async
async def test_the_official_client_recovers(node: Node, way: Way) -> None:
    io = Server(connection_state_recovery=True)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        sid = socket.id
        socket.join("room")
        socket.data = {"name": "Ada"}
        socket.emit("before", 1)
        await client.next("before")
        await client.cut(io)
        # The server goes on meanwhile.
        io.to("room").emit("room", 2)
        io.emit("binary", b"\x00\x01", {"deep": [b"2"]})
        io.to("other").emit("not mine")
        io.volatile.emit("gone")
        await client.back()
        assert await client.value("socket.recovered") is True
        assert await client.value("socket.id") == sid
        after = await client.peer(io)
        assert (after.recovered, after.data, after.rooms) == (True, {"name": "Ada"}, {sid, "room"})
        names = client.names()
        assert names[names.index("disconnect") :] == ["disconnect", "room", "binary", "connect"]
        assert (await client.next("room"))[0] == 2
        assert (await client.next("binary"))[:2] == [b"\x00\x01", {"deep": [b"2"]}]


@run_async
async def test_it_recovers_without_having_received_anything(node: Node) -> None:
    io = Server(connection_state_recovery=True)
    async with node.clients(io) as clients:
        client = await clients.connect(way=WEBSOCKET)
        sid = await client.value("socket.id")
        await client.cut(io)
        io.emit("missed")
        await client.back()
        assert await client.value("socket.id") == sid
        await client.next("missed")


@run_async
async def test_it_begins_afresh_after_too_long(node: Node) -> None:
    io = Server(connection_state_recovery={"max_disconnection_duration": 0.05})
    async with node.clients(io) as clients:
        client = await clients.connect(way=WEBSOCKET)
        sid = await client.value("socket.id")
        await client.cut(io)
        await eventually(lambda: not io.sockets.adapter.occupied)
        await client.back()
        assert await client.value("socket.recovered") is False
        assert await client.value("socket.id") != sid


@run_async
async def test_every_namespace_of_a_connection_recovers(node: Node) -> None:
    io = Server(connection_state_recovery=True)
    io.of("/chat")
    async with node.clients(io) as clients:
        main = await clients.connect(way=WEBSOCKET)
        chat = await clients.join(main, "/chat")
        ids = [await main.value("socket.id"), await chat.value("socket.id")]
        await main.cut(io)
        await eventually(lambda: not io.of("/chat").sockets)
        io.emit("one")
        io.of("/chat").emit("two")
        await main.back()
        await chat.next("connect")
        assert [await main.value("socket.id"), await chat.value("socket.id")] == ids
        await main.next("one")
        await chat.next("two")


@run_async
async def test_promised_events_reach_it_once_and_in_order(node: Node, way: Way) -> None:
    io = Server(connection_state_recovery=True, delivery="at-least-once")
    reports: list[Undelivered] = []
    io.on("undelivered", reports.append)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        # It reports each event once by its id, and acknowledges it.
        await client.run(
            """
            const seen = new Set();
            socket.on("order", (number, id, acknowledge) => {
              if (!seen.has(id)) { seen.add(id); report("handled", number); }
              acknowledge();
            });
            """
        )
        for number in range(30):
            io.emit("order", number)
            if number % 10 == 4:
                await client.cut(io)
            if number % 10 == 8:
                await client.back()
        assert [(await client.next("handled"))[0] for _ in range(30)] == list(range(30))
        socket = await client.peer(io)
        await eventually(lambda: socket._outbox is None or len(socket._outbox) == 0)
        assert reports == []


@run_async
async def test_a_client_that_never_acknowledges_is_reported_when_it_leaves(node: Node) -> None:
    io = Server(connection_state_recovery=True, delivery="at-least-once")
    reports: list[Undelivered] = []
    io.on("undelivered", reports.append)
    async with node.clients(io) as clients:
        client = await clients.connect(way=POLLING)
        io.emit("order", 1)
        await client.next("order")
        await client.disconnect()
        await eventually(lambda: reports)
    assert [event.args for event in reports[0].events] == [(1,)]


@run_async
async def test_a_link_that_dies_unnoticed_is_taken_over(node: Node) -> None:
    io = Server(connection_state_recovery=True)
    reasons: list[str] = []

    @io.on("disconnect")
    def disconnect(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with node.clients(io) as clients:
        first = await clients.connect(way=UPGRADED)
        sid = await first.value("socket.id")
        pid = await first.value("socket._pid")
        # The client's machine went to sleep: the old link is not closed, a new one is opened.
        second = await clients.start(auth={"pid": pid})
        await second.next("connect")
        assert await second.value("socket.id") == sid
        assert reasons == ["transport close"]
        assert list(io.sockets.sockets) == [sid]
