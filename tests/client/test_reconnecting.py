"""What a thousand reconnections leave behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from typing import Any

import pytest

import nuncio
from nuncio import Server
from nuncio.client.tools import tools
from tests.support.aio import eventually, run_async, within
from tests.support.live import listening

# One of each may stay for the connection there is.
KINDS = (
    "ClientConnection",
    "ClientPolling",
    "ClientResponse",
    "ClientSession",
    "ClientWebSocket",
    "Connection",
    "Dial",
    "EngineClient",
    "Future",
    "Pool",
    "Probe",
    "Task",
    "TCPConnector",
)


def census() -> Counter[str]:
    """How many objects there are of the kinds that a connection consists of."""
    gc.collect()
    found = Counter(type(one).__name__ for one in gc.get_objects())
    return Counter({kind: found[kind] for kind in KINDS})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transports", "times"),
    [(["websocket"], 1000), (["polling"], 300), (["polling", "websocket"], 300)],
)
@run_async
async def test_reconnections_leave_nothing_behind(transports: list[str], times: int) -> None:
    io = Server()
    async with (
        listening(io) as port,
        nuncio.connect(
            f"http://127.0.0.1:{port}",
            force_new=True,
            transports=transports,
            reconnection_delay=0,
            retries=1_000_000,
        ) as socket,
    ):
        answers: list[Any] = []
        io.on("e", lambda _, value: value)

        async def again(count: int) -> None:
            for _ in range(count):
                # Something is under way each time.
                socket.emit("e", 1, lambda error, value: answers.append(value))
                socket.volatile.emit("e", 2)
                asked = socket.volatile.emit_with_ack("e", 3)
                assert socket.io.engine is not None
                socket.io.engine.cut("transport error", "for a test")
                await within(socket.wait_connected())
                assert asked.done()  # type: ignore[attr-defined]

        await again(50)
        await eventually(lambda: len(answers) == 50)
        before = census()
        tasks = len(asyncio.all_tasks())
        tracemalloc.start()
        try:
            size, _ = tracemalloc.get_traced_memory()
            await again(times)
            await eventually(lambda: len(answers) == 50 + times)
            answers.clear()
            await asyncio.sleep(0.1)
            after = census()
            grown = tracemalloc.get_traced_memory()[0] - size
        finally:
            tracemalloc.stop()
        # The server's goodbyes to the latest ones may still be under way.
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks + 4)
        more = {kind: after[kind] - before[kind] for kind in KINDS}
        assert {kind: count for kind, count in more.items() if count > 20} == {}
        # Beside the emptied buckets of two timer wheels, which go when they are due.
        # A single engine that stays each time would be several times as much.
        assert grown < 2_000_000, f"{grown} bytes more"
    assert tools().http is None
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
