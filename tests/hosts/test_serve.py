"""`io.listen` in the test's own loop; `test_running.py` has `io.run` in processes."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import pytest

from nuncio import OptionError, Server
from tests.support.aio import eventually, run_async, within
from tests.support.live import give_up
from tests.support.rawclient import (
    CLOSE,
    Closed,
    Connection,
    Peer,
    Polling,
    WebSocket,
    fetch,
    websocket_target,
)

OPEN = "/socket.io/?EIO=4&transport=polling"


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@run_async
async def test_listening_is_a_context() -> None:
    io = Server()
    async with await io.listen(0) as listening:
        assert (await fetch(listening.port, OPEN)).status == 200
        waiting = asyncio.ensure_future(listening.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        give_up(io.engine)
    await within(waiting)
    with pytest.raises(OSError):
        await fetch(listening.port, OPEN)


@run_async
async def test_a_host_name_and_an_ipv6_address() -> None:
    io = Server()
    async with await io.listen(0, host="localhost") as listening:
        assert (await fetch(listening.port, OPEN)).status == 200
        give_up(io.engine)
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    async with await io.listen(0, host="::1") as listening:
        reader, writer = await asyncio.open_connection("::1", listening.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await within(reader.read())).startswith(b"HTTP/1.1 404")
        writer.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ssl_keyfil": "x"}, r"run has no option 'ssl_keyfil'; did you mean 'ssl_keyfile'"),
        ({"loglevel": "info"}, "did you mean 'log_level'"),
        ({"workers": 4}, "'workers'"),
        ({"shutdown_timeout": "soon"}, "shutdown_timeout"),
        ({"port": True}, "port must be a whole number from 0 to 65535, not True"),
        ({"port": -1}, "port"),
        ({"app": "app:app"}, "app"),
    ],
)
@run_async
async def test_wrong_options_are_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises((OptionError, TypeError), match=text):
        await Server().listen(**{"port": 0, **options})


@run_async
async def test_an_application_that_cannot_start_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="application"):
        await Server().listen(0, app=app)


@run_async
async def test_a_peer_that_does_not_go_is_left_after_the_time_out() -> None:
    io = Server()
    listening = await io.listen(0, shutdown_timeout=1)
    async with await WebSocket.open(listening.port, websocket_target()) as silent:
        await silent.receive()
        # It gets its close frame, never answers and never hangs up.
        await within(listening.close(), 9)
        opcode, _ = await silent.receive_frame()
        assert opcode == CLOSE
    assert io.engine.clients_count == 0


@run_async
async def test_connections_without_a_request_do_not_hold_it_up() -> None:
    io = Server()
    listening = await io.listen(0, shutdown_timeout=300)
    async with await Connection.open(listening.port) as idle:
        await within(listening.close())
        assert await idle.rest() == b""


@run_async
async def test_what_was_emitted_before_the_end_arrives() -> None:
    io = Server()
    listening = await io.listen(0)
    async with await Peer.join(listening.port) as peer:
        await eventually(lambda: io.sockets.sockets)
        for number in range(500):
            io.emit("x", number, "y" * 1000)
        closing = asyncio.ensure_future(listening.close())
        for number in range(500):
            assert (await peer.receive()).startswith(f'42["x",{number},')
        await peer.socket.close()
        await within(closing)


@run_async
async def test_a_poll_after_the_end_began_brings_what_was_emitted_before() -> None:
    io = Server()
    reasons: list[str] = []
    io.on("disconnect", lambda socket, reason: reasons.append(reason))
    listening = await io.listen(0, shutdown_timeout=300)
    client = await Polling.open(listening.port)
    await client.post("40")
    await client.receive()
    io.emit("last")
    closing = asyncio.ensure_future(listening.close())
    await eventually(lambda: reasons == ["server shutting down"])
    # Each poll of this client is a connection of its own.
    assert await client.receive() == ['42["last"]']
    assert await client.receive() == ["6", "1"]
    await within(closing)
    assert io.engine.clients_count == 0


@pytest.mark.parametrize("way", ["server", "host"])
@run_async
async def test_a_reader_that_was_behind_gets_everything(way: str) -> None:
    io = Server()
    listening = await io.listen(0)
    async with await Peer.join(listening.port) as peer:
        count = await _fall_behind(io)
        closing = asyncio.ensure_future(io.close() if way == "server" else listening.close())
        await eventually(lambda: not io.sockets.sockets)
        for number in range(count):
            assert (await peer.receive()).startswith(f'42["x",{number},')
        with pytest.raises(Closed):
            await peer.receive()
        await peer.socket.close()
        await within(closing)


@pytest.mark.parametrize("way", ["server", "host"])
@run_async
async def test_a_reader_that_never_reads_is_cut_off_after_the_time_out(way: str) -> None:
    io = Server()
    listening = await io.listen(0, shutdown_timeout=1)
    async with await Peer.join(listening.port):
        await _fall_behind(io)
        await within(io.close(timeout=0.1) if way == "server" else listening.close())
        assert io.engine.clients_count == 0


async def _fall_behind(io: Server) -> int:
    """Emit more than the only client's side takes while it does not read."""
    await eventually(lambda: io.sockets.sockets)
    (session,) = io.engine.sessions.values()
    count = 0
    while session.buffered_bytes < 500_000:
        io.emit("x", count, "y" * 50_000)
        count += 1
        await asyncio.sleep(0)
    return count


