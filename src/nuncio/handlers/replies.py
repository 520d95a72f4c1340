"""The answer to an event, and the handler that still works on it. [compiled]"""

from __future__ import annotations

from typing import Any

from nuncio.handlers.caller import Caller
from nuncio.handlers.handler import Ack, Handler
from nuncio.handlers.runners import Job


class Reply:
    """The one answer to one event; also the function that a handler gets as `ack`.

    Of several handlers the first that returns something answers; when none does, the last to end
    gives the empty answer.
    """

    __slots__ = ("_id", "_left", "_nothing", "_socket")

    def __init__(self, socket: Caller, id: int, handlers: int = 1) -> None:
        self._socket = socket
        self._id = id
        self._left = handlers
        self._nothing = False

    def __call__(self, *values: object) -> None:
        threads = self._socket.threads
        if threads.used and threads.away():
            threads.call(self.answer, Ack(*values), "ack")
        else:
            self.answer(Ack(*values), "ack")

    def give(self, result: Any, name: str) -> None:
        """A handler has returned."""
        if result is not None:
            self.answer(result, name)
        else:
            self._nothing = True
            self.skip(name)

    def skip(self, name: str) -> None:
        """A handler has ended without an answer."""
        self._left -= 1
        if self._left <= 0 and self._nothing:
            self.answer(None, name)

    def answer(self, result: Any, name: str) -> None:
        """Answer, unless it was answered or no answer is wanted."""
        id = self._id
        if id >= 0:
            self._id = -1
            self._socket.answer_event(id, result, name)


class Running(Job):
    """A handler that waits."""

    __slots__ = ("_handler", "_name", "_reply", "_socket")

    def __init__(self, socket: Caller, handler: Handler, reply: Reply, name: str) -> None:
        self._socket = socket
        self._handler = handler
        self._reply = reply
        self._name = name

    def returned(self, result: Any) -> None:
        """It has ended well."""
        if self._handler.ack_index < 0:
            self._reply.give(result, self._name)

    def raised(self, error: Exception) -> None:
        """It has failed."""
        self._socket.handler_failed(error, self._reply, self._name)

    def ended(self) -> None:
        """It has ended, one way or the other."""
        self._socket.handler_ended(self._handler)
