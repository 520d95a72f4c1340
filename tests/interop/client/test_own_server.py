"""Nuncio's client and Nuncio's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import nuncio
from nuncio import Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.live import HOSTS, Home
from tests.support.node import WAYS, WEBSOCKET, Way
from tests.support.ours import ours


def application() -> Server:
    """What the tests need of a server."""
    io = Server(
        ping_interval=0.05,
        ping_timeout=5,
        connection_state_recovery={"max_disconnection_duration": 60},
        cors="*",
    )

    @io.event
    def echo(socket: Socket, *values: Any) -> nuncio.Ack:
        socket.emit("echo", *values)
        return nuncio.Ack(*values)

    @io.event
    async def ask(socket: Socket, *values: Any) -> Any:
        return await socket.emit_with_ack("question", *values)

    @io.event
    def leave(socket: Socket) -> None:
        socket.disconnect()

    @io.event
    def never(socket: Socket, ack: nuncio.AckCallback) -> None:
        pass

    @io.of("/no").use
    def refuse(socket: Socket) -> None:
        raise nuncio.ConnectError("Not welcome", {"code": 42})

    @io.of("/who").on("connection")
    def who(socket: Socket) -> None:
        socket.emit("who", socket.handshake.auth, dict(socket.handshake.query))

    return io


@pytest.fixture(scope="module", params=HOSTS)
def live(request: pytest.FixtureRequest) -> Iterator[Home]:
    """The server, under each host."""
    home = Home(application(), request.param)
    yield home
    home.close()


def url(live: Home) -> str:
    return f"http://127.0.0.1:{live.port}"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@run_async
async def test_events_both_ways(live: Home, way: Way) -> None:
    values: list[Any] = ["text", 1.5, None, {"deep": [b"\x00\xff"]}, "€" * 50_000, b"x" * 200_000]
    async with ours(url(live)) as clients:
        client = await clients.connect(way=way)
        client.socket.emit("echo", *values)
        # Behind them is the offset from which on something was missed.
        assert (await client.next("echo"))[:-1] == values
        assert await client.socket.emit_with_ack("echo", *values) == values
        client.socket.on("question", lambda *args: len(args))
        assert await client.socket.emit_with_ack("ask", *values) == len(values)
        assert client.transport in way.transports
    await eventually(lambda: live.engine.clients_count == 0)


@run_async
async def test_many_events_keep_their_order_while_the_transport_changes(live: Home) -> None:
    async with ours(url(live)) as clients:
        client = clients.start(way=WAYS[2])
        for number in range(500):
            client.socket.emit("echo", number)
            if number % 50 == 0:
                await asyncio.sleep(0)
        got = [(await client.next("echo"))[0] for _ in range(500)]
        assert got == list(range(500))


@run_async
async def test_a_refusal(live: Home) -> None:
    with pytest.raises(nuncio.ConnectError, match="Not welcome") as caught:
        await nuncio.connect(url(live) + "/no")
    assert caught.value.data == {"code": 42}
    await eventually(lambda: live.engine.clients_count == 0)


@run_async
async def test_what_the_handshake_brings(live: Home) -> None:
    async with ours(url(live), query={"a": "b&c"}) as clients:
        client = await clients.connect("/who", auth={"user": "ada"})
        auth, query, *_ = await client.next("who")
        assert auth == {"user": "ada"}
        assert query["a"] == "b&c"


@run_async
async def test_the_server_sends_it_away(live: Home) -> None:
    async with ours(url(live)) as clients:
        client = await clients.connect()
        client.socket.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        await within(client.socket.wait())


@run_async
async def test_heartbeats_go_on(live: Home) -> None:
    async with ours(url(live)) as clients:
        for way in WAYS[:2]:
            client = await clients.connect(way=way)
            pings: asyncio.Queue[None] = asyncio.Queue()
            client.manager.on("ping", lambda queue=pings: queue.put_nowait(None))
            for _ in range(3):
                await within(pings.get())
            assert await client.socket.emit_with_ack("echo", 1) == 1


@run_async
async def test_a_lost_connection_is_recovered(live: Home) -> None:
    server = live.server
    assert isinstance(server, Server)
    async with ours(url(live)) as clients:
        client = await clients.connect()
        server.emit("first")
        await client.next("first")
        id = client.socket.id
        client.manager.reconnection = False
        client.cut()
        await client.next("disconnect")
        await eventually(lambda: not server.sockets.sockets)
        server.emit("missed", 2)
        client.manager.reconnection = True
        client.socket.connect()
        await client.next("connect")
        assert (client.socket.recovered, client.socket.id) == (True, id)
        assert (await client.next("missed"))[0] == 2


@run_async
async def test_a_hundred_at_once(live: Home) -> None:
    async with ours(url(live)) as clients:
        every = [clients.start(way=WEBSOCKET) for _ in range(100)]
        for client in every:
            await client.next("connect")
        assert live.engine.clients_count == 100
        answers = await asyncio.gather(
            *(client.socket.emit_with_ack("echo", n) for n, client in enumerate(every))
        )
        assert list(answers) == list(range(100))
    await eventually(lambda: live.engine.clients_count == 0)


@run_async
async def test_answers_that_do_not_come_end_with_the_connection(live: Home) -> None:
    async with ours(url(live)) as clients:
        client = await clients.connect()
        asking = [asyncio.ensure_future(client.socket.emit_with_ack("never")) for _ in range(10)]
        await asyncio.sleep(0)
        client.socket.disconnect()
        for one in asking:
            with pytest.raises(nuncio.Disconnected):
                await within(one)
