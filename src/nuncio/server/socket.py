"""One client in one namespace. [compiled]

Events arrive in order. A handler that ends in place costs no task; one that waits becomes a task,
up to `concurrency` of them at once, and beyond that events wait here, in a queue that pauses
reading from the connection when it is long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from nuncio.engine.session import TAKEN, Sent, Session
from nuncio.errors import (
    ArgumentError,
    Disconnected,
    DisconnectReason,
    EventError,
    LimitExceeded,
    OptionError,
)
from nuncio.protocol.engineio import Message
from nuncio.protocol.socketio import (
    RESERVED_EVENTS,
    encode_ack,
    encode_disconnect,
    encode_event,
)
from nuncio.server.acks import CallbackAck, FutureAck, PendingAck
from nuncio.server.binding import bind
from nuncio.server.handlers import Ack, Handler
from nuncio.server.handshake import Handshake
from nuncio.server.operator import BroadcastOperator, SocketOperator

if TYPE_CHECKING:
    from nuncio.server.connection import Connection
    from nuncio.server.namespace import Namespace

Room = str | int
H = TypeVar("H", bound=Callable[..., Any])

SERVER_NAMESPACE_DISCONNECT: Final = DisconnectReason.SERVER_NAMESPACE_DISCONNECT


def event_name(name: Any) -> str:
    """An event's name as handlers are registered under it: numbers become text."""
    if isinstance(name, str):
        return name
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return str(name)


def rooms_of(rooms: Room | Iterable[Room], argument: str) -> list[Room]:
    """One room or many, checked.

    Raises:
        OptionError: for what cannot be a room.
    """
    if isinstance(rooms, (str, int)):
        return [rooms]
    if isinstance(rooms, Iterable) and not isinstance(rooms, (bytes, bytearray)):
        listed = list(rooms)
        for room in listed:
            if not isinstance(room, (str, int)):
                raise OptionError(f"{argument}: a room is a str or an int, not {room!r}")
        return listed
    raise OptionError(f"{argument} must be a str, an int or a list of them, not {rooms!r}")


