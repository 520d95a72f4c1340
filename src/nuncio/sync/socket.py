"""One namespace of a server, for code that blocks: what `nuncio.sync.connect` gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from nuncio.client.checks import check_auth
from nuncio.client.inbox import Event
from nuncio.client.operator import ClientOperator as InnerOperator
from nuncio.client.socket import ClientSocket as InnerSocket
from nuncio.errors import ConnectTimeout, Disconnected, OptionError, ReceiveTimeout
from nuncio.handlers.binding import check_registration, is_async_function
from nuncio.options import seconds as checked_seconds
from nuncio.sync.asked import asked, given
from nuncio.sync.call import Call, Cancelled
from nuncio.sync.home import CLOSED, Home, Lease
from nuncio.sync.inner import LoopManager
from nuncio.sync.mailbox import Kept
from nuncio.sync.places import check_place

if TYPE_CHECKING:
    from nuncio.sync.manager import Manager

H = TypeVar("H", bound=Callable[..., Any])


class ClientSocket:
    """One namespace of a server. Every method may be called from any thread.

    Made by `nuncio.sync.connect` and `Manager.socket`. It is a context manager, which closes it.
    """

    __slots__ = ("_closed", "_home", "_inner", "_lease", "_manager")

    def __init__(
        self, home: Home, manager: LoopManager, inner: InnerSocket, lease: Lease | None
    ) -> None:
        self._home = home
        self._manager = manager
        self._inner = inner
        self._lease = lease
        self._closed = False

    def __repr__(self) -> str:
        state = "connected" if self.connected else "active" if self.active else "disconnected"
        return f"<nuncio.sync.ClientSocket {self.id!r} of {self.nsp!r} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it is.

    @property
    def id(self) -> str:
        """The server's public name for it; empty while it is not connected."""
        return self._inner.id

    @property
    def nsp(self) -> str:
        """The namespace's name."""
        return self._inner.nsp

    @property
    def connected(self) -> bool:
        """Whether the server has let it in."""
        return self._inner.connected and not self._home.forked

    @property
    def disconnected(self) -> bool:
        """The opposite of `connected`."""
        return not self.connected

    @property
    def active(self) -> bool:
        """Whether it is connected, or will be without further ado."""
        return self._inner.active and not self._home.forked

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its Manager, and it cannot be used any more."""
        return self._closed or self._manager.done

    @property
    def recovered(self) -> bool:
        """Whether the server restored its state after a lost connection."""
        return self._inner.recovered

    @property
    def io(self) -> Manager:
        """Its Manager."""
        from nuncio.sync.manager import front

        return front(self._home, self._manager)

    @property
    def auth(self) -> Any:
        """The credentials for the next connection: a mapping, or a function that gives one.

        A function is called in a thread of its own, and may block.
        """
        return given(self._inner.auth)

    @auth.setter
    def auth(self, value: Any) -> None:
        check_auth(value)
        self._inner.auth = asked(value)

    # Connecting.

    def connect(self) -> Self:
        """Begin to connect; needed only with `auto_connect=False`, or after `disconnect`.

        It does not wait: what is emitted meanwhile is sent later. To wait, write
        `socket.connect().wait_connected()`.

        Raises:
            RuntimeError: when it was closed.
        """
        self._run(self._inner.connect)
        return self

    def open(self) -> Self:
        """The same as `connect`."""
        return self.connect()

    def wait_connected(self, timeout: float | None = None) -> None:
        """Wait until it is connected.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            ConnectError: when the server refuses it, or it has ended meanwhile.
            ConnectTimeout: when the time is up; it goes on trying.
        """
        limit = _limit(timeout)
        try:
            self._run(self._inner.wait_connected, timeout=limit)
        except Cancelled:
            raise ConnectTimeout(limit or 0.0) from None

    def disconnect(self) -> Self:
        """Leave the namespace now; it does not reconnect unless `connect` is called.

        What waits to be sent is lost. The thread of the connections goes on: `close` is the end.
        """
        if not self.closed:
            self._run(self._inner.disconnect)
        return self

    def close(self) -> None:
        """Leave the namespace once everything that was emitted has been sent.

        It cannot be used any more. Closing it twice, or in a child process that has inherited it,
        does nothing.
        """
        if self._closed or self._home.forked:
            return
        check_place(self._home.loop)
        self._closed = True
        try:
            if not self._manager.done:
                self._home.finish(self._inner.close, self._inner.disconnect)
        finally:
            if self._lease is not None:
                self._lease.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended for good: closed, or by the server, or given up.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Returns:
            whether it has; False when the time is up.
        """
        limit = _limit(timeout)
        if self.closed:
            return True
        try:
            self._run(self._inner.wait, timeout=limit)
        except Cancelled:
            return False
        except Disconnected:
            # Another thread has closed it.
            pass
        return True

    # Receiving.

    def receive(self, *names: str, timeout: float | None = None) -> Event:
        """The next event: one that has arrived and was kept, or the first to arrive.

        From the connection on, events that have no handler are kept until somebody receives them,
        `ClientLimits(queued_events=…)` of them. Events whose names are given here are kept even
        if they have handlers. Of several threads that receive, one gets the event.

        Args:
            names: which events; none for all that have no handler.
            timeout: seconds to wait, 0 to take only what is there; None for as long as it takes.

        Raises:
            ReceiveTimeout: when none came in time.
            Disconnected: when the socket has ended for good, and no event is left.
            OptionError: for what is no event's name.
        """
        _check_names(names)
        limit = _limit(timeout)
        self._check()
        mailbox = self._manager.mailboxes[self.nsp]
        call = Call(self._home.loop, mailbox.next, (names,), mailbox.put_back)
        try:
            return _event(self._inner, self._home.make(call, limit))
        except Cancelled:
            raise ReceiveTimeout(names, limit or 0.0) from None
        except BaseException:
            # Ctrl-C, perhaps, and then the event has come for somebody else.
            call.leave()
            raise

    def events(self, *names: str) -> Iterator[Event]:
        """Iterate over events as they arrive: `for event in socket.events("message")`.

        As `receive`, again and again. The iteration ends when the socket has ended for good.

        Args:
            names: which events; none for all that have no handler.

        Raises:
            OptionError: for what is no event's name.
        """
        _check_names(names)
        self._run(self._manager.mailboxes[self.nsp].ask, names)
        return self._events(names)

    def _events(self, names: tuple[str, ...]) -> Iterator[Event]:
        while True:
            try:
                event = self.receive(*names)
            except Disconnected:
                return
            yield event

    # Sending.

    def emit(self, event: str, *args: object) -> None:
        """Send an event; while there is no connection it waits for the next one.

        It returns when the event was handed over, and waits where the server is behind. A callable
        as the last argument receives the server's acknowledgement, in a thread as handlers.

        Args:
            event: its name; not one of the reserved ones.
            args: plain data, structs, dataclasses, models; bytes anywhere in them.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
            LimitExceeded: when too much waits for a connection already.
            RuntimeError: when it was closed.
        """
        self._emit(self._inner.emit, event, args)

    def send(self, *args: object) -> None:
        """Send a `message` event; see `emit`."""
        self._emit(self._inner.emit, "message", args)

    def emit_with_ack(self, event: str, *args: object, timeout: float | None = None) -> Any:
        """Send an event and wait for the server's acknowledgement.

        Args:
            event: its name.
            args: see `emit`.
            timeout: seconds to wait; None for the option `ack_timeout`, and without it for as long
                as the connection lasts.

        Returns:
            the server's answer, which is one value, or a list when it gave several.

        Raises:
            AckTimeout: when it did not come in time.
            Disconnected: when the connection was lost behind the event, or the socket closed.
            Dropped: when the event was dropped, as the option `buffer` allows.
            LimitExceeded: when too many acknowledgements are waited for, or too much waits.
        """
        inner = self._inner
        return self._run(lambda: inner.emit_with_ack(event, *args, timeout=timeout))

    @property
    def volatile(self) -> ClientOperator:
        """What is emitted with it is dropped when it cannot leave at once."""
        return ClientOperator(self, self._inner.volatile)

    def compress(self, compress: bool) -> ClientOperator:
        """Whether the transport may compress what is emitted with it; it may unless told."""
        return ClientOperator(self, self._inner.compress(compress))

    def timeout(self, seconds: float) -> ClientOperator:
        """How long what is emitted with it waits for its acknowledgement.

        Args:
            seconds: above 0.

        Raises:
            OptionError: for what is no such number.
        """
        return ClientOperator(self, self._inner.timeout(seconds))

    # Listening.

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle an event: `on(name, handler)`, or `@on(name)`.

        Handlers are called in a thread of this socket's own, one after the other in the order of
        their events, so they may block and call every method here. What they return is the
        acknowledgement. Events that came before the first handler of their name get to it.

        Also what the client itself tells: `connect()`, `connect_error(error)` and
        `disconnect(reason, description)`.

        Args:
            event: its name.
            handler: receives the event's arguments, as many as it declares.
            options: `concurrency`, how many events this handler may work on at once, whatever the
                option of `connect` says of all.

        Raises:
            OptionError: for a handler that cannot be called with an event's arguments or is async,
                and for an option that does not exist.
        """
        return self._listen("on", event, handler, options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle the next such event only; otherwise as `on`."""
        return self._listen("once", event, handler, options)

    @overload
    def prepend(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def prepend(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def prepend(self, event: str, handler: Any = None, **options: Any) -> Any:
        """As `on`, before the handlers that are there."""
        return self._listen("prepend", event, handler, options)

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """Remove one handler, all of an event, or all."""
        self._run(self._inner.off, event, handler)

    def listeners(self, event: str) -> list[Any]:
        """The functions registered for an event."""
        return self._inner.listeners(event)

    def on_any(self, listener: H) -> H:
        """Call `listener(event, *args)` for every event that arrives, as handlers are called.

        Raises:
            OptionError: when it cannot be called.
        """
        return self._watch("on_any", listener)

    def prepend_any(self, listener: H) -> H:
        """As `on_any`, before the others."""
        return self._watch("prepend_any", listener)

    def off_any(self, listener: Any = None) -> None:
        """Remove one catch-all listener, or all."""
        self._run(self._inner.off_any, listener)

    def listeners_any(self) -> list[Any]:
        """The catch-all listeners."""
        return self._inner.listeners_any()

    def on_any_outgoing(self, listener: H) -> H:
        """Call `listener(event, *args)` for every event that is sent, as handlers are called.

        Raises:
            OptionError: when it cannot be called.
        """
        return self._watch("on_any_outgoing", listener)

    def prepend_any_outgoing(self, listener: H) -> H:
        """As `on_any_outgoing`, before the others."""
        return self._watch("prepend_any_outgoing", listener)

    def off_any_outgoing(self, listener: Any = None) -> None:
        """Remove one outgoing catch-all listener, or all."""
        self._run(self._inner.off_any_outgoing, listener)

    def listeners_any_outgoing(self) -> list[Any]:
        """The outgoing catch-all listeners."""
        return self._inner.listeners_any_outgoing()

    def _listen(self, how: str, event: str, handler: Any, options: dict[str, Any]) -> Any:
        check_registration(event, options)
        if options.get("thread") is False:
            raise OptionError("thread: nuncio.sync calls every handler in a thread; leave it out")
        if handler is None:
            return lambda function: self._listen(how, event, function, options)
        refuse_async(handler, f"the handler of {event!r}")
        self._run(self._register, how, event, handler, {**options, "thread": True})
        return handler

    def _register(self, how: str, event: str, handler: Any, options: dict[str, Any]) -> None:
        inner = self._inner
        getattr(inner, how)(event, handler, **options)
        self._manager.runner.lane(self.nsp).prepare()
        if not inner.is_lifecycle(event):
            mailbox = self._manager.mailboxes[self.nsp]
            mailbox.handle(event, lambda: len(inner.listeners(event)) > 0)

    def _watch(self, how: str, listener: H) -> H:
        refuse_async(listener, "the listener")
        self._run(getattr(self._inner, how), listener)
        return listener

    # The way to the other thread.

    def _run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._check()
        return self._home.run(function, *args, **options)

    def _check(self) -> None:
        self._home.check()
        if self.closed:
            raise RuntimeError(CLOSED)

    def _emit(self, emit: Callable[..., Any], event: str, args: tuple[object, ...]) -> None:
        if args and callable(args[-1]):
            refuse_async(args[-1], "the callback")
        self._run(self._emitted, emit, event, args)

    def _emitted(self, emit: Callable[..., Any], event: str, args: tuple[object, ...]) -> Any:
        """Emit; gives something to await where the server is behind."""
        sent = emit(event, *args)
        session = self._inner.session
        if session is None:
            return None
        # A little may wait, so that what is emitted in a row can leave together.
        behind = session.buffered_bytes > self._manager.options.limits.high_water_bytes
        return sent if behind else None


class ClientOperator:
    """Flags for one emit: `socket.volatile.emit(...)`."""

    __slots__ = ("_inner", "_socket")

    def __init__(self, socket: ClientSocket, inner: InnerOperator) -> None:
        self._socket = socket
        self._inner = inner

    @property
    def volatile(self) -> ClientOperator:
        """See `ClientSocket.volatile`."""
        return ClientOperator(self._socket, self._inner.volatile)

    def compress(self, compress: bool) -> ClientOperator:
        """See `ClientSocket.compress`."""
        return ClientOperator(self._socket, self._inner.compress(compress))

    def timeout(self, seconds: float) -> ClientOperator:
        """See `ClientSocket.timeout`."""
        return ClientOperator(self._socket, self._inner.timeout(seconds))

    def emit(self, event: str, *args: object) -> None:
        """See `ClientSocket.emit`; with a time-out a callback gets an error or None first."""
        self._socket._emit(self._inner.emit, event, args)

    def send(self, *args: object) -> None:
        """Send a `message` event."""
        self._socket._emit(self._inner.emit, "message", args)

    def emit_with_ack(self, event: str, *args: object) -> Any:
        """See `ClientSocket.emit_with_ack`."""
        return self._socket._run(self._inner.emit_with_ack, event, *args)


def refuse_async(function: Any, what: str) -> None:
    """Refuse what nobody would await.

    Raises:
        OptionError: for a function that gives a coroutine.
    """
    if is_async_function(function):
        raise OptionError(
            f"{what} is async, and nuncio.sync calls it in a thread: write def, or use "
            "nuncio.connect"
        )


def _event(socket: InnerSocket, kept: Kept) -> Event:
    return Event(socket, kept.name, kept.payload[1:], kept.id)


def _limit(timeout: float | None) -> float | None:
    return None if timeout is None else checked_seconds("timeout", timeout, zero=True)


def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"event: names must be str, not {name!r}")
