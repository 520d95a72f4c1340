"""Events that are sent again until they are acknowledged, against the official server.

What the official client's own tests of this name say, and what a bad network adds.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import AckTimeout
from tests.support.aio import eventually, run_async, within
from tests.support.node import WEBSOCKET
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import ours


@run_async
async def test_events_stay_in_order_and_one_is_under_way_at_a_time(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start(retries=1, ack_timeout=20)
        answers: list[tuple[Any, ...]] = []
        for number in (1, 2, 3):
            client.socket.emit("echo", number, lambda *answer: answers.append(answer))
        await eventually(lambda: len(answers) == 3)
        assert answers == [(None, 1), (None, 2), (None, 3)]
        sent = [(await server.next("received"))[2] for _ in range(4)]
        assert sent == ["0", '20["echo",1]', '21["echo",2]', '22["echo",3]']
        # Each is sent when the one before it was answered; the server tells of the last one later.
        await eventually(lambda: "32[3]" in order(server))
        assert order(server)[-6:] == [
            *('20["echo",1]', "30[1]"),
            *('21["echo",2]', "31[2]"),
            *('22["echo",3]', "32[3]"),
        ]


def order(server: NodeServer) -> list[str]:
    """The messages in both directions, in order."""
    return [data for _, kind, data in both(server) if kind == "message"]


def both(server: NodeServer) -> list[list[Any]]:
    """The engine's packets in both directions, in order."""
    return [args for name, args in server.seen.log if name in ("received", "sent")]


@run_async
async def test_it_fails_once_it_was_sent_as_often_as_allowed(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(retries=3, ack_timeout=0.05)
        answers: list[tuple[Any, ...]] = []
        client.socket.emit("never", lambda *answer: answers.append(answer))
        asking = asyncio.ensure_future(client.socket.emit_with_ack("echo", "next", timeout=20))
        await eventually(lambda: answers)
        assert isinstance(answers[0][0], AckTimeout)
        # The next one has its turn.
        assert await within(asking) == "next"
        assert await server.messages() == [
            "0",
            *(f'2{id}["never"]' for id in range(4)),
            '24["echo","next"]',
        ]


@run_async
async def test_nothing_is_sent_without_a_connection(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url, auto_connect=False) as clients:
        # Time passes for those only that were sent; one of the tries is answered in time.
        client = clients.start(retries=1000, ack_timeout=0.05)
        answers: list[tuple[Any, ...]] = []
        client.socket.emit("echo", 1, lambda *answer: answers.append(answer))
        other = clients.start(ack_timeout=0.3)
        with pytest.raises(AckTimeout):
            await other.socket.emit_with_ack("echo")
        assert answers == []
        client.socket.connect()
        await eventually(lambda: answers)
        assert answers[0] == (None, 1)


@run_async
async def test_what_the_connect_handler_emits_is_sent_once(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = clients.start(retries=3)
        answers: list[tuple[Any, ...]] = []
        client.socket.on(
            "connect",
            lambda: client.socket.emit("echo", None, lambda *answer: answers.append(answer)),
        )
        await eventually(lambda: answers)
        assert answers == [(None, None)]
        assert await server.messages() == ["0", '20["echo",null]']


@run_async
async def test_who_awaits_is_given_the_answer_of_a_later_try(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(retries=2, ack_timeout=1)
        await server.run(
            "let tries = 0; io.sockets.sockets.forEach((socket) => socket.on('flaky', (ack) => {"
            " if (tries++ > 0) ack('at last') }))"
        )
        assert await client.socket.emit_with_ack("flaky") == "at last"


@run_async
async def test_it_is_sent_again_after_a_disconnection(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(retries=2, ack_timeout=60)
        answers: list[tuple[Any, ...]] = []
        client.socket.emit("never", lambda *answer: answers.append(answer))
        await server.next_event("never")
        client.cut()
        await client.told.next("reconnect")
        await server.next_event("never")
        client.cut()
        await client.told.next("reconnect")
        await server.next_event("never")
        client.cut()
        await eventually(lambda: answers)
        assert len(await server.reports("event")) == 3


@run_async
async def test_volatile_events_do_not_queue(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        # Not while it moves from one transport to another, when volatile events cannot leave.
        client = await clients.connect(way=WEBSOCKET, retries=2, ack_timeout=1)
        client.socket.emit("never")
        await server.next_event("never")
        client.socket.volatile.emit("echo", "past it")
        assert await client.next("echo") == ["past it"]
        # Closing it would wait for the acknowledgement.
        client.socket.disconnect()
