"""Flags for what a client emits: `socket.volatile.emit(...)`. [compiled]"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from nuncio.client.asker import ClientAsker
from nuncio.engine.sent import Sent
from nuncio.options import seconds as checked_seconds


class ClientOperator:
    """Flags for one emit: `socket.volatile.emit(...)`.

    Args:
        socket: who sends.
        volatile: drop it when it cannot leave at once.
        compress: whether the transport may compress it.
        timeout: seconds to wait for the acknowledgement; 0 for the option's.
    """

    __slots__ = ("_compress", "_is_volatile", "_socket", "_timeout")

    def __init__(
        self,
        socket: ClientAsker,
        volatile: bool = False,
        compress: bool = True,
        timeout: float = 0.0,
    ) -> None:
        self._socket = socket
        self._is_volatile = volatile
        self._compress = compress
        self._timeout = timeout

    @property
    def volatile(self) -> ClientOperator:
        """See `ClientSocket.volatile`."""
        return ClientOperator(self._socket, True, self._compress, self._timeout)

    def compress(self, compress: bool) -> ClientOperator:
        """See `ClientSocket.compress`."""
        return ClientOperator(self._socket, self._is_volatile, compress, self._timeout)

    def timeout(self, seconds: float) -> ClientOperator:
        """See `ClientSocket.timeout`."""
        limit = checked_seconds("timeout", seconds)
        return ClientOperator(self._socket, self._is_volatile, self._compress, limit)

    def emit(self, event: str, *args: object) -> Sent:
        """See `ClientSocket.emit`; with a time-out a callback gets an error or None first."""
        if args and callable(args[-1]):
            return self._socket.emit_callback(
                [event, *args[:-1]], args[-1], self._timeout, self._is_volatile, self._compress
            )
        return self._socket.send_event([event, *args], self._is_volatile, self._compress)

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[Any]:
        """See `ClientSocket.emit_with_ack`."""
        return self._socket.request_ack(
            [event, *args], self._timeout, self._is_volatile, self._compress
        )
