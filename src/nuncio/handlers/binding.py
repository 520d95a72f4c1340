"""From a function's signature to a `Handler`.

Annotations are contracts: what a parameter is annotated with is checked before the handler runs.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from nuncio.errors import DisconnectReason, OptionError
from nuncio.handlers.annotations import annotation_of, quiet_annotation_of
from nuncio.handlers.dependencies import dependency_of, given_slot, is_marker
from nuncio.handlers.handler import Converter, Handler
from nuncio.handlers.injection import Injected, Injection
from nuncio.options import unknown_option, whole
from nuncio.rate import Rate

AckCallback = Callable[..., None]
"""Annotate a parameter with it to answer the event yourself: `ack(value, …)`, once, or never."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN = (str, int, float, bool, bytes, list, dict)
_NO_SOCKET = frozenset({"DisconnectReason", *(kind.__name__ for kind in _PLAIN)})
_BINARY = (bytes, bytearray, memoryview)
_CUSTOM = (msgspec.inspect.CustomType,)
_UNCHECKED = (Any, object, inspect.Parameter.empty, None)


# With how many arguments beside the socket Nuncio itself calls them.
_LIFECYCLE = {
    "auth_refreshed": 1,
    "connect": 0,
    "connection": 0,
    "disconnect": 2,
    "disconnecting": 2,
}

_OPTIONS = ("concurrency", "rate", "thread")


def check_registration(event: object, options: Mapping[str, object]) -> None:
    """Check what a handler is registered with.

    Raises:
        OptionError: for what is no event's name, and for an option that does not exist.
    """
    if not isinstance(event, str) or not event:
        raise OptionError(f"event must be a non-empty str, not {event!r}")
    if event == "*":
        raise OptionError(
            'event: there is no event "*"; socket.on_any(listener), in a connection handler, hears '
            "every event of that socket"
        )
    for name in options:
        if name not in _OPTIONS:
            raise unknown_option(name, _OPTIONS, "a handler")


def bind(
    function: Callable[..., Any],
    event: str,
    *,
    takes_socket: bool,
    lifecycle: bool = False,
    thread: bool = False,
    concurrency: int | None = None,
    once: bool = False,
    injects: bool = True,
    rate: Rate | None = None,
) -> Handler:
    """Work out how to call a handler.

    Args:
        function: a `def` or `async def` function, a method, or anything callable.
        event: the event's name.
        takes_socket: whether the socket is passed first.
        lifecycle: whether Nuncio itself is the caller: arguments are not checked.
        thread: run it in a thread; for `def` functions that block.
        concurrency: how many may run at once for one socket.
        once: remove it when it is called.
        injects: whether it may have dependencies; they need a socket.
        rate: how often it may run for one socket.

    Raises:
        OptionError: when it cannot be called with an event's arguments.
    """
    if not callable(function):
        raise OptionError(f"the handler of {event!r} must be callable, not {function!r}")
    is_async = is_async_function(function)
    if thread and is_async:
        raise OptionError(f"the handler of {event!r} is async: thread=True is for def functions")
    limit = 0 if concurrency is None else whole("concurrency", concurrency)
    if rate is not None and (lifecycle or not isinstance(rate, Rate)):
        raise OptionError(
            f"rate: what limits {event!r} must be a nuncio.Rate(count, per=seconds), and the "
            f"event one that clients send; this is {rate!r}"
        )
    shape = _Shape(function, event, takes_socket, lifecycle, injects)
    called = function
    gets_socket = shape.takes_socket
    if shape.injections:
        if not injects:
            raise OptionError(
                f"the handler of {event!r} has no socket, so it takes no dependencies"
            )
        called = injected = _inject(function, event, shape, is_async, thread)
        gets_socket = True
        is_async = injected.is_async
        thread = False
    handler = Handler(
        called,
        event,
        gets_socket,
        shape.least,
        shape.most,
        shape.names,
        shape.converters,
        shape.rest,
        shape.ack_index,
        shape.defaults,
        is_async,
        thread,
        limit,
        once,
        function,
    )
    handler.rate = rate
    return handler


def bind_middleware(function: Any) -> Callable[..., Any]:
    """What to call with the socket: the middleware of a namespace, its dependencies given to it.

    Raises:
        OptionError: when it cannot be called with a socket alone.
    """
    if not callable(function):
        raise OptionError(f"middleware must be callable, not {function!r}")
    shape = _Shape(function, "middleware", takes_socket=True, lifecycle=True)
    if shape.injections:
        wanted = _needed(shape)
        if wanted:
            raise _no_middleware(function, f"missing {wanted[0]!r}")
        return _inject(function, "middleware", shape, is_async_function(function), thread=False)
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise _no_middleware(function, error) from error
    except ValueError:
        # Built-in functions may hide their signature.
        pass
    return cast("Callable[..., Any]", function)


