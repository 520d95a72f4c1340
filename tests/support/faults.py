"""A network that goes wrong on command: a TCP proxy between a client and a server.

    async with FaultProxy(server.port) as proxy:
        ...                     # connect to proxy.port
        proxy.stall(DOWN)       # the server's answers do not arrive, and nobody is told
        proxy.cut(rst=True)     # all connections are gone

Otherwise bytes go through as they are. Commands may be given at any time; a stall and a change hold
for connections to come, too.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from tests.support.aio import eventually
from tests.support.ports import free_port

# The first line of a request. It may come in pieces, so the last bytes are kept until it is whole.
_REQUEST = re.compile(rb"(?:GET|POST|PUT|OPTIONS|HEAD|DELETE|CONNECT) \S{1,8000} HTTP/1\.[01]\r\n")
_LONGEST_LINE = 8100
# Close it with an RST instead of a FIN.
_AT_ONCE = struct.pack("ii", 1, 0)


class Direction(Enum):
    """Where bytes go."""

    UP = "to the server"
    DOWN = "to the client"


UP = Direction.UP
DOWN = Direction.DOWN
BOTH = (UP, DOWN)

# One of the directions, or both.
Where = Direction | Iterable[Direction]


def _each(where: Where) -> tuple[Direction, ...]:
    return (where,) if isinstance(where, Direction) else tuple(where)


@dataclass
class _State:
    """What holds for one direction of all connections."""

    stalled: bool = False
    change: Callable[[bytes], bytes] | None = None
    passed: int = 0


class _End(asyncio.Protocol):
    """One end of a connection: what it receives goes out at the other end.

    Args:
        link: the connection.
        direction: where that goes.

    Attributes:
        full: whether so much waits here to be sent that no more should come.
        done: whether it was told that nothing more comes.
    """

    def __init__(self, link: _Link, direction: Direction) -> None:
        self.link = link
        self.direction = direction
        self.transport: asyncio.Transport | None = None
        self.full = False
        self.done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.link.joined(self)

    def data_received(self, data: bytes) -> None:
        self.link.proxy.took(self.direction, data, self.link)
        self.link.other(self).write(self.link.proxy.changed(self.direction, data))

    def eof_received(self) -> bool:
        self.link.other(self).end()
        # Stay open: the other direction goes on until it ends, too.
        return not self.link.ended(self.direction)

    def pause_writing(self) -> None:
        self.full = True
        self.link.settle()

    def resume_writing(self) -> None:
        self.full = False
        self.link.settle()

    def connection_lost(self, error: Exception | None) -> None:
        self.link.lost()

    def write(self, data: bytes) -> None:
        """Pass something on; behind an end it is lost."""
        if self.transport is not None and not self.done and not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Say that nothing more comes."""
        if self.transport is not None and not self.done and not self.transport.is_closing():
            self.done = True
            self.transport.write_eof()

    def pause(self, paused: bool) -> None:
        """Read nothing for a while."""
        if self.transport is None or self.transport.is_closing():
            return
        if paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def close(self, rst: bool) -> None:
        """Close this end."""
        if self.transport is None or self.transport.is_closing():
            return
        if rst:
            own: socket.socket = self.transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


