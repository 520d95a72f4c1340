"""What a client's socket sends, and the acknowledgements that it waits for. [compiled]

Events leave at once where there is a connection, wait in the send buffer where there is none, and
go through the queue of `nuncio.client.retries` where the option `retries` is set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from nuncio.client.dispatch import ClientDispatcher
from nuncio.client.retries import Queued, Retries
from nuncio.client.waiting import SendBuffer
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import Disconnected, DisconnectReason, Dropped, LimitExceeded, OptionError
from nuncio.handlers.acks import CallbackAck, FutureAck, PendingAck
from nuncio.handlers.callbacks import bind_callback
from nuncio.handlers.handler import Handler
from nuncio.handlers.listeners import event_name
from nuncio.protocol.parser import Parser
from nuncio.protocol.socketio import RESERVED_EVENTS

PING_TIMEOUT: Final = str(DisconnectReason.PING_TIMEOUT)

BEHIND: Final = "the server is behind, or there is no connection"


class ClientAsker(ClientDispatcher):
    """The sending half of a client's socket.

    Args:
        runner: see `ClientDispatcher`, as `nsp`, `parser`, `concurrency` and `queued_events`.
        wheel: times acknowledgements.
        buffer: what waits for a connection.
        retries: how often events are repeated, -1 for the option not being set.
        ack_timeout: seconds that acknowledgements may take unless told otherwise; 0 for any.
        pending_acks: how many acknowledgements may be waited for.
        queued_retries: how many events may wait in the queue of `retries`.
    """

    __slots__ = (
        "_ack_timeout",
        "_acks",
        "_buffer",
        "_next_id",
        "_pending_acks",
        "_retries",
        "_wheel",
    )

    def __init__(
        self,
        runner: Any,
        nsp: str,
        parser: Parser,
        concurrency: int,
        queued_events: int,
        wheel: TimerWheel,
        buffer: SendBuffer,
        retries: int,
        ack_timeout: float,
        pending_acks: int,
        queued_retries: int,
    ) -> None:
        super().__init__(runner, nsp, parser, concurrency, queued_events)
        self._wheel = wheel
        self._buffer = buffer
        self._retries: Retries | None = None
        self._ack_timeout = ack_timeout
        self._pending_acks = pending_acks
        self._acks: dict[int, PendingAck] | None = None
        self._next_id = 0
        if retries >= 0:
            self._retries = Retries(self, retries, queued_retries, wheel)

    @property
    def awaits_answers(self) -> bool:
        """See `ClientDispatcher.awaits_answers`."""
        return bool(self._acks)

    # Sending.

    def send_event(self, payload: list[Any], volatile: bool, compress: bool) -> Sent:
        """Send an event that needs no acknowledgement: its name and arguments."""
        check_name(payload[0])
        threads = self._threads
        if threads.used and threads.away():
            threads.call(self._send_carried, payload, volatile, compress)
            return TAKEN
        if self._retries is not None and not volatile:
            self._retries.add(Queued(payload, compress, None, self._ack_timeout))
            return TAKEN
        self._end_expired()
        return self._send(payload, -1, volatile, compress)

    def _send_carried(self, payload: list[Any], volatile: bool, compress: bool) -> None:
        """The same for another thread, which does not wait to be told that it cannot be sent."""
        try:
            self.send_event(payload, volatile, compress)
        except Exception as error:
            self.tell_failure(error, payload)

    def _ask_carried(
        self, payload: list[Any], callback: Any, timeout: float, volatile: bool, compress: bool
    ) -> None:
        try:
            self.emit_callback(payload, callback, timeout, volatile, compress)
        except Exception as error:
            self.tell_failure(error, payload)

    def _end_expired(self) -> None:
        """End a connection that must be over, so that what follows waits for the next one."""
        session = self.session
        if session is not None and session.expired:
            session.cut(PING_TIMEOUT, "")

    def _send(self, payload: list[Any], id: int, volatile: bool, compress: bool) -> Sent:
        session = self.session
        if self.connected and session is not None and session.is_open:
            if volatile and not session.writable:
                session.dropped += 1
                self._lose(id)
                return TAKEN
            message = self._parser.encode_event(self._prefix, id, payload, compress)
            if self._any_out is not None:
                self._notify_outgoing(payload)
            return session.push(message)
        if volatile:
            self._lose(id)
            return TAKEN
        message = self._parser.encode_event(self._prefix, id, payload, compress)
        for lost in self._buffer.add(message, payload, id):
            self._lose(lost)
        return TAKEN

    def _notify_outgoing(self, payload: list[Any]) -> None:
        if self._any_out is not None:
            for listener in list(self._any_out):
                self._runner.notify(listener, payload, self, event_name(payload[0]))

    def _lose(self, id: int) -> None:
        """An event was dropped; tell who waits for its acknowledgement, if anybody does."""
        pending = None if self._acks is None else self._acks.pop(id, None)
        if pending is not None:
            self._wheel.cancel(pending)
            # Later, as any answer; never while its own emit has not returned.
            self._runner.loop.call_soon(pending.fail, Dropped(BEHIND))

    def flush_buffer(self) -> None:
        """Send what waited for the connection."""
        session = self.session
        if session is None or len(self._buffer) == 0:
            return
        for waiting in self._buffer.take():
            self._notify_outgoing(waiting.payload)
            session.push_kept(waiting.message)

    # Acknowledgements.

    def request_ack(
        self, payload: list[Any], timeout: float, volatile: bool, compress: bool
    ) -> Awaitable[Any]:
        """Send an event and wait for its acknowledgement; a time-out of 0 is the option's."""
        check_name(payload[0])
        threads = self._threads
        if threads.used and threads.away():
            raise RuntimeError(
                "emit_with_ack cannot be awaited in a thread: use an async handler, nuncio.sync, "
                "or emit with a callback"
            )
        future: asyncio.Future[Any] = self._runner.loop.create_future()
        limit = timeout or self._ack_timeout
        self._ask(FutureAck(self, -1, future), payload, limit, volatile, compress)
        return future

    def emit_callback(
        self, payload: list[Any], callback: Any, timeout: float, volatile: bool, compress: bool
    ) -> Sent:
        """Send an event; with a time-out the callback's first argument is an error or None."""
        check_name(payload[0])
        threads = self._threads
        if threads.used and threads.away():
            threads.call(self._ask_carried, payload, callback, timeout, volatile, compress)
            return TAKEN
        handler = bind_callback(callback)
        limit = timeout or self._ack_timeout
        error_first = limit > 0.0 or self._retries is not None
        return self._ask(
            CallbackAck(self, -1, handler, error_first), payload, limit, volatile, compress
        )

    def _ask(
        self, pending: PendingAck, payload: list[Any], limit: float, volatile: bool, compress: bool
    ) -> Sent:
        if self._retries is not None and not volatile:
            self._retries.add(Queued(payload, compress, pending, limit))
            return TAKEN
        return self._send_asking(pending, payload, limit, volatile, compress)

    def ask_again(self, pending: PendingAck, queued: Queued) -> None:
        """Send an event of the queue of `retries`, once more or for the first time.

        Raises:
            LimitExceeded: when there is no room for it.
            TypeError: when it cannot be sent; ValueError, too.
        """
        self._send_asking(pending, queued.payload, queued.limit, False, queued.compress)

    def check_payload(self, payload: list[Any]) -> None:
        """Refuse data that cannot be sent.

        Raises:
            TypeError: for it; ValueError for data that is nested too deeply.
        """
        self._parser.encode_event(self._prefix, 0, payload)

    def ready(self) -> bool:
        """Whether what is sent now leaves, and does not wait for the next connection."""
        self._end_expired()
        session = self.session
        return self.connected and session is not None and session.is_open

    def tell_failure(self, error: Exception, payload: list[Any]) -> None:
        """An event that was emitted before cannot be sent."""
        self._runner.report(error, self, event_name(payload[0]))

    def _send_asking(
        self, pending: PendingAck, payload: list[Any], limit: float, volatile: bool, compress: bool
    ) -> Sent:
        self._end_expired()
        acks = self._acks
        if acks is None:
            acks = {}
            self._acks = acks
        if len(acks) >= self._pending_acks and not _drop_abandoned(acks):
            raise LimitExceeded(
                f"{len(acks)} acknowledgements are waited for already; use time-outs, or raise "
                "ClientLimits(pending_acks=…)"
            )
        id = self._next_id
        self._next_id = id + 1
        pending.id = id
        acks[id] = pending
        try:
            sent = self._send(payload, id, volatile, compress)
        except Exception:
            acks.pop(id, None)
            raise
        if limit > 0.0 and id in acks:
            self._wheel.arm(pending, limit)
        if self._paused:
            self.limit_queue()
        return sent

    def forget_ack(self, id: int) -> None:
        """See `Caller.forget_ack`: its event is not sent any more, either, if it still waits."""
        if self._acks is not None:
            self._acks.pop(id, None)
        self._buffer.forget(id)

    def on_ack(self, id: int, values: list[Any]) -> None:
        """The server answered; unknown and late answers are ignored."""
        pending = None if self._acks is None else self._acks.pop(id, None)
        if pending is not None:
            self._wheel.cancel(pending)
            pending.answer(values)

    def lose_ack(self, id: int) -> None:
        """The event was dropped that an acknowledgement is waited for."""
        self._lose(id)

    def run_callback(self, callback: Handler, values: list[Any]) -> None:
        """See `Caller.run_callback`."""
        args = callback.with_answer(values)
        self._runner.guard(callback.function, args, self, "ack")

    def fail_sent_acks(self, reason: str) -> None:
        """The connection is lost: what was sent will not be answered."""
        acks = self._acks
        if not acks:
            return
        kept: dict[int, PendingAck] = {}
        lost: list[PendingAck] = []
        for id, pending in acks.items():
            if self._buffer.holds(id):
                kept[id] = pending
            else:
                lost.append(pending)
        self._acks = kept
        for pending in lost:
            self._wheel.cancel(pending)
            pending.fail(Disconnected(reason))

    def drain_retries(self) -> None:
        """The connection is there: send the first event of the queue again."""
        if self._retries is not None:
            self._retries.drain(force=True)


def check_name(event: object) -> None:
    """Refuse names that events cannot have.

    Raises:
        OptionError: for a reserved name, and for what is none.
    """
    if isinstance(event, str):
        if event in RESERVED_EVENTS:
            raise OptionError(f"event: {event!r} is a reserved event name")
    elif not isinstance(event, int) or isinstance(event, bool):
        raise OptionError(f"event must be a str, not {event!r}")


def _drop_abandoned(acks: dict[int, PendingAck]) -> bool:
    """Forget those that nobody awaits any longer; whether there were any."""
    abandoned = [id for id, pending in acks.items() if pending.abandoned]
    for id in abandoned:
        del acks[id]
    return len(abandoned) > 0
