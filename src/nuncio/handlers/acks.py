"""Acknowledgements that are waited for. [compiled]

Each has an end: the answer, its deadline in the timer wheel, or the end of its connection.
"""

from __future__ import annotations

from asyncio import Future
from typing import Any

from nuncio.engine.wheel import Timer
from nuncio.errors import AckTimeout
from nuncio.handlers.caller import Caller
from nuncio.handlers.handler import Handler


def unwrap(answer: list[Any]) -> Any:
    """An answer as `emit_with_ack` returns it: one value, or a list when there are several."""
    if len(answer) == 1:
        return answer[0]
    return answer if answer else None


class PendingAck(Timer):
    """One acknowledgement of one socket.

    Args:
        socket: who is to answer.
        id: the packet's id.
    """

    __slots__ = ("id", "socket")

    def __init__(self, socket: Caller, id: int) -> None:
        super().__init__()
        self.socket = socket
        self.id = id

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any longer."""
        return False

    def answer(self, values: list[Any]) -> None:
        """The answer came."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """It will not come."""
        raise NotImplementedError

    def expire(self, now: float) -> None:
        """The wheel: it did not come in time."""
        self.socket.forget_ack(self.id)
        self.fail(AckTimeout())


class FutureAck(PendingAck):
    """An acknowledgement somebody awaits."""

    __slots__ = ("future",)

    def __init__(self, socket: Caller, id: int, future: Future[Any]) -> None:
        super().__init__(socket, id)
        self.future = future

    @property
    def abandoned(self) -> bool:
        """See `PendingAck.abandoned`: whoever awaited it was cancelled."""
        return self.future.done()

    def answer(self, values: list[Any]) -> None:
        """See `PendingAck.answer`."""
        if not self.future.done():
            self.future.set_result(unwrap(values))

    def fail(self, error: Exception) -> None:
        """See `PendingAck.fail`."""
        if not self.future.done():
            self.future.set_exception(error)
            # Somebody who does not await it does not want a complaint about it either.
            self.future.exception()


class CallbackAck(PendingAck):
    """An acknowledgement with a callback, as in JavaScript.

    Args:
        socket: who is to answer.
        id: the packet's id.
        callback: called with as many of the answer's values as it declares.
        error_first: whether the callback's first argument is an error or None, and it is called
            on failure, too (as after `timeout()`).
    """

    __slots__ = ("callback", "error_first")

    def __init__(self, socket: Caller, id: int, callback: Handler, error_first: bool) -> None:
        super().__init__(socket, id)
        self.callback = callback
        self.error_first = error_first

    def answer(self, values: list[Any]) -> None:
        """See `PendingAck.answer`."""
        self.socket.run_callback(self.callback, [None, *values] if self.error_first else values)

    def fail(self, error: Exception) -> None:
        """See `PendingAck.fail`."""
        if self.error_first:
            self.socket.run_callback(self.callback, [error])
