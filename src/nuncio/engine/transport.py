"""What a session and its transport know of each other. [compiled]

A transport moves whole packets; it knows nothing of sessions, heartbeats or upgrades. A sink takes
what a transport received: a session, or the probe of an upgrade.

`Flusher` makes everything written in one turn of the event loop leave in one write for each
connection, from one callback for all of them.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

from mypy_extensions import mypyc_attr

from nuncio.engine.wheel import Timer
from nuncio.protocol.engineio import Message


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """One way to carry packets to and from one peer.

    Attributes:
        name: the official name, as `polling` or `websocket`.
        asked: whether the peer has to ask for what is sent to it. Such a transport is not writable
            between two requests, which does not mean that the peer is behind.
        sink: who takes what arrives; None once detached.
        writable: whether a message sent now leaves without waiting for the peer.
        dirty: whether the flusher will call `flush`.
    """

    __slots__ = ("asked", "dirty", "name", "sink", "writable")

    def __init__(self, name: str, asked: bool = False) -> None:
        self.name = name
        self.asked = asked
        self.sink: PacketSink | None = None
        self.writable = True
        self.dirty = False

    def send(self, message: Message) -> None:
        """Take a message; it leaves with the next `flush`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what was taken."""
        raise NotImplementedError

    def close(self) -> None:
        """Say goodbye to the peer and end; what was taken is still written."""
        raise NotImplementedError

    def discard(self) -> None:
        """Say goodbye if that can be done now; the session no longer cares."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection: the peer does not read."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Stop taking data from the peer, as soon as the host can."""

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""

    # What only transports made of requests have something to say to.

    def release(self) -> None:
        """Let the peer come to rest, for it wants to leave this transport: what it waits for ends.

        It is called again and again until the peer has left.
        """

    @property
    def behind(self) -> bool:
        """Whether it is not writable because the peer does not read what it asked for."""
        return False

    @property
    def lingering(self) -> bool:
        """Whether it is closed, and the peer has yet to fetch its goodbye."""
        return False

    @property
    def holds_packets(self) -> bool:
        """Whether packets that have arrived wait, because reading is paused."""
        return False

    def when_emptied(self, callback: Any) -> None:
        """Call a function once the packets that it holds have been handed on."""


@mypyc_attr(allow_interpreted_subclasses=True)
class PacketSink(Timer):
    """Takes the packets of a transport, and news of its state."""

    __slots__ = ()

    def text(self, transport: Transport, data: bytes) -> None:
        """A text packet, type digit first; valid UTF-8, possibly empty."""
        raise NotImplementedError

    def binary(self, transport: Transport, data: bytes) -> None:
        """A binary message."""
        raise NotImplementedError

    def drained(self, transport: Transport) -> None:
        """The transport became writable."""
        raise NotImplementedError

    def ended(self, transport: Transport, reason: str, description: str) -> None:
        """The transport is of no more use.

        Args:
            transport: which one.
            reason: `transport close` or `transport error`.
            description: details for the application; empty when there are none.
        """
        raise NotImplementedError

    def host_stopping(self) -> None:
        """The host is about to stop and asks connections to end."""


class Flusher:
    """Collects transports with something to write and flushes them at the end of the turn.

    Args:
        loop: the loop whose turns are meant.
    """

    __slots__ = ("_dirty", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Transport] = []

    def call_soon(self, function: Any) -> None:
        """Call a function in the loop's next turn."""
        self._loop.call_soon(function)

    def mark(self, transport: Transport) -> None:
        """Flush this transport at the end of the turn."""
        transport.dirty = True
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(transport)

    def _flush(self) -> None:
        dirty = self._dirty
        self._dirty = []
        for transport in dirty:
            transport.dirty = False
            try:
                transport.flush()
            except Exception as error:
                # One connection's failure is its own; the others are still to be written.
                self._loop.call_exception_handler(
                    {"message": "writing to a Nuncio connection failed", "exception": error}
                )