class Socket:
    """One client in one namespace; what a `connection` handler receives.

    Attributes:
        id: public; others may know it. Every socket is in the room of its own id.
        nsp: its namespace.
        connected: whether it can receive.
        recovered: whether its state was restored after a lost connection.
    """

    __slots__ = (
        "_acks",
        "_any",
        "_any_out",
        "_auth",
        "_connection",
        "_data",
        "_handshake",
        "_held",
        "_issued",
        "_left_own",
        "_listeners",
        "_middlewares",
        "_paused",
        "_queue",
        "_rooms",
        "_running",
        "_running_by",
        "closed",
        "connected",
        "id",
        "joined_at",
        "nsp",
        "recovered",
    )

    def __init__(
        self, nsp: Namespace, connection: Connection, id: str, auth: dict[str, Any] | None
    ) -> None:
        self.id = id
        self.nsp = nsp
        self._connection = connection
        self._auth = auth
        self._issued = time.time()
        # Sockets of one connection end in the order in which they joined.
        self.joined_at = time.monotonic()
        self.connected = False
        self.closed = False
        self.recovered = False
        self._rooms: set[Room] | None = None
        self._left_own = False
        self._handshake: Handshake | None = None
        self._data: Any = None
        self._listeners: dict[str, list[Handler]] | None = None
        self._any: list[Any] | None = None
        self._any_out: list[Any] | None = None
        self._middlewares: list[Any] | None = None
        self._acks: dict[int, PendingAck] | None = None
        self._queue: deque[tuple[list[Any], int, bool]] | None = None
        self._held = 0
        self._running = 0
        self._running_by: dict[Handler, int] | None = None
        self._paused = False

    def __repr__(self) -> str:
        state = "connected" if self.connected else "disconnected"
        return f"<Socket {self.id} of {self.nsp.name} {state}>"

    # What is known of the client.

    @property
    def conn(self) -> Session:
        """The Engine.IO session: `conn.transport.name`, `conn.on("upgrade")`, `conn.close()`."""
        return self._connection.session

    @property
    def request(self) -> Any:
        """The HTTP request that opened the connection."""
        return self._connection.session.request

    @property
    def handshake(self) -> Handshake:
        """Headers, query, address, auth and so on, as they were when the client connected."""
        handshake = self._handshake
        if handshake is None:
            auth: dict[str, Any] = {} if self._auth is None else self._auth
            handshake = Handshake(self._connection.session.request, auth, self._issued)
            self._handshake = handshake
        return handshake

    @property
    def data(self) -> Any:
        """The application's own; an empty dict until something else is assigned."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value

    @property
    def disconnected(self) -> bool:
        """The opposite of `connected`."""
        return not self.connected

    @property
    def rooms(self) -> set[Room]:
        """The rooms it is in, its own among them; empty once disconnected."""
        rooms: set[Room] = set() if self._rooms is None else set(self._rooms)
        if not self.closed and not self._left_own:
            rooms.add(self.id)
        return rooms

    # Sending.

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to this client.

        A callable as the last argument receives the client's acknowledgement.

        Args:
            event: its name; not one of the reserved ones.
            args: plain data, structs, dataclasses, models; bytes anywhere in them.

        Returns:
            Something to await for back-pressure; nothing is lost by not awaiting it.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
        """
        if args and callable(args[-1]):
            return self.emit_callback(event, list(args[:-1]), args[-1], 0.0, True)
        return self.send_event(event, list(args), False, True)

    def send(self, *args: object) -> Sent:
        """Send a `message` event."""
        return self.emit("message", *args)

    def emit_with_ack(
        self, event: str, *args: object, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send an event and wait for the client's acknowledgement.

        Args:
            event: its name.
            args: see `emit`.
            timeout: seconds to wait; None to wait as long as the connection lasts.

        Returns:
            The answer: one value, or a list when the client gave several.

        Raises:
            AckTimeout: when it did not come in time.
            Disconnected: when the connection ended first.
            LimitExceeded: when too many acknowledgements are being waited for.
        """
        return self.request_ack(event, list(args), 0.0 if timeout is None else timeout, True)

    def request_ack(
        self, event: str, args: list[object], timeout: float, compress: bool
    ) -> Awaitable[Any]:
        """See `emit_with_ack`; a time-out of 0 is none."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self.connected:
            future.set_exception(Disconnected("not connected"))
            return future
        id = self.nsp.next_ack_id()
        self._wait_for_ack(FutureAck(self, id, future), timeout)
        self._send(event, args, id, False, compress)
        return future

    def emit_callback(
        self, event: str, args: list[object], callback: object, timeout: float, compress: bool
    ) -> Sent:
        """See `emit` with a callable; with a time-out its first argument is an error or None."""
        if not self.connected:
            return TAKEN
        id = self.nsp.next_ack_id()
        self._wait_for_ack(CallbackAck(self, id, callback, timeout > 0), timeout)
        return self._send(event, args, id, False, compress)

    def send_event(self, event: str, args: list[object], volatile: bool, compress: bool) -> Sent:
        """See `emit`, with its flags."""
        return self._send(event, args, -1, volatile, compress)

    def _send(
        self, event: str, args: list[object], id: int, volatile: bool, compress: bool
    ) -> Sent:
        if event in RESERVED_EVENTS:
            raise OptionError(f'event: "{event}" is a reserved event name')
        if self._any_out is not None:
            for listener in list(self._any_out):
                self.nsp.server.guard(listener, [event, *args], self, event)
        if self.closed:
            return TAKEN
        # Made in one list, so that encoding is one call.
        args.insert(0, event)
        message = encode_event(self.nsp.prefix, id, args, compress)
        return self.deliver(message, volatile)

    def deliver(self, message: Message, volatile: bool) -> Sent:
        """Send an encoded packet; broadcasts share one."""
        server = self.nsp.server
        if server.threaded and server.foreign_thread():
            server.from_thread(self._connection.session.push, message, volatile)
            return TAKEN
        return self._connection.session.push(message, volatile)

    def push(self, message: Message) -> Sent:
        """Send an encoded packet from the loop's own thread."""
        return self._connection.session.push(message)

    def notify_outgoing(self, args: list[Any]) -> None:
        """Tell the catch-all listeners of a broadcast."""
        if self._any_out is not None:
            for listener in list(self._any_out):
                self.nsp.server.guard(listener, args, self, event_name(args[0]))

    # Acknowledgements.

    def _wait_for_ack(self, pending: PendingAck, timeout: float) -> None:
        acks = self._acks
        if acks is None:
            acks = {}
            self._acks = acks
        if len(acks) >= self.nsp.server.limits.pending_acks:
            raise LimitExceeded(
                f"socket {self.id} already waits for {len(acks)} acknowledgements; "
                "use time-outs, or raise Limits(pending_acks=…)"
            )
        acks[pending.id] = pending
        if timeout > 0:
            self._connection.wheel.arm(pending, timeout)

    def forget_ack(self, id: int) -> None:
        """An acknowledgement is not waited for any longer."""
        if self._acks is not None:
            self._acks.pop(id, None)

    def on_ack(self, id: int, values: list[Any]) -> None:
        """The client answered; unknown and late answers are ignored."""
        if self._acks is None:
            return
        pending = self._acks.pop(id, None)
        if pending is not None:
            self._connection.wheel.cancel(pending)
            pending.answer(values)

    def run_callback(self, callback: Any, values: list[Any]) -> None:
        """Call an acknowledgement callback with what it declares."""
        handler = bind(callback, "acknowledgement", takes_socket=False, lifecycle=True)
        self.nsp.server.guard(callback, handler.arguments(None, ["", *values], None), self, "ack")

    # Rooms.

    def join(self, rooms: Room | Iterable[Room]) -> Sent:
        """Join a room, or several. Nothing happens once the socket is disconnected.

        Raises:
            OptionError: for what cannot be a room.
            LimitExceeded: when the socket is in too many.
        """
        listed = rooms_of(rooms, "rooms")
        server = self.nsp.server
        if server.threaded and server.foreign_thread():
            server.from_thread(self.join, listed)
        elif not self.closed:
            self.nsp.adapter.add_all(self, listed)
        return TAKEN

    def leave(self, room: Room) -> Sent:
        """Leave a room."""
        server = self.nsp.server
        if server.threaded and server.foreign_thread():
            server.from_thread(self.leave, room)
        else:
            self.nsp.adapter.remove(self, room)
        return TAKEN

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody in a room, or in any of several, but this socket."""
        return self.broadcast.to(rooms)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self.broadcast.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but this socket and those in these rooms."""
        return self.broadcast.except_(rooms)

    @property
    def broadcast(self) -> BroadcastOperator:
        """Everybody in the namespace but this socket."""
        return BroadcastOperator(self.nsp, frozenset(), frozenset((self.id,)))

    @property
    def local(self) -> BroadcastOperator:
        """Everybody on this server but this socket."""
        return self.broadcast.local

    @property
    def volatile(self) -> SocketOperator:
        """What is emitted with it is dropped when the client is not ready to receive."""
        return SocketOperator(self, volatile=True)

    def compress(self, compress: bool) -> SocketOperator:
        """Whether the transport may compress what is emitted with it."""
        return SocketOperator(self, compress=compress)

    def timeout(self, seconds: float) -> SocketOperator:
        """How long what is emitted with it waits for its acknowledgement."""
        return SocketOperator(self).timeout(seconds)

    # Listening.

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle an event of this socket: `on(name, handler)`, or `@on(name)`.

        Also `disconnecting(reason, description)` and `disconnect(reason, description)`, and
        `error(error)` for what socket middlewares raise.

        Args:
            event: its name.
            handler: receives the event's arguments, as many as it declares.
            options: `thread` and `concurrency`, see `Namespace.event`.
        """
        return self._listen(event, handler, False, False, options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle the next such event only."""
        return self._listen(event, handler, True, False, options)

    @overload
    def prepend(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def prepend(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def prepend(self, event: str, handler: Any = None, **options: Any) -> Any:
        """As `on`, before the handlers that are there."""
        return self._listen(event, handler, False, True, options)

    def _listen(
        self, event: str, handler: Any, once: bool, first: bool, options: dict[str, Any]
    ) -> Any:
        if handler is None:
            return _Decorator(self, event, once, first, options)
        bound = bind(
            handler,
            event,
            takes_socket=False,
            lifecycle=event in RESERVED_EVENTS,
            once=once,
            **options,
        )
        self.nsp.server.note_handler(bound)
        listeners = self._listeners
        if listeners is None:
            listeners = {}
            self._listeners = listeners
        # Copied, never changed in place: an event under way keeps the list it began with.
        before = listeners.get(event, [])
        listeners[event] = [bound, *before] if first else [*before, bound]
        return handler

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """Remove one handler, all of an event, or all of this socket."""
        listeners = self._listeners
        if listeners is None:
            return
        if event is None:
            self._listeners = None
        elif handler is None:
            listeners.pop(event, None)
        else:
            kept = [bound for bound in listeners.get(event, []) if bound.function != handler]
            listeners[event] = kept

    def listeners(self, event: str) -> list[Any]:
        """The functions that handle an event of this socket."""
        if self._listeners is None:
            return []
        return [bound.function for bound in self._listeners.get(event, [])]

    def on_any(self, listener: Any) -> Any:
        """Call `listener(event, *args)` for every event that arrives, before middlewares."""
        self._any = [*(self._any or []), listener]
        return listener

    def prepend_any(self, listener: Any) -> Any:
        """As `on_any`, before the others."""
        self._any = [listener, *(self._any or [])]
        return listener

    def off_any(self, listener: Any = None) -> None:
        """Remove one catch-all listener, or all."""
        self._any = _without(self._any, listener)

    def listeners_any(self) -> list[Any]:
        """The catch-all listeners."""
        return list(self._any or [])

    def on_any_outgoing(self, listener: Any) -> Any:
        """Call `listener(event, *args)` for every event sent to this client."""
        self._any_out = [*(self._any_out or []), listener]
        return listener

    def prepend_any_outgoing(self, listener: Any) -> Any:
        """As `on_any_outgoing`, before the others."""
        self._any_out = [listener, *(self._any_out or [])]
        return listener

    def off_any_outgoing(self, listener: Any = None) -> None:
        """Remove one outgoing catch-all listener, or all."""
        self._any_out = _without(self._any_out, listener)

    def listeners_any_outgoing(self) -> list[Any]:
        """The outgoing catch-all listeners."""
        return list(self._any_out or [])

    def use(self, middleware: Any) -> Any:
        """Call `middleware(event, *args)` before the handlers of each event of this socket.

        It may be async; later events wait. Raising `EventError` drops the event and hands the
        error to the socket's `error` listeners.
        """
        if not callable(middleware):
            raise OptionError(f"middleware must be callable, not {middleware!r}")
        self._middlewares = [*(self._middlewares or []), middleware]
        return middleware

    # Events that arrive.

    def on_event(self, payload: list[Any], id: int) -> None:
        """An event arrived: its name and arguments, and the acknowledgement's id or -1."""
        if self._any is not None:
            for listener in list(self._any):
                self.nsp.server.guard(listener, payload, self, event_name(payload[0]))
        if self._held or self._queue is not None:
            self._waiting().append((payload, id, False))
            self._limit_queue()
        elif self._middlewares is not None:
            self._through_middlewares(payload, id)
        else:
            self.dispatch(payload, id)

    def _waiting(self) -> deque[tuple[list[Any], int, bool]]:
        queue = self._queue
        if queue is None:
            queue = deque()
            self._queue = queue
        return queue

    def _limit_queue(self) -> None:
        queue = self._queue
        length = 0 if queue is None else len(queue)
        limit = self.nsp.server.limits.queued_events
        if not self._paused and length >= limit:
            self._paused = True
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
            if passed:
                self._run_all(payload, id)
            else:
                self._through_middlewares(payload, id)
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
        if self._running and self._busy(payload):
            self._waiting().appendleft((payload, id, True))
            self._limit_queue()
        else:
            self._run_all(payload, id)

    def _middleware(self, middleware: Any, payload: list[Any]) -> Any:
        """Call one; False when it stopped the event."""
        try:
            result = middleware(*payload)
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
            if handler.waits:
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
        reply = _Reply(self, id) if id >= 0 else None
        for handler in handlers:
            self._run_shared(handler, payload, reply, name)

    def _run(self, handler: Handler, payload: list[Any], id: int, name: str) -> None:
        """The everyday case: one handler."""
        if handler.once:
            self._forget(handler, name)
        try:
            if handler.simple and len(payload) == 2 and not handler.thread:
                if handler.takes_socket:
                    result = handler.function(self, payload[1])
                else:
                    result = handler.function(payload[1])
            else:
                reply = _Reply(self, id)
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
            self._failed(error, _Reply(self, id), name)
            return
        if handler.is_async or (result is not None and hasattr(result, "__await__")):
            if isinstance(result, Sent) and result.taken:
                result = None
            else:
                self._start(handler, result, _Reply(self, id), name)
                return
        if id >= 0:
            self._answer(id, result, name)

    def _run_shared(
        self, handler: Handler, payload: list[Any], reply: _Reply | None, name: str
    ) -> None:
        """One of several handlers: the first answer counts."""
        if handler.once:
            self._forget(handler, name)
        mine = _Reply(self, -1) if reply is None else reply
        try:
            args = handler.arguments(self, payload, mine)
            if handler.thread:
                result = self.nsp.server.in_thread(handler, args)
            else:
                result = handler.function(*args)
        except Exception as error:
            self._failed(error, mine, name)
            return
        if result is not None and hasattr(result, "__await__"):
            self._start(handler, result, mine, name)
        elif handler.ack_index < 0:
            mine.give(result, name)

    def _forget(self, handler: Handler, name: str) -> None:
        if handler.takes_socket:
            self.nsp.forget_handler(handler, name)
        elif self._listeners is not None:
            kept = [one for one in self._listeners.get(name, []) if one is not handler]
            self._listeners[name] = kept

    def _failed(self, error: Exception, reply: _Reply, name: str) -> None:
        if isinstance(error, ArgumentError):
            reply.give(error.answer(), name)
        self.nsp.server.report(error, self, name)

    def _answer(self, id: int, result: Any, name: str) -> None:
        if result is None:
            values: list[object] = []
        elif isinstance(result, Ack):
            values = result.values
        else:
            values = [result]
        try:
            message = encode_ack(self.nsp.prefix, id, values)
        except Exception as error:
            self.nsp.server.report(error, self, name)
            return
        if self.connected:
            self.deliver(message, False)

    # Handlers that wait.

    def _start(self, handler: Handler, awaitable: Any, reply: _Reply, name: str) -> None:
        running = _Running(self, handler, reply, name)
        self._running += 1
        if handler.concurrency:
            counts = self._running_by
            if counts is None:
                counts = {}
                self._running_by = counts
            counts[handler] = counts.get(handler, 0) + 1
        self.nsp.server.start_task(awaitable, running)

    def finished(self, handler: Handler) -> None:
        """A handler that waited has ended."""
        self._running -= 1
        counts = self._running_by
        if counts is not None and handler.concurrency:
            counts[handler] -= 1
        if self._queue is not None:
            self._drain()

    # Ending.

    def disconnect(self, close: bool = False) -> None:
        """Disconnect this client; it will not reconnect by itself.

        Args:
            close: end the whole connection, with the sockets of its other namespaces.
        """
        server = self.nsp.server
        if server.threaded and server.foreign_thread():
            server.from_thread(self.disconnect, close)
            return
        if not self.connected:
            return
        if close:
            self._connection.disconnect()
        else:
            self.deliver(encode_disconnect(self.nsp.prefix), False)
            self.end(SERVER_NAMESPACE_DISCONNECT, "")

    def end(self, reason: str, description: str) -> None:
        """The closing sequence, once: events with the rooms intact, then without them."""
        if not self.connected:
            return
        said = DisconnectReason(reason)
        self.fire("disconnecting", [said, description])
        self.leave_all()
        self.nsp.remove(self)
        self._connection.forget(self)
        self.connected = False
        self.fire("disconnect", [said, description])
        acks = self._acks
        if acks is not None:
            self._acks = None
            error = Disconnected(reason)
            for pending in list(acks.values()):
                self._connection.wheel.cancel(pending)
                pending.fail(error)
        self._queue = None
        if self._paused:
            self._paused = False
            self._connection.resume_reading()

    def leave_all(self) -> None:
        """Leave every room for good."""
        self.nsp.adapter.remove_all(self)
        self.closed = True

    def fire(self, event: str, args: list[Any]) -> None:
        """Call the listeners of a lifecycle event: the namespace's, then this socket's."""
        server = self.nsp.server
        shared = self.nsp.lifecycle.get(event)
        if shared is not None:
            for handler in shared:
                server.call_lifecycle(handler, self, args)
        if self._listeners is not None:
            for handler in self._listeners.get(event, []):
                if handler.once:
                    self._forget(handler, event)
                server.call_lifecycle(handler, self, args)

    # What the adapter keeps here, so that removal costs only the socket's own rooms.

    def room_set(self) -> set[Room]:
        """The rooms it joined, its own not among them."""
        rooms = self._rooms
        if rooms is None:
            rooms = set()
            self._rooms = rooms
        return rooms

    def joined_rooms(self) -> set[Room] | None:
        """As `room_set`, None when there are none."""
        return self._rooms

    def drop_rooms(self) -> None:
        """Forget the rooms."""
        self._rooms = None

    @property
    def in_own_room(self) -> bool:
        """Whether the room of its id reaches it."""
        return not self._left_own

    def set_own_room(self, member: bool) -> None:
        """Join or leave the room of its own id."""
        self._left_own = not member


class _Reply:
    """The one answer to one event; also the function that a handler gets as `ack`."""

    __slots__ = ("_id", "_socket")

    def __init__(self, socket: Socket, id: int) -> None:
        self._socket = socket
        self._id = id

    def __call__(self, *values: object) -> None:
        self.give(Ack(*values), "ack")

    def give(self, result: Any, name: str) -> None:
        """Answer, unless it was answered or no answer is wanted."""
        id = self._id
        if id >= 0:
            self._id = -1
            self._socket._answer(id, result, name)


class _Running:
    """A handler that waits."""

    __slots__ = ("_handler", "_name", "_reply", "_socket")

    def __init__(self, socket: Socket, handler: Handler, reply: _Reply, name: str) -> None:
        self._socket = socket
        self._handler = handler
        self._reply = reply
        self._name = name

    def done(self, task: Any) -> None:
        """It has ended."""
        socket = self._socket
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                socket._failed(cast("Exception", error), self._reply, self._name)
            elif self._handler.ack_index < 0:
                self._reply.give(task.result(), self._name)
        socket.finished(self._handler)


class _Decorator:
    """What `@socket.on(name)` applies to the function below it."""

    __slots__ = ("_event", "_first", "_once", "_options", "_socket")

    def __init__(
        self, socket: Socket, event: str, once: bool, first: bool, options: dict[str, Any]
    ) -> None:
        self._socket = socket
        self._event = event
        self._once = once
        self._first = first
        self._options = options

    def __call__(self, handler: Any) -> Any:
        return self._socket._listen(self._event, handler, self._once, self._first, self._options)


def _without(listeners: list[Any] | None, listener: Any) -> list[Any] | None:
    if listeners is None or listener is None:
        return None
    kept = [one for one in listeners if one != listener]
    return kept or None
