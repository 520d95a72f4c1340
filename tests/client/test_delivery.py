"""The client's part of what a Nuncio server promises: recovery, and delivery at least once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nuncio
from nuncio import ClientSocket, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.faults import DOWN, UP, FaultProxy
from tests.support.live import listening

RECOVERS: dict[str, Any] = {"connection_state_recovery": True}
PROMISES: dict[str, Any] = {**RECOVERS, "delivery": "at-least-once"}

TRANSPORTS = [["websocket"], ["polling"]]


class Scene:
    """A server, a network that goes wrong on command, and a client.

    Attributes:
        sockets: the server's, in the order in which they were let in.
        undelivered: what the server says was not delivered.
    """

    def __init__(self, io: Server, proxy: FaultProxy) -> None:
        self.io = io
        self.proxy = proxy
        self.sockets: list[Socket] = []
        self.undelivered: list[nuncio.Undelivered] = []
        io.on("connection", lambda socket: self.sockets.append(socket))
        io.on("undelivered", lambda report: self.undelivered.append(report))

    async def client(self, **options: Any) -> ClientSocket:
        """A connected client."""
        given = {"reconnection_delay": 0.01, "randomization_factor": 0.0, **options}
        return await within(nuncio.connect(self.proxy.url, force_new=True, **given))

    def waiting(self) -> int:
        """How many promised events the server has no acknowledgement for."""
        return sum(len(socket._outbox or ()) for socket in self.sockets[-1:])


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    io = Server(ping_interval=0.3, ping_timeout=0.6, **options)
    async with listening(io) as port, FaultProxy(port) as proxy:
        yield Scene(io, proxy)


# Recovery.


@pytest.mark.parametrize("transports", TRANSPORTS)
@run_async
async def test_what_was_missed_comes_before_connect_and_only_once(transports: list[str]) -> None:
    async with scene(**RECOVERS) as there:
        socket = await there.client(transports=transports)
        trace: list[Any] = []
        socket.on("n", lambda value, offset: trace.append(value))
        socket.on("connect", lambda: trace.append(socket.recovered))
        sid = socket.id
        there.io.emit("n", 0)
        await eventually(lambda: trace == [0])
        await there.proxy.refuse()
        there.proxy.cut()
        await eventually(lambda: not socket.connected)
        await eventually(lambda: not there.io.sockets.sockets)
        for value in (1, 2, 3):
            there.io.emit("n", value)
        await there.proxy.accept()
        await eventually(lambda: len(trace) == 5)
        assert trace == [0, 1, 2, 3, True]
        assert socket.id == sid
        await within(socket.close())


@pytest.mark.parametrize("delivery", [None, "at-least-once"])
@run_async
async def test_ids_are_no_arguments_that_the_server_left_out(delivery: str | None) -> None:
    async with scene(**PROMISES) as there:
        options = {} if delivery is None else {"delivery": delivery}
        socket = await there.client(transports=["websocket"], **options)
        seen: list[Any] = []
        socket.on("n", lambda value, extra=None: seen.append((value, extra)))
        there.io.emit("n", 1)
        there.io.emit("n", 2, "said")
        there.io.volatile.emit("n", 3, "said")
        await eventually(lambda: len(seen) == 3)
        assert seen == [(1, None), (2, "said"), (3, "said")]
        await within(socket.close())


# Delivery at least once.


@pytest.mark.parametrize("transports", TRANSPORTS)
@run_async
async def test_promised_events_come_once_in_order_and_without_ids(transports: list[str]) -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=transports, delivery="at-least-once")
        seen: list[Any] = []
        socket.on("n", lambda *args: seen.append(args))
        for value in range(50):
            there.io.emit("n", value, {"more": [value]})
        await eventually(lambda: len(seen) == 50)
        assert seen == [(value, {"more": [value]}) for value in range(50)]
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []


@run_async
async def test_a_link_that_breaks_before_the_acknowledgement_repeats_nothing() -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=["websocket"], delivery="at-least-once")
        seen: list[Any] = []
        socket.on("n", lambda value: seen.append(value))
        there.proxy.stall(UP)
        for value in range(5):
            there.io.emit("n", value)
        await eventually(lambda: len(seen) == 5)
        assert there.waiting() == 5
        there.proxy.cut(rst=True)
        there.proxy.resume(UP)
        await eventually(lambda: socket.connected and socket.recovered)
        there.io.emit("n", 5)
        await eventually(lambda: len(seen) == 6)
        assert seen == [0, 1, 2, 3, 4, 5]
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []


@run_async
async def test_a_link_that_breaks_before_the_event_loses_nothing() -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=["websocket"], delivery="at-least-once")
        seen: list[Any] = []
        socket.on("n", lambda value: seen.append(value))
        there.proxy.stall(DOWN)
        for value in range(5):
            there.io.emit("n", value)
        there.proxy.cut(rst=True)
        there.proxy.resume(DOWN)
        await eventually(lambda: len(seen) == 5)
        assert seen == [0, 1, 2, 3, 4]
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []


@run_async
async def test_the_acknowledgement_waits_for_the_handler() -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=["websocket"], delivery="at-least-once")
        gate = asyncio.Event()
        begun: list[int] = []

        @socket.on("n")
        async def handle(value: int) -> None:
            begun.append(value)
            await gate.wait()

        there.io.emit("n", 0)
        await eventually(lambda: begun == [0])
        assert there.waiting() == 1
        # A link that breaks meanwhile does not make it run again.
        there.proxy.cut()
        await eventually(lambda: socket.connected and len(there.sockets) == 2)
        gate.set()
        there.io.emit("n", 1)
        await eventually(lambda: begun == [0, 1])
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []


@run_async
async def test_events_without_handlers_and_handlers_that_fail_are_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(delivery="at-least-once")

        @socket.on("fails")
        def fails() -> None:
            raise ValueError("mine")

        there.io.emit("nobody")
        there.io.emit("fails")
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []
    assert any(
        "fails" in one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR
    )


@run_async
async def test_without_taking_part_the_server_tells_its_application() -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=["websocket"])
        seen: list[Any] = []

        @socket.on("n")
        def handle(value: int, id: str, ack: nuncio.AckCallback) -> None:
            # As any client does it by hand, and this one does not.
            seen.append((value, id))

        there.io.emit("n", 0)
        await eventually(lambda: seen)
        await within(socket.close())
        await eventually(lambda: there.undelivered)
        ((event,),) = [report.events for report in there.undelivered]
        assert (event.event, event.args, event.id) == ("n", (0,), seen[0][1])


@pytest.mark.parametrize("transports", [*TRANSPORTS, ["polling", "websocket"]])
@run_async
async def test_on_a_network_that_goes_wrong_every_event_comes_once_and_in_order(
    transports: list[str],
) -> None:
    async with scene(**PROMISES) as there:
        socket = await there.client(transports=transports, delivery="at-least-once")
        seen: list[int] = []
        losses: list[str] = []
        socket.on("n", lambda value: seen.append(value))
        socket.on("disconnect", lambda reason: losses.append(reason))
        for value in range(120):
            there.io.emit("n", value)
            await asyncio.sleep(0.002)
            if value % 20 == 7:
                there.proxy.stall(UP if value % 40 == 7 else DOWN)
            elif value % 20 == 12:
                there.proxy.cut(rst=value % 3 == 0)
                there.proxy.resume()
                await eventually(lambda: socket.connected)
        await eventually(lambda: len(seen) == 120, "all have come")
        assert seen == list(range(120))
        assert losses
        await eventually(lambda: there.waiting() == 0)
        await within(socket.close())
        assert there.undelivered == []
