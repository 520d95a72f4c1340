"""Connection state recovery and promised events, with the official client doing its part."""

from __future__ import annotations

from typing import Any

from nuncio import Server, Socket, Undelivered
from tests.support.aio import eventually, run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Client, Clients, Node, Way

# The client comes back by itself, soon.
PATIENT: dict[str, Any] = {
    "reconnection": True,
    "reconnectionDelay": 20,
    "reconnectionDelayMax": 40,
}


async def recoverable(clients: Clients, way: Way, **options: Any) -> Client:
    """A client that reconnects, and reports everything with its own names."""
    return await clients.connect(way=way, **PATIENT, **options)


async def cut(client: Client, io: Server) -> None:
    """Cut its link under its feet, and wait until the server has noticed."""
    socket = await client.peer(io)
    await client.run("socket.io.engine.transport.onClose ? 0 : 0; socket.io.engine.close()")
    await eventually(lambda: not socket.connected)


@run_async
async def test_the_official_client_recovers(node: Node, way: Way) -> None:
    io = Server(connection_state_recovery=True)
    async with node.clients(io) as clients:
        client = await recoverable(clients, way)
        socket = await client.peer(io)
        sid = socket.id
        socket.join("room")
        socket.data = {"name": "Ada"}
        socket.emit("before", 1)
        await client.next("before")
        # While it waits to come back, the server goes on.
        await client.run("socket.io.reconnectionDelay(300); socket.io.reconnectionDelayMax(300)")
        await cut(client, io)
        io.to("room").emit("room", 2)
        io.emit("binary", b"\x00\x01", {"deep": [b"2"]})
        io.to("other").emit("not mine")
        io.volatile.emit("gone")
        await client.next("connect")
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
        client = await recoverable(clients, WEBSOCKET)
        sid = await client.value("socket.id")
        await cut(client, io)
        io.emit("missed")
        await client.next("connect")
        assert await client.value("socket.id") == sid
        await client.next("missed")


@run_async
async def test_it_begins_afresh_after_too_long(node: Node) -> None:
    io = Server(connection_state_recovery={"max_disconnection_duration": 0.05})
    async with node.clients(io) as clients:
        client = await recoverable(clients, WEBSOCKET)
        sid = await client.value("socket.id")
        await client.run("socket.io.reconnectionDelay(400); socket.io.reconnectionDelayMax(400)")
        await cut(client, io)
        await eventually(lambda: not io.sockets.adapter.occupied)
        await client.next("connect")
        assert await client.value("socket.recovered") is False
        assert await client.value("socket.id") != sid


@run_async
async def test_every_namespace_of_a_connection_recovers(node: Node) -> None:
    io = Server(connection_state_recovery=True)
    io.of("/chat")
    async with node.clients(io) as clients:
        main = await recoverable(clients, WEBSOCKET)
        chat = await clients.join(main, "/chat")
        ids = [await main.value("socket.id"), await chat.value("socket.id")]
        await cut(main, io)
        await eventually(lambda: io.of("/chat").adapter.occupied)
        io.emit("one")
        io.of("/chat").emit("two")
        await main.next("connect")
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
        client = await recoverable(clients, way)
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
                await cut(client, io)
            if number % 10 == 8:
                await client.next("connect")
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
        client = await recoverable(clients, POLLING)
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
        first = await recoverable(clients, UPGRADED)
        sid = await first.value("socket.id")
        pid = await first.value("socket._pid")
        # The client's machine went to sleep: the old link is not closed, a new one is opened.
        second = await clients.start(auth={"pid": pid})
        await second.next("connect")
        assert await second.value("socket.id") == sid
        assert reasons == ["transport close"]
        assert list(io.sockets.sockets) == [sid]
