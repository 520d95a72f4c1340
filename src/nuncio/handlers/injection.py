"""Handlers with dependencies: each call makes what is needed, calls the handler and cleans up.

Such a handler is registered as an `Injected`. Handlers without dependencies never come here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from nuncio.handlers.dependencies import SOCKET, Dependency, Overrides, Plan

if TYPE_CHECKING:
    from nuncio.server.socket import Socket


@dataclass(frozen=True, slots=True)
class Injection:
    """A parameter that is filled.

    Attributes:
        name: the parameter's.
        position: its place among the positional parameters; -1 for a keyword-only one.
        wanted: what fills it, or the place of a value that is there without being made.
    """

    name: str
    position: int
    wanted: Dependency | int


class Injected:
    """A handler with dependencies; called with the socket and the event's arguments.

    Args:
        function: the handler.
        injections: its parameters that are filled, in their order.
        passes_socket: whether the handler itself takes the socket.
        is_async: whether it is a coroutine function.
        thread: whether it blocks, and runs in a thread with those of its dependencies that are not
            async.

    Raises:
        OptionError: when a dependency cannot be made.

    Attributes:
        is_async: whether calling it gives a coroutine.
    """

    __slots__ = ("_function", "_injections", "_passes_socket", "_plan", "_thread", "is_async")

    def __init__(
        self,
        function: Callable[..., Any],
        injections: list[Injection],
        *,
        passes_socket: bool,
        is_async: bool,
        thread: bool,
    ) -> None:
        self._function = function
        self._injections = injections
        self._passes_socket = passes_socket
        self._thread = thread
        self._plan = self._make_plan({})
        self.is_async = is_async or thread or self._plan[0].is_async

    def rebound(self, function: Callable[..., Any]) -> Injected:
        """The same for another object's method."""
        other = Injected.__new__(Injected)
        other._function = function
        other._injections = self._injections
        other._passes_socket = self._passes_socket
        other._thread = self._thread
        other._plan = self._plan
        other.is_async = self.is_async
        return other

    def _make_plan(self, overrides: Overrides) -> tuple[Plan, list[int]]:
        plan = Plan(overrides)
        slots = [
            one.wanted if isinstance(one.wanted, int) else plan.add(one.wanted)
            for one in self._injections
        ]
        return plan, slots

    def __call__(self, socket: Socket, *args: Any) -> Any:
        """Make what is needed, call the handler, clean up."""
        server = socket.nsp.server
        overrides = server.dependency_overrides
        plan, slots = self._make_plan(overrides) if overrides else self._plan
        if self._thread and not plan.is_async:
            return self._away(server, plan, slots, socket, args)
        if self.is_async or plan.is_async:
            return self._run_async(plan, slots, socket, args)
        return self._run(plan, slots, socket, args)

    async def _away(
        self, server: Any, plan: Plan, slots: list[int], socket: Socket, args: tuple[Any, ...]
    ) -> Any:
        """In a thread, in one go."""
        result = await server.call_in_thread(self._run, plan, slots, socket, args)
        return await result if hasattr(result, "__await__") else result

    def _run(self, plan: Plan, slots: list[int], socket: Socket, args: tuple[Any, ...]) -> Any:
        """In place, where nothing is async."""
        values = _given(socket)
        opened: list[Any] = []
        try:
            for step in plan.steps:
                values.append(step.enter(values, opened))
            result = self._call(values, slots, args)
        except BaseException as error:
            _raise_again(error, _close(opened, error))
        if opened:
            if hasattr(result, "__await__"):
                return _finish(result, opened)
            failure = _close(opened, None)
            if failure is not None:
                raise failure
        return result

    async def _run_async(
        self, plan: Plan, slots: list[int], socket: Socket, args: tuple[Any, ...]
    ) -> Any:
        """As a task, each call that is not async in a thread if the handler wants that."""
        values = _given(socket)
        opened: list[Any] = []
        away = socket.nsp.server.call_in_thread if self._thread else None
        try:
            for step in plan.steps:
                if step.is_async:
                    value = await step.enter_async(values, opened)
                elif away is not None:
                    value = await away(step.enter, values, opened)
                else:
                    value = step.enter(values, opened)
                values.append(value)
            if away is None:
                result = self._call(values, slots, args)
            else:
                result = await away(self._call, values, slots, args)
            if hasattr(result, "__await__"):
                result = await result
        except BaseException as error:
            _raise_again(error, await _close_async(opened, error, away))
        failure = await _close_async(opened, None, away)
        if failure is not None:
            raise failure
        return result

    def _call(self, values: list[Any], slots: list[int], args: tuple[Any, ...]) -> Any:
        positional = [values[SOCKET], *args] if self._passes_socket else list(args)
        named: dict[str, Any] = {}
        for injection, slot in zip(self._injections, slots, strict=True):
            if 0 <= injection.position <= len(positional):
                positional.insert(injection.position, values[slot])
            else:
                # Keyword-only, or behind a parameter that the event leaves to its default.
                named[injection.name] = values[slot]
        return self._function(*positional, **named)


def _given(socket: Socket) -> list[Any]:
    return [socket, socket.nsp, socket.nsp.server]


async def _finish(result: Awaitable[Any], opened: list[Any]) -> Any:
    """Await what a handler that is no coroutine function returned; then clean up."""
    try:
        value = await result
    except BaseException as error:
        _raise_again(error, _close(opened, error))
    failure = _close(opened, None)
    if failure is not None:
        raise failure
    return value


# Cleaning up, the last first. A generator sees what was raised, and may raise something else
# instead, but cannot make it undone.


def _close(opened: list[Any], error: BaseException | None) -> BaseException | None:
    """Let generators go on; returns what is to be raised."""
    while opened:
        try:
            opened.pop().__exit__(*_details(error))
        except BaseException as other:
            error = other
    return error


async def _close_async(
    opened: list[Any], error: BaseException | None, away: Any
) -> BaseException | None:
    while opened:
        manager = opened.pop()
        try:
            if hasattr(manager, "__aexit__"):
                await manager.__aexit__(*_details(error))
            elif away is not None:
                await away(manager.__exit__, *_details(error))
            else:
                manager.__exit__(*_details(error))
        except BaseException as other:
            error = other
    return error


def _details(error: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _raise_again(error: BaseException, final: BaseException | None) -> NoReturn:
    """To be called in an `except` block."""
    if final is None or final is error:
        raise error
    raise final
