"""An open connection to one of Redis' servers: bytes go out, replies come in. [compiled]

redis-py connects: addresses, TLS, credentials and all its other settings are its business. Then the
transport is taken from its streams, for they read a reply at a time, in a coroutine each, which
costs more than all that a cluster does with most of them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from mypy_extensions import mypyc_attr

from nuncio.cluster.line import outcome


def _hiredis() -> Any:
    """hiredis, or None where it is not: `nuncio.cluster.redis.endpoint` tells who needs it."""
    try:
        import hiredis
    except ImportError:
        return None
    return hiredis


_NEW_READER: Final[Any] = getattr(_hiredis(), "Reader", None)

# Makes of a command what Redis reads. It is a name and arguments: bytes, text or integers. redis-py
# knows more kinds of arguments, and takes much longer.
packed: Final[Any] = getattr(_hiredis(), "pack_command", None)


@mypyc_attr(native_class=False)
class Refused(ConnectionError):
    """Redis' answer to a command that it does not carry out.

    Args:
        text: what it says.

    Attributes:
        word: what that begins with, which tells why.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.word = text.partition(" ")[0]


# The words of those that are answered by doing something.
MOVED: Final = "MOVED"
READ_ONLY: Final = "READONLY"


class Listener(Protocol):
    """Who uses a connection."""

    def replied(self, value: Any) -> None:
        """A reply came: bytes, a number, a list, None, or `Refused`."""

    def writable(self) -> None:
        """What was written has left, after it was too much; see `Connection.behind`."""


class Connection:
    """One connection.

    Args:
        dialled: redis-py's, which is connected.
        listener: who uses it.

    Raises:
        ConnectionError: when redis-py is one that is not known here.

    Attributes:
        behind: whether so much waits to be sent that no more should be written.
        closed: whether nothing can be written any longer.
        heard_at: when something came last, by the clock of the loop.
    """

    def __init__(self, dialled: Any, listener: Listener) -> None:
        self.dialled = dialled
        self.behind = False
        self.closed = False
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        reader: Any = _NEW_READER(replyError=Refused)
        self._feed: Any = reader.feed
        self._gets: Any = reader.gets
        self._ended = outcome()
        self.heard_at = self._loop.time()
        stream = getattr(dialled, "_writer", None)
        if stream is None:
            raise ConnectionError("this redis-py keeps its stream elsewhere; install redis 8")
        self._transport: Any = stream.transport
        self._transport.set_protocol(self)

    def write(self, data: bytes) -> None:
        """Send something, which need not have left when this returns."""
        self._transport.write(data)

    async def ended(self) -> None:
        """Wait until the connection is lost.

        Raises:
            ConnectionError: always, with the reason.
        """
        await asyncio.shield(self._ended)

    def give_up(self, error: Exception) -> None:
        """End the connection.

        Args:
            error: why.
        """
        if not self._ended.done():
            self._ended.set_exception(error)
        self.closed = True
        self._transport.abort()

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        self.heard_at = self._loop.time()
        gets, listener = self._gets, self._listener
        try:
            self._feed(data)
            # As hiredis says that there is no whole reply.
            while (reply := gets()) is not False:
                listener.replied(reply)
        except Exception as error:
            self.give_up(error)

    def eof_received(self) -> bool:
        """asyncio: Redis sends no more."""
        return False

    def pause_writing(self) -> None:
        """asyncio: more waits to be sent than should."""
        self.behind = True

    def resume_writing(self) -> None:
        """asyncio: most of it has left."""
        self.behind = False
        self._listener.writable()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: it is over."""
        self.closed = True
        if not self._ended.done():
            self._ended.set_exception(error or ConnectionError("Redis closed the connection"))
