"""A namespace: its handlers, its middlewares, and the clients that come and go. [compiled]

What it sends is `nuncio.server.broadcasting`'s part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from mypy_extensions import mypyc_attr

from nuncio.cluster.recovery import SavedSession
from nuncio.errors import ConnectError, OptionError
from nuncio.handlers.binding import bind, bind_middleware, check_registration
from nuncio.handlers.handler import Handler
from nuncio.ids import new_id
from nuncio.protocol.engineio import Message
from nuncio.server.broadcasting import Broadcaster
from nuncio.server.classes import check_class
from nuncio.server.generics import D, U
from nuncio.server.socket import Socket

if TYPE_CHECKING:
    from nuncio.server.connection import Connection

H = TypeVar("H", bound=Callable[..., Any])

LIFECYCLE: Final = frozenset(
    {
        "auth_refreshed",
        "connect",
        "connection",
        "disconnect",
        "disconnecting",
        "new_namespace",
        "undelivered",
    }
)

# What handlers of these are given is no socket.
SOCKETLESS: Final = frozenset({"new_namespace", "undelivered"})


@mypyc_attr(allow_interpreted_subclasses=True)
class Namespace(Broadcaster[D, U]):
    """A channel of its own on the clients' connections: `io.of("/admin")`.

    Larger applications write a class, whose methods are handlers, and give one object of it to the
    server, `io.register(Chat("/chat"))`:

        class Chat(nuncio.Namespace):
            async def on_message(self, socket, text):
                self.emit("message", text)

    Methods called `on_…` and those decorated with `nuncio.event` handle events, those decorated
    with `nuncio.middleware` decide who is let in. The class attribute `concurrency` may be set.

    Args:
        name: with or without its leading `/`.

    Attributes:
        name: begins with `/`.
        adapter: its rooms, and the other servers; see `nuncio.cluster.Adapter`.
        concurrency: how many handlers of one socket may run at once, unless they say otherwise.
        server: the server it belongs to.
        sockets: connected sockets by id.
        parent: the dynamic namespace it was made for, or None.
    """

    __slots__ = (
        "_admitting",
        "_live",
        "_middlewares",
        "concurrency",
        "handlers",
        "lifecycle",
        "parent",
        "restoring",
    )

    def __init__(self, name: str) -> None:
        """Make one, which belongs to no server yet.

        For the server's own use are `handlers`, those of its sockets' events, and `lifecycle`,
        those of `connection`, `disconnecting`, `disconnect` and so on, both by name; `restoring`
        is whose session the adapter is asked to restore.
        """
        super().__init__(name)
        self.handlers: dict[str, list[Handler]] = {}
        self.lifecycle: dict[str, list[Handler]] = {}
        self.parent: Any = None
        self._middlewares: list[Any] = []
        self.restoring: Any = None
        self._admitting = 0
        # Sockets by the secret with which they recover; empty without recovery.
        self._live: dict[str, Socket] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_class(cls)

    def attach(self, server: Any, name: str, concurrency: int) -> None:
        """Become a namespace of a server."""
        self.begin(server, name)
        self.concurrency = concurrency

    @property
    def presence(self) -> Any:
        """Who is in its rooms, on all servers; see `nuncio.Presence`."""
        return self.server.presence_of(self)

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r} with {len(self.sockets)} sockets>"

    # Listening.

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle `connection(socket)`, or an event of every socket of this namespace.

        Handlers registered here are shared: they cost nothing per socket. They receive the socket
        first, then the event's arguments, as many as they declare. `disconnecting(socket, reason,
        description)` and `disconnect(socket, reason, description)` are events, too, and so are
        `auth_refreshed(socket, former_user)`, see `Socket.refresh_auth`, `new_namespace(nsp)`, and
        `undelivered(report)`, see `Undelivered`.

        Args:
            event: its name.
            handler: a function; None to use this as a decorator.
            options: `thread=True` runs a blocking `def` handler in a thread; `concurrency=n`
                lets at most n calls of it run at once for one socket; `rate=nuncio.Rate(…)` lets
                one socket call it no more often than that.

        Raises:
            OptionError: for a handler that cannot be called with an event's arguments, and for an
                option that does not exist.
        """
        return self._register(event, handler, False, options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle the next such event only; otherwise as `on`."""
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

        Raises:
            OptionError: see `on`.
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
        bound = bind(
            handler,
            event,
            takes_socket=True,
            lifecycle=lifecycle,
            once=once,
            injects=event not in SOCKETLESS,
            **options,
        )
        table = self.lifecycle if lifecycle else self.handlers
        # Copied, never changed in place: an event under way keeps the list it began with.
        table[event] = [*table.get(event, []), bound]
        return handler

    def forget_handler(self, handler: Handler, event: str) -> None:
        """Remove a handler that was for one call."""
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        _put(table, event, [one for one in table.get(event, []) if one is not handler])

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """Remove one handler, all of an event, or all.

        Args:
            event: its name; None to remove every handler of every event.
            handler: the function that was registered; None for all of the event.
        """
        if event is None:
            self.handlers.clear()
            self.lifecycle.clear()
            return
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        kept: list[Handler] = []
        if handler is not None:
            kept = [one for one in table.get(event, []) if one.listener != handler]
        _put(table, event, kept)

    def listeners(self, event: str) -> list[Any]:
        """The functions registered for an event, in the order in which they run."""
        table = self.lifecycle if event in LIFECYCLE else self.handlers
        return [bound.listener for bound in table.get(event, [])]

    def use(self, middleware: Any) -> Any:
        """Call `middleware(socket)` for every client before it is connected; it may be async.

        Raising `nuncio.ConnectError` refuses the client; so does any other exception, but then the
        client learns no more than that something failed.

        Args:
            middleware: a function of the socket, which is not connected yet; they are called in
                the order in which they were added.

        Raises:
            OptionError: when it cannot be called so.
        """
        self._middlewares = [*self._middlewares, bind_middleware(middleware)]
        return middleware

    # Clients that come and go.

    def admit(self, connection: Connection, auth: dict[str, Any] | None) -> None:
        """Decide about a client: recovery, the middlewares in order, the connection handlers."""
        self._admitting += 1
        if self.takes_part:
            self._admit(connection, auth)
        else:
            connection.begin_joining(self.name)
            self.server.finish_beginning(self, connection, auth)

    def admit_late(self, connection: Connection, auth: dict[str, Any] | None) -> None:
        """Decide about a client that had to wait until this namespace takes part in its cluster."""
        connection.end_joining(self.name)
        session = connection.session
        if self.takes_part and session.is_open:
            self._admit(connection, auth)
            return
        if session.is_open:
            session.push(connection.refusal(self.parser, self.prefix, "internal error", None))
        self._admitting -= 1
        self._clean_up()

    def _admit(self, connection: Connection, auth: dict[str, Any] | None) -> None:
        if self.recovering and auth is not None and connection.session.protocol == 4:
            pid = auth.get("pid")
            offset = auth.get("offset", "")
            if isinstance(pid, str) and isinstance(offset, str):
                self._recover(connection, _without_secret(auth), pid, offset)
                return
        socket: Socket[D, U] = Socket(self, connection, connection.socket_id(self.name), auth)
        self._decide(socket, self._middlewares)

    def _recover(self, connection: Connection, auth: dict[str, Any], pid: str, offset: str) -> None:
        self.take_over(pid)
        self.restoring = connection
        found = self.adapter.restore_session(pid, offset)
        self.restoring = None
        if found is not None and hasattr(found, "__await__"):
            connection.begin_joining(self.name)
            self.server.finish_restoring(self, connection, auth, found)
        else:
            self.resume(connection, auth, found)

    def is_live(self, pid: str) -> bool:
        """Whether a client is connected, as far as is known, or is being let in again."""
        return pid in self._live

    def holds(self, socket: Socket) -> bool:
        """Whether a socket is the one by which its client is connected, or will be."""
        return self._live.get(socket.pid) is socket

    def take_over(self, pid: str) -> None:
        """A client comes back that may be connected: its old link is dead, if nobody noticed."""
        live = self._live.get(pid)
        if live is None:
            return
        live.replaced()
        unclaimed = live.unclaimed()
        if unclaimed is not None:
            # Middlewares are still deciding about it, for nothing.
            self.adapter.persist_session(unclaimed)
            live.leave_all()
            self.let_go(live)

    def let_go(self, socket: Socket) -> None:
        """A socket has ended, or its client is somebody else."""
        if self._live.get(socket.pid) is socket:
            del self._live[socket.pid]

    def resume(
        self, connection: Connection, auth: dict[str, Any], session: SavedSession | None
    ) -> None:
        """Decide about a client that asked to recover its session; None when there is none."""
        if session is None:
            self._decide(Socket(self, connection, new_id(), auth), self._middlewares)
            return
        socket = Socket(self, connection, session.sid, auth)
        socket.restore(session)
        self._live[session.pid] = socket
        self.adapter.add_all(socket, [room for room in session.rooms if room != session.sid])
        socket.rejoined(session.rooms)
        middlewares = self._middlewares
        if self.server.recovery.skip_middlewares:
            # The secret of a session proves nothing of who has it now.
            middlewares = [one for one in middlewares if getattr(one, "authenticates", False)]
        self._decide(socket, middlewares)

    def _decide(self, socket: Socket, middlewares: list[Any]) -> None:
        for index in range(len(middlewares)):
            try:
                result = middlewares[index](socket)
            except Exception as error:
                self.refuse(socket, error)
                return
            if result is not None and hasattr(result, "__await__"):
                socket._connection.begin_joining(self.name)
                self.server.finish_admission(self, socket, result, middlewares[index + 1 :])
                return
        self.welcome(socket)

    def refuse(self, socket: Socket, error: Exception) -> None:
        """Tell a client that it is not let in."""
        socket._connection.end_joining(self.name)
        socket._connection.session.push(self._refusal(socket, error))
        self._turn_away(socket, "refused")

    def _turn_away(self, socket: Socket, reason: str) -> None:
        """Forget a client that was not let in."""
        socket.leave_all()
        socket.report_undelivered(reason)
        self.let_go(socket)
        self._admitting -= 1
        self._clean_up()

    def _refusal(self, socket: Socket, error: Exception) -> Message:
        connection = socket._connection
        if isinstance(error, ConnectError):
            try:
                return connection.refusal(self.parser, self.prefix, error.message, error.data)
            except (TypeError, ValueError) as unsendable:
                error = unsendable
        self.server.report(error, socket, "connection")
        return connection.refusal(self.parser, self.prefix, "internal error", None)

    def welcome(self, socket: Socket) -> None:
        """Let a client in."""
        connection = socket._connection
        connection.end_joining(self.name)
        session = connection.session
        if not session.is_open:
            # It left while a middleware was deciding. What it had to come back for it still has.
            unclaimed = socket.unclaimed()
            if unclaimed is not None:
                self.adapter.persist_session(unclaimed)
            self._turn_away(socket, "transport close")
            return
        self._admitting -= 1
        # Known to its connection before anything is sent, for sending may end the connection.
        self.sockets[socket.id] = socket
        socket.connected = True
        connection.joined(socket)
        if self.recovering and session.protocol == 4:
            self._offer_recovery(socket)
        else:
            session.push(connection.greeting(self.parser, self.prefix, socket.id))
        if socket.connected:
            self.adapter.entered(socket)
        if not socket.connected:
            return
        for event in ("connect", "connection"):
            for handler in self.lifecycle.get(event, []):
                if handler.once:
                    self.forget_handler(handler, event)
                self.server.call_connection(handler, socket)

    def _offer_recovery(self, socket: Socket) -> None:
        """The secret for the next time; before it, what a recovered client has missed."""
        session = socket._connection.session
        if not socket.recovered:
            socket.begin_session(self.adapter.secret(), self.adapter.position())
        self._live[socket.pid] = socket
        present = socket.present
        missed = socket.missed()
        if missed is None:
            # Forgotten while a middleware was deciding: it begins afresh, on a new connection.
            session.close()
            return
        for message in missed:
            session.push(message)
        session.push(self.parser.encode_connect(self.prefix, {"sid": socket.id, "pid": socket.pid}))
        if present:
            self.presence.resume(socket, present)

    def remove(self, socket: Socket) -> None:
        """A socket has ended."""
        self.sockets.pop(socket.id, None)
        self.let_go(socket)
        self._clean_up()

    def session_lost(self, session: SavedSession) -> None:
        """The adapter: a client that lost its link can no longer come back."""
        if session.outbox is not None:
            payloads = session.outbox.payloads()
            self.undelivered(session.sid, session.data, session.user, session.ending, payloads)
        self._clean_up()

    def session_left(self) -> None:
        """The adapter: a client that lost its link is another server's now."""
        self._clean_up()

    def _clean_up(self) -> None:
        """Remove a dynamic namespace that nobody uses any longer."""
        if self.parent is not None and not self.sockets and not self._admitting:
            self.server.child_emptied(self)


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


def _without_secret(auth: dict[str, Any]) -> dict[str, Any]:
    """What the application, its log and other servers may see of the auth of who recovers."""
    return {name: value for name, value in auth.items() if name not in ("pid", "offset")}


def event_of(handler: Any, name: str | None) -> str:
    """The event that a decorated function handles.

    Raises:
        OptionError: when neither the function nor the decorator names it.
    """
    found = getattr(handler, "__name__", None) if name is None else name
    if not isinstance(found, str) or found == "<lambda>":
        raise OptionError(f'name: {handler!r} has no name; use @io.event(name="…")')
    return found


def _put(table: dict[str, list[Handler]], event: str, handlers: list[Handler]) -> None:
    if handlers:
        table[event] = handlers
    else:
        table.pop(event, None)
