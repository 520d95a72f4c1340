"""A small event emitter for what happens seldom: engine, session and adapter events."""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from nuncio.errors import OptionError
from nuncio.options import did_you_mean

logger = logging.getLogger("nuncio")

Listener = Callable[..., Any]
L = TypeVar("L", bound=Listener)


class EventNames:
    """Which events there are. To listen to another one is a mistake that would never be noticed.

    Args:
        owner: who tells of them, as the programmer knows it.
        names: the events.
        elsewhere: names that others have, and what to do instead.
    """

    def __init__(self, owner: str, names: Iterable[str], elsewhere: Mapping[str, str]) -> None:
        self._owner = owner
        self._names = tuple(names)
        self._elsewhere = dict(elsewhere)

    def check(self, event: object) -> None:
        """Refuse a name that is none of them.

        Raises:
            OptionError: with what to do instead, or the nearest name.
        """
        if event in self._names:
            return
        hint = self._elsewhere.get(event) if isinstance(event, str) else None
        if hint is None:
            hint = did_you_mean(str(event), self._names) or f"there are {', '.join(self._names)}"
        raise OptionError(f"event: {self._owner} has no event {event!r}; {hint}")


class Emitter:
    """Named events with listeners, in order of registration.

    A listener is called with as many of the arguments as it declares. What it raises is logged; it
    stops neither the other listeners nor what told of the event.

    Args:
        spawn: takes the coroutine of an `async def` listener and runs it.
        names: the events there are; None for any.
    """

    def __init__(self, spawn: Callable[[Any], object], names: EventNames | None = None) -> None:
        self._spawn = spawn
        self._names = names
        self._listeners: dict[str, list[tuple[Listener, bool, int]]] = {}

    @overload
    def on(self, event: str, listener: L) -> L: ...

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def on(self, event: str, listener: Listener | None = None) -> Any:
        """Register a listener: `on(event, listener)`, or `@on(event)`."""
        return self._register(event, listener, once=False)

    @overload
    def once(self, event: str, listener: L) -> L: ...

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[L], L]: ...

    def once(self, event: str, listener: Listener | None = None) -> Any:
        """Register a listener for the next such event only."""
        return self._register(event, listener, once=True)

    def _register(self, event: str, listener: Listener | None, *, once: bool) -> Any:
        if self._names is not None:
            self._names.check(event)
        if listener is None:
            return lambda function: self._register(event, function, once=once)
        if not callable(listener):
            raise TypeError(f"listener of {event!r} must be callable, not {listener!r}")
        self._listeners.setdefault(event, []).append((listener, once, _most(listener)))
        return listener

    def off(self, event: str | None = None, listener: Listener | None = None) -> None:
        """Remove one listener, all of an event, or all."""
        if self._names is not None and event is not None:
            self._names.check(event)
        if event is None:
            self._listeners.clear()
        elif listener is None:
            self._listeners.pop(event, None)
        else:
            kept = [entry for entry in self._listeners.get(event, ()) if entry[0] != listener]
            self._listeners[event] = kept

    def heard(self, event: str) -> bool:
        """Whether an event has listeners."""
        return bool(self._listeners.get(event))

    def listeners(self, event: str) -> list[Listener]:
        """The listeners of an event."""
        return [listener for listener, _, _ in self._listeners.get(event, ())]

    def emit(self, event: str, *args: object) -> None:
        """Call the listeners."""
        entries = self._listeners.get(event)
        if not entries:
            return
        self._listeners[event] = [entry for entry in entries if not entry[1]]
        for listener, _, most in entries:
            try:
                result = listener(*args) if most < 0 else listener(*args[:most])
            except Exception:
                logger.exception("a listener of %r failed", event)
                continue
            if hasattr(result, "__await__"):
                self._spawn(result)


def _most(listener: Listener) -> int:
    """How many arguments a listener takes; -1 for any number."""
    # Looking at the code is quicker than at the signature, and listeners of sessions are many.
    if isinstance(listener, types.FunctionType):
        return _declared(listener)
    if isinstance(listener, types.MethodType) and isinstance(listener.__func__, types.FunctionType):
        declared = _declared(listener.__func__)
        return declared if declared < 0 else declared - 1
    try:
        parameters = inspect.signature(listener).parameters.values()
    except (TypeError, ValueError):
        # Built-in functions may hide their signature.
        return -1
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return -1
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)


def _declared(function: types.FunctionType) -> int:
    code = function.__code__
    if code.co_flags & inspect.CO_VARARGS or hasattr(function, "__wrapped__"):
        return -1
    return code.co_argcount
