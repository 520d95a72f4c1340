"""Clients that read slowly, and those that do not read at all."""

from __future__ import annotations

import asyncio

import pytest

from nuncio import Limits, Sent, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import UPGRADED, WEBSOCKET, Client, Node, Way
from tests.support.rawclient import Polling

CHUNK = 500_000
# Together more than the buffers of any kernel.
CHUNKS = 60

FRAMES = pytest.mark.parametrize("way", [WEBSOCKET, UPGRADED], ids=lambda way: way.name)


async def pause(client: Client) -> None:
    """Let a client read no more, and report only numbers from now on."""
    await client.run(
        """
        socket.offAny();
        for (const name of ["chunk", "volatile"]) {
          socket.on(name, (n, data) => report(name, n, data && data.length));
        }
        socket.io.engine.transport.ws.pause();
        """
    )


async def resume(client: Client) -> None:
    """Let it read again."""
    await client.run("socket.io.engine.transport.ws.resume()")


async def turns(client: Client, count: int = 5) -> None:
    """Give the client, and the loop, time for what they could do."""
    for _ in range(count):
        await client.value("1")


@FRAMES
@run_async
async def test_an_awaited_emit_waits_for_a_slow_client(node: Node, way: Way) -> None:
    io = Server()
    taken: list[int] = []
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        await pause(client)

        async def produce() -> None:
            for n in range(CHUNKS):
                await socket.emit("chunk", n, bytes(CHUNK))
                taken.append(n)

        producer = asyncio.create_task(produce())
        await eventually(lambda: socket.conn.congested)
        await turns(client)
        assert not producer.done()
        # Never more than one waits in the session.
        assert socket.conn.buffered_bytes < 2 * CHUNK
        # Other clients do not notice.
        other = await clients.connect(way=way)
        (await other.peer(io)).emit("hello")
        assert await other.next("hello") == []

        await resume(client)
        await within(producer)
        assert taken == list(range(CHUNKS))
        for n in range(CHUNKS):
            assert await client.next("chunk") == [n, CHUNK]
        assert socket.connected
        assert not socket.conn.congested


@FRAMES
@run_async
async def test_volatile_events_are_dropped_for_a_client_that_is_behind(
    node: Node, way: Way
) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        await pause(client)
        sent = 0
        while not socket.conn.congested:
            socket.emit("chunk", sent, bytes(CHUNK))
            sent += 1
            await asyncio.sleep(0)
        socket.volatile.emit("volatile", "dropped", b"with bytes")
        io.volatile.emit("volatile", "dropped")
        io.to(socket.id).volatile.emit("volatile", "dropped")
        socket.emit("chunk", sent, b"")
        await resume(client)
        for n in range(sent):
            assert await client.next("chunk") == [n, CHUNK]
        assert await client.next("chunk") == [sent, 0]
        await eventually(lambda: not socket.conn.congested)
        socket.volatile.emit("volatile", "ready")
        assert await client.next("volatile") == ["ready", None]


@FRAMES
@run_async
async def test_a_client_that_does_not_read_is_disconnected(node: Node, way: Way) -> None:
    io = Server(limits=Limits(outgoing_bytes=2 * CHUNK))
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        await pause(client)
        waiting: Sent | None = None
        for _ in range(CHUNKS):
            sent = socket.emit("chunk", 0, bytes(CHUNK))
            if not socket.connected:
                break
            if not sent.taken:
                waiting = sent
            await asyncio.sleep(0)
        reason, description = await gone.next()
        assert (reason, description) == ("slow consumer", "the peer does not read")
        assert waiting is not None
        # Nobody waits for ever for a client that is gone.
        await within(waiting)
        assert io.engine.clients_count == 0
        await resume(client)
        assert (await client.next("disconnect"))[0] == "transport close"


@run_async
async def test_a_client_that_does_not_poll_is_disconnected(node: Node) -> None:
    io = Server(limits=Limits(outgoing_bytes=2 * CHUNK))
    gone = Inbox()
    io.on("disconnect", gone)
    sockets: list[Socket] = []
    io.on("connection", sockets.append)
    async with node.clients(io) as clients:
        slow = await Polling.open(clients.port)
        await slow.post("40")
        await slow.receive()
        [socket] = sockets
        for _ in range(3):
            socket.emit("chunk", bytes(CHUNK))
        assert (await gone.next())[0] == "slow consumer"
        assert (await slow.get()).json == {"code": 1, "message": "Session ID unknown"}


@run_async
async def test_an_awaited_emit_waits_for_the_next_poll(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(transports=["polling"])
        await client.run(
            "socket.offAny(); socket.on('chunk', (n, data) => report('chunk', n, data.length))"
        )
        socket = await client.peer(io)
        for n in range(50):
            await within(socket.emit("chunk", n, bytes(50_000)))
            assert socket.conn.buffered_bytes < 100_000
        for n in range(50):
            assert await client.next("chunk") == [n, 50_000]


@run_async
async def test_an_awaited_broadcast_waits_for_who_is_behind(node: Node) -> None:
    io = Server()
    async with node.clients(io) as clients:
        slow, other, quick = [await clients.connect() for _ in range(3)]
        for client in (slow, other):
            await pause(client)
        await quick.run("socket.offAny(); socket.on('chunk', (n) => report('chunk', n))")
        sockets = [await client.peer(io) for client in (slow, other)]
        sent = 0
        while not all(socket.conn.congested for socket in sockets):
            last = io.emit("chunk", sent, bytes(CHUNK))
            sent += 1
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(_wait(last))
        for n in range(sent):
            assert await quick.next("chunk") == [n]
        assert not waiting.done()
        await resume(slow)
        await eventually(lambda: not sockets[0].conn.congested)
        await turns(quick)
        assert not waiting.done()
        await resume(other)
        await within(waiting)


async def _wait(sent: Sent) -> None:
    await sent


@run_async
async def test_large_messages_in_many_fragments(node: Node) -> None:
    io = Server(max_http_buffer_size=10_000_000)
    got = Inbox()
    io.on("data", got)
    data = bytes(range(256)) * 4096
    async with node.clients(io) as clients:
        client = await clients.connect()
        # As browsers and proxies may split it, with a control frame in between.
        await client.run(
            """
            const ws = socket.io.engine.transport.ws;
            const text = '42["data","' + "x".repeat(100_000) + '"]';
            for (let i = 0; i < text.length; i += 1000) {
              ws.send(text.slice(i, i + 1000), { fin: i + 1000 >= text.length });
              if (i % 10_000 === 0) ws.ping("here");
            }
            let pongs = 0;
            ws.on("pong", () => ++pongs === 11 && report("pongs"));
            """
        )
        assert await got.next() == ["x" * 100_000]
        await client.next("pongs")
        await client.emit("data", data)
        assert await got.next() == [data]
