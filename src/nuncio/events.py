"""A small event emitter for what happens seldom: engine and session events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

logger = logging.getLogger("nuncio")

Listener = Callable[..., Any]
L = TypeVar("L", bound=Listener)


class Emitter:
    """Named events with listeners, in order of registration.

    What a listener raises is logged; it stops neither the other listeners nor what told of the
    event.

    Args:
        spawn: takes the coroutine of an `async def` listener and runs it.
    """

    def __init__(self, spawn: Callable[[Any], object]) -> None:
        self._spawn = spawn
        self._listeners: dict[str, list[tuple[Listener, bool]]] = {}

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
        if listener is None:
            return lambda function: self._register(event, function, once=once)
        if not callable(listener):
            raise TypeError(f"listener of {event!r} must be callable, not {listener!r}")
        self._listeners.setdefault(event, []).append((listener, once))
        return listener

    def off(self, event: str | None = None, listener: Listener | None = None) -> None:
        """Remove one listener, all of an event, or all."""
        if event is None:
            self._listeners.clear()
        elif listener is None:
            self._listeners.pop(event, None)
        else:
            kept = [entry for entry in self._listeners.get(event, ()) if entry[0] != listener]
            self._listeners[event] = kept

    def listeners(self, event: str) -> list[Listener]:
        """The listeners of an event."""
        return [listener for listener, _ in self._listeners.get(event, ())]

    def emit(self, event: str, *args: object) -> None:
        """Call the listeners."""
        entries = self._listeners.get(event)
        if not entries:
            return
        self._listeners[event] = [entry for entry in entries if not entry[1]]
        for listener, _ in entries:
            try:
                result = listener(*args)
            except Exception:
                logger.exception("a listener of %r failed", event)
                continue
            if hasattr(result, "__await__"):
                self._spawn(result)
