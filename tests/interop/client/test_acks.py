"""Acknowledgements that are late, or lost with the connection, against the official server.

What the official client's own tests `socket` say of them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import AckTimeout, Disconnected
from tests.support.aio import block, eventually, run_async, within
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours

# --- time-outs


@run_async
async def test_a_time_out_before_the_connection_takes_the_event_back(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        client = clients.start()
        with pytest.raises(AckTimeout):
            await client.socket.timeout(0.05).emit_with_ack("echo", "too late")
        client.socket.connect()
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert [args for _, _, _, args in await server.reports("event")] == [[1]]


@run_async
async def test_a_time_out_when_there_is_no_answer(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        socket = (await clients.connect()).socket
        with pytest.raises(AckTimeout):
            await socket.timeout(0.05).emit_with_ack("unknown")
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("never", timeout=0.05)
        answers: list[tuple[Any, ...]] = []
        socket.timeout(0.05).emit("unknown", lambda *answer: answers.append(answer))
        await eventually(lambda: answers)
        assert isinstance(answers[0][0], AckTimeout)


@run_async
async def test_an_answer_that_is_late_is_nobodys(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        answers: list[tuple[Any, ...]] = []
        client.socket.timeout(0.05).emit("late", 200, "late", lambda *got: answers.append(got))
        await eventually(lambda: answers)
        # The answer to this one is behind the late one.
        assert await client.socket.emit_with_ack("late", 300, "later") == "later"
        assert len(answers) == 1 and isinstance(answers[0][0], AckTimeout)


@run_async
async def test_an_answer_in_time(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        socket = (await clients.connect()).socket
        assert await socket.timeout(20).emit_with_ack("echo", 42) == 42
        answers: list[tuple[Any, ...]] = []
        socket.timeout(20).emit("echo", 43, lambda *answer: answers.append(answer))
        await eventually(lambda: answers)
        assert answers == [(None, 43)]


@run_async
async def test_a_time_out_for_all(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        socket = (await clients.connect(ack_timeout=0.05)).socket
        answers: list[tuple[Any, ...]] = []
        socket.emit("unknown", lambda *answer: answers.append(answer))
        await eventually(lambda: answers)
        assert isinstance(answers[0][0], AckTimeout)
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("unknown")
        # One emit's own is stronger.
        assert await socket.emit_with_ack("late", 100, "answer", timeout=20) == "answer"


# --- acknowledgements that a disconnection takes away


@run_async
async def test_a_callback_without_time_out_is_not_called_upon_disconnection(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        answers: list[Any] = []
        client.socket.emit("never", answers.append)
        client.socket.disconnect()
        await client.next("disconnect")
        client.socket.connect()
        await client.next("connect")
        assert await client.socket.emit_with_ack("echo", 1) == 1
        assert answers == []


@pytest.mark.parametrize("options", [{"ack_timeout": 60.0}, {}])
@run_async
async def test_a_callback_with_time_out_is_told_of_the_disconnection(
    home: NodeHome, server: NodeServer, options: dict[str, Any]
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(**options)
        sender = client.socket if options else client.socket.timeout(60)
        answers: list[tuple[Any, ...]] = []
        sender.emit("never", lambda *answer: answers.append(answer))
        client.socket.disconnect()
        await eventually(lambda: answers)
        assert [type(error) for (error,) in answers] == [Disconnected]


@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize("how", ["here", "there", "connection"])
@run_async
async def test_who_awaits_an_answer_is_told_of_the_disconnection(
    home: NodeHome, server: NodeServer, timeout: float | None, how: str
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        asking = asyncio.ensure_future(client.socket.emit_with_ack("never", timeout=timeout))
        await server.next_event("never")
        if how == "here":
            client.socket.disconnect()
        elif how == "there":
            await server.disconnect()
        else:
            client.cut()
        with pytest.raises(Disconnected):
            await within(asking)


@run_async
async def test_an_acknowledgement_of_what_was_not_sent_yet_is_kept(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.disconnect()
        asking = asyncio.ensure_future(client.socket.emit_with_ack("echo", "a"))
        await client.next("disconnect")
        assert not asking.done()
        client.socket.connect()
        assert await within(asking) == "a"


@run_async
async def test_what_is_emitted_on_a_connection_that_is_over_waits_for_the_next(
    home: NodeHome,
) -> None:
    async with (
        NodeServer(home.program, pingInterval=300, pingTimeout=300) as server,
        ours(server.url) as clients,
    ):
        client = await clients.connect()
        # For longer than the heartbeat allows, as on a laptop that has slept; then the application
        # is the first to run.
        block(1.0)
        asking = asyncio.ensure_future(client.socket.emit_with_ack("echo", "123"))
        await client.told.next("reconnect")
        assert await within(asking) == "123"
        assert (await client.next("disconnect"))[0] == "ping timeout"
        assert [args for _, _, _, args in await server.reports("event")] == [["123"]]
