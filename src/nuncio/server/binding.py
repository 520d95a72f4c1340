"""From a function's signature to a `Handler`.

Annotations are contracts: what a parameter is annotated with is checked before the handler runs.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nuncio.errors import OptionError
from nuncio.options import unknown_option, whole
from nuncio.server.handlers import Converter, Handler

AckCallback = Callable[..., None]
"""Annotate a parameter with it to answer the event yourself: `ack(value, …)`, once, or never."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN = (str, int, float, bool, bytes, list, dict)
_BINARY = (bytes, bytearray, memoryview)
_CUSTOM = (msgspec.inspect.CustomType,)
_UNCHECKED = (Any, object, inspect.Parameter.empty, None)


_OPTIONS = ("concurrency", "thread")


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


def check_middleware(middleware: object) -> None:
    """Check a middleware for connections.

    Raises:
        OptionError: when it cannot be called with a socket alone.
    """
    if not callable(middleware):
        raise OptionError(f"middleware must be callable, not {middleware!r}")
    try:
        inspect.signature(middleware).bind(None)
    except TypeError as error:
        raise OptionError(
            f"middleware is called with the socket alone, which {middleware!r} does not fit "
            f"({error}); there is no `next`: return to go on, raise nuncio.ConnectError to refuse"
        ) from error
    except ValueError:
        # Built-in functions may hide their signature.
        pass


def bind(
    function: Callable[..., Any],
    event: str,
    *,
    takes_socket: bool,
    lifecycle: bool = False,
    thread: bool = False,
    concurrency: int | None = None,
    once: bool = False,
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

    Raises:
        OptionError: when it cannot be called with an event's arguments.
    """
    if not callable(function):
        raise OptionError(f"the handler of {event!r} must be callable, not {function!r}")
    is_async = _is_async(function)
    if thread and is_async:
        raise OptionError(f"the handler of {event!r} is async: thread=True is for def functions")
    limit = 0 if concurrency is None else whole("concurrency", concurrency)
    shape = _Shape(function, event, takes_socket, lifecycle)
    return Handler(
        function,
        event,
        shape.takes_socket,
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
    )


class _Shape:
    """What a signature says."""

    def __init__(
        self, function: Callable[..., Any], event: str, takes_socket: bool, lifecycle: bool
    ) -> None:
        self.least = 0
        self.most = 0
        self.names: list[str] = []
        self.converters: list[Converter | None] = []
        self.rest: Converter | None = None
        self.ack_index = -1
        self.defaults: list[Any] = []
        self.takes_socket = False
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            # Built-in functions may hide their signature: they get everything.
            self.takes_socket = takes_socket
            self.most = -1
            return
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                self.takes_socket = self.takes_socket or takes_socket
                self.most = -1
                self.names.append(parameter.name)
                if not lifecycle:
                    self.rest = _converter(_annotation(function, parameter), event, parameter.name)
            elif parameter.kind in _POSITIONAL:
                self._positional(function, parameter, event, takes_socket, lifecycle)
            elif (
                parameter.kind is inspect.Parameter.KEYWORD_ONLY
                and parameter.default is inspect.Parameter.empty
            ):
                raise OptionError(
                    f"the handler of {event!r} has the keyword-only parameter {parameter.name!r} "
                    "without a default; events have positional arguments only"
                )

    def _positional(
        self,
        function: Callable[..., Any],
        parameter: inspect.Parameter,
        event: str,
        takes_socket: bool,
        lifecycle: bool,
    ) -> None:
        awaits_socket = takes_socket and not self.takes_socket
        if awaits_socket and not _names_ack(parameter):
            if self.ack_index >= 0:
                raise OptionError(
                    f"the handler of {event!r} declares the acknowledgement function before the "
                    f"socket {parameter.name!r}; the socket comes first"
                )
            if not lifecycle and parameter.annotation in (*_PLAIN, "str", "int", "dict", "list"):
                raise OptionError(
                    f"the first parameter of the handler of {event!r} is the socket, but "
                    f"{parameter.name!r} is annotated as something else: "
                    f"write def {event}(socket, {parameter.name}, …)"
                )
            self.takes_socket = True
            return
        annotation = _annotation(function, parameter)
        if annotation is AckCallback:
            self.ack_index = len(self.names)
            return
        self.names.append(parameter.name)
        self.defaults.append(parameter.default)
        self.most += 1
        if parameter.default is inspect.Parameter.empty and not lifecycle:
            self.least = self.most
        self.converters.append(None if lifecycle else _converter(annotation, event, parameter.name))


def _names_ack(parameter: inspect.Parameter) -> bool:
    """Whether the first parameter is not the socket; its annotation is not evaluated for that."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == "AckCallback"
    return annotation is AckCallback


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    plain: Any = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = getattr(plain, "__func__", plain)
    if not hasattr(plain, "__code__"):
        plain = getattr(type(plain), "__call__", plain)  # noqa: B004
    scope = dict(getattr(plain, "__globals__", None) or vars(sys.modules[plain.__module__]))
    try:
        closure = inspect.getclosurevars(plain).nonlocals
    except (TypeError, ValueError):
        closure = {}
    try:
        return eval(annotation, scope, dict(closure))
    except Exception as error:
        warnings.warn(
            f"the annotation {annotation!r} of parameter {parameter.name!r} cannot be resolved "
            f"({error}), so what arrives is not checked; define the type at module level and "
            "outside `if TYPE_CHECKING`",
            stacklevel=6,
        )
        return Any


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
