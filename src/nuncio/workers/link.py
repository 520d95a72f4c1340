"""One link between two workers: whole messages over a Unix socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from nuncio.workers.messages import HEAD, VERSION, Hello, Message, Present, decode, encode

if TYPE_CHECKING:
    from nuncio.workers.mesh import Mesh

logger = logging.getLogger("nuncio.workers")

# What a worker that does not read may leave unread, before it is taken for dead.
MOST_WAITING: Final = 64 * 1024 * 1024


class Link(asyncio.Protocol):
    """Another worker, as this one sees it.

    Args:
        mesh: all of them.
        called: whether this worker called the other.

    Attributes:
        called: whether this worker called the other.
        tag: the other worker's; empty until it has said hello.
        namespaces: those that it has.
        told: those of this worker that it was told of at first.
        rooms: what is seen of its rooms, see `nuncio.workers.rooms`; None before it is looked at.
        behind: whether it does not take what is written fast enough.
    """

    def __init__(self, mesh: Mesh, *, called: bool = False) -> None:
        self._mesh = mesh
        self.called = called
        self.tag = ""
        self.namespaces: set[str] = set()
        self.told: set[str] = set()
        self.rooms: Any = None
        self.behind = False
        self._io: Any = None
        self._out: list[bytes] = []
        self._in = bytearray()
        self._whenever_ready: list[Callable[[], None]] = []
        self.greeted = asyncio.get_running_loop().create_future()

    def send(self, message: Message) -> None:
        """Take a message; it leaves at the end of this turn of the loop."""
        self.write(encode(message))

    def write(self, data: bytes) -> None:
        """As `send`, of a message that is encoded."""
        out = self._out
        if not out:
            asyncio.get_running_loop().call_soon(self._flush)
        out.append(data)

    def _flush(self) -> None:
        out = self._out
        self._out = []
        io = self._io
        if io is None or io.is_closing():
            return
        io.write(b"".join(out))
        if io.get_write_buffer_size() > MOST_WAITING:
            logger.error("the worker %s does not read, so it is taken for dead", self.tag)
            io.abort()

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Call a function once the other worker has caught up."""
        self._whenever_ready.append(callback)

    def close(self) -> None:
        """End the link once everything is written."""
        self._flush()
        if self._io is not None:
            self._io.close()

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """asyncio: connected."""
        self._io = transport
        self.told = set(self._mesh.namespaces)
        self.send(Hello(VERSION, self._mesh.tag, sorted(self.told)))

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        held = self._in
        held += data
        start = 0
        while len(held) - start >= HEAD:
            end = start + HEAD + int.from_bytes(held[start : start + HEAD], "big")
            if end > len(held):
                break
            self._take(bytes(held[start + HEAD : end]))
            start = end
        del held[:start]

    def _take(self, body: bytes) -> None:
        try:
            message = decode(body)
        except msgspec.DecodeError as error:
            logger.error("the worker %s speaks another language: %s", self.tag or "?", error)
            self._io.abort()
            return
        if isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Present):
            (self.namespaces.add if message.here else self.namespaces.discard)(message.nsp)
        else:
            self._mesh.received(self, message)

    def _greet(self, hello: Hello) -> None:
        if hello.version != VERSION:
            logger.warning("a worker of another version of Nuncio is left alone")
            self._io.close()
            return
        self.tag = hello.tag
        self.namespaces = set(hello.namespaces)
        self._mesh.met(self)
        if not self.greeted.done():
            self.greeted.set_result(None)

    def pause_writing(self) -> None:
        """asyncio: the other worker is behind."""
        self.behind = True

    def resume_writing(self) -> None:
        """asyncio: it has caught up."""
        self.behind = False
        waiting = self._whenever_ready
        self._whenever_ready = []
        for callback in waiting:
            callback()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the link is gone, and most likely the worker, too."""
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._mesh.lost(self)
