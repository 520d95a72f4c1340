"""Events that arrive at one socket, and the handlers they run. [compiled]

Events are handled in order, and each handler takes its first step in place. Those that then wait do
so beside each other, up to `concurrency` of them; beyond that events wait here, in a queue that
pauses reading from the connection when it is long.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nuncio.engine.rates import Bucket
from nuncio.engine.sent import Sent
from nuncio.errors import ArgumentError, EventError, RateLimited
from nuncio.handlers.binding import bind_event_middleware
from nuncio.handlers.caller import Caller
from nuncio.handlers.handler import Ack, Handler
from nuncio.handlers.listeners import event_name
from nuncio.handlers.replies import Reply, Running
from nuncio.handlers.runners import Runners
from nuncio.handlers.threads import Threads
from nuncio.protocol.socketio import RESERVED_EVENTS

if TYPE_CHECKING:
    from nuncio.server.connection import Connection
    from nuncio.server.namespace import Namespace


# How many times more events may wait while acknowledgements are awaited.
WAITING_FOR_ANSWERS: Final = 10


class Dispatcher(Caller):
    """The receiving half of a socket.

    Attributes:
        nsp: the socket's namespace.
        connected: whether events are handled.
    """

    __slots__ = (
        "_connection",
        "_held",
        "_middlewares",
        "_paused",
        "_queue",
        "_rates",
        "_running",
        "_running_by",
        "connected",
        "nsp",
    )

    def __init__(self, nsp: Namespace, connection: Connection) -> None:
        super().__init__()
        self.nsp = nsp
        self._connection = connection
        self.connected = False
        self._middlewares: list[Handler] | None = None
        self._queue: deque[tuple[list[Any], int, bool]] | None = None
        self._held = 0
        self._running = 0
        self._running_by: dict[Handler, int] | None = None
        self._paused = False
        self._rates: dict[Handler, Bucket] | None = None

    def use(self, middleware: Any) -> Any:
        """Call `middleware(event, *args)` before the handlers of each event of this socket.

        It may be async; later events wait. Raising `EventError` drops the event and hands the
        error to the socket's `error` listeners.

        Raises:
            OptionError: when it cannot be called so.
        """
        self._middlewares = [*(self._middlewares or []), bind_event_middleware(middleware)]
        return middleware

    def is_lifecycle(self, event: str) -> bool:
        """See `Listeners.is_lifecycle`."""
        return event == "error" or event in RESERVED_EVENTS

    @property
    def threads(self) -> Threads:
        """See `Caller.threads`."""
        return self.nsp.threads

    @property
    def awaits_answers(self) -> bool:
        """Whether the client's acknowledgements are waited for."""
        raise NotImplementedError

    def on_event(self, payload: list[Any], id: int) -> None:
        """An event arrived: its name and arguments, and the acknowledgement's id or -1."""
        if self._any is not None:
            for listener in list(self._any):
                self.nsp.server.notify(listener, payload, self, event_name(payload[0]))
        if self._held or self._queue is not None:
            self._waiting().append((payload, id, False))
            self._limit_queue()
        elif self._middlewares is not None:
            self._through_middlewares(payload, id)
        elif self._running:
            self.dispatch(payload, id)
        else:
            self._run_all(payload, id)

    def _waiting(self) -> deque[tuple[list[Any], int, bool]]:
        queue = self._queue
        if queue is None:
            queue = deque()
            self._queue = queue
        return queue

    def _limit_queue(self) -> None:
        queue = self._queue
        length = 0 if queue is None else len(queue)
        limit = int(self.nsp.server.limits.queued_events)
        if self.awaits_answers:
            # An answer that a handler waits for would be behind what is not read.
            limit *= WAITING_FOR_ANSWERS
        if not self._paused and length >= limit:
            self._paused = True
            self._connection.counters.queue_pauses += 1
            self._connection.pause_reading()
        elif self._paused and length <= limit // 2:
            self._paused = False
            self._connection.resume_reading()

    def hold(self) -> None:
        """Let events wait: a connection handler or a middleware has not ended."""
        self._held += 1

    def release(self) -> None:
        """One reason to let events wait is gone."""
        self._held -= 1
        if self._queue is not None:
            self._drain()

    def _drain(self) -> None:
        """Handle what waits, as far as nothing else makes it wait."""
        while self._held == 0 and self.connected:
            queue = self._queue
            if queue is None:
                break
            payload, id, passed = queue[0]
            passed = passed or self._middlewares is None
            if passed and self._busy(payload):
                break
            queue.popleft()
            if not queue:
                # Before it is handled, so that nothing seems to be waiting in front of it.
                self._queue = None
            # Held, so that a handler that ends at once goes on here and not one call deeper.
            self._held += 1
            try:
                if passed:
                    self._run_all(payload, id)
                else:
                    self._through_middlewares(payload, id)
            finally:
                self._held -= 1
        self._limit_queue()

    def _through_middlewares(self, payload: list[Any], id: int) -> None:
        middlewares = self._middlewares
        assert middlewares is not None
        for index in range(len(middlewares)):
            result = self._middleware(middlewares[index], payload)
            if result is False:
                return
            if result is not None and hasattr(result, "__await__"):
                self.hold()
                rest = middlewares[index + 1 :]
                self.nsp.server.run_middlewares(self, result, rest, payload, id)
                return
        self.dispatch(payload, id)

    def dispatch(self, payload: list[Any], id: int) -> None:
        """Run the handlers of an event which the middlewares let through, in its turn."""
        if self._busy(payload):
            self._waiting().appendleft((payload, id, True))
            self._limit_queue()
        else:
            self._run_all(payload, id)

    def _middleware(self, middleware: Handler, payload: list[Any]) -> Any:
        """Call one; False when it stopped the event."""
        try:
            result = middleware.function(*middleware.arguments(self, ["", *payload], None))
        except Exception as error:
            self.stop_event(error, payload)
            return False
        return None if result is False else result

    def stop_event(self, error: Exception, payload: list[Any]) -> None:
        """A middleware stopped an event."""
        if isinstance(error, EventError):
            self.fire("error", [error])
        else:
            self.nsp.server.report(error, self, event_name(payload[0]))

    def _handlers(self, name: str) -> list[Handler] | None:
        shared = self.nsp.handlers.get(name)
        own = self._listeners
        if own is None:
            return shared
        mine = own.get(name)
        if shared is None or mine is None:
            return mine if shared is None else shared
        return shared + mine

    def _busy(self, payload: list[Any]) -> bool:
        """Whether an event has to wait for handlers that are running."""
        if self._running == 0:
            return False
        handlers = self._handlers(event_name(payload[0]))
        if handlers is None:
            return False
        for handler in handlers:
            # One that ends in place waits, too: with a concurrency of 1 nothing runs beside it.
            if handler.concurrency == 0:
                if self._running >= self.nsp.concurrency:
                    return True
            elif self._running_by is not None:
                if self._running_by.get(handler, 0) >= handler.concurrency:
                    return True
        return False

    def _run_all(self, payload: list[Any], id: int) -> None:
        if not self.connected:
            return
        first = payload[0]
        name = first if isinstance(first, str) else event_name(first)
        handlers = self._handlers(name)
        if handlers is None:
            return
        if len(handlers) == 1:
            self._run(handlers[0], payload, id, name)
            return
        reply = Reply(self, id, len(handlers))
        for handler in handlers:
            self._run_shared(handler, payload, reply, name)

    def _run(self, handler: Handler, payload: list[Any], id: int, name: str) -> None:
        """The everyday case: one handler."""
        if handler.once:
            self._forget(handler, name)
        try:
            if handler.rate is not None:
                self._spend(handler, name)
            if handler.simple and len(payload) == 2 and not handler.thread:
                if handler.takes_socket:
                    result = handler.function(self, payload[1])
                else:
                    result = handler.function(payload[1])
            else:
                reply = Reply(self, id)
                args = handler.arguments(self, payload, reply)
                if handler.thread:
                    self._start(handler, self.nsp.server.in_thread(handler, args), reply, name)
                    return
                result = handler.function(*args)
                if handler.ack_index >= 0:
                    if result is not None and hasattr(result, "__await__"):
                        self._start(handler, result, reply, name)
                    return
        except Exception as error:
            self.handler_failed(error, Reply(self, id), name)
            return
        if handler.is_async or (result is not None and hasattr(result, "__await__")):
            if isinstance(result, Sent) and result.taken:
                result = None
            else:
                self._start(handler, result, Reply(self, id), name)
                return
        if id >= 0:
            self.answer_event(id, result, name)

    def _run_shared(self, handler: Handler, payload: list[Any], reply: Reply, name: str) -> None:
        """One of several handlers: the first answer counts."""
        if handler.once:
            self._forget(handler, name)
        try:
            if handler.rate is not None:
                self._spend(handler, name)
            args = handler.arguments(self, payload, reply)
            if handler.thread:
                result = self.nsp.server.in_thread(handler, args)
            else:
                result = handler.function(*args)
        except Exception as error:
            self.handler_failed(error, reply, name)
            return
        if result is not None and hasattr(result, "__await__"):
            self._start(handler, result, reply, name)
        elif handler.ack_index < 0:
            reply.give(result, name)

    def _spend(self, handler: Handler, name: str) -> None:
        """Count one run of a handler that has a rate.

        Raises:
            RateLimited: when it is one too many.
        """
        rates = self._rates
        if rates is None:
            rates = {}
            self._rates = rates
        bucket = rates.get(handler)
        if bucket is None:
            rate = handler.rate
            assert rate is not None
            bucket = Bucket(rate)
            rates[handler] = bucket
        now = self._connection.wheel.now()
        wait = bucket.wait(now)
        if wait > 0.0:
            self._connection.counters.rate_limited_events += 1
            raise RateLimited(name, wait)
        bucket.take(now)

    def _forget(self, handler: Handler, name: str) -> None:
        # It is the namespace's or this socket's; the other does not know it.
        self.nsp.forget_handler(handler, name)
        if self._listeners is not None:
            kept = [one for one in self._listeners.get(name, []) if one is not handler]
            self._listeners[name] = kept

    def handler_failed(self, error: Exception, reply: Reply, name: str) -> None:
        self._tell_failure(error, reply, name)
        if isinstance(error, RateLimited):
            # Now that it is answered, for it may be the last.
            self._connection.refused()

    def _tell_failure(self, error: Exception, reply: Reply, name: str) -> None:
        if self.nsp.server.handle_exception(error, self, reply, name):
            return
        if isinstance(error, EventError):
            reply.skip(name)
            self.fire("error", [error])
            return
        if isinstance(error, (ArgumentError, RateLimited)):
            reply.answer(error.answer(), name)
        else:
            reply.skip(name)
        self.nsp.server.report(error, self, name)

    def answer_event(self, id: int, result: Any, name: str) -> None:
        if result is None:
            values: list[object] = []
        elif isinstance(result, Ack):
            values = result.values
        else:
            values = [result]
        try:
            message = self.nsp.parser.encode_ack(self.nsp.prefix, id, values)
        except Exception as error:
            self.nsp.server.report(error, self, name)
            return
        if self.connected:
            self._connection.session.push(message)

    # Handlers that wait.

    def _start(self, handler: Handler, awaitable: Any, reply: Reply, name: str) -> None:
        running = Running(self, handler, reply, name)
        self._running += 1
        if handler.concurrency:
            counts = self._running_by
            if counts is None:
                counts = {}
                self._running_by = counts
            counts[handler] = counts.get(handler, 0) + 1
        runners: Runners = self.nsp.server.runners
        runners.start(self._connection.session.loop, awaitable, running)

    def handler_ended(self, handler: Handler) -> None:
        """A handler that waited has ended."""
        self._running -= 1
        counts = self._running_by
        if counts is not None and handler.concurrency:
            counts[handler] -= 1
        if self._queue is not None:
            self._drain()

    def fire(self, event: str, args: list[Any]) -> None:
        """Call the listeners of a lifecycle event: the namespace's, then this socket's."""
        server = self.nsp.server
        shared = self.nsp.lifecycle.get(event)
        if shared is not None:
            for handler in shared:
                if handler.once:
                    self._forget(handler, event)
                server.call_lifecycle(handler, self, args)
        if self._listeners is not None:
            for handler in self._listeners.get(event, []):
                if handler.once:
                    self._forget(handler, event)
                server.call_lifecycle(handler, self, args)
