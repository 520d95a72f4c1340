"""Two servers of a cluster, with a client each in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nuncio import AckTimeout, ClusterUnavailable, Server
from tests.support.aio import eventually, until, within
from tests.support.clusters import knows
from tests.support.memory import Client


class Two:
    """Two servers with a client each."""

    def __init__(self, one: Server, two: Server) -> None:
        self.one, self.two = one, two
        self.ada, self.bob = Client.join(one), Client.join(two)

    def adapter(self, server: Server | None = None) -> Any:
        """An adapter; the first server's by default."""
        return (server or self.one).sockets.adapter

    async def reaches(self, event: str) -> list[Any]:
        """Emit until the other server's client hears it, and both are counted.

        Returns:
            All that the two clients have heard.
        """
        packet = _packet(event)
        theirs: list[Any] = []

        async def attempts() -> None:
            while packet not in theirs:
                self.one.emit(event)
                await asyncio.sleep(0.02)
                theirs.extend(self.bob.take())

        await within(attempts())
        mine = self.ada.take()
        assert packet in mine
        await knows(self.adapter(), 2)
        return mine + theirs

    async def reaches_both(self, event: str) -> list[Any]:
        """As `reaches`, there and back: both servers have read what was on the bus before."""
        heard = await self.reaches(event)
        self.two.emit(event)
        packet = _packet(event)
        await eventually(lambda: packet in self.ada.wire.messages)
        return heard + self.ada.take()

    def health(self) -> list[str]:
        """What the first server is told of its health from now on."""
        told: list[str] = []
        self.adapter().on("unhealthy", lambda error: told.append(type(error).__name__))
        self.adapter().on("healthy", lambda: told.append("healthy"))
        return told

    async def is_alone(self) -> None:
        """The first server cannot reach the other, which it notices: it serves its own clients.

        Who asks for more is told what is known.
        """
        await eventually(lambda: not self.adapter().healthy)
        self.one.emit("e", 1)
        assert self.ada.take() == ['2["e",1]']
        with pytest.raises(ClusterUnavailable) as caught:
            await self.one.timeout(0.1).fetch_sockets()
        assert caught.value.responses == [self.ada.socket]
        with pytest.raises(AckTimeout):
            await self.one.server_side_emit_with_ack("x", timeout=0.1)
        asked = asyncio.ensure_future(self.one.timeout(0.3).emit_with_ack("q"))
        await eventually(lambda: any("q" in str(one) for one in self.ada.wire.messages))
        packet = next(one for one in self.ada.take() if "q" in str(one))
        self.ada.send(f'3{str(packet)[1 : str(packet).index("[")]}["here"]')
        with pytest.raises(AckTimeout) as missed:
            await within(asked)
        assert missed.value.responses == ["here"]

    async def back(self) -> None:
        """Wait until both servers reach each other again."""
        await eventually(lambda: self.adapter().healthy and self.adapter(self.two).healthy)

    async def is_quiet(self) -> None:
        """Wait until all has been written that the servers answer each other."""
        adapters = self.adapter(), self.adapter(self.two)
        await eventually(lambda: not any(adapter._answering for adapter in adapters))
        self.one.emit("quiet")
        await eventually(lambda: '2["quiet"]' in self.bob.take())

    async def second_leaves(self) -> None:
        """The second server leaves in order, with last words, and counts no longer."""
        await self.reaches("e")
        self.two.emit("last words", b"\x01")
        await self.two.close(0.2)
        await eventually(lambda: any("last words" in str(one) for one in self.ada.take()))
        # At once, not when it has been silent for long.
        await until(self.adapter().server_count, 1)
        assert await self.one.fetch_sockets() == [self.ada.socket]

    async def second_returns(self) -> None:
        """It starts again."""
        await self.two.engine.start()
        await knows(self.adapter(), 2)


def _packet(event: str) -> str:
    return "2" + json.dumps([event], separators=(",", ":"))


@asynccontextmanager
async def joined(one: Any, two: Any, **options: Any) -> AsyncIterator[Two]:
    """Two servers with these adapters, which end with the block."""
    servers = [Server(adapter=adapter, **options) for adapter in (one, two)]
    for server in servers:
        await server.engine.start()
    try:
        yield Two(*servers)
    finally:
        for server in servers:
            await server.close(0.2)
