"""What arrives at one server, in its order, also where some of it has to be fetched first.

A notification is delivered at once, unless an attachment is being waited for: then it waits behind
it, so that nothing overtakes what was said before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.postgres.wire import Header, Wire
from nuncio.errors import PacketError

logger = logging.getLogger("nuncio.cluster")

# How much may wait behind an attachment.
_MOST_BYTES: Final = 16 * 1024 * 1024

# What a message costs that waits, beside its text.
_OVERHEAD: Final = 500

# So many attachments are fetched at once.
_MOST_ROWS: Final = 8


class Listener(Protocol):
    """An adapter, as the intake knows it."""

    uid: str

    def received(self, message: ClusterMessage) -> None:
        """A message for its namespace."""

    def drop(self, why: str) -> None:
        """What came is no message."""


class Channel:
    """A namespace's channel.

    Args:
        nsp: the namespace.
        listener: whose it is.
        ending: with what its own notifications end.
    """

    def __init__(self, nsp: str, listener: Listener, ending: str) -> None:
        self.nsp = nsp
        self.listener = listener
        self.ending = ending


class _Waiting:
    """What waits: a message, or an attachment, of which the row is known."""

    __slots__ = ("channel", "message", "row", "size")

    def __init__(
        self, channel: Channel, message: ClusterMessage | None, row: int, size: int
    ) -> None:
        self.channel = channel
        self.message = message
        self.row = row
        self.size = size


class Intake:
    """Takes notifications, and gives messages to adapters.

    Args:
        wire: reads them.
        fetch: called when there are attachments to be fetched: see `wanted`.
    """

    def __init__(self, wire: Wire, fetch: Callable[[], None]) -> None:
        self._wire = wire
        self._fetch = fetch
        self._channels: dict[str, Channel] = {}
        self._by_nsp: dict[str, Channel] = {}
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0

    def add(self, name: str, nsp: str, listener: Listener) -> None:
        """Receive a namespace's messages."""
        channel = Channel(nsp, listener, self._wire.ending(listener.uid, nsp))
        self._channels[name] = channel
        self._by_nsp[nsp] = channel

    def remove(self, name: str) -> None:
        """Receive them no longer."""
        channel = self._channels.pop(name, None)
        if channel is not None:
            self._by_nsp.pop(channel.nsp, None)

    def clear(self) -> None:
        """The connection is lost, and with it what could still be fetched."""
        self._waiting.clear()
        self._bytes = 0

    def arrived(self, name: str, text: str) -> None:
        """A notification arrived at a channel."""
        channel = self._channels.get(name)
        # What one says oneself is not read.
        if channel is None or text.endswith(channel.ending):
            return
        try:
            told = self._wire.decode(text, channel.nsp)
            if not isinstance(told, Header):
                self._take(_Waiting(channel, told, 0, len(text) + _OVERHEAD))
            elif told.uid != channel.listener.uid:
                self._take(_Waiting(channel, None, told.row, _OVERHEAD))
        except PacketError as error:
            channel.listener.drop(str(error))

    def _take(self, one: _Waiting) -> None:
        if one.message is not None and not self._waiting:
            self._deliver(one.channel, one.message)
            return
        if self._bytes + one.size > _MOST_BYTES:
            raise PacketError("too much waits behind an attachment")
        self._bytes += one.size
        self._waiting.append(one)
        if len(self._waiting) == 1:
            self._fetch()

    def wanted(self) -> list[int]:
        """The ids of the attachments to be fetched next; give them to `fetched`."""
        rows: dict[int, None] = {}
        for one in self._waiting:
            if one.message is None:
                rows[one.row] = None
                if len(rows) >= _MOST_ROWS:
                    break
        return list(rows)

    def fetched(self, found: Mapping[int, bytes | None]) -> None:
        """Attachments have been fetched; None for what is not there."""
        waiting = self._waiting
        while waiting:
            one = waiting[0]
            if one.message is None and one.row not in found:
                self._fetch()
                return
            waiting.popleft()
            self._bytes -= one.size
            if one.message is not None:
                self._deliver(one.channel, one.message)
                continue
            payload = found[one.row]
            try:
                if payload is None:
                    raise PacketError("an attachment that is not there, or too large")
                message = self._wire.decode_attachment(payload, one.channel.nsp)
            except PacketError as error:
                one.channel.listener.drop(str(error))
            else:
                self._deliver(one.channel, message)

    def _deliver(self, arrived: Channel, message: ClusterMessage) -> None:
        # As in Node, a message is for the namespace that it names, wherever it arrived.
        channel = arrived if message.nsp == arrived.nsp else self._by_nsp.get(message.nsp)
        if channel is None:
            return
        try:
            channel.listener.received(message)
        except Exception:
            # The bus goes on, whatever an application's listener does.
            logger.exception("a message of the cluster could not be handled")
