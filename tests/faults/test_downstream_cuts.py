"""Thousands of messages over `stream`, `sse` and `forever`, through a network that cuts them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

import nuncio
from nuncio.engine import winddown
from tests.support.aio import eventually, run_async
from tests.support.down import NAMES
from tests.support.faults import DOWN, UP, Direction, FaultProxy
from tests.support.live import listening

MESSAGES = 5000

# Less than all that is sent, and more than one request or the beginning of a response.
MOST = {DOWN: 30_000, UP: 100_000}


class CuttingProxy(FaultProxy):
    """Cuts a connection each time that so many bytes have gone through, within some packet.

    Attributes:
        cuts: how often, in each direction.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.cuts = dict.fromkeys(Direction, 0)
        self._left = dict(MOST)
        self._link: Any = None

    def took(self, direction: Direction, data: bytes, link: Any) -> None:
        """See `FaultProxy.took`."""
        super().took(direction, data, link)
        self._link = link

    def changed(self, direction: Direction, data: bytes) -> bytes:
        """See `FaultProxy.changed`."""
        left = self._left[direction]
        if len(data) <= left:
            self._left[direction] = left - len(data)
            return data
        self._left[direction] = MOST[direction]
        self.cuts[direction] += 1
        # Each in its turn: an end of the connection, and "connection reset".
        rst = self.cuts[direction] % 2 == 0
        asyncio.get_running_loop().call_soon(partial(self._link.close, rst=rst))
        return data[:left]


@pytest.fixture(autouse=True)
def no_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a server does not wait for clients that will not come back."""
    monkeypatch.setattr(winddown, "GOODBYE_SECONDS", 0.0)


@pytest.mark.parametrize("name", NAMES)
@run_async
async def test_nothing_is_lost_repeated_or_reordered(name: str) -> None:
    io = nuncio.Server(transports=["polling", "websocket", *NAMES])
    up: list[int] = []

    io.on("up", lambda socket, number, *_: up.append(number))
    down: list[int] = []
    async with listening(io) as port, CuttingProxy(port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with nuncio.connect(url, transports=[name], reconnection=False) as socket:
            socket.on("down", lambda number, *_: down.append(number))
            for number in range(MESSAGES):
                padding: Any = "x" * 40 if number % 30 else b"\x00\xff" * (number % 400)
                io.emit("down", number, padding)
                socket.emit("up", number, padding)
                if number % 100 == 0:
                    await asyncio.sleep(0.001)
            await eventually(lambda: len(up) >= MESSAGES and len(down) >= MESSAGES, "all came")
            assert up == down == list(range(MESSAGES))
            assert min(proxy.cuts.values()) >= 2
            assert len(io.engine.sessions) == 1
