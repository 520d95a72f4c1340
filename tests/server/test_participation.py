"""Adapters begin before the first client of their namespace, and are closed once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import Namespace, Server
from nuncio.cluster import LocalBus
from nuncio.cluster.local import LocalAdapter
from nuncio.cluster.memory import MemoryAdapter
from tests.support.aio import eventually, run_async, within
from tests.support.live import HOSTS, listening
from tests.support.memory import Client
from tests.support.rawclient import Peer


class Slow:
    """Makes adapters whose `init` ends when a test says so.

    Attributes:
        calls: what the server called, `init /chat` and so on.
        gate: `init` waits for it.
        failing: names of the namespaces whose `init` fails.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.failing: set[str] = set()

    def __call__(self, nsp: Any) -> MemoryAdapter:
        """The adapter of a namespace."""
        return SlowAdapter(nsp, self)


class SlowAdapter(MemoryAdapter):
    """One of those."""

    def __init__(self, nsp: Any, slow: Slow) -> None:
        super().__init__(nsp)
        self._slow = slow

    async def init(self) -> None:
        self._slow.calls.append(f"init {self.nsp.name}")
        await self._slow.gate.wait()
        if self.nsp.name in self._slow.failing:
            raise ConnectionError(f"no bus for {self.nsp.name}")

    async def close(self) -> None:
        self._slow.calls.append(f"close {self.nsp.name}")


@asynccontextmanager
async def started(io: Server, slow: Slow) -> AsyncIterator[None]:
    """A server that has started; afterwards `init` waits again."""
    slow.gate.set()
    await io.engine.start()
    slow.gate.clear()
    slow.calls.clear()
    yield
    await io.close()


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_a_server_that_starts_waits_for_its_namespaces(host: str) -> None:
    slow = Slow()
    io = Server(adapter=slow)
    io.of("/chat")
    serving = listening(io, host)
    starting = asyncio.ensure_future(serving.__aenter__())
    # All at the same time, the default namespace among them.
    await eventually(lambda: len(slow.calls) == 2)
    assert sorted(slow.calls) == ["init /", "init /chat"]
    assert not starting.done()
    slow.gate.set()
    async with await Peer.join(await within(starting)):
        assert len(io.sockets.sockets) == 1
    slow.calls.clear()
    await serving.__aexit__(None, None, None)
    assert sorted(slow.calls) == ["close /", "close /chat"]


@pytest.mark.parametrize("beside", [False, True])
@run_async
async def test_an_init_that_fails_keeps_the_server_from_starting(beside: bool) -> None:
    slow = Slow()
    slow.gate.set()
    slow.failing.add("/chat")
    io = Server(adapter=slow)
    io.of("/chat")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if beside:
            await receive()
            await send({"type": "lifespan.startup.complete"})

    with pytest.raises(ConnectionError, match="no bus for /chat") as caught:
        await io.listen(0, app=app)
    assert caught.value.__notes__ == ["The adapter of the namespace /chat could not begin."]
    assert sorted(slow.calls) == ["close /", "close /chat", "init /", "init /chat"]
    await io.close()
    assert len(slow.calls) == 4
    # Once the bus is there, it can start.
    slow.failing.clear()
    async with await io.listen(0) as serving, await Peer.join(serving.port):
        assert slow.calls.count("init /chat") == 2
    assert slow.calls.count("close /chat") == 2


@run_async
async def test_the_clients_of_a_later_namespace_wait_for_it() -> None:
    slow = Slow()
    io = Server(adapter=slow)
    async with started(io, slow):
        io.of("/chat")
        # Without a client, too: this server has its part in the namespace.
        await eventually(lambda: slow.calls == ["init /chat"])
        one, two, gone = Client(io), Client(io), Client(io)
        for client in (one, two, gone):
            client.send("0/chat,")
        gone.lose()
        await asyncio.sleep(0)
        assert one.received == two.received == []
        slow.gate.set()
        await eventually(lambda: one.received and two.received)
        assert len(io.of("/chat").sockets) == 2
        # Then nobody waits any longer.
        Client.join(io, "/chat")
        assert slow.calls == ["init /chat"]


