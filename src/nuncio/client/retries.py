"""Events that are sent until the server has acknowledged them: the option `retries`. [compiled]

They are sent one at a time, in order. Each is sent again when its acknowledgement does not come in
time, or the connection is lost, and given up after `retries` repetitions. So the server receives
each at least once and in order; it may receive one twice, and tells that by an id of the
application's own.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.wheel import TimerWheel
from nuncio.errors import LimitExceeded
from nuncio.handlers.acks import PendingAck

if TYPE_CHECKING:
    from nuncio.client.asker import ClientAsker


# How soon it is tried again to send what there was no room for, without a time-out of its own.
ROOM_SECONDS: Final = 1.0


class Queued:
    """One event in the queue.

    Attributes:
        payload: its name and arguments.
        compress: whether the transport may compress it.
        user: is told the answer in the end; None when nobody waits for it.
        limit: seconds that an acknowledgement may take; 0 for any.
        tries: how often it was sent.
        attempt: whose acknowledgement is waited for; None for none.
    """

    __slots__ = ("attempt", "compress", "limit", "payload", "tries", "user")

    def __init__(
        self, payload: list[Any], compress: bool, user: PendingAck | None, limit: float
    ) -> None:
        self.payload = payload
        self.compress = compress
        self.user = user
        self.limit = limit
        self.tries = 0
        self.attempt: Attempt | None = None


class Retries:
    """The queue of one socket.

    Args:
        socket: whose it is.
        retries: how often an event is repeated.
        most: how many events may wait.
        wheel: tells when to try again.
    """

    __slots__ = ("_most", "_queue", "_retries", "_settled", "_socket", "_wheel")

    def __init__(self, socket: ClientAsker, retries: int, most: int, wheel: TimerWheel) -> None:
        self._socket = socket
        self._retries = retries
        self._most = most
        self._wheel = wheel
        self._queue: deque[Queued] = deque()
        self._settled: Any = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, queued: Queued) -> None:
        """Take an event, and send it if it is its turn.

        Raises:
            LimitExceeded: when too many wait.
            TypeError: for data that cannot be sent; ValueError, too.
        """
        if len(self._queue) >= self._most:
            raise LimitExceeded(
                f"{self._most} events wait for acknowledgements of the server's; await "
                "emit_with_ack, or raise ClientLimits(queued_retries=…)"
            )
        # What cannot be sent is told now, and would stop the queue later.
        self._socket.check_payload(queued.payload)
        self._queue.append(queued)
        self.drain()

    def drain(self, *, force: bool = False) -> None:
        """Send the first one, unless it is under way.

        Args:
            force: send it even then, because the connection is another.
        """
        while self._queue and self._socket.ready():
            head = self._queue[0]
            if head.attempt is not None:
                if not force:
                    return
                self._wheel.cancel(head.attempt)
            force = False
            attempt = Attempt(self._socket, self, head)
            head.attempt = attempt
            head.tries += 1
            try:
                self._socket.ask_again(attempt, head)
                return
            except LimitExceeded:
                # It waits for room, which is none of its tries.
                head.tries -= 1
                self._wheel.arm(attempt, head.limit or ROOM_SECONDS)
                return
            except Exception as error:
                # The application has changed it meanwhile, into what cannot be sent.
                self._drop(error)
                self._socket.tell_failure(error, head.payload)

    def answered(self, queued: Queued, values: list[Any]) -> None:
        """The server acknowledged an event."""
        if not self._queue or self._queue[0] is not queued:
            # Too late: it was given up.
            return
        self._queue.popleft()
        if queued.user is not None:
            queued.user.answer(values)
        self._settle()
        self.drain()

    def failed(self, queued: Queued, attempt: Attempt, error: Exception) -> None:
        """It did not, in time or before the connection was lost."""
        if queued.attempt is not attempt or not self._queue or self._queue[0] is not queued:
            return
        queued.attempt = None
        if queued.tries > self._retries:
            self._drop(error)
        self.drain()

    def _drop(self, error: Exception) -> None:
        queued = self._queue.popleft()
        if queued.user is not None:
            queued.user.fail(error)
        self._settle()

    def give_up(self, error: Exception) -> None:
        """The socket has ended for good."""
        queue = self._queue
        self._queue = deque()
        for queued in queue:
            if queued.attempt is not None:
                self._wheel.cancel(queued.attempt)
            if queued.user is not None:
                queued.user.fail(error)
        self._settle()

    def settled(self, loop: AbstractEventLoop) -> Any:
        """A future that is done once nothing waits, or the connection is lost."""
        settled = self._settled
        if settled is None or settled.done():
            settled = loop.create_future()
            self._settled = settled
        self._settle()
        return settled

    def _settle(self) -> None:
        if not self._queue:
            self.interrupted()

    def interrupted(self) -> None:
        """The connection is lost: whoever waits for the end of the queue is to look again."""
        settled = self._settled
        self._settled = None
        if settled is not None and not settled.done():
            settled.set_result(None)


class Attempt(PendingAck):
    """The acknowledgement of one attempt."""

    __slots__ = ("_queued", "_retries")

    def __init__(self, socket: ClientAsker, retries: Retries, queued: Queued) -> None:
        super().__init__(socket, -1)
        self._retries = retries
        self._queued = queued

    def answer(self, values: list[Any]) -> None:
        """See `PendingAck.answer`."""
        self._retries.answered(self._queued, values)

    def fail(self, error: Exception) -> None:
        """See `PendingAck.fail`."""
        self._retries.failed(self._queued, self, error)
