"""Coming back after a lost connection, and giving up, against the official server.

What the official client's own tests `connection` say of it, wherever it has a meaning in Python.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tests.support.aio import run_async, within
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import nobody, ours

# The server never answers the request for a session, so that every attempt to connect is in vain.
STALLED: dict[str, Any] = {"query": {"stall": 1}, "timeout": 0.05}


@run_async
async def test_it_reconnects_by_itself(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.cut()
        assert (await client.next("disconnect"))[0] == "forced close"
        assert client.socket.active
        assert await client.told.next("reconnect") == [1]
        await client.next("connect")
        assert client.names() == ["connect", "disconnect", "connect"]
        assert client.told.names() == ["open", "close", "reconnect_attempt", "open", "reconnect"]


@run_async
async def test_it_reconnects_when_told_to(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        await client.next("disconnect")
        assert not client.socket.active
        client.socket.connect()
        await client.next("connect")
        assert client.told.count("reconnect_attempt") == 0


@run_async
async def test_it_reconnects_by_itself_after_it_was_told_to(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        await client.next("disconnect")
        client.socket.connect()
        await client.next("connect")
        client.cut()
        await client.told.next("reconnect")
        await client.next("connect")


@run_async
async def test_it_does_not_reconnect_once_the_server_has_sent_it_away(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"
        assert not client.socket.active
        await clients.some_time()
        assert client.told.count("reconnect_attempt") == 0


@pytest.mark.parametrize("crash", [False, True])
@run_async
async def test_a_server_that_is_started_again_is_found_again(home: NodeHome, crash: bool) -> None:
    async with NodeServer(home.program) as server, ours(server.url) as clients:
        client = await clients.connect()
        await server.stop(crash=crash)
        reason = (await client.next("disconnect"))[0]
        assert reason in (("transport close", "transport error") if crash else ("transport close",))
        await client.told.next("reconnect_error")
        client.socket.emit("hi")
        await server.start()
        await client.next("connect")
        await client.next("hi")


@run_async
async def test_after_giving_up_it_can_be_told_to_connect_again(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, **STALLED, reconnection_attempts=2) as clients:
        client = clients.start()
        await client.told.next("reconnect_failed")
        assert client.told.count("reconnect_attempt") == 2
        client.socket.connect()
        await client.told.next("reconnect_failed")
        assert client.told.count("reconnect_attempt") == 4


@run_async
async def test_it_gives_up_after_as_many_attempts_as_allowed_and_counts_them(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, **STALLED, reconnection_attempts=2) as clients:
        client = clients.start("/valid")
        await client.told.next("reconnect_failed")
        attempts = [args for name, args in client.told.log if name == "reconnect_attempt"]
        assert attempts == [[1], [2]]
        errors = [args[0] for name, args in client.told.log if name == "error"]
        assert [str(error) for error in errors] == ["timeout"] * 3
        assert client.count("connect_error") == 3
        assert client.told.count("reconnect") == 0


@run_async
async def test_nobody_at_the_address(home: NodeHome, server: NodeServer) -> None:
    async with ours(nobody(), reconnection_attempts=2) as clients:
        client = clients.start("/asd")
        await client.told.next("reconnect_failed")
        assert client.told.count("reconnect_attempt") == 2
        assert client.count("connect_error") == 3


@run_async
async def test_another_socket_does_not_disturb_the_attempts(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(nobody(), reconnection_attempts=2) as clients:
        client = clients.start("/one")
        await client.told.next("error")
        other = clients.start("/two", manager=client.manager)
        await client.told.next("reconnect_failed")
        assert client.told.count("reconnect_attempt") == 2
        assert other.count("connect_error") == 2


@run_async
async def test_no_attempt_with_reconnection_off(home: NodeHome, server: NodeServer) -> None:
    async with ours(nobody()) as clients:
        client = clients.start(reconnection=False)
        await client.told.next("error")
        await clients.some_time()
        assert client.told.names() == ["error"]


@run_async
async def test_no_attempt_after_a_connection_that_was_made(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect("/valid")
        await clients.some_time()
        assert client.told.names() == ["open"]


@run_async
async def test_reconnecting_can_be_stopped(home: NodeHome, server: NodeServer) -> None:
    async with ours(nobody()) as clients:
        client = clients.start()
        await client.told.next("reconnect_error")
        client.manager.reconnection = False
        count = client.told.count("reconnect_attempt")
        await clients.some_time()
        assert client.told.count("reconnect_attempt") == count


@pytest.mark.parametrize("moment", ["error", "reconnect_attempt"])
@run_async
async def test_who_disconnects_is_not_reconnected(
    home: NodeHome, server: NodeServer, moment: str
) -> None:
    async with ours(server.url, **STALLED) as clients:
        client = clients.start()
        await client.told.next(moment)
        client.socket.disconnect()
        count = client.told.count("reconnect_attempt")
        await clients.some_time()
        assert client.told.count("reconnect_attempt") == count
        assert not client.socket.active


@run_async
async def test_who_disconnects_and_connects_again_is_reconnected(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, **STALLED) as clients:
        client = clients.start()
        await client.told.next("reconnect_attempt")
        client.socket.disconnect()
        client.socket.connect()
        await client.told.next("reconnect_attempt")


@run_async
async def test_one_socket_stops_reconnecting_and_another_goes_on(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        one = await clients.connect()
        other = await clients.connect("/asd", manager=one.manager)
        one.manager.on("reconnect_attempt", lambda number: one.socket.disconnect())
        one.cut()
        await other.next("connect")
        assert await other.socket.emit_with_ack("echo", 1) == 1
        assert one.count("connect") == 1
        assert not one.socket.connected


PROGRAM = """
import asyncio, sys
import nuncio

async def main():
    tried = asyncio.Event()
    manager = nuncio.Manager(sys.argv[1], reconnection_delay=0.01)
    manager.on("reconnect_attempt", tried.set)
    manager.socket("/")
    await tried.wait()

asyncio.run(main())
"""


@run_async
async def test_a_client_that_reconnects_does_not_keep_a_program_alive(home: NodeHome) -> None:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-c", PROGRAM, nobody())
    process = await asyncio.create_subprocess_exec(*command, stderr=pipe)
    _, errors = await within(process.communicate())
    assert (process.returncode, errors) == (0, b"")
