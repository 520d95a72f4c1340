"""A socket, as those see it that end something for it later. [compiled]

Handlers that wait, acknowledgement functions given to handlers, and acknowledgements waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuncio.handlers.handler import Handler
from nuncio.handlers.listeners import Listeners
from nuncio.handlers.threads import Threads

if TYPE_CHECKING:
    from nuncio.handlers.replies import Reply


class Caller(Listeners):
    """Calls handlers and is told how they end."""

    __slots__ = ()

    @property
    def threads(self) -> Threads:
        """Tells calls that come from other threads than the loop's."""
        raise NotImplementedError

    def answer_event(self, id: int, result: Any, name: str) -> None:
        """Send what a handler gave as the acknowledgement of an event.

        Args:
            id: the acknowledgement's.
            result: one value, an `Ack`, or None for the empty answer.
            name: the event's.
        """
        raise NotImplementedError

    def handler_failed(self, error: Exception, reply: Reply, name: str) -> None:
        """A handler raised, and has not answered."""
        raise NotImplementedError

    def handler_ended(self, handler: Handler) -> None:
        """A handler that waited has ended."""
        raise NotImplementedError

    def forget_ack(self, id: int) -> None:
        """An acknowledgement is not waited for any longer."""
        raise NotImplementedError

    def run_callback(self, callback: Handler, values: list[Any]) -> None:
        """Call the function that waits for an acknowledgement, with what it declares."""
        raise NotImplementedError
