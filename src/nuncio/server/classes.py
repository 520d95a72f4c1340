"""Namespaces as classes: which of their methods are handlers.

    class Chat(nuncio.Namespace):
        async def on_message(self, socket, text): ...

Everything here happens when a class is defined or an object of it is registered. Afterwards a
method is a handler like any function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from nuncio.errors import OptionError
from nuncio.handlers.binding import check_registration
from nuncio.handlers.injection import Injected
from nuncio.options import whole

if TYPE_CHECKING:
    from nuncio.server.namespace import Namespace

H = TypeVar("H", bound=Callable[..., Any])

# What an application may do differently. Everything else of `Namespace` is for Nuncio to call.
OVERRIDABLE: Final = frozenset(
    {
        "compress",
        "delivery",
        "disconnect_sockets",
        "emit",
        "emit_with_ack",
        "event",
        "except_",
        "fetch_sockets",
        "in_",
        "listeners",
        "local",
        "off",
        "on",
        "on_server",
        "once",
        "presence",
        "send",
        "server_side_emit",
        "server_side_emit_with_ack",
        "sockets_join",
        "sockets_leave",
        "timeout",
        "to",
        "use",
        "volatile",
        "when_slow",
    }
)

# Methods that somebody may write who means something else than an event of this name.
AMBIGUOUS: Final = {
    "on_any": "a namespace has no catch-all handlers, see socket.on_any",
    "on_any_outgoing": "a namespace has no catch-all handlers, see socket.on_any_outgoing",
    "on_error": "what handlers raise goes to io.on_error",
}

_MARKS: Final = "__nuncio__"
_CONCURRENCY: Final = "__nuncio_concurrency__"
_ENTRIES: Final = "__nuncio_entries__"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator says of a method.

    Attributes:
        name: the event's name; None for the method's own.
        options: how the handler is registered.
        middleware: whether it is a middleware instead.
    """

    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    middleware: bool = False


@overload
def event(handler: H, **options: Any) -> H: ...


@overload
def event(handler: str | None = None, **options: Any) -> Callable[[H], H]: ...


def event(handler: Any = None, **options: Any) -> Any:
    """Decorate a method of a `Namespace` class that handles an event.

    `@nuncio.event` for an event of the method's name, `@nuncio.event("name with spaces")` for
    another one. A leading `on_` does not belong to the name.

    Args:
        handler: the method, or the event's name.
        options: `name`, and those of `Namespace.on`.

    Raises:
        OptionError: for a function that is no method, or an unknown option.
    """
    name = options.pop("name", None)
    if isinstance(handler, str):
        name, handler = handler, None
    check_registration("by name" if name is None else name, options)
    decorate = functools.partial(_mark, Mark(name, options), "event")
    return decorate if handler is None else decorate(handler)


def middleware(method: H) -> H:
    """Decorate a method of a `Namespace` class that decides who is let in: see `Namespace.use`.

    Raises:
        OptionError: for a function that is no method.
    """
    return _mark(Mark(middleware=True), "middleware", method)


def _mark(mark: Mark, decorator: str, method: H) -> H:
    plain = getattr(method, "__func__", method)
    name = getattr(plain, "__qualname__", "")
    owner = name.rpartition(".")[0]
    if inspect.isfunction(plain) and (not owner or owner.endswith("<locals>")):
        raise _no_method(decorator, name)
    # A list of its own: wrappers made by functools.wraps share what they copy.
    setattr(plain, _MARKS, [*getattr(plain, _MARKS, []), mark])
    return method


def _no_method(decorator: str, name: str) -> OptionError:
    instead = "io.event" if decorator == "event" else "io.use"
    return OptionError(
        f"nuncio.{decorator} is for methods of a nuncio.Namespace class, and {name} is none: "
        f"use {instead}"
    )


class Unregistered:
    """Stands for the server of a namespace that has none.

    Args:
        name: the namespace's.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise OptionError(
            f"the namespace {self._name} belongs to no server: give it to io.register first"
        )


# When a class is defined.


def check_class(kind: type[Any]) -> None:
    """Look at a class derived from `Namespace`, and keep its `concurrency`.

    Raises:
        OptionError: when it hides something that Nuncio needs.
    """
    if kind.__module__.startswith("nuncio."):
        return
    from nuncio.server.namespace import Namespace

    concurrency = vars(kind).get("concurrency")
    if concurrency is not None:
        setattr(kind, _CONCURRENCY, whole(f"{kind.__qualname__}.concurrency", concurrency))
        # Or it would hide the attribute of this name.
        del kind.concurrency
    needed = {name for base in Namespace.__mro__ for name in vars(base)} - OVERRIDABLE
    for owner in _own_classes(kind):
        for name, value in vars(owner).items():
            if name.startswith("__") or name not in needed | OVERRIDABLE:
                continue
            if name in needed or getattr(value, _MARKS, None):
                raise OptionError(
                    f"{owner.__qualname__}.{name} would hide nuncio.Namespace.{name}: choose "
                    f'another name for it; a method may have any, with @nuncio.event("{name}")'
                )


def _own_classes(kind: type[Any]) -> Iterator[type[Any]]:
    """The application's classes among the bases, the nearest first."""
    from nuncio.server.namespace import Namespace

    for owner in kind.__mro__:
        if not issubclass(Namespace, owner):
            yield owner


# When an object is registered.


def checked_name(name: object) -> str:
    """A namespace's name, with its slash.

    Raises:
        OptionError: for what is no name.
    """
    if not isinstance(name, str):
        raise OptionError(f"name: a namespace's name is a str, not {name!r}")
    if "," in name:
        raise OptionError(f"name: a namespace's name cannot hold a comma: {name!r}")
    return name if name.startswith("/") else "/" + name


