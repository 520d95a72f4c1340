"""What one server says to NATS, and what it wants to hear, over connections that may be lost.

Who says something never waits. What was said in one turn of the loop leaves in one write, in the
order in which it was said, subscriptions among messages. While NATS is away messages wait, up to a
bound; what is wanted is kept, and told again to each new connection before anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nuncio.cluster.line import CONNECT_SECONDS, Changed, Line, first_failure, outcome
from nuncio.errors import LimitExceeded

logger = logging.getLogger("nuncio.cluster")

ENGINE: Final = "NATS"

# NATS is asked so often whether it is there, and taken for lost when it does not answer in time.
PULSE_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 4.0

# Until NATS has said what it takes.
MOST_PAYLOAD: Final = 1 << 20

_MOST_BYTES: Final = 1 << 20
_OVERHEAD: Final = 100

# The numbers of subscriptions begin here; nats-py counts its own from 1.
FIRST_NUMBER: Final = 1 << 32
# A question is given up after so many pulses.
_MOST_PULSES: Final = 5

_NOBODY: Final = b"NATS/1.0 503"

# Called with subject, subject for answers, data and headers of a message; no headers are None.
Receiver = Callable[[bytes, bytes, bytes, bytes | None], None]

# Makes a connection, given who receives messages by the numbers of subscriptions.
Dial = Callable[[dict[int, Receiver]], Any]


class _Command:
    """What is to be sent, who waits for an answer, and whether it may be sent again."""

    __slots__ = ("again", "answer", "data", "number")

    def __init__(
        self,
        data: bytes,
        number: int = 0,
        answer: asyncio.Future[bytes] | None = None,
        again: bool = False,
    ) -> None:
        self.data = data
        self.number = number
        self.answer = answer
        self.again = again

    @property
    def size(self) -> int:
        """What it counts for while it waits."""
        return len(self.data) + _OVERHEAD


class Link(Line):
    """One server's connection to NATS.

    Args:
        dial: makes a connection that is not connected yet.
        changed: see `Line`.
        most_bytes: how much may wait to be sent.

    Attributes:
        starters: awaited with each new connection, before it is of use.
        most_payload: how many bytes a message may have.
        dropped: how many messages were not taken, as too much waited.
        failed: how many were lost with a connection, or not answered as they should be.
    """

    engine = ENGINE

    def __init__(self, dial: Dial, changed: Changed, most_bytes: int) -> None:
        super().__init__(changed)
        self._dial = dial
        self._most_bytes = most_bytes
        self._connection: Any = None
        self._queue: deque[_Command] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        # The numbers of subscriptions, by subject.
        self._wanted: dict[str, int] = {}
        self._last_number = FIRST_NUMBER
        self._told = False
        # Questions that were sent.
        self._asked: dict[int, _Command] = {}
        self._last_question = 0
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self.receivers: dict[int, Receiver] = {}
        self.starters: list[Callable[[Any], Awaitable[None]]] = []
        self.most_payload = MOST_PAYLOAD
        self.dropped = 0
        self.failed = 0
        self._slow = 0
        self._refused = 0
        self.subscribe(f"{self._inbox}.*", self._answered)

    @property
    def connection(self) -> Any:
        """The present connection.

        Raises:
            ConnectionError: when there is none.
        """
        if not self.connected:
            raise ConnectionError("NATS cannot be reached")
        return self._connection

    @property
    def slow(self) -> int:
        """How often NATS has cut this server off, as it did not take messages quickly enough."""
        return self._slow + (0 if self._connection is None else self._connection.slow)

    @property
    def refused(self) -> int:
        """How often NATS did not let this server use a subject."""
        return self._refused + (0 if self._connection is None else self._connection.refused)

    # Messages.

    def publish(self, subject: str, *parts: bytes) -> None:
        """Send messages that belong together, whose arrival nobody confirms: all or none.

        Raises:
            LimitExceeded: when one is larger than NATS takes, or all are more than may ever wait.
        """
        self._give([self._command(subject, part) for part in parts])

    def request(self, subject: str, data: bytes, id: str = "") -> asyncio.Future[bytes]:
        """Send a message that is answered.

        Args:
            subject: where.
            data: what.
            id: for JetStream, which keeps what has it once only, so that it may be sent again when
                a connection is lost before the answer came.

        Returns:
            The answer, or ConnectionError.

        Raises:
            LimitExceeded: when it is larger than NATS takes.
        """
        answer = outcome()
        self._last_question += 1
        number = self._last_question
        head = f"NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n".encode() if id else b""
        command = self._command(subject, data, f"{self._inbox}.{number}", head)
        command.number, command.answer, command.again = number, answer, bool(id)
        self._give([command])
        return answer

    def _command(self, subject: str, data: bytes, reply: str = "", head: bytes = b"") -> _Command:
        size = len(head) + len(data)
        if size > self.most_payload:
            raise LimitExceeded(
                f"a message of {size} bytes is more than NATS takes, which is"
                f" {self.most_payload}: raise max_payload in its configuration, or send less"
            )
        if head:
            line = f"HPUB {subject} {reply} {len(head)} {size}\r\n"
        else:
            line = f"PUB {subject} {reply} {size}\r\n"
        return _Command(b"%b%b%b\r\n" % (line.encode(), head, data))

    def _give(self, commands: list[_Command]) -> None:
        """Have messages sent, unless too much waits already."""
        size = sum([command.size for command in commands])
        if size > self._most_bytes:
            raise LimitExceeded(
                f"a message of {size} bytes is more than may wait for NATS, which is"
                f" {self._most_bytes}: raise outgoing_bytes of the adapter, or send less"
            )
        if self._queued_bytes + size > self._most_bytes:
            self.dropped += 1
            for command in commands:
                if command.answer is not None:
                    command.answer.set_exception(ConnectionError("too much waits for NATS"))
            return
        for command in commands:
            self._push(command)

    def _push(self, command: _Command) -> None:
        self._queue.append(command)
        self._queued_bytes += command.size
        self._wake.set()

    def _answered(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        token = subject.rpartition(b".")[2]
        command = self._asked.pop(int(token), None) if token.isdigit() else None
        answer = None if command is None else command.answer
        if answer is None or answer.done():
            return
        if headers is not None and headers.startswith(_NOBODY):
            self.failed += 1
            answer.set_exception(ConnectionError("nobody is there to answer"))
        else:
            answer.set_result(data)

    # Subscriptions.

    def subscribe(self, subject: str, receiver: Receiver) -> None:
        """Receive what is published on a subject, until `unsubscribe`."""
        number = self._wanted.get(subject)
        if number is None:
            self._last_number += 1
            number = self._last_number
            self._wanted[subject] = number
            if self._told:
                self._push(_Command(_subscription(subject, number)))
        self.receivers[number] = receiver

    def unsubscribe(self, subject: str) -> None:
        """Receive no more."""
        number = self._wanted.pop(subject, None)
        if number is None:
            return
        del self.receivers[number]
        if self._told:
            self._push(_Command(b"UNSUB %d\r\n" % number))

    @property
    def subscriptions(self) -> int:
        """How many subjects are wanted."""
        return len(self._wanted)

    # The connection.

    async def connect(self) -> Any:
        """See `Line.connect`."""
        connection = self._connection = self._dial(self.receivers)
        try:
            await connection.connect()
        except BaseException:
            with contextlib.suppress(Exception):
                await self.disconnect(connection)
            raise
        return connection

    async def disconnect(self, connection: Any) -> None:
        """See `Line.disconnect`."""
        await connection.disconnect(nowait=True)

    async def begin(self, connection: Any) -> None:
        """See `Line.begin`: all is subscribed to again."""
        self.most_payload = connection.most_payload
        for start in list(self.starters):
            await start(connection)
        # What changes from now on is told after this.
        self._told = True
        await connection.write(b"".join([_subscription(*one) for one in self._wanted.items()]))
        await connection.confirm(CONNECT_SECONDS)

    async def use(self, connection: Any) -> None:
        """See `Line.use`."""
        await first_failure(self._write(connection), self._watch(connection), connection.lost)

    async def _write(self, connection: Any) -> None:
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
            data, markers = self._take()
            await connection.write(data)
            for marker in markers:
                if not marker.done():
                    marker.set_result(b"")

    def _take(self) -> tuple[bytes, list[asyncio.Future[bytes]]]:
        parts: list[bytes] = []
        markers: list[asyncio.Future[bytes]] = []
        size = 0
        queue = self._queue
        while queue and size < _MOST_BYTES:
            command = queue.popleft()
            size += len(command.data)
            self._queued_bytes -= command.size
            answer = command.answer
            if answer is not None:
                if answer.done():
                    # Nobody waits for it any longer.
                    continue
                if not command.number:
                    markers.append(answer)
                    continue
                self._asked[command.number] = command
            parts.append(command.data)
        return b"".join(parts), markers

    async def _watch(self, connection: Any) -> None:
        """Notice when NATS says nothing any longer, or does not answer a question."""
        marks: deque[int] = deque(maxlen=_MOST_PULSES)
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            await connection.confirm(ANSWER_SECONDS)
            if len(marks) == _MOST_PULSES:
                self._give_up_until(marks[0])
            marks.append(self._last_question)

    def _give_up_until(self, number: int) -> None:
        """Questions that were asked long ago are not answered any more."""
        while self._asked:
            oldest = next(iter(self._asked))
            if oldest > number:
                return
            self._fail(self._asked.pop(oldest), ConnectionError("no answer came in time"))

    def _fail(self, command: _Command, error: ConnectionError) -> None:
        self.failed += 1
        if command.answer is not None and not command.answer.done():
            command.answer.set_exception(error)

    async def flush(self) -> None:
        """Wait until NATS has seen to all that was said.

        Raises:
            ConnectionError: when it cannot be reached.
        """
        written = outcome()
        self._push(_Command(b"", 0, written))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await written
        except TimeoutError as error:
            raise ConnectionError("NATS does not answer") from error
        await self.connection.confirm(ANSWER_SECONDS)

    def lost(self, error: ConnectionError) -> None:
        """See `Line.lost`; what may be sent again goes before all that waits."""
        self._told = False
        self._slow, self._refused = self.slow, self.refused
        self._connection = None
        asked, self._asked = list(self._asked.values()), {}
        for command in reversed(asked):
            if command.again and self._queued_bytes + command.size <= self._most_bytes:
                self._queue.appendleft(command)
                self._queued_bytes += command.size
        for command in asked:
            if not command.again:
                self._fail(command, error)

    async def close(self) -> None:
        """See `Line.close`; what was not sent is lost."""
        await super().close()
        ended = ConnectionError("the server has left the cluster")
        self.lost(ended)
        for command in self._queue:
            if command.answer is not None and not command.answer.done():
                self._fail(command, ended)
        self._queue.clear()
        self._queued_bytes = 0


def _subscription(subject: str, number: int) -> bytes:
    return b"SUB %b %d\r\n" % (subject.encode(), number)