class _Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.client = _End(self, UP)
        self.server = _End(self, DOWN)
        self.tail = b""
        self._ended: set[Direction] = set()
        self._connecting: asyncio.Task[object] | None = None

    def other(self, end: _End) -> _End:
        """The opposite end."""
        return self.server if end is self.client else self.client

    def joined(self, end: _End) -> None:
        """One end has been made; the client's is the first."""
        if end is self.client:
            # Nothing is read before there is somebody to give it to.
            end.pause(True)
            self._connecting = asyncio.ensure_future(self._connect())
        else:
            self.settle()

    async def _connect(self) -> None:
        try:
            await self.proxy.dial(lambda: self.server)
        except OSError:
            self.close(rst=False)

    def ended(self, direction: Direction) -> bool:
        """Remember that one direction has ended; whether both have."""
        self._ended.add(direction)
        return len(self._ended) == 2

    def settle(self) -> None:
        """Read from each end as the proxy's state and the opposite end allow."""
        for end in (self.client, self.server):
            end.pause(self.proxy.stalled(end.direction) or self.other(end).full)

    def lost(self) -> None:
        """An end is gone, and with it the other one; what it was still to send is sent."""
        self.proxy.links.discard(self)
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.close()

    def close(self, *, rst: bool) -> None:
        """Close both ends."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.client.close(rst)
        self.server.close(rst)
        self.proxy.links.discard(self)


@dataclass
class Counts:
    """What has gone through.

    Attributes:
        connections: how many connections were accepted, ever.
        requests: the first line of each HTTP request, without the line's end.
    """

    connections: int = 0
    requests: list[str] = field(default_factory=list)


class FaultProxy:
    """A proxy in front of a server on this machine.

    Args:
        target: the server's port.

    Attributes:
        port: where the proxy listens.
        target: the server's port; a test may change it for connections to come.
        counts: what has gone through.
        links: the open connections.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.counts = Counts()
        self.links: set[_Link] = set()
        self._states = {direction: _State() for direction in Direction}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.cut()

    @property
    def url(self) -> str:
        """Its address, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    # --- faults

    def cut(self, *, rst: bool = False) -> None:
        """Close all connections, on both sides.

        Args:
            rst: by an RST, "connection reset", instead of a FIN.
        """
        for link in list(self.links):
            link.close(rst=rst)

    def stall(self, where: Where = BOTH) -> None:
        """Keep connections open and pass nothing on; not even that one was closed."""
        self._each_state(where, stalled=True)

    def resume(self, where: Where = BOTH) -> None:
        """End a stall; what has been waiting goes through."""
        self._each_state(where, stalled=False)

    def half_close(self, where: Where = DOWN) -> None:
        """Tell those who receive in a direction that nothing more comes; the other goes on."""
        for link in list(self.links):
            for direction in _each(where):
                link.other(link.client if direction is UP else link.server).end()

    def corrupt(self, change: Callable[[bytes], bytes] | None, where: Where = DOWN) -> None:
        """Change what goes through.

        Args:
            change: is given what has come and returns what goes on; None to change no more.
            where: in which direction.
        """
        for direction in _each(where):
            self._states[direction].change = change

    async def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()

    async def accept(self) -> None:
        """Accept connections again."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._accepted, "127.0.0.1", self.port)

    # --- what can be seen

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self.links)

    def requests(self, method: str = "") -> list[str]:
        """The first lines of all requests, those of one method, or those that begin otherwise."""
        return [line for line in self.counts.requests if line.startswith(method)]

    def passed(self, direction: Direction) -> int:
        """How many bytes have come in that direction."""
        return self._states[direction].passed

    async def requested(self, count: int, method: str = "") -> None:
        """Wait until so many requests have come."""
        await eventually(lambda: len(self.requests(method)) >= count, f"{count} {method} requests")

    # --- for connections

    async def dial(self, make: Callable[[], asyncio.Protocol]) -> None:
        """Connect to the server.

        Raises:
            OSError: when it cannot be reached.
        """
        await asyncio.get_running_loop().create_connection(make, "127.0.0.1", self.target)

    def stalled(self, direction: Direction) -> bool:
        """Whether nothing is passed on in that direction."""
        return self._states[direction].stalled

    def changed(self, direction: Direction, data: bytes) -> bytes:
        """What goes on for what came."""
        change = self._states[direction].change
        return data if change is None else change(data)

    def took(self, direction: Direction, data: bytes, link: _Link) -> None:
        """Count what came."""
        self._states[direction].passed += len(data)
        if direction is UP:
            text = link.tail + data
            end = 0
            for line in _REQUEST.finditer(text):
                self.counts.requests.append(line[0].decode("latin-1").rstrip())
                end = line.end()
            link.tail = text[end:][-_LONGEST_LINE:]

    def _accepted(self) -> _End:
        self.counts.connections += 1
        link = _Link(self)
        self.links.add(link)
        return link.client

    def _each_state(self, where: Where, *, stalled: bool) -> None:
        for direction in _each(where):
            self._states[direction].stalled = stalled
        for link in self.links:
            link.settle()


def flip(data: bytes) -> bytes:
    """A change for `corrupt`: every byte's bits are turned over."""
    return bytes(255 - byte for byte in data)