def check_unregistered(nsp: Any) -> None:
    """Check what is to become a namespace.

    Raises:
        OptionError: when it cannot.
    """
    from nuncio.server.namespace import Namespace

    if isinstance(nsp, type) and issubclass(nsp, Namespace):
        raise OptionError(f'nsp: register an object: io.register({nsp.__name__}("/name"))')
    if not isinstance(nsp, Namespace):
        raise OptionError(f"nsp: a namespace's class is derived from nuncio.Namespace, not {nsp!r}")
    kind = type(nsp).__qualname__
    # Making an object of a compiled class does not look at these.
    missing = getattr(nsp, "__abstractmethods__", None)
    if missing:
        raise OptionError(f"nsp: {kind} is abstract: it lacks {', '.join(sorted(missing))}")
    server = getattr(nsp, "server", None)
    if server is None:
        raise OptionError(f"{kind}.__init__ must call super().__init__(name)")
    if not isinstance(server, Unregistered):
        raise OptionError(f"nsp: the namespace {nsp.name} is registered already")


class _Entry:
    """A method that is a handler or a middleware, and what was found out about it.

    Attributes:
        name: the method's.
        mark: how it is registered.
        function: the function of which the rest was found out.
        bound: for no object; None before the first is registered.
    """

    __slots__ = ("bound", "function", "mark", "name")

    def __init__(self, name: str, mark: Mark) -> None:
        self.name = name
        self.mark = mark
        self.function: Any = None
        self.bound: Any = None


def register_methods(nsp: Namespace) -> None:
    """Register the methods of a class as handlers and middlewares, and do as it says otherwise.

    The methods of its bases come first. One that overrides another takes its place, and its events
    unless it names others; None in its place handles nothing.

    Raises:
        OptionError: for a method that cannot be a handler, naming it.
    """
    from nuncio.server.namespace import Namespace

    kind = type(nsp)
    if kind is Namespace:
        return
    nsp.concurrency = getattr(kind, _CONCURRENCY, nsp.concurrency)
    # Kept, for dynamic namespaces are made when clients ask for them; that must not take long.
    entries = vars(kind).get(_ENTRIES)
    if entries is None:
        entries = [_Entry(name, mark) for name, marks in _marked(kind) for mark in marks]
        setattr(kind, _ENTRIES, entries)
    for entry in entries:
        try:
            _register(nsp, entry)
        except OptionError as error:
            raise OptionError(f"{kind.__qualname__}.{entry.name}: {error}") from error


def _register(nsp: Namespace, entry: _Entry) -> None:
    from nuncio.server.namespace import LIFECYCLE, Namespace

    method = getattr(nsp, entry.name)
    function = getattr(method, "__func__", method)
    known = entry.function is function
    if entry.mark.middleware:
        if known:
            nsp._middlewares = [*nsp._middlewares, _rebound(entry.bound, method)]
        else:
            Namespace.use(nsp, method)
            entry.bound = _rebound(nsp._middlewares[-1], function)
    else:
        event = _event_of(entry)
        table = nsp.lifecycle if event in LIFECYCLE else nsp.handlers
        if known:
            called = _rebound(entry.bound.function, method)
            table[event] = [*table.get(event, []), entry.bound.rebound(called, method)]
        else:
            Namespace.on(nsp, event, method, **entry.mark.options)
            handler = table[event][-1]
            entry.bound = handler.rebound(_rebound(handler.function, function), function)
    entry.function = function


def _rebound(called: Any, method: Any) -> Any:
    """What to call for another object's method."""
    return called.rebound(method) if isinstance(called, Injected) else method


def _marked(kind: type[Any]) -> Iterator[tuple[str, list[Mark]]]:
    """The names of methods that are handlers or middlewares, and how they are registered."""
    owners = list(_own_classes(kind))
    names: dict[str, None] = {}
    for owner in reversed(owners):
        names.update(dict.fromkeys(vars(owner)))
    for name in names:
        marks = _marks(owners, name)
        if marks:
            _check_self(kind, name)
            yield name, marks


def _marks(owners: list[type[Any]], name: str) -> list[Mark]:
    """What is known of a method; nothing when it is no handler."""
    found = [vars(owner)[name] for owner in owners if name in vars(owner)]
    if not _is_method(found[0]):
        return []
    for method in found:
        marks: list[Mark] = getattr(getattr(method, "__func__", method), _MARKS, [])
        if marks:
            return marks
    if not name.startswith("on_") or name == "on_":
        return []
    if name in AMBIGUOUS:
        event = name.removeprefix("on_")
        raise OptionError(
            f"{owners[0].__qualname__}.{name}: {AMBIGUOUS[name]}; for an event of this name, "
            f'decorate the method with @nuncio.event("{event}")'
        )
    return [Mark()]


def _is_method(value: object) -> bool:
    if isinstance(value, type):
        return False
    return callable(value) or isinstance(
        value, (classmethod, staticmethod, functools.partialmethod)
    )


def _check_self(kind: type[Any], name: str) -> None:
    plain = inspect.getattr_static(kind, name)
    if not inspect.isfunction(plain):
        return
    first = next(iter(inspect.signature(plain).parameters), None)
    if first is None or first == "socket":
        raise OptionError(
            f"{kind.__qualname__}.{name}: the first parameter of a method is self, the second the "
            "socket"
        )


def _event_of(entry: _Entry) -> str:
    name = entry.mark.name
    return entry.name.removeprefix("on_") if name is None else name
