"""The acknowledgements that one socket waits for: asked, counted, answered or lost. [compiled]

`nuncio.handlers.acks` has what stands for one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import Disconnected, Dropped, LimitExceeded
from nuncio.handlers.acks import CallbackAck, FutureAck, PendingAck
from nuncio.handlers.callbacks import bind_callback
from nuncio.handlers.handler import Handler
from nuncio.server.recoverable import Recoverable
from nuncio.slow import SlowConsumer

if TYPE_CHECKING:
    from nuncio.server.connection import Connection
    from nuncio.server.namespace import Namespace


class Asker(Recoverable):
    """The asking part of a socket."""

    __slots__ = ("_acks",)

    def __init__(self, nsp: Namespace, connection: Connection, id: str) -> None:
        super().__init__(nsp, connection, id)
        self._acks: dict[int, PendingAck] | None = None

    def send_event(
        self,
        payload: list[Any],
        id: int,
        volatile: bool,
        compress: bool,
        promised: bool,
        slow: SlowConsumer | None,
    ) -> Sent:
        """Send an event: its name and arguments, the acknowledgement's id or -1, flags."""
        raise NotImplementedError

    @property
    def awaits_answers(self) -> bool:
        """See `Dispatcher.awaits_answers`."""
        return bool(self._acks)

    def request_ack(
        self, payload: list[object], timeout: float, compress: bool, slow: SlowConsumer | None
    ) -> Awaitable[Any]:
        """See `emit_with_ack`; a time-out of 0 is none."""
        threads = self.nsp.threads
        if threads.used and threads.away():
            raise RuntimeError(
                "emit_with_ack cannot be awaited in a thread: use an async handler, or emit with "
                "a callback"
            )
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        pending = FutureAck(self, self.nsp.next_ack_id(), future)
        if self.connected:
            self._ask(pending, payload, timeout, compress, slow)
        else:
            pending.fail(Disconnected("not connected"))
        return future

    def emit_callback(
        self,
        payload: list[object],
        callback: Any,
        timeout: float,
        compress: bool,
        slow: SlowConsumer | None,
    ) -> Sent:
        """See `emit` with a callable; with a time-out its first argument is an error or None."""
        threads = self.nsp.threads
        if threads.used and threads.away():
            threads.call(self.emit_callback, payload, callback, timeout, compress, patient(slow))
            return TAKEN
        handler = bind_callback(callback)
        pending = CallbackAck(self, self.nsp.next_ack_id(), handler, timeout > 0)
        if self.connected:
            return self._ask(pending, payload, timeout, compress, slow)
        # Later, as any answer; never while its own emit has not returned.
        asyncio.get_running_loop().call_soon(pending.fail, Disconnected("not connected"))
        return TAKEN

    def _ask(
        self,
        pending: PendingAck,
        payload: list[object],
        timeout: float,
        compress: bool,
        slow: SlowConsumer | None,
    ) -> Sent:
        """Send an event and wait for its answer, unless it cannot be sent."""
        self._wait_for_ack(pending, timeout)
        try:
            return self.send_event(payload, pending.id, False, compress, False, slow)
        except Exception:
            self.forget_ack(pending.id)
            self._connection.wheel.cancel(pending)
            raise

    def _wait_for_ack(self, pending: PendingAck, timeout: float) -> None:
        acks = self._acks
        if acks is None:
            acks = {}
            self._acks = acks
        if len(acks) >= self.nsp.server.limits.pending_acks and not _drop_abandoned(acks):
            self._connection.counters.limits_exceeded += 1
            raise LimitExceeded(
                f"socket {self.id} already waits for {len(acks)} acknowledgements; "
                "use time-outs, or raise Limits(pending_acks=…)"
            )
        acks[pending.id] = pending
        if self._paused:
            self._limit_queue()
        if timeout > 0:
            self._connection.wheel.arm(pending, timeout)

    def forget_ack(self, id: int) -> None:
        """An acknowledgement is not waited for any longer."""
        if self._acks is not None:
            self._acks.pop(id, None)

    def lose_ack(self, id: int) -> None:
        """The event was dropped that an acknowledgement is waited for."""
        pending = None if self._acks is None else self._acks.pop(id, None)
        if pending is not None:
            self._connection.wheel.cancel(pending)
            pending.fail(Dropped())

    def on_ack(self, id: int, values: list[Any]) -> None:
        """The client answered; unknown and late answers are ignored."""
        if self._outbox is not None:
            self._outbox.acknowledge(id)
        if self._acks is None:
            return
        pending = self._acks.pop(id, None)
        if pending is not None:
            self._connection.wheel.cancel(pending)
            pending.answer(values)

    def run_callback(self, callback: Handler, values: list[Any]) -> None:
        """Call an acknowledgement callback with what it declares."""
        args = callback.with_answer(values)
        self.nsp.server.guard(callback.function, args, self, "ack")

    def fail_acks(self, error: Exception) -> None:
        """None of them will come."""
        acks = self._acks
        if acks is not None:
            self._acks = None
            for pending in list(acks.values()):
                self._connection.wheel.cancel(pending)
                pending.fail(error)


def patient(slow: SlowConsumer | None) -> SlowConsumer | None:
    """The policy of what another thread emits, which can no longer be told that it must wait."""
    return slow if slow is None or slow.droppable else None


def _drop_abandoned(acks: dict[int, PendingAck]) -> bool:
    """Forget those that nobody awaits any longer; whether there were any."""
    abandoned = [id for id, pending in acks.items() if pending.abandoned]
    for id in abandoned:
        del acks[id]
    return len(abandoned) > 0
