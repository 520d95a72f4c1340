"""Networks that go wrong between the client and the official server.

Whatever happens, the client notices, tells why, comes back, and no event arrives twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from nuncio import ClientLimits, ConnectTimeout, Disconnected, LimitExceeded, TransportError
from nuncio.client import upload
from tests.support.aio import eventually, run_async, within
from tests.support.faults import BOTH, DOWN, UP, FaultProxy, flip
from tests.support.node import POLLING, UPGRADED, UPGRADING, WEBSOCKET, Way
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import Client, ours

# Where heartbeats are not to interfere: machines may stand still for a while.
SERVER: dict[str, Any] = {"pingInterval": 5000, "pingTimeout": 5000}

# A server that notices soon when somebody is gone, and a client that does so as well.
ALERT: dict[str, Any] = {"pingInterval": 50, "pingTimeout": 250}

THREE = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
BOTH_WAYS = pytest.mark.parametrize("way", [POLLING, WEBSOCKET], ids=lambda way: way.name)


@pytest.fixture
def server(home: NodeHome, shared_server: NodeServer) -> Iterator[NodeServer]:
    """The module's server. Networks that were cut leave sessions, which it is told to end."""
    shared_server.forget()
    yield shared_server
    home.run(shared_server.close_engines(discard=True))


async def comes_back(client: Client) -> str:
    """Wait for the end of the connection, and for the next one; returns why it ended."""
    reason: str = (await client.next("disconnect"))[0]
    await client.next("connect")
    assert await client.socket.emit_with_ack("echo", "back", timeout=20) == "back"
    return reason


# --- connections that are cut


@THREE
@pytest.mark.parametrize("rst", [False, True], ids=["fin", "rst"])
@run_async
async def test_a_cut(home: NodeHome, server: NodeServer, way: Way, rst: bool) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=way)
        proxy.cut(rst=rst)
        assert await comes_back(client) in ("transport close", "transport error")
        assert client.names() == ["connect", "disconnect", "connect"]


@THREE
@run_async
async def test_what_was_emitted_without_a_connection_arrives_later(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=way)
        await proxy.refuse()
        proxy.cut()
        await client.next("disconnect")
        for number in range(20):
            client.socket.emit("echo", number)
        await client.told.next("reconnect_error")
        await proxy.accept()
        assert [(await client.next("echo"))[0] for _ in range(20)] == list(range(20))


@run_async
async def test_a_request_that_was_cut_is_not_repeated(home: NodeHome, server: NodeServer) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=POLLING)
        for _ in range(5):
            # The GET waits at the server. What it would bring must not be taken by a second one.
            await client.socket.emit_with_ack("echo", 1)
            proxy.cut()
            assert (await client.next("disconnect"))[0] == "transport error"
            await client.next("connect")
        # Every request has a stamp of its own.
        assert len(proxy.requests()) == len(set(proxy.requests()))


