"""One link between two workers: whole messages, both ways, in order.

What takes its bytes to the other worker is the link's carrier: a Unix socket (`pipe`), or Redis
(`channel`). A link is over when its carrier says so; what was on its way is lost then, and so is
whatever depended on it. Nothing is lost, doubled or out of order before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from nuncio.workers.messages import HEAD, VERSION, Hello, Message, Present, decode, encode

if TYPE_CHECKING:
    from nuncio.workers.mesh import Mesh

logger = logging.getLogger("nuncio.workers")

# What a worker that does not read may leave unread, before it is taken for dead.
MOST_WAITING: Final = 64 * 1024 * 1024


class Carrier(Protocol):
    """Takes the bytes of one link to the other worker."""

    def carry(self, data: bytes) -> None:
        """Take some more."""

    def close(self) -> None:
        """End the link once everything is carried."""

    def abort(self) -> None:
        """End the link."""


class Link:
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
        met: which meeting of the two workers this is, of all that this one has had.
        greeted: done once it has said hello, or the link is gone.
    """

    def __init__(self, mesh: Mesh, *, called: bool = False) -> None:
        self._mesh = mesh
        self.called = called
        self.tag = ""
        self.namespaces: set[str] = set()
        self.told: set[str] = set()
        self.rooms: Any = None
        self.behind = False
        self.met = 0
        self._io: Carrier | None = None
        self._out: list[bytes] = []
        self._in = bytearray()
        self._whenever_ready: list[Callable[[], None]] = []
        self._gone = False
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

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
        if out and self._io is not None:
            self._io.carry(b"".join(out))

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Call a function once the other worker has caught up."""
        self._whenever_ready.append(callback)

    def close(self) -> None:
        """End the link once everything is written."""
        self._flush()
        if self._io is not None:
            self._io.close()

    def abort(self) -> None:
        """End the link."""
        if self._io is not None:
            self._io.abort()

    # What carriers call.

    def connected(self, io: Carrier) -> None:
        """There is a way to the other worker."""
        self._io = io
        self.told = set(self._mesh.namespaces)
        self.send(Hello(VERSION, self._mesh.tag, sorted(self.told)))

    def feed(self, data: bytes) -> None:
        """Bytes of the other worker arrived."""
        held = self._in
        held += data
        start = 0
        # What a message leads to may end the link, and nobody would clean up after the next one.
        while len(held) - start >= HEAD and not self._gone:
            size = int.from_bytes(held[start : start + HEAD], "big")
            end = start + HEAD + size
            if size > MOST_WAITING:
                self._hang_up(f"a message of {size} bytes")
                return
            if end > len(held):
                break
            if not self._take(bytes(held[start + HEAD : end])):
                return
            start = end
        del held[:start]

    def _take(self, body: bytes) -> bool:
        try:
            message = decode(body)
        except msgspec.DecodeError as error:
            self._hang_up(str(error))
            return False
        if isinstance(message, Hello):
            return self._greet(message)
        if isinstance(message, Present):
            if message.here:
                self.namespaces.add(message.nsp)
                self._mesh.appeared(self, message.nsp)
            else:
                self.namespaces.discard(message.nsp)
        else:
            self._mesh.received(self, message)
        return True

    def _greet(self, hello: Hello) -> bool:
        if hello.version != VERSION:
            logger.warning("a worker of another version of Nuncio is left alone")
            self.close()
            return False
        self.tag = hello.tag
        self.namespaces = set(hello.namespaces)
        self._mesh.met(self)
        self._greeted()
        return True

    def _greeted(self) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)

    def _hang_up(self, why: str) -> None:
        logger.warning("the worker %r speaks another language: %s", self.tag or "?", why)
        self._in.clear()
        self.abort()

    def fell_behind(self) -> None:
        """The other worker does not take what is written fast enough."""
        self.behind = True

    def caught_up(self) -> None:
        """It has taken it."""
        self.behind = False
        waiting = self._whenever_ready
        self._whenever_ready = []
        for callback in waiting:
            callback()

    def gone(self) -> None:
        """The link is gone, and perhaps the worker, too."""
        self._gone = True
        self._greeted()
        self._mesh.lost(self)