def bind_event_middleware(function: Any) -> Handler:
    """What a socket calls with each event, and its arguments.

    Raises:
        OptionError: when it cannot be called so, or waits for a `next` that nobody gives it.
    """
    if not callable(function):
        raise OptionError(f"middleware must be callable, not {function!r}")
    handler = bind(function, "any event", takes_socket=False)
    if "next" in handler.names:
        raise OptionError(
            f"middleware is called with the event and its arguments, which {function!r} does not "
            "fit; there is no `next`: return to go on, raise nuncio.EventError to drop the event"
        )
    return handler


def _no_middleware(function: object, why: object) -> OptionError:
    return OptionError(
        f"middleware is called with the socket alone, which {function!r} does not fit ({why}); "
        "there is no `next`: return to go on, raise nuncio.ConnectError to refuse"
    )


def _needed(shape: _Shape) -> list[str]:
    """The parameters that an event, or Nuncio itself, must give."""
    return [
        name
        for name, default in zip(shape.names, shape.defaults, strict=False)
        if default is inspect.Parameter.empty
    ]


def _inject(
    function: Callable[..., Any], event: str, shape: _Shape, is_async: bool, thread: bool
) -> Injected:
    try:
        return Injected(
            function,
            shape.injections,
            passes_socket=shape.takes_socket,
            is_async=is_async,
            thread=thread,
        )
    except OptionError as error:
        raise OptionError(f"the handler of {event!r}: {error}") from error


class _Shape:
    """What a signature says."""

    def __init__(
        self,
        function: Callable[..., Any],
        event: str,
        takes_socket: bool,
        lifecycle: bool,
        injects: bool = True,
    ) -> None:
        self.least = 0
        self.most = 0
        self.names: list[str] = []
        self.converters: list[Converter | None] = []
        self.rest: Converter | None = None
        self.ack_index = -1
        self.defaults: list[Any] = []
        self.takes_socket = False
        self.injections: list[Injection] = []
        # Without a socket, what is annotated as one is an argument.
        self._gives = injects
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            # Built-in functions may hide their signature: they get everything.
            self.takes_socket = takes_socket
            self.most = -1
            return
        for position, parameter in enumerate(parameters):
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.takes_socket = self.takes_socket or takes_socket
                self.most = -1
                self.names.append(parameter.name)
                if not lifecycle:
                    self.rest = _converter(
                        annotation_of(function, parameter), event, parameter.name
                    )
            elif parameter.kind in _POSITIONAL:
                self._positional(function, parameter, position, event, takes_socket, lifecycle)
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                annotation = quiet_annotation_of(function, parameter)
                if self._injected(parameter, annotation, -1, event):
                    continue
                if parameter.default is inspect.Parameter.empty:
                    raise OptionError(
                        f"the handler of {event!r} has the keyword-only parameter "
                        f"{parameter.name!r} without a default; events have positional arguments "
                        "only"
                    )
        if lifecycle and takes_socket and event in _LIFECYCLE:
            self._check_lifecycle(event)

    def _positional(
        self,
        function: Callable[..., Any],
        parameter: inspect.Parameter,
        position: int,
        event: str,
        takes_socket: bool,
        lifecycle: bool,
    ) -> None:
        awaits_socket = takes_socket and not self.takes_socket
        if awaits_socket and not _names_ack(parameter):
            self._first(function, parameter, position, event, lifecycle)
            return
        # What fills a parameter may stand in its default; then its type does not matter.
        resolve = quiet_annotation_of if is_marker(parameter.default) else annotation_of
        annotation = resolve(function, parameter)
        if annotation is AckCallback:
            self.ack_index = len(self.names)
            return
        if self._injected(parameter, annotation, position, event):
            return
        self.names.append(parameter.name)
        self.defaults.append(parameter.default)
        self.most += 1
        if parameter.default is inspect.Parameter.empty and not lifecycle:
            self.least = self.most
        self.converters.append(None if lifecycle else _converter(annotation, event, parameter.name))

    def _first(
        self,
        function: Callable[..., Any],
        parameter: inspect.Parameter,
        position: int,
        event: str,
        lifecycle: bool,
    ) -> None:
        """The socket, unless it is a dependency in front of it."""
        annotation = quiet_annotation_of(function, parameter)
        if self._depends(parameter, annotation, position, event):
            return
        if self.ack_index >= 0:
            raise OptionError(
                f"the handler of {event!r} declares the acknowledgement function before the "
                f"socket {parameter.name!r}; the socket comes first"
            )
        if _is_no_socket(parameter.annotation) and event in (_LIFECYCLE if lifecycle else (event,)):
            raise OptionError(
                f"the first parameter of the handler of {event!r} is the socket, but "
                f"{parameter.name!r} is annotated as something else: "
                f"write def {event}(socket, {parameter.name}, …)"
            )
        self.takes_socket = True

    def _injected(
        self, parameter: inspect.Parameter, annotation: Any, position: int, event: str
    ) -> bool:
        """Whether a parameter is no argument of the event, but a dependency, or Nuncio's own."""
        slot = given_slot(annotation) if self._gives else None
        if slot is None:
            return self._depends(parameter, annotation, position, event)
        self.injections.append(Injection(parameter.name, position, slot))
        return True

    def _depends(
        self, parameter: inspect.Parameter, annotation: Any, position: int, event: str
    ) -> bool:
        try:
            wanted = dependency_of(annotation, parameter)
        except OptionError as error:
            raise OptionError(f"the handler of {event!r}: {error}") from error
        if wanted is None:
            return False
        self.injections.append(Injection(parameter.name, position, wanted))
        return True

    def _check_lifecycle(self, event: str) -> None:
        given = _LIFECYCLE[event]
        wanted = _needed(self)
        if len(wanted) > given:
            what = ("nothing more", "the former user", "the reason and a description")[given]
            raise OptionError(
                f"the handler of {event!r} is called with the socket and {what}, so there is "
                f"nothing for its parameter {wanted[given]!r}"
            )