@run_async
async def test_an_event_whose_answer_was_cut_is_not_sent_again(
    home: NodeHome, server: NodeServer
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        for way in (POLLING, WEBSOCKET):
            client = await clients.connect(way=way)
            proxy.stall(DOWN)
            asking = asyncio.ensure_future(client.socket.emit_with_ack("once only", way.name))
            # The server has it, the client does not know.
            assert await server.next_event("once only") == [way.name]
            proxy.cut()
            proxy.resume(DOWN)
            with pytest.raises(Disconnected):
                await within(asking)
            await client.next("connect")
            assert await client.socket.emit_with_ack("once only", way.name) == 2
            await server.next_event("once only")


@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADING], ids=lambda way: way.name)
@run_async
async def test_nothing_arrives_twice_however_often_it_is_cut(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = clients.start(way=way)
        number = 0
        for cut in range(10):
            await client.next("connect")
            for _ in range(20):
                client.socket.emit("echo", number)
                number += 1
            # Sooner or later, but with events under way.
            for _ in range(cut):
                await asyncio.sleep(0)
            proxy.cut(rst=cut % 2 == 1)
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", "last", timeout=20) == "last"
        got = [args[0] for _, _, name, args in await server.reports("event") if name == "echo"]
        assert len(got) == len(set(got))
        # Some were lost, but those that came kept their order.
        assert got[:-1] == sorted(got[:-1])
        back = [args[0] for name, args in client.log if name == "echo"]
        assert len(back) == len(set(back)) and back == sorted(back)


@run_async
async def test_a_connection_that_is_cut_while_it_moves_to_websocket(
    home: NodeHome, server: NodeServer
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = clients.start(way=UPGRADING)
        cuts: list[str] = []

        def watch() -> None:
            # The Manager has made the engine of the next connection.
            engine = client.manager.engine
            if engine is not None and len(cuts) < 5:
                engine.on("upgrading", upgrading)

        def upgrading(transport: object) -> None:
            cuts.append(client.transport)
            proxy.cut()

        client.manager.on("open", watch)
        for _ in range(5):
            await client.told.next("close")
        await eventually(lambda: client.socket.connected)
        await client.upgraded()
        assert cuts == ["polling"] * 5
        assert await client.socket.emit_with_ack("echo", 1) == 1


# --- servers that fall silent


@BOTH_WAYS
@run_async
async def test_a_server_that_falls_silent(home: NodeHome, way: Way) -> None:
    async with (
        NodeServer(home.program, **ALERT) as server,
        FaultProxy(server.port) as proxy,
        ours(proxy.url) as clients,
    ):
        client = await clients.connect(way=way)
        proxy.stall(DOWN)
        asking = asyncio.ensure_future(client.socket.emit_with_ack("never"))
        assert (await client.next("disconnect"))[0] == "ping timeout"
        with pytest.raises(Disconnected):
            await within(asking)
        proxy.cut()
        proxy.resume(DOWN)
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", 1) == 1


@BOTH_WAYS
@run_async
async def test_a_server_that_does_not_hear_us(home: NodeHome, way: Way) -> None:
    async with (
        NodeServer(home.program, **ALERT) as server,
        FaultProxy(server.port) as proxy,
        ours(proxy.url) as clients,
    ):
        client = await clients.connect(way=way)
        proxy.stall(UP)
        # It gives us up first, as no pong comes.
        reason = (await client.next("disconnect"))[0]
        assert reason in ("transport close", "transport error", "ping timeout")
        proxy.cut()
        proxy.resume(UP)
        await client.next("connect")


@BOTH_WAYS
@run_async
async def test_leaving_a_server_that_has_fallen_silent(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=way)
        proxy.stall(BOTH)
        client.socket.emit("echo", b"x" * 100_000)
        client.socket.disconnect()
        assert not client.socket.connected
        assert not client.socket.active
        closed = asyncio.ensure_future(client.manager.wait_closed())
        await asyncio.sleep(0)
        # The goodbye is still to be said.
        assert not closed.done()
        proxy.cut()
        await within(closed)


@run_async
async def test_a_goodbye_has_its_limit(
    home: NodeHome, server: NodeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "CLOSE_SECONDS", 0.2)
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=POLLING)
        proxy.stall(BOTH)
        await within(client.socket.close())


@BOTH_WAYS
@run_async
async def test_a_network_that_swallows_the_attempt_to_connect(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url, timeout=0.1) as clients:
        proxy.stall(BOTH)
        client = clients.start(way=way)
        [error] = await client.next("connect_error")
        assert isinstance(error, ConnectTimeout)
        proxy.resume(BOTH)
        client.manager.timeout = 20
        await client.next("connect")
        # Nothing is left of the attempt that failed.
        await eventually(lambda: proxy.open <= 2)


@run_async
async def test_a_request_that_takes_too_long(home: NodeHome) -> None:
    async with (
        # Each ping answers a GET in time.
        NodeServer(home.program, pingInterval=100, pingTimeout=20_000) as server,
        FaultProxy(server.port) as proxy,
        ours(proxy.url, request_timeout=1.5) as clients,
    ):
        client = await clients.connect(way=POLLING)
        pings: asyncio.Queue[None] = asyncio.Queue()
        client.manager.on("ping", lambda: pings.put_nowait(None))
        await within(pings.get())
        proxy.stall(DOWN)
        reason, description = await client.next("disconnect")
        assert reason == "transport error"
        assert "1.5" in description
        proxy.cut()
        proxy.resume(DOWN)
        await client.next("connect")


# --- other faults


@BOTH_WAYS
@pytest.mark.parametrize("where", [DOWN, UP], ids=["from the server", "to the server"])
@run_async
async def test_half_a_close(home: NodeHome, server: NodeServer, way: Way, where: Any) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=way)
        proxy.half_close(where)
        assert await comes_back(client) in ("transport close", "transport error")


