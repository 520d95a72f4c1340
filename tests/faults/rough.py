"""A network that goes wrong by itself: a TCP proxy that cuts and stalls connections at random.

The same seed throws the same dice, though not at the same moments: those are the machine's.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from typing import Final, Self

from tests.support.aio import eventually
from tests.support.lines import turns

# Close with an RST in place of a FIN.
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class RoughProxy:
    """The proxy.

    Args:
        port: where it listens.
        target: the server's port.
        dice: decide what happens to a connection, and when.
        longest: seconds after which something has happened to a connection.

    Attributes:
        counts: what has been done: `connections`, `fin`, `rst`, `stall`, `black hole`, `refused`.
        rough: whether anything goes wrong; connections that are open are left alone then.
    """

    def __init__(self, port: int, target: int, dice: random.Random, longest: float) -> None:
        self.port = port
        self.counts: Counter[str] = Counter()
        self.rough = True
        self._target = target
        self._dice = dice
        self._longest = longest
        self._server: asyncio.Server | None = None
        self._up = True
        self._connecting = 0
        self._links: set[_Link] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.cut(rst=True)
        tasks = [link.task for link in self._links if link.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def calm(self) -> None:
        """From now on nothing goes wrong; what is stalled goes on."""
        self.rough = False
        for link in self._links:
            link.flowing.set()

    async def target_stops(self) -> None:
        """Connect nobody any more: the server is about to stop.

        asyncio loses connections that it accepts in the very turn in which it stops, with a warning
        about each.
        """
        self._up = False
        await eventually(lambda: self._connecting == 0, "nobody connects")
        await turns()

    def target_runs(self) -> None:
        """The server is there again."""
        self._up = True

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._up:
            raise ConnectionRefusedError
        self._connecting += 1
        try:
            return await asyncio.open_connection("127.0.0.1", self._target)
        finally:
            self._connecting -= 1

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        link = _Link(reader, writer)
        self._links.add(link)
        link.task = asyncio.current_task()
        fate = asyncio.ensure_future(self._befall(link))
        try:
            await link.run(*await self._connect())
        except ConnectionRefusedError:
            self.counts["refused"] += 1
        finally:
            fate.cancel()
            link.cut(rst=False)
            self._links.discard(link)

    async def _befall(self, link: _Link) -> None:
        """What happens to one connection."""
        while True:
            await asyncio.sleep(self._dice.uniform(0.01, self._longest))
            if not self.rough:
                return
            what = self._dice.choice(("fin", "rst", "stall", "stall", "black hole"))
            self.counts[what] += 1
            if what in ("fin", "rst"):
                link.cut(rst=what == "rst")
                return
            link.flowing.clear()
            if what == "black hole":
                # Until both sides have given it up.
                return
            await asyncio.sleep(self._dice.uniform(0.05, self._longest / 2))
            link.flowing.set()


class _Link:
    """One connection of a client's, and the one to the server that belongs to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.task: asyncio.Task[None] | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._reader = reader
        self._writers = [writer]

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on, to the server and back, until one side ends or it is cut."""
        client = self._writers[0]
        self._writers.append(writer)
        pumps = [
            asyncio.ensure_future(self._pump(self._reader, writer)),
            asyncio.ensure_future(self._pump(reader, client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass

    def cut(self, *, rst: bool) -> None:
        """Close both connections."""
        for writer in self._writers:
            if writer.transport.is_closing():
                continue
            if rst:
                own: socket.socket = writer.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                writer.transport.abort()
            else:
                writer.close()