@run_async
async def test_a_dynamic_namespace_begins_with_its_first_client() -> None:
    slow = Slow()
    io = Server(adapter=slow, cleanup_empty_child_namespaces=True)
    io.of(re.compile("^/room-"))
    async with started(io, slow):
        client = Client(io)
        client.send("0/room-1,")
        await eventually(lambda: slow.calls == ["init /room-1"])
        assert client.received == []
        slow.gate.set()
        await eventually(lambda: client.received)
        client.send("1/room-1,")
        await eventually(lambda: slow.calls == ["init /room-1", "close /room-1"])
        assert io.find_namespace("/room-1") is None


@run_async
async def test_a_later_init_that_fails_refuses_who_waits() -> None:
    slow = Slow()
    io = Server(adapter=slow)
    errors: list[str] = []
    io.on_error(lambda error: errors.append(str(error)))
    async with started(io, slow):
        slow.failing.add("/chat")
        io.of("/chat")
        one, two = Client(io), Client(io)
        for client in (one, two):
            client.send("0/chat,")
        slow.gate.set()
        await eventually(lambda: one.received and two.received)
        assert one.take() == two.take() == ['4/chat,{"message":"internal error"}']
        assert errors == ["no bus for /chat"]
        assert slow.calls == ["init /chat", "close /chat"]
        # Clients cannot have it tried as often as they like.
        one.send("0/chat,")
        await eventually(lambda: one.take() == ['4/chat,{"message":"internal error"}'])
        assert len(slow.calls) == 2
        io.of("/chat").participation._retry_at = 0.0
        slow.failing.clear()
        two.send("0/chat,")
        await eventually(lambda: two.received)
        assert '"sid"' in str(two.take())
        assert slow.calls[2:] == ["init /chat"]


@run_async
async def test_an_init_that_has_not_ended_is_given_up_at_the_end() -> None:
    slow = Slow()
    io = Server(adapter=slow)
    async with started(io, slow):
        io.of("/chat")
        client = Client(io)
        client.send("0/chat,")
        await eventually(lambda: slow.calls == ["init /chat"])
        await within(io.close(), 5)
        assert sorted(slow.calls) == ["close /", "close /chat", "init /chat"]
        await io.close()
        # What comes after the end waits for another start.
        io.of("/more")
        await asyncio.sleep(0)
        assert len(slow.calls) == 3


@run_async
async def test_a_start_that_is_given_up_closes_what_it_began() -> None:
    slow = Slow()
    io = Server(adapter=slow)
    starting = asyncio.ensure_future(io.listen(0))
    await eventually(lambda: slow.calls)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(starting)
    assert slow.calls == ["init /", "close /"]
    # Another one is ended by `close`.
    starting = asyncio.ensure_future(io.listen(0))
    await eventually(lambda: len(slow.calls) == 3)
    await io.close()
    with pytest.raises(RuntimeError, match="closed before it had started"):
        await within(starting)
    assert slow.calls[2:] == ["init /", "close /"]


@run_async
async def test_an_adapter_that_does_not_close_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(MemoryAdapter):
        async def close(self) -> None:
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("nuncio.server.participation.LEAVE_SECONDS", 0.05)
    io = Server(adapter=Stuck)
    await io.engine.start()
    await within(io.close(0.1), 5)
    assert "the adapter of / did not close in time" in caplog.text


@run_async
async def test_without_a_start_the_first_connection_is_one() -> None:
    # An application that is mounted below another one is not told that the server starts.
    slow = Slow()
    io = Server(adapter=slow)
    io.of("/chat")
    client = Client(io)
    client.send("0")
    await eventually(lambda: sorted(slow.calls) == ["init /", "init /chat"])
    assert client.received == []
    slow.gate.set()
    await eventually(lambda: client.received)
    await io.close()
    assert sorted(slow.calls[2:]) == ["close /", "close /chat"]