@BOTH_WAYS
@run_async
async def test_bytes_that_are_broken_on_their_way(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        client = await clients.connect(way=way)
        proxy.corrupt(flip)
        client.socket.emit("hi")
        reason = (await client.next("disconnect"))[0]
        assert reason in ("transport error", "parse error", "transport close")
        assert client.count("hi") == 0
        await client.next("connect_error")
        proxy.corrupt(None)
        await client.next("connect")


@BOTH_WAYS
@run_async
async def test_nobody_listens_for_a_while(home: NodeHome, server: NodeServer, way: Way) -> None:
    async with FaultProxy(server.port) as proxy, ours(proxy.url) as clients:
        await proxy.refuse()
        client = clients.start(way=way)
        for _ in range(3):
            [error] = await client.next("connect_error")
            assert isinstance(error, TransportError)
        assert client.told.count("reconnect_attempt") >= 2
        await proxy.accept()
        await client.next("connect")
        await client.told.next("reconnect")


# --- too much


@BOTH_WAYS
@run_async
async def test_a_server_that_sends_more_than_is_allowed(
    home: NodeHome, server: NodeServer, way: Way
) -> None:
    limits = ClientLimits(message_bytes=50_000)
    async with ours(server.url, limits=limits) as clients:
        client = await clients.connect(way=way)
        client.socket.emit("large", 60_000)
        reason, description = await client.next("disconnect")
        assert reason in ("transport error", "transport close", "parse error")
        assert description
        await client.next("connect")
        assert client.count("large") == 0
        client.socket.emit("large", 10_000)
        assert await client.next("large") == ["x" * 10_000, b"\x07" * 10_000]


@BOTH_WAYS
@run_async
async def test_packets_with_too_many_parts(home: NodeHome, server: NodeServer, way: Way) -> None:
    async with ours(server.url, limits=ClientLimits(attachments=2, containers=50)) as clients:
        client = await clients.connect(way=way)
        for values in ("[Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)]", "Array(60).fill([])"):
            await server.run(f"io.emit('parts', {values})")
            assert (await client.next("disconnect"))[0] == "parse error"
            await client.next("connect")
        assert client.count("parts") == 0
        await server.run("io.emit('parts', [Buffer.alloc(1), Buffer.alloc(1)])")
        assert await client.next("parts") == [[b"\x00", b"\x00"]]


@BOTH_WAYS
@run_async
async def test_a_network_that_is_slow_makes_who_awaits_wait(home: NodeHome, way: Way) -> None:
    options: dict[str, Any] = {**SERVER, "maxHttpBufferSize": 1e8}
    async with (
        NodeServer(home.program, **options) as server,
        FaultProxy(server.port) as proxy,
        ours(proxy.url, limits=ClientLimits(outgoing_bytes=8_000_000)) as clients,
    ):
        client = await clients.connect(way=way)
        proxy.stall(UP)
        # What systems and proxy take without being asked is more than this.
        block = b"x" * 1_000_000
        sent = client.socket.emit("echo", 0, block)
        count = 1
        while sent.taken:
            sent = client.socket.emit("echo", count, block)
            count += 1
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(_wait(sent))
        with pytest.raises(LimitExceeded):
            while True:
                client.socket.emit("echo", count, block)
                count += 1
        assert not waiting.done()
        proxy.resume(UP)
        await within(waiting)
        for number in range(count):
            assert await client.next("echo") == [number, block]


async def _wait(sent: Any) -> None:
    await sent