@run_async
async def test_clients_of_nested_servers_are_told() -> None:
    one, two = Server(), Server(path="/two")
    reasons: list[str] = []
    for io in (one, two):
        io.on("disconnect", lambda socket, reason: reasons.append(reason))
    listening = await one.listen(0, app=one.asgi(two.asgi()))
    async with (
        await Peer.join(listening.port) as first,
        await Peer.join(listening.port, path="/two/") as second,
    ):
        waiting = await Polling.open(listening.port, path="/two/")
        poll = await waiting.begin_poll()
        session = two.engine.sessions[waiting.sid]
        await eventually(lambda: session.transport.writable)
        closing = asyncio.ensure_future(listening.close())
        for peer in (first, second):
            with pytest.raises(Closed):
                await peer.receive()
            await peer.socket.close()
        assert (await poll.response()).text == "1"
        await poll.close()
        await within(closing)
    assert reasons == ["server shutting down"] * 2
    assert one.engine.hosts == two.engine.hosts == []


@pytest.mark.parametrize("how", ["inner", "outer"])
@run_async
async def test_a_nested_server_ends_alone_and_the_one_that_listens_ends_all(how: str) -> None:
    outer, inner = Server(), Server(path="/inner")
    outer.on("ask", lambda: "here")
    listening = await outer.listen(0, app=outer.asgi(inner.asgi()))
    (host,) = outer.engine.hosts
    async with (
        await Peer.join(listening.port) as first,
        await Peer.join(listening.port, path="/inner/") as second,
    ):
        closing = asyncio.ensure_future(inner.close() if how == "inner" else outer.close())
        with pytest.raises(Closed):
            await second.receive()
        await second.socket.close()
        if how == "inner":
            await within(closing)
            assert not host.should_exit
            assert await first.ask("ask") == ["here"]
            assert (await fetch(listening.port, OPEN.replace("socket.io", "inner"))).status == 503
            closing = asyncio.ensure_future(listening.close())
        with pytest.raises(Closed):
            await first.receive()
        await first.socket.close()
        await within(closing)
    assert host.should_exit


@run_async
async def test_the_servers_own_application_serves_beside() -> None:
    io = Server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan here")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"own"})

    # Given as it is, or already behind the engine.
    for given in (app, io.asgi(app)):
        async with await io.listen(0, app=given) as listening:
            assert (await fetch(listening.port, "/")).text == "own"
            assert (await fetch(listening.port, OPEN)).text.startswith("0{")
            give_up(io.engine)


@run_async
async def test_signals_of_the_process_are_left_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with await Server().listen(0):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during == before
