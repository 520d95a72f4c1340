"""A namespace: its handlers, its middlewares, its sockets and their rooms. [compiled]"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from nuncio.cluster.adapter import Adapter
from nuncio.cluster.memory import MemoryAdapter
from nuncio.cluster.rooms import Room
from nuncio.engine.session import TAKEN, Sent, Session
from nuncio.errors import ConnectError, LimitExceeded, OptionError
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser
from nuncio.server.acks import PendingAck
from nuncio.server.binding import bind, check_registration
from nuncio.server.handlers import Handler
from nuncio.server.operator import BroadcastOperator
from nuncio.server.socket import Socket
from nuncio.server.threads import Threads

if TYPE_CHECKING:
    from nuncio.server.connection import Connection

H = TypeVar("H", bound=Callable[..., Any])

LIFECYCLE: Final = frozenset(
    {"connection", "connect", "disconnecting", "disconnect", "new_namespace"}
)


class Namespace:
    """A channel of its own on the clients' connections: `io.of("/admin")`.

    Attributes:
        name: begins with `/`.
        server: the server it belongs to.
        sockets: connected sockets by id.
        adapter: its rooms.
        concurrency: how many handlers of one socket may run at once, unless they say otherwise.
        handlers: of its sockets' events, by name.
        lifecycle: of `connection`, `disconnecting`, `disconnect`, by name.
        threads: the server's.
        parser: the server's.
        prefix: what the parser needs of the name, in every packet.
    """

    __slots__ = (
        "_ids",
        "_middlewares",
        "adapter",
        "concurrency",
        "handlers",
        "lifecycle",
        "name",
        "parser",
        "prefix",
        "server",
        "sockets",
        "threads",
    )

    def __init__(self, server: Any, name: str, concurrency: int) -> None:
        self.server = server
        self.name = name
        self.threads: Threads = server.threads
        self.parser: Parser = server.parser
        self.prefix = self.parser.prefix(name)
        self.concurrency = concurrency
        self.sockets: dict[str, Socket] = {}
        self.adapter: Adapter = MemoryAdapter(self.sockets, server.spawn, server.limits.rooms)
        self.handlers: dict[str, list[Handler]] = {}
        self.lifecycle: dict[str, list[Handler]] = {}
        self._middlewares: list[Any] = []
        self._ids = 0

    def __repr__(self) -> str:
        return f"<Namespace {self.name} with {len(self.sockets)} sockets>"

    # Listening.

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle `connection(socket)`, or an event of every socket of this namespace.

        Handlers registered here are shared: they cost nothing per socket. They receive the socket
        first, then the event's arguments, as many as they declare. `disconnecting(socket, reason,
        description)` and `disconnect(socket, reason, description)` are events, too.

        Args:
            event: its name.
            handler: a function; None to use this as a decorator.
            options: `thread=True` runs a blocking `def` handler in a thread; `concurrency=n`
                lets at most n calls of it run at once for one socket.

        Raises:
            OptionError: for a handler that cannot be called with an event's arguments.
        """
        return self._register(event, handler, False, options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle the next such event only."""
        return self._register(event, handler, True, options)

    @overload
    def event(self, handler: H, **options: Any) -> H: ...

    @overload
    def event(self, handler: str | None = None, **options: Any) -> Callable[[H], H]: ...

    def event(self, handler: Any = None, **options: Any) -> Any:
        """Decorate a handler with its event's name: `@io.event`, or `@io.event(name="…")`.

        Args:
            handler: the function, or the event's name.
            options: `name`, and those of `on`.
        """
        name = options.pop("name", None)
        if isinstance(handler, str):
            name, handler = handler, None
        check_registration("by name" if name is None else name, options)
        if handler is None:
            return _EventDecorator(self, name, options)
        return self._register(event_of(handler, name), handler, False, options)

    def _register(self, event: str, handler: Any, once: bool, options: dict[str, Any]) -> Any:
        check_registration(event, options)
        if handler is None:
            return _OnDecorator(self, event, once, options)
        if event == "connect_error":
            raise OptionError("event: connect_error happens at clients; use io.engine.on(…) here")
        lifecycle = event in LIFECYCLE
        bound = bind(handler, event, takes_socket=True, lifecycle=lifecycle, once=once, **options)
        self.server.note_handler(bound)
        table = self.lifecycle if lifecycle else self.handlers
        # Copied, never changed in place: an event under way keeps the list it began with.
        table[event] = [*table.get(event, []), bound]
        return handler

    def forget_handler(self, handler: Handler, event: str) -> None:
        """Remove a handler that was for one call."""
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        _put(table, event, [one for one in table.get(event, []) if one is not handler])

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """Remove one handler, all of an event, or all."""
        if event is None:
            self.handlers.clear()
            self.lifecycle.clear()
            return
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        kept: list[Handler] = []
        if handler is not None:
            kept = [one for one in table.get(event, []) if one.function != handler]
        _put(table, event, kept)

    def listeners(self, event: str) -> list[Any]:
        """The functions registered for an event."""
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        return [bound.function for bound in table.get(event, [])]

    def use(self, middleware: Any) -> Any:
        """Call `middleware(socket)` for every client before it is connected; it may be async.

        Raising `nuncio.ConnectError` refuses the client; so does any other exception, but then the
        client learns no more than that something failed.
        """
        if not callable(middleware):
            raise OptionError(f"middleware must be callable, not {middleware!r}")
        self._middlewares = [*self._middlewares, middleware]
        return middleware

    # Sending.

    def _all(self) -> BroadcastOperator:
        return BroadcastOperator(self, frozenset(), frozenset())

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to everybody in the namespace; see `BroadcastOperator.emit`."""
        return self._all().emit(event, *args)

    def send(self, *args: object) -> Sent:
        """Send a `message` event to everybody."""
        return self._all().emit("message", *args)

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody in a room, or in any of several."""
        return self._all().to(rooms)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self._all().to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but those in these rooms."""
        return self._all().except_(rooms)

    @property
    def volatile(self) -> BroadcastOperator:
        """See `BroadcastOperator.volatile`."""
        return self._all().volatile

    @property
    def local(self) -> BroadcastOperator:
        """See `BroadcastOperator.local`."""
        return self._all().local

    def compress(self, compress: bool) -> BroadcastOperator:
        """See `BroadcastOperator.compress`."""
        return self._all().compress(compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """See `BroadcastOperator.timeout`."""
        return self._all().timeout(seconds)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[list[Any]]:
        """See `BroadcastOperator.emit_with_ack`; needs `timeout`."""
        return self._all().emit_with_ack(event, *args)

    def broadcast(
        self,
        message: Message,
        payload: list[Any],
        rooms: frozenset[Room],
        excepted: frozenset[Room],
        volatile: bool,
    ) -> Sent:
        """Deliver an encoded packet to many."""
        threads = self.threads
        if threads.used and threads.away():
            threads.call(self.broadcast, message, payload, rooms, excepted, volatile)
            return TAKEN
        behind: list[Session] | None = None
        for socket in self.adapter.targets(rooms, excepted):
            socket.notify_outgoing(payload)
            session = socket._connection.session
            if session.push(message, volatile) is not TAKEN:
                if behind is None:
                    behind = []
                behind.append(session)
        return TAKEN if behind is None else _SentToMany(behind)

    def broadcast_with_ack(
        self,
        payload: list[Any],
        rooms: frozenset[Room],
        excepted: frozenset[Room],
        compress: bool,
        timeout: float,
        future: asyncio.Future[list[Any]],
    ) -> None:
        """Deliver an event to many and gather the answers."""
        sockets = self.adapter.targets(rooms, excepted)
        id = self.next_ack_id()
        message = self.parser.encode_event(self.prefix, id, payload, compress)
        gathering = self.server.gather_acks(len(sockets), future)
        for socket in sockets:
            socket.notify_outgoing(payload)
            try:
                socket._wait_for_ack(_SharedAck(socket, id, gathering), timeout)
            except LimitExceeded as error:
                # It owes too many answers already; the others can give theirs.
                gathering.fail(error)
            else:
                socket.push(message)

    # Clients that come and go.

    def next_ack_id(self) -> int:
        """The next acknowledgement's id."""
        id = self._ids
        self._ids = id + 1
        return id

    def admit(self, connection: Connection, auth: dict[str, Any] | None) -> None:
        """Decide about a client: the middlewares in order, then the connection handlers."""
        socket = Socket(self, connection, new_id(), auth)
        middlewares = self._middlewares
        for index in range(len(middlewares)):
            try:
                result = middlewares[index](socket)
            except Exception as error:
                self.refuse(socket, error)
                return
            if result is not None and hasattr(result, "__await__"):
                connection.begin_joining(self.name)
                self.server.finish_admission(self, socket, result, middlewares[index + 1 :])
                return
        self.welcome(socket)

    def refuse(self, socket: Socket, error: Exception) -> None:
        """Tell a client that it is not let in."""
        socket.leave_all()
        socket._connection.end_joining(self.name)
        socket._connection.session.push(self._refusal(socket, error))

    def _refusal(self, socket: Socket, error: Exception) -> Message:
        if isinstance(error, ConnectError):
            try:
                return self.parser.encode_connect_error(self.prefix, error.message, error.data)
            except (TypeError, ValueError) as unsendable:
                error = unsendable
        self.server.report(error, socket, "connection")
        return self.parser.encode_connect_error(self.prefix, "internal error", None)

    def welcome(self, socket: Socket) -> None:
        """Let a client in."""
        connection = socket._connection
        connection.end_joining(self.name)
        if not connection.session.is_open:
            # It left while a middleware was deciding.
            socket.leave_all()
            return
        # Known to its connection before anything is sent, for sending may end the connection.
        self.sockets[socket.id] = socket
        socket.connected = True
        connection.joined(socket)
        connection.session.push(self.parser.encode_connect(self.prefix, {"sid": socket.id}))
        if socket.connected:
            self.adapter.entered(socket)
        if not socket.connected:
            return
        for event in ("connect", "connection"):
            for handler in self.lifecycle.get(event, []):
                if handler.once:
                    self.forget_handler(handler, event)
                self.server.call_connection(handler, socket)

    def remove(self, socket: Socket) -> None:
        """A socket has ended."""
        self.sockets.pop(socket.id, None)


class _SentToMany(Sent):
    """What a broadcast returns when some recipients are behind."""

    __slots__ = ("_sessions",)

    def __init__(self, sessions: list[Session]) -> None:
        super().__init__(sessions[0])
        self._sessions = sessions

    def __await__(self) -> Generator[Any, None, None]:
        for session in self._sessions:
            if session.congested:
                yield from session.drain().__await__()

    @property
    def taken(self) -> bool:
        """See `Sent.taken`."""
        for session in self._sessions:
            if session.congested:
                return False
        return True


class _SharedAck(PendingAck):
    """One recipient's part in a broadcast that is acknowledged."""

    __slots__ = ("_gathering",)

    def __init__(self, socket: Socket, id: int, gathering: Any) -> None:
        super().__init__(socket, id)
        self._gathering = gathering

    def answer(self, values: list[Any]) -> None:
        """See `PendingAck.answer`."""
        self._gathering.answer(values[0] if values else None)

    def fail(self, error: Exception) -> None:
        """See `PendingAck.fail`."""
        self._gathering.fail(error)


class _OnDecorator:
    """What `@io.on(name)` applies to the function below it."""

    __slots__ = ("_event", "_nsp", "_once", "_options")

    def __init__(self, nsp: Namespace, event: str, once: bool, options: dict[str, Any]) -> None:
        self._nsp = nsp
        self._event = event
        self._once = once
        self._options = options

    def __call__(self, handler: Any) -> Any:
        return self._nsp._register(self._event, handler, self._once, self._options)


class _EventDecorator:
    """What `@io.event(…)` applies to the function below it."""

    __slots__ = ("_name", "_nsp", "_options")

    def __init__(self, nsp: Namespace, name: str | None, options: dict[str, Any]) -> None:
        self._nsp = nsp
        self._name = name
        self._options = options

    def __call__(self, handler: Any) -> Any:
        event = event_of(handler, self._name)
        return self._nsp._register(event, handler, False, self._options)


def event_of(handler: Any, name: str | None) -> str:
    """The event that a decorated function handles.

    Raises:
        OptionError: when neither the function nor the decorator names it.
    """
    found = getattr(handler, "__name__", None) if name is None else name
    if not isinstance(found, str) or found == "<lambda>":
        raise OptionError(f'name: {handler!r} has no name; use @io.event(name="…")')
    return found


def new_id() -> str:
    """A public id that cannot be guessed: 120 random bits."""
    return base64.urlsafe_b64encode(os.urandom(15)).decode()


def _put(table: dict[str, list[Handler]], event: str, handlers: list[Handler]) -> None:
    if handlers:
        table[event] = handlers
    else:
        table.pop(event, None)
