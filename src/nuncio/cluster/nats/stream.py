"""The log of events that clients can recover: a stream of JetStream, read once by each server.

The numbers of its entries are the one order for all. A stream that was made anew begins to count
anew, so an entry's place is the moment when the stream was made, and the number.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from nuncio.cluster.line import as_connection_error, outcome, seen
from nuncio.cluster.logged import GRACE_SECONDS, MOST_MISSED
from nuncio.cluster.nats.bus import Bus
from nuncio.cluster.nats.consumer import HEARTBEAT_SECONDS, Consumer
from nuncio.cluster.nats.link import ENGINE
from nuncio.cluster.nats.parts import MOST_BYTES
from nuncio.cluster.nats.recent import Recent
from nuncio.cluster.nats.sessions import Sessions
from nuncio.cluster.nats.subjects import checked_stream, log_subject
from nuncio.cluster.recovery_options import RecoveryOptions
from nuncio.options import seconds, whole

logger = logging.getLogger("nuncio.cluster")

# A consumer that says nothing for so long is not there any more.
_SILENCE_SECONDS: Final = 3 * HEARTBEAT_SECONDS


class StreamOptions:
    """How the stream is made; see `NatsAdapter`.

    Raises:
        OptionError: for what cannot be.
    """

    def __init__(
        self, name: str, max_age: float, max_msgs: int, max_bytes: int, replicas: int
    ) -> None:
        self.name = checked_stream(name)
        self.max_age = seconds("max_age", max_age, most=365 * 86_400.0)
        self.max_msgs = whole("max_msgs", max_msgs)
        self.max_bytes = whole("max_bytes", max_bytes)
        self.replicas = whole("replicas", replicas)


class Listener(Protocol):
    """An adapter, as the log knows it."""

    def entry_arrived(self, position: int, data: bytes) -> None:
        """An entry of its namespace."""


class Log:
    """The log of one server.

    Args:
        bus: the server's connection.
        prefix: with which subjects begin.
        options: how the stream is made.
        recovery: for how long clients may be away, and how much this server remembers itself.

    Attributes:
        position: the place of the last entry that was read.
        sessions: of clients that are away.
    """

    def __init__(
        self, bus: Bus, prefix: str, options: StreamOptions, recovery: RecoveryOptions
    ) -> None:
        self._bus = bus
        self._options = options
        self._subjects = log_subject(prefix, "*")
        self._listeners: dict[bytes, Listener] = {}
        self._consumer: Consumer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._beginning: asyncio.Future[None] | None = None
        self._epoch = 0
        self.position = 0
        self._recent = Recent(recovery.max_packets, recovery.max_bytes)
        duration = recovery.max_disconnection_duration
        self.sessions = Sessions(bus, options, duration + GRACE_SECONDS)

    async def listen(self, subject: str, listener: Listener) -> None:
        """Receive a namespace's entries, from now on.

        Raises:
            ConnectionError: when there is no JetStream, or it cannot be reached.
        """
        self._listeners[subject.encode()] = listener
        if self._beginning is None:
            self._beginning = asyncio.ensure_future(self._bus.on_connection(self._start))
            self._beginning.add_done_callback(seen)
        beginning = self._beginning
        try:
            await asyncio.shield(beginning)
        except Exception as error:
            if self._beginning is beginning:
                self._beginning = None
            raise as_connection_error(error, ENGINE) from error

    def forget(self, subject: str) -> None:
        """Receive them no longer; after the last namespace nothing is read."""
        self._listeners.pop(subject.encode(), None)
        if self._listeners:
            return
        self._bus.off_connection(self._start)
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.cancel()
        self.position = 0
        self._recent.begin(0)
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if self._consumer is not None:
            self._consumer.end()
            self._consumer = None

    # The stream.

    async def _start(self, connection: Any) -> None:
        """Go on reading after what was read, over a new connection."""
        jetstream = connection.jetstream()
        info = await self._found(jetstream)
        await self.sessions.open(jetstream)
        self._epoch = int(info.created.timestamp() * 1000) if info.created is not None else 0
        last = self._place(info.state.last_seq)
        if not self._place(0) <= self.position <= last:
            # It is the first time, or the stream is another one, which counts anew.
            self.position = last
            self._recent.begin(last)
        if self._consumer is not None:
            self._consumer.end()
        consumer = Consumer(self._bus, self._arrived, connection.fail)
        self._consumer = consumer
        await consumer.begin(jetstream, self._options.name, _number(self.position), "")
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.ensure_future(self._watch(consumer, connection.fail))

    def _place(self, number: int) -> int:
        return (self._epoch << 64) | number

    async def _found(self, jetstream: Any) -> Any:
        """The stream; made, if there is none."""
        from nats.errors import NoRespondersError
        from nats.js import errors

        name = self._options.name
        try:
            info = await jetstream.stream_info(name)
        except errors.NotFoundError:
            try:
                info = await jetstream.add_stream(self._config())
            except errors.BadRequestError:
                # Another server has made it in the meantime, in its own way.
                info = await jetstream.stream_info(name)
        except (errors.ServiceUnavailableError, NoRespondersError) as error:
            raise ConnectionError(
                "NATS has no JetStream, which connection_state_recovery needs: start nats-server"
                " with -js, or with jetstream {} in its configuration"
            ) from error
        if self._subjects not in (info.config.subjects or ()):
            raise ConnectionError(
                f"the stream {name!r} has other subjects than {self._subjects!r}: name another"
                " one, as in NatsAdapter(…, stream='chat')"
            )
        return info

    def _config(self) -> Any:
        from nats.js import api

        options = self._options
        return api.StreamConfig(
            name=options.name,
            subjects=[self._subjects],
            max_age=options.max_age,
            max_msgs=options.max_msgs,
            max_bytes=options.max_bytes,
            num_replicas=options.replicas,
            discard=api.DiscardPolicy.OLD,
            storage=api.StorageType.FILE,
        )

    async def _watch(self, consumer: Consumer, fail: Callable[[str], None]) -> None:
        """Notice when the consumer is there no longer."""
        loop = asyncio.get_running_loop()
        while loop.time() - consumer.heard_at < _SILENCE_SECONDS:  # noqa: ASYNC110 - as it says
            await asyncio.sleep(HEARTBEAT_SECONDS)
        fail("the stream says nothing")

    def _arrived(self, number: int, data: bytes, pending: int, subject: bytes) -> None:
        self.position = self._place(number)
        self._recent.add(self.position, subject, data)
        listener = self._listeners.get(subject)
        if listener is not None:
            listener.entry_arrived(self.position, data)

    # What adapters want of it.

    def append(self, subject: str, data: bytes, id: str) -> asyncio.Future[None]:
        """Add an entry, which is there once though it may be sent twice.

        Args:
            subject: the namespace's.
            data: what is in it.
            id: it has for itself.

        Returns:
            What fails with ConnectionError when it was not added.

        Raises:
            LimitExceeded: when it is too large.
        """
        return stored(self._bus.request(subject, data, id))

    async def read_after(
        self, position: int, subject: str, lately: bool
    ) -> list[tuple[int, bytes]] | None:
        """A namespace's entries after a place; None when some may have been forgotten.

        Args:
            position: the place.
            subject: the namespace's.
            lately: whether what this server has read lately is enough, if it reaches back so far.

        Raises:
            ConnectionError: when JetStream cannot be asked.
        """
        if position >> 64 != self._epoch:
            return None
        recent = self._recent.after(position, subject.encode()) if lately else None
        if recent is not None:
            return recent
        jetstream = self._bus.connection.jetstream()
        number = _number(position)
        try:
            if not await self._has(jetstream, number):
                return None
            found = await self._read(jetstream, number, subject)
            # It may have forgotten some meanwhile.
            return found if await self._has(jetstream, number) else None
        except Exception as error:
            raise as_connection_error(error, ENGINE) from error

    async def _has(self, jetstream: Any, number: int) -> bool:
        """Whether the stream has all that came after a number, which it has given."""
        state = (await jetstream.stream_info(self._options.name)).state
        return bool(state.first_seq - 1 <= number <= state.last_seq)

    async def _read(
        self, jetstream: Any, after: int, subject: str
    ) -> list[tuple[int, bytes]] | None:
        found: list[tuple[int, bytes]] = []
        size = 0
        done = outcome()

        def arrived(number: int, data: bytes, pending: int, subject: bytes) -> None:
            nonlocal size
            size += len(data)
            found.append((self._place(number), data))
            if len(found) > MOST_MISSED or size > MOST_BYTES:
                _finish(done, False)
            elif not pending:
                _finish(done, True)

        def broken(why: str) -> None:
            if not done.done():
                done.set_exception(ConnectionError(why))

        consumer = Consumer(self._bus, arrived, broken)
        try:
            if not await consumer.begin(jetstream, self._options.name, after, subject):
                return []
            return found if await done else None
        finally:
            consumer.end()


def stored(answer: asyncio.Future[bytes]) -> asyncio.Future[None]:
    """What the answer to an entry says: that it is kept, or ConnectionError."""
    result = outcome()

    def answered(answer: asyncio.Future[bytes]) -> None:
        if result.done():
            return
        error = ConnectionError("it was given up") if answer.cancelled() else answer.exception()
        if error is None:
            error = _refusal(answer.result())
        if error is None:
            result.set_result(None)
        else:
            result.set_exception(error)

    answer.add_done_callback(answered)
    return result


def _refusal(data: bytes) -> ConnectionError | None:
    try:
        told = json.loads(data)
        if "error" in told:
            return ConnectionError(f"JetStream: {told['error'].get('description')}")
        return None if told["seq"] > 0 else ConnectionError("JetStream did not keep it")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ConnectionError("JetStream gave no answer that is one")


def _number(position: int) -> int:
    return position & (2**64 - 1)


def _finish(done: asyncio.Future[bool], complete: bool) -> None:
    if not done.done():
        done.set_result(complete)
