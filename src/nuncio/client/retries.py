"""Events that are sent until the server has acknowledged them: the option `retries`. [compiled]

They are sent one at a time, in order. Each is sent again when its acknowledgement does not come in
time, or the connection is lost, and given up after `retries` repetitions. So the server receives
each at least once and in order; it may receive one twice, and tells that by an id of the
application's own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from nuncio.errors import LimitExceeded
from nuncio.handlers.acks import PendingAck

if TYPE_CHECKING:
    from nuncio.client.asker import ClientAsker


class Queued:
    """One event in the queue.

    Attributes:
        payload: its name and arguments.
        compress: whether the transport may compress it.
        user: is told the answer in the end; None when nobody waits for it.
        limit: seconds that an acknowledgement may take; 0 for any.
        tries: how often it was sent.
        under_way: whether its acknowledgement is waited for.
    """

    __slots__ = ("compress", "limit", "payload", "tries", "under_way", "user")

    def __init__(
        self, payload: list[Any], compress: bool, user: PendingAck | None, limit: float
    ) -> None:
        self.payload = payload
        self.compress = compress
        self.user = user
        self.limit = limit
        self.tries = 0
        self.under_way = False


class Retries:
    """The queue of one socket.

    Args:
        socket: whose it is.
        retries: how often an event is repeated.
        most: how many events may wait.
    """

    __slots__ = ("_most", "_queue", "_retries", "_socket")

    def __init__(self, socket: ClientAsker, retries: int, most: int) -> None:
        self._socket = socket
        self._retries = retries
        self._most = most
        self._queue: deque[Queued] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, queued: Queued) -> None:
        """Take an event, and send it if it is its turn.

        Raises:
            LimitExceeded: when too many wait.
        """
        if len(self._queue) >= self._most:
            raise LimitExceeded(
                f"{self._most} events wait for acknowledgements of the server's; await "
                "emit_with_ack, or raise ClientLimits(queued_retries=…)"
            )
        self._queue.append(queued)
        self.drain()

    def drain(self, *, force: bool = False) -> None:
        """Send the first one, unless it is under way.

        Args:
            force: send it even then, because the connection is another.
        """
        if not self._socket.connected or not self._queue:
            return
        head = self._queue[0]
        if head.under_way and not force:
            return
        head.under_way = True
        head.tries += 1
        self._socket.ask_again(_Attempt(self._socket, self, head), head)

    def answered(self, queued: Queued, values: list[Any]) -> None:
        """The server acknowledged an event."""
        if not self._queue or self._queue[0] is not queued:
            # Too late: it was given up, or an earlier attempt was acknowledged.
            return
        self._queue.popleft()
        if queued.user is not None:
            queued.user.answer(values)
        self.drain()

    def failed(self, queued: Queued, error: Exception) -> None:
        """It did not, in time or before the connection was lost."""
        if not self._queue or self._queue[0] is not queued:
            return
        queued.under_way = False
        if queued.tries > self._retries:
            self._queue.popleft()
            if queued.user is not None:
                queued.user.fail(error)
        self.drain()

    def give_up(self, error: Exception) -> None:
        """The socket has ended for good."""
        queue = self._queue
        self._queue = deque()
        for queued in queue:
            if queued.user is not None:
                queued.user.fail(error)


class _Attempt(PendingAck):
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
        self._retries.failed(self._queued, error)