@run_async
async def test_adapters_without_an_init_make_nobody_wait() -> None:
    for adapter in (None, MemoryAdapter):
        io = Server(adapter=adapter)
        assert io.of("/chat").takes_part
        tasks = asyncio.all_tasks()
        Client.join(io, "/chat")
        assert asyncio.all_tasks() == tasks


# In a cluster.


async def count(io: Server, nsp: str = "/") -> int:
    """How many servers take part, as one of them sees it."""
    return await io.of(nsp).adapter.server_count()


@run_async
async def test_a_server_takes_part_from_its_start_to_its_end() -> None:
    bus = LocalBus()
    one, two = Server(adapter=bus), Server(adapter=bus)
    async with await one.listen(0):
        assert await count(one) == 1
        for _ in range(2):
            # Nobody has registered anything with it, and it may start again.
            async with await two.listen(0) as serving, await Peer.join(serving.port):
                assert await count(one) == 2
                assert [socket.id for socket in await one.fetch_sockets()] == list(
                    two.sockets.sockets
                )
            assert await count(one) == 1


class LateAdapter(LocalAdapter):
    """Is on the bus only when the test lets it be."""

    gate: asyncio.Event

    async def init(self) -> None:
        if self.nsp.name != "/":
            await self.gate.wait()
        await super().init()


@run_async
async def test_a_namespace_in_a_cluster_is_of_use_when_its_first_client_is_there() -> None:
    bus = LocalBus()
    LateAdapter.gate = asyncio.Event()
    one = Server(adapter=bus)
    two = Server(adapter=lambda nsp: LateAdapter(nsp, bus))
    one.of("/chat")
    for io in (one, two):
        await io.engine.start()
    two.of("/chat")
    client = Client(two)
    client.send("0/chat,")
    await asyncio.sleep(0)
    assert client.received == [] and await count(one, "/chat") == 1
    LateAdapter.gate.set()
    await eventually(lambda: client.received)
    client.take()
    # What the other server sends from now on cannot be missed.
    one.of("/chat").emit("e")
    await eventually(lambda: client.take() == ['2/chat,["e"]'])
    assert await count(one, "/chat") == 2
    await two.close()
    assert await count(one, "/chat") == 1
    await one.close()


# The default namespace.


class Main(Namespace):
    """A class for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[str] = []

    def on_connection(self, socket: Any) -> None:
        self.heard.append("connection")
        socket.nsp.on("disconnect", lambda socket, reason: self.heard.append(reason))

    def on_new_namespace(self, nsp: Namespace) -> None:
        self.heard.append(nsp.name)


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_a_class_for_the_default_namespace_is_registered_before_the_start(host: str) -> None:
    bus = LocalBus()
    other = Server(adapter=bus)
    await other.engine.start()
    io = Server(adapter=bus)
    main = io.register(Main("/"))
    async with listening(io, host) as port:
        assert io.sockets is main
        assert await count(other) == 2
        io.of("/chat")
        async with await Peer.join(port):
            pass
        await eventually(lambda: len(main.heard) == 3)
        assert main.heard == ["/chat", "connection", "transport close"]
    await other.close()


@pytest.mark.parametrize("host", HOSTS)
@run_async
async def test_without_one_the_default_namespace_is_there_from_the_start(host: str) -> None:
    bus = LocalBus()
    other = Server(adapter=bus)
    await other.engine.start()
    io = Server(adapter=bus)
    async with listening(io, host):
        assert await count(other) == 2
        assert io.stats()["namespaces"] == 1
        with pytest.raises(ValueError, match="the namespace / is there already"):
            io.register(Main("/"))
    assert await count(other) == 1
    await other.close()


@run_async
async def test_an_application_beside_may_register_while_it_starts() -> None:
    io = Server(adapter=LocalBus())
    main = Main("/")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        io.register(main)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    async with await io.listen(0, app=app) as serving, await Peer.join(serving.port):
        assert io.sockets is main and main.heard == ["connection"]
        assert await count(io) == 1