def _is_no_socket(annotation: object) -> bool:
    """Whether nobody can mean the socket by it; it is not evaluated for that."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] in _NO_SOCKET
    return annotation is DisconnectReason or any(annotation is kind for kind in _PLAIN)


def _names_ack(parameter: inspect.Parameter) -> bool:
    """Whether the first parameter is not the socket; its annotation is not evaluated for that."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "AckCallback"
    return annotation is AckCallback


def is_async_function(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _converter(annotation: Any, event: str, name: str) -> Converter | None:
    if isinstance(annotation, typing.TypeVar) or any(annotation is one for one in _UNCHECKED):
        return None
    if annotation in _PLAIN:
        return _plain(annotation)
    if hasattr(annotation, "model_validate"):
        return functools.partial(_validate, annotation)
    try:
        info = msgspec.inspect.type_info(annotation)
    except TypeError as error:
        raise _uncheckable(event, name, str(error)) from error
    for kind in info.types if isinstance(info, msgspec.inspect.UnionType) else (info,):
        if isinstance(kind, _CUSTOM) and not hasattr(kind.cls, "model_validate"):
            raise _uncheckable(event, name, f"what arrives can never be a {kind.cls.__name__}")

    def convert(value: Any) -> Any:
        # Bytes stay bytes: a string is not taken for base64 where bytes are declared.
        return msgspec.convert(value, annotation, builtin_types=_BINARY, dec_hook=_validate)

    return convert


def _uncheckable(event: str, name: str, why: str) -> OptionError:
    return OptionError(
        f"the annotation of parameter {name!r} of the handler of {event!r} cannot be checked: {why}"
    )


def _validate(model: Any, value: Any) -> Any:
    """A pydantic model's check, its errors in one line as msgspec words them."""
    if not hasattr(model, "model_validate"):
        raise TypeError(f"Expected `{model.__name__}`, got `{_kind_name(value)}`")
    try:
        return model.model_validate(value)
    except ValueError as error:
        details = getattr(error, "errors", None)
        if details is None:
            raise
        lines = [
            f"{detail['msg']} - at `${''.join(f'.{part}' for part in detail['loc'])}`"
            for detail in details(include_url=False, include_context=False, include_input=False)
        ]
        raise ValueError("; ".join(lines)) from error


def _plain(kind: type) -> Converter:
    """A check without conversion; a whole number is also a float, and True is no number."""

    def check(value: Any) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise TypeError(f"Expected `{kind.__name__}`, got `{_kind_name(value)}`")

    return check


def _kind_name(value: object) -> str:
    return "null" if value is None else type(value).__name__
