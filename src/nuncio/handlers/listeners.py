"""Which functions listen to the events of one socket, of a server or a client. [compiled]"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from nuncio.errors import OptionError
from nuncio.handlers.binding import bind, check_registration
from nuncio.handlers.handler import Handler
from nuncio.protocol.socketio import RESERVED_EVENTS

H = TypeVar("H", bound=Callable[..., Any])


def event_name(name: Any) -> str:
    """An event's name as handlers are registered under it: numbers become text."""
    if isinstance(name, str):
        return name
    if isinstance(name, float) and name.is_integer():
        return str(int(name))
    return str(name)


class Listeners:
    """The listening half of a socket: its own handlers and catch-alls.

    Everything here is made when first used, for most sockets of a server use none of it.
    """

    __slots__ = ("_any", "_any_out", "_listeners")

    def __init__(self) -> None:
        self._listeners: dict[str, list[Handler]] | None = None
        self._any: list[Handler] | None = None
        self._any_out: list[Handler] | None = None

    def is_lifecycle(self, event: str) -> bool:
        """Whether Nuncio itself tells of an event: its arguments are not checked."""
        return event in RESERVED_EVENTS

    @overload
    def on(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def on(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def on(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle an event of this socket: `on(name, handler)`, or `@on(name)`.

        Also what Nuncio itself tells: on a server `disconnecting(reason, description)`,
        `disconnect(reason, description)`, and `error(error)` for what socket middlewares raise; on
        a client `connect()`, `connect_error(error)` and `disconnect(reason, description)`.

        Args:
            event: its name.
            handler: receives the event's arguments, as many as it declares.
            options: `thread`, `concurrency` and `rate`, see `Namespace.on`.

        Raises:
            OptionError: for a handler that cannot be called with an event's arguments, and for an
                option that does not exist.
        """
        return self._listen(event, handler, False, False, options)

    @overload
    def once(self, event: str, handler: H, **options: Any) -> H: ...

    @overload
    def once(self, event: str, handler: None = None, **options: Any) -> Callable[[H], H]: ...

    def once(self, event: str, handler: Any = None, **options: Any) -> Any:
        """Handle the next such event only; otherwise as `on`."""
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
        check_registration(event, options)
        if handler is None:
            return _Decorator(self, event, once, first, options)
        bound = bind(
            handler,
            event,
            takes_socket=False,
            lifecycle=self.is_lifecycle(event),
            once=once,
            **options,
        )
        listeners = self._listeners
        if listeners is None:
            listeners = {}
            self._listeners = listeners
        # Copied, never changed in place: an event under way keeps the list it began with.
        before = listeners.get(event, [])
        listeners[event] = [bound, *before] if first else [*before, bound]
        return handler

    def off(self, event: str | None = None, handler: Any = None) -> None:
        """Remove one handler, all of an event, or all of this socket.

        Args:
            event: its name; None to remove every handler that was registered with this socket.
            handler: the function that was registered; None for all of the event.
        """
        listeners = self._listeners
        if listeners is None:
            return
        if event is None:
            self._listeners = None
        elif handler is None:
            listeners.pop(event, None)
        else:
            kept = [bound for bound in listeners.get(event, []) if bound.listener != handler]
            listeners[event] = kept

    def listeners(self, event: str) -> list[Any]:
        """The functions registered with this socket for an event; not its namespace's."""
        if self._listeners is None:
            return []
        return [bound.listener for bound in self._listeners.get(event, [])]

    def on_any(self, listener: Any) -> Any:
        """Call `listener(event, *args)` for every event that arrives, before middlewares.

        Raises:
            OptionError: when it cannot be called.
        """
        self._any = [*(self._any or []), _bound(listener)]
        return listener

    def prepend_any(self, listener: Any) -> Any:
        """As `on_any`, before the others."""
        self._any = [_bound(listener), *(self._any or [])]
        return listener

    def off_any(self, listener: Any = None) -> None:
        """Remove one catch-all listener, or all."""
        self._any = _without(self._any, listener)

    def listeners_any(self) -> list[Any]:
        """The catch-all listeners."""
        return [bound.listener for bound in self._any or []]

    def on_any_outgoing(self, listener: Any) -> Any:
        """Call `listener(event, *args)` for every event sent to this client.

        Raises:
            OptionError: when it cannot be called.
        """
        self._any_out = [*(self._any_out or []), _bound(listener)]
        return listener

    def prepend_any_outgoing(self, listener: Any) -> Any:
        """As `on_any_outgoing`, before the others."""
        self._any_out = [_bound(listener), *(self._any_out or [])]
        return listener

    def off_any_outgoing(self, listener: Any = None) -> None:
        """Remove one outgoing catch-all listener, or all."""
        self._any_out = _without(self._any_out, listener)

    def listeners_any_outgoing(self) -> list[Any]:
        """The outgoing catch-all listeners."""
        return [bound.listener for bound in self._any_out or []]


class _Decorator:
    """What `@socket.on(name)` applies to the function below it."""

    __slots__ = ("_event", "_first", "_listeners", "_once", "_options")

    def __init__(
        self, listeners: Listeners, event: str, once: bool, first: bool, options: dict[str, Any]
    ) -> None:
        self._listeners = listeners
        self._event = event
        self._once = once
        self._first = first
        self._options = options

    def __call__(self, handler: Any) -> Any:
        return self._listeners._listen(self._event, handler, self._once, self._first, self._options)


def _bound(listener: Any) -> Handler:
    if not callable(listener):
        raise OptionError(f"listener must be callable, not {listener!r}")
    return bind(listener, "any event", takes_socket=False)


def _without(listeners: list[Handler] | None, listener: Any) -> list[Handler] | None:
    if listeners is None or listener is None:
        return None
    kept = [bound for bound in listeners if bound.listener != listener]
    return kept or None
