"""Events that arrive at a client's socket, and the handlers they run. [compiled]

As on the server, events are handled in order, each handler takes its first step in place, and those
that then wait do so beside each other, up to `concurrency` of them. Beyond that events wait here;
when many do, reading from the connection pauses.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from nuncio.client.session import ClientSession
from nuncio.engine.sent import Sent
from nuncio.errors import ArgumentError
from nuncio.handlers.caller import Caller
from nuncio.handlers.handler import Ack, Handler
from nuncio.handlers.listeners import event_name
from nuncio.handlers.replies import Reply, Running
from nuncio.handlers.runners import Runners
from nuncio.handlers.threads import Threads
from nuncio.protocol.parser import Parser

# How many times more events may wait while acknowledgements are awaited, and before the server has
# said who we are: what is waited for is behind them.
WAITING_FOR_ANSWERS: Final = 10
WAITING_FOR_CONNECT: Final = 100

# The server's ids have fewer bits. Above them stands for which connection an id holds: an answer
# that comes late may not be taken for that to a question of the next one, which counts anew.
ID_BITS: Final = 68
ID_MASK: Final = (1 << ID_BITS) - 1


class ClientDispatcher(Caller):
    """The receiving half of a client's socket.

    Args:
        runner: runs what waits, and is told of failures; see `nuncio.client.runner`.
        nsp: the namespace's name.
        parser: how packets are written.
        concurrency: how many handlers may run at once; 0 where the runner lets them wait.
        queued_events: how many events may wait before reading pauses.

    Attributes:
        connected: whether the server has let it into the namespace.
        session: what carries packets; None while there is no connection.
    """

    __slots__ = (
        "_concurrency",
        "_early",
        "_generation",
        "_handling",
        "_held",
        "_inbox",
        "_known",
        "_parser",
        "_paused",
        "_prefix",
        "_promised",
        "_queue",
        "_queued_events",
        "_runner",
        "_running",
        "_running_by",
        "_threads",
        "connected",
        "nsp",
        "session",
    )

    def __init__(
        self, runner: Any, nsp: str, parser: Parser, concurrency: int, queued_events: int
    ) -> None:
        super().__init__()
        self._runner = runner
        self.nsp = nsp
        self._parser = parser
        self._prefix = parser.prefix(nsp)
        self._concurrency = concurrency
        self._queued_events = queued_events
        self._threads: Threads = runner.threads
        self.connected = False
        self.session: ClientSession | None = None
        # What waits for handlers, and what came before the server has said who we are.
        self._queue: deque[tuple[list[Any], int]] | None = None
        self._early: list[tuple[list[Any], int]] | None = None
        # Which connection this is; ids of the first one stay as they are.
        self._generation = -1
        self._held = False
        self._handling = False
        self._running = 0
        self._running_by: dict[Handler, int] | None = None
        self._paused = False
        # Who iterates over events; see `nuncio.client.inbox`.
        self._inbox: Any = None
        # Whether events with an id are promised by the server, and the ids of those that came.
        self._promised = False
        self._known: dict[str, None] | None = None

    @property
    def threads(self) -> Threads:
        """See `Caller.threads`."""
        return self._threads

    @property
    def awaits_answers(self) -> bool:
        """Whether acknowledgements of the server's are waited for."""
        raise NotImplementedError

    def arrived(self, payload: list[Any], id: int) -> None:
        """An event has arrived, and will be handled; see `on_event`."""
        raise NotImplementedError

    def flooded(self) -> None:
        """The server sends events and does not say who we are."""
        raise NotImplementedError

    # Events.

    def on_event(self, payload: list[Any], id: int) -> None:
        """An event arrived: its name and arguments, and the acknowledgement's id or -1."""
        if not self.connected:
            self._keep_early(payload, id)
            return
        self.arrived(payload, id)
        if id >= 0:
            id = self._marked(id)
        if (
            not self._held
            and self._queue is None
            and (self._running == 0 or not self._busy(payload))
        ):
            self._handle(payload, id)
        else:
            self._waiting().append((payload, id))
            self.limit_queue()

    def _waiting(self) -> deque[tuple[list[Any], int]]:
        queue = self._queue
        if queue is None:
            queue = deque()
            self._queue = queue
        return queue

    def _marked(self, id: int) -> int:
        """An id with the connection for which it holds."""
        generation = self._generation
        return id if generation == 0 else generation << ID_BITS | id

    def _keep_early(self, payload: list[Any], id: int) -> None:
        early = self._early
        if early is None:
            early = []
            self._early = early
        early.append((payload, id))
        if len(early) > self._queued_events * WAITING_FOR_CONNECT:
            self._early = None
            self.flooded()

    def admitted(self) -> None:
        """The server has let it in: handle what came before it said so."""
        self._generation += 1
        self.connected = True
        early = self._early
        self._early = None
        if early is not None:
            queue = self._waiting()
            for payload, id in early:
                self.arrived(payload, id)
                queue.append((payload, id if id < 0 else self._marked(id)))
        self.handle_waiting()

    def limit_queue(self) -> None:
        """Pause reading when too much waits, and go on when it does no longer.

        While there is no connection nothing is paused: the next one could not come to be.
        """
        queue = self._queue
        waiting = 0 if queue is None else len(queue)
        if self._inbox is not None:
            inboxed: int = self._inbox.waiting
            waiting = max(waiting, inboxed)
        limit = self._queued_events
        if self.awaits_answers:
            # An answer that a handler waits for would be behind what is not read.
            limit *= WAITING_FOR_ANSWERS
        if not self._paused and waiting >= limit and self.connected:
            self._paused = True
            self._runner.pause_reading()
        elif self._paused and waiting <= limit // 2:
            self.unpause()

    def hold(self) -> None:
        """Let events wait: whoever connects has yet to say who handles them."""
        self._held = True

    def release(self) -> None:
        """Handle events from now on."""
        self._held = False
        self.handle_waiting()

    def unpause(self) -> None:
        """What waits here is no reason any longer not to read."""
        if self._paused:
            self._paused = False
            self._runner.resume_reading()

    def handle_waiting(self) -> None:
        """Handle what waits, as far as nothing else makes it wait."""
        if self._handling:
            # A handler that ends at once goes on there, and not one call deeper.
            return
        self._handling = True
        try:
            while not self._held:
                queue = self._queue
                if queue is None:
                    break
                payload, id = queue[0]
                if self._busy(payload):
                    break
                queue.popleft()
                if not queue:
                    # Before it is handled, so that nothing seems to be waiting in front of it.
                    self._queue = None
                self._handle(payload, id)
        finally:
            self._handling = False
        if self._paused or self._queue is not None:
            self.limit_queue()

    def _busy(self, payload: list[Any]) -> bool:
        """Whether an event has to wait for handlers that are running."""
        if self._running == 0 or self._listeners is None or self._concurrency == 0:
            return False
        handlers = self._listeners.get(event_name(payload[0]))
        if handlers is None:
            return False
        for handler in handlers:
            if handler.concurrency == 0:
                if self._running >= self._concurrency:
                    return True
            elif self._running_by is not None:
                if self._running_by.get(handler, 0) >= handler.concurrency:
                    return True
        return False

    def _handle(self, payload: list[Any], id: int) -> None:
        if self._promised and id >= 0 and self._is_known(payload):
            self.answer_event(id, None, "")
            return
        if self._any is not None:
            for listener in list(self._any):
                self._runner.notify(listener, payload, self, event_name(payload[0]))
        if self._inbox is not None:
            # What was promised is acknowledged here.
            self._inbox.offer(payload, -1 if self._promised else id)
        self.run_handlers(payload, id)

    def run_handlers(self, payload: list[Any], id: int) -> None:
        """Call the handlers of an event that nobody else has to see any more."""
        first = payload[0]
        name = first if isinstance(first, str) else event_name(first)
        own = self._listeners
        handlers = None if own is None else own.get(name)
        if not handlers:
            if self._promised and id >= 0:
                # It was received, and nobody here is interested in it.
                self.answer_event(id, None, name)
        elif len(handlers) == 1:
            self._run(handlers[0], payload, id, name)
        else:
            reply = Reply(self, id, len(handlers))
            for handler in handlers:
                self._run_shared(handler, payload, reply, name)

    def _is_known(self, payload: list[Any]) -> bool:
        """Take the id off a promised event; whether an event of that id was handled before."""
        last = payload[-1]
        if len(payload) < 2 or not isinstance(last, str):
            return False
        del payload[-1]
        known = self._known
        if known is None:
            known = {}
            self._known = known
        if last in known:
            return True
        known[last] = None
        if len(known) > self._queued_events * WAITING_FOR_ANSWERS:
            del known[next(iter(known))]
        return False

    def _run(self, handler: Handler, payload: list[Any], id: int, name: str) -> None:
        """The everyday case: one handler."""
        if handler.once:
            self._forget(handler, name)
        try:
            if handler.simple and len(payload) == 2 and not handler.thread:
                result = handler.function(payload[1])
            else:
                reply = Reply(self, id)
                args = handler.arguments(None, payload, reply)
                if handler.thread:
                    waits = self._runner.in_thread(handler, args, self)
                    self._start(handler, waits, reply, name)
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
            args = handler.arguments(None, payload, reply)
            if handler.thread:
                result = self._runner.in_thread(handler, args, self)
            else:
                result = handler.function(*args)
        except Exception as error:
            self.handler_failed(error, reply, name)
            return
        if result is not None and hasattr(result, "__await__"):
            self._start(handler, result, reply, name)
        elif handler.ack_index < 0:
            reply.give(result, name)

    def _forget(self, handler: Handler, name: str) -> None:
        if self._listeners is not None:
            kept = [one for one in self._listeners.get(name, []) if one is not handler]
            self._listeners[name] = kept

    def handler_failed(self, error: Exception, reply: Reply, name: str) -> None:
        """See `Caller.handler_failed`."""
        if isinstance(error, ArgumentError):
            reply.answer(error.answer(), name)
        elif self._promised:
            # It was received; sending it again would not help.
            reply.give(None, name)
        else:
            reply.skip(name)
        self._runner.report(error, self, name)

    def answer_event(self, id: int, result: Any, name: str) -> None:
        """See `Caller.answer_event`."""
        if result is None:
            values: list[object] = []
        elif isinstance(result, Ack):
            values = result.values
        else:
            values = [result]
        session = self.session
        asked = True
        if self._generation > 0:
            # Whoever asked on a connection that is gone does not wait for it any longer.
            asked = id >> ID_BITS == self._generation
            id &= ID_MASK
        try:
            message = self._parser.encode_ack(self._prefix, id, values)
            if session is not None and self.connected and asked:
                session.push(message)
        except Exception as error:
            self._runner.report(error, self, name)

    def _start(self, handler: Handler, awaitable: Any, reply: Reply, name: str) -> None:
        running = Running(self, handler, reply, name)
        self._running += 1
        if handler.concurrency:
            counts = self._running_by
            if counts is None:
                counts = {}
                self._running_by = counts
            counts[handler] = counts.get(handler, 0) + 1
        runners: Runners = self._runner.runners
        runners.start(self._runner.loop, awaitable, running)

    def handler_ended(self, handler: Handler) -> None:
        """See `Caller.handler_ended`."""
        self._running -= 1
        counts = self._running_by
        if counts is not None and handler.concurrency:
            counts[handler] -= 1
        if self._queue is not None:
            self.handle_waiting()

    def fire(self, event: str, args: list[Any]) -> None:
        """Call the listeners of a lifecycle event."""
        if self._listeners is None:
            return
        for handler in self._listeners.get(event, []):
            if handler.once:
                self._forget(handler, event)
            self._runner.call_lifecycle(handler, self, event, args)
