from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import nuncio
from nuncio import Limits, OptionError, Server, Socket
from nuncio.cluster.memory import MemoryAdapter
from nuncio.engine.refusal import ConnectionFailure
from tests.support.aio import eventually, run_async, within
from tests.support.live import give_up
from tests.support.memory import Client, Refused
from tests.support.rawclient import Closed, Peer, Polling, WebSocket, fetch, websocket_target

# Options.


def test_options_have_the_official_names_and_defaults() -> None:
    io = Server()
    assert io.engine.path == "/socket.io"
    assert io.options.connect_timeout == 45.0
    assert io.options.concurrency == 64
    assert io.engine.options.ping_interval == 25.0
    assert io.engine.options.ping_timeout == 20.0
    assert io.engine.options.upgrade_timeout == 10.0
    assert io.engine.options.max_http_buffer_size == 1_000_000
    assert list(io.engine.options.transports) == ["polling", "websocket"]
    assert io.limits == Limits()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("ping_intervall", "ping_interval"),
        ("pingInterval", "ping_interval"),
        ("conect_timeout", "connect_timeout"),
        ("cors_origins", "cors"),
        ("max_buffer_size", "max_http_buffer_size"),
        ("transport", "transports"),
        ("concurency", "concurrency"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_name(wrong: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"Server has no option '{wrong}'; did you mean '{near}'"):
        Server(**{wrong: 1})


def test_an_unknown_option_unlike_any_other_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^Server has no option 'xyzzy'$"):
        Server(xyzzy=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", "45"),
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("ping_interval", -1),
        ("path", "no-slash"),
        ("transports", []),
        ("transports", ["carrier pigeon"]),
        ("transports", "websocket"),
        ("allow_request", True),
        ("allow_eio3", 1),
        ("limits", {"rooms": 1}),
        ("max_http_buffer_size", 0.5),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_options_name(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}"):
        Server(**{name: value})


def test_options_are_given_by_name() -> None:
    with pytest.raises((OptionError, TypeError)):
        Server(3000)


def test_limits_are_whole_and_positive() -> None:
    with pytest.raises(OptionError, match=r"Limits\(rooms=…\) must be a whole number above 0"):
        Limits(rooms=0)
    with pytest.raises(OptionError, match="attachment_seconds"):
        Limits(attachment_seconds=-1)


# Namespaces.


def test_of_gives_the_same_namespace_for_the_same_name() -> None:
    io = Server()
    assert io.of("/admin") is io.of("admin") is io.of("/admin")
    assert io.of("/admin").name == "/admin"
    assert io.of("/") is io.of("") is io.sockets
    assert io.of("/admin") is not io.of("/admin/")


@pytest.mark.parametrize("name", [None, 5, "/a,b", b"/admin"])
def test_of_takes_a_name(name: Any) -> None:
    with pytest.raises(OptionError, match=r"^name: "):
        Server().of(name)


def test_new_namespace_is_told_for_every_namespace_but_the_first() -> None:
    io = Server()
    calls: list[str] = []
    io.on("new_namespace", lambda nsp: calls.append(nsp.name))
    io.of("/")
    io.of("/a")
    io.of("a")
    io.of("/b")
    assert calls == ["/a", "/b"]


@run_async
async def test_the_server_itself_stands_for_the_default_namespace() -> None:
    io = Server()
    calls: list[str] = []

    @io.event
    def x(socket: Socket) -> None:
        calls.append("x")

    @io.use
    def middleware(socket: Socket) -> None:
        calls.append("middleware")

    client = Client.join(io)
    client.emit("x")
    assert calls == ["middleware", "x"]
    assert io.sockets.listeners("x") == io.listeners("x") == [x]
    io.off("x", x)
    assert io.listeners("x") == []
    io.once("x", x)
    client.emit("x")
    client.emit("x")
    assert calls == ["middleware", "x", "x"]


# Life.


@run_async
async def test_listen_takes_any_free_port_and_closes() -> None:
    io = Server()
    listening = await io.listen(0)
    assert listening.port > 0
    assert listening.host == "127.0.0.1"
    io.on("echo", lambda socket, value: value)
    async with await Peer.join(listening.port) as peer:
        assert await peer.ask("echo", 5) == [5]
    await listening.close()
    await listening.close()
    with pytest.raises(OSError):
        await fetch(listening.port, "/socket.io/?EIO=4&transport=polling")


@run_async
async def test_close_ends_everything_in_order() -> None:
    io = Server()
    calls: list[Any] = []
    io.on("disconnecting", lambda socket, reason: calls.append(("disconnecting", socket.rooms)))
    io.on("disconnect", lambda socket, reason: calls.append(("disconnect", reason)))
    listening = await io.listen(0)
    peer = await Peer.join(listening.port)
    polling = await Polling.open(listening.port)
    await polling.post("40")
    assert len(await polling.receive()) == 1
    waiting = await polling.begin_poll()
    await eventually(lambda: io.engine.sessions[polling.sid].transport.writable)
    io.emit("last")
    closing = asyncio.ensure_future(io.close())
    # What was on its way arrives; there is no DISCONNECT packet, so that clients reconnect.
    assert await peer.receive() == '42["last"]'
    with pytest.raises(Closed):
        await peer.receive()
    assert (await waiting.response()).text.startswith('42["last"]')
    await waiting.close()
    await peer.socket.connection.close()
    await within(closing)
    assert [name for name, _ in calls] == ["disconnecting", "disconnect"] * 2
    assert all(len(rooms) == 1 for name, rooms in calls if name == "disconnecting")
    assert [reason for name, reason in calls if name == "disconnect"] == [
        nuncio.DisconnectReason.SERVER_SHUTTING_DOWN
    ] * 2
    assert io.engine.clients_count == 0
    with pytest.raises(OSError):
        await fetch(listening.port, "/socket.io/?EIO=4&transport=polling")


@run_async
async def test_close_may_be_called_again_and_before_anything_began() -> None:
    io = Server()
    await io.close()
    calls: list[str] = []
    io.on("disconnect", lambda socket, reason: calls.append(reason))
    await io.listen(0)
    Client.join(io)
    await asyncio.gather(io.close(), io.close())
    await io.close()
    assert calls == ["server shutting down"]


@run_async
async def test_close_waits_for_handlers_that_are_running() -> None:
    io = Server()
    calls: list[str] = []

    @io.on("disconnect")
    async def disconnect(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        calls.append("disconnect ended")

    @io.event
    async def work(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        calls.append("work ended")

    @io.event
    async def forever(socket: Socket) -> None:
        await asyncio.get_running_loop().create_future()

    client = Client.join(io)
    client.emit("work")
    client.emit("forever")
    await within(io.close(timeout=1))
    assert sorted(calls) == ["disconnect ended", "work ended"]
    assert not io.running


@run_async
async def test_close_waits_for_every_adapter_even_if_one_fails() -> None:
    closed: list[str] = []

    class Leaving(MemoryAdapter):
        async def close(self) -> None:
            await asyncio.sleep(0)
            if self.nsp.name == "/":
                raise ConnectionError("the bus is down")
            closed.append(self.nsp.name)

    io = Server(adapter=Leaving)
    io.of("/admin")
    errors: list[str] = []
    io.on_error(lambda error: errors.append(str(error)))
    listening = await io.listen(0)
    await io.close()
    assert closed == ["/admin"]
    assert errors == ["the bus is down"]
    with pytest.raises(OSError):
        await fetch(listening.port, "/socket.io/?EIO=4&transport=polling")


@run_async
async def test_close_may_be_called_by_a_handler() -> None:
    io = Server()
    listening = await io.listen(0)

    @io.event
    async def stop(socket: Socket) -> None:
        await io.close()

    async with await Peer.join(listening.port) as peer:
        await peer.socket.send('42["stop"]')
        assert await peer.socket.closed()
    await within(listening.wait())


@run_async
async def test_nobody_gets_in_while_the_last_handlers_end() -> None:
    io = Server()
    gate = asyncio.Event()

    @io.on("disconnect")
    async def disconnect(socket: Socket) -> None:
        await gate.wait()

    async with await io.listen(0) as listening:
        client = Client.join(io)
        closing = asyncio.ensure_future(io.close())
        await eventually(lambda: client.wire.ended)
        with pytest.raises(Refused):
            Client(io)
        try:
            response = await fetch(listening.port, "/socket.io/?EIO=4&transport=polling")
        except OSError:
            pass
        else:
            assert response.status == 503
        gate.set()
        await within(closing)
    assert io.engine.clients_count == 0


@run_async
async def test_a_server_that_was_closed_can_listen_again() -> None:
    io = Server()
    io.on("echo", lambda socket, value: value)
    for value in range(2):
        listening = await io.listen(0)
        async with await Peer.join(listening.port) as peer:
            assert await peer.ask("echo", value) == [value]
        await io.close()


def test_a_server_may_live_in_one_loop_after_another() -> None:
    io = Server()
    io.on("echo", lambda socket, value: value)

    @run_async
    async def once() -> None:
        async with await io.listen(0) as listening, await Peer.join(listening.port) as peer:
            assert await peer.ask("echo", 1) == [1]

    once()
    once()


@run_async
async def test_several_servers_share_a_process() -> None:
    one, other = Server(), Server(path="/other")
    one.on("who", lambda: "one")
    other.on("who", lambda: "other")
    async with await one.listen(0, app=other.asgi()) as listening:
        async with await Peer.join(listening.port) as peer:
            assert await peer.ask("who") == ["one"]
        async with await Peer.join(listening.port, path="/other/") as peer:
            assert await peer.ask("who") == ["other"]


@run_async
async def test_a_server_may_listen_twice() -> None:
    io = Server()
    io.on("echo", lambda socket, value: value)
    first, second = await io.listen(0), await io.listen(0)
    assert first.port != second.port
    for listening in (first, second):
        async with await Peer.join(listening.port) as peer:
            assert await peer.ask("echo", 1) == [1]
    await io.close()
    await within(first.wait())
    await within(second.wait())


# Limits and memory.


@run_async
async def test_handshakes_that_wait_are_limited() -> None:
    io = Server(limits=Limits(handshakes=1))
    failures: list[ConnectionFailure] = []
    io.engine.on("connection_error", failures.append)
    async with await io.listen(0) as listening:
        async with await WebSocket.open(listening.port, websocket_target()) as socket:
            await socket.receive()
            response = await fetch(listening.port, "/socket.io/?EIO=4&transport=polling")
            assert response.status == 503
            assert response.header("retry-after") == "5"
        await eventually(lambda: io.handshakes == 0)
        await Polling.open(listening.port)
        give_up(io.engine)


@run_async
async def test_nothing_is_left_of_a_client_that_has_gone() -> None:
    io = Server()
    found: list[weakref.ref[Any]] = []

    class Held:
        """What the application put beside a client."""

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        held = Held()
        found.append(weakref.ref(held))
        socket.data = held
        socket.join("room")
        socket.on("x", lambda: socket.id)
        socket.on_any(lambda *_: held)
        socket.use(lambda *_: None)
        socket.on("disconnect", lambda: held)

    def visit() -> None:
        client = Client.join(io)
        client.emit("x", id=1)
        client.socket.emit("q", lambda: None)
        client.socket.timeout(60).emit("q", lambda error: None)
        client.lose()

    for _ in range(3):
        visit()
    await io.settle(30)
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in found] == [None] * 3
    assert io.sockets.sockets == {}
    assert io.sockets.adapter.rooms == {}
    assert io.engine.sessions == {}
    assert io.handshakes == 0
    assert not io.running


@run_async
async def test_a_server_shows_itself_without_secrets() -> None:
    io = Server()
    client = Client.join(io)
    assert repr(io) == "<nuncio.Server with 1 clients>"
    assert client.session_id not in repr(client.socket.conn)


@run_async
async def test_the_engine_tells_of_connections() -> None:
    io = Server()
    sessions: list[Any] = []
    io.engine.on("connection", sessions.append)
    client = Client.join(io)
    assert sessions == [client.socket.conn]
    assert io.engine.clients_count == 1
