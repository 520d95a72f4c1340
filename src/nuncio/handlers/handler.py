"""Handlers, bound once when they are registered. [compiled]

What a handler's signature asks for (how many arguments, of which types, whether an
acknowledgement function) is worked out by `nuncio.handlers.binding` and kept here, so that an event
costs a table look-up and a call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, final

from nuncio.errors import ArgumentError
from nuncio.rate import Rate

Converter = Callable[[Any], Any]


class Ack:
    """Several values as the answer to an event: `return nuncio.Ack(1, 2)`.

    Args:
        values: what the peer's acknowledgement callback receives.
    """

    __slots__ = ("values",)

    def __init__(self, *values: object) -> None:
        self.values = list(values)


@final
class Handler:
    """A function and what is known of it.

    Attributes:
        function: what to call.
        event: the event's name.
        takes_socket: whether the socket comes first (handlers of a namespace, not of one socket).
        least: how many event arguments must be there.
        most: how many are passed on; -1 for all.
        names: the parameters of the event arguments, for error messages.
        converters: for each of them a check, or None.
        rest: the check for each further argument (`*args`), or None.
        ack_index: where among the event arguments the acknowledgement function goes; -1 nowhere.
        defaults: of the parameters before it, for those that the event leaves out.
        is_async: whether calling it gives a coroutine.
        thread: whether it is called in a thread.
        concurrency: how many may run at once for one socket; 0 for the namespace's number.
        once: whether it is removed when called.
        listener: what the application registered: the function, if nothing is wrapped around it.
        rate: how often it may run for one socket, or None.
    """

    __slots__ = (
        "ack_index",
        "concurrency",
        "converters",
        "defaults",
        "event",
        "function",
        "is_async",
        "least",
        "listener",
        "most",
        "names",
        "once",
        "rate",
        "rest",
        "simple",
        "takes_socket",
        "thread",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        event: str,
        takes_socket: bool,
        least: int,
        most: int,
        names: list[str],
        converters: list[Converter | None],
        rest: Converter | None,
        ack_index: int,
        defaults: list[Any],
        is_async: bool,
        thread: bool,
        concurrency: int,
        once: bool,
        listener: Callable[..., Any],
    ) -> None:
        self.function = function
        self.event = event
        self.takes_socket = takes_socket
        self.least = least
        self.most = most
        self.names = names
        self.rest = rest
        self.ack_index = ack_index
        self.defaults = defaults
        self.is_async = is_async
        self.thread = thread
        self.concurrency = concurrency
        self.once = once
        self.listener = listener
        self.rate: Rate | None = None
        checked = rest is not None
        for converter in converters:
            checked = checked or converter is not None
        self.converters: list[Converter | None] | None = converters if checked else None
        # One argument, unchecked, no acknowledgement function: called without building a list.
        self.simple = not checked and ack_index < 0 and most == 1 and least <= 1

    def rebound(self, function: Callable[..., Any], listener: Callable[..., Any]) -> Handler:
        """The same for another object's method: what is known of a class need not be found again.

        Args:
            function: what to call.
            listener: what the application registered.
        """
        return Handler(
            function,
            self.event,
            self.takes_socket,
            self.least,
            self.most,
            self.names,
            [] if self.converters is None else self.converters,
            self.rest,
            self.ack_index,
            self.defaults,
            self.is_async,
            self.thread,
            self.concurrency,
            self.once,
            listener,
        )

    def arguments(self, socket: object, payload: list[Any], ack: object) -> list[Any]:
        """The arguments to call it with.

        Args:
            socket: passed first when it takes one.
            payload: the event's name and arguments.
            ack: the acknowledgement function, where it asks for one.

        Raises:
            ArgumentError: when they are too few, or one does not fit its annotation.
        """
        count = len(payload) - 1
        if count < self.least:
            raise ArgumentError(self.event, self.names[count], "is missing")
        if 0 <= self.most < count:
            count = self.most
        args = payload[1 : count + 1]
        if self.converters is not None:
            self._convert(args)
        if self.ack_index >= 0:
            while len(args) < self.ack_index:
                args.append(self.defaults[len(args)])
            args.insert(self.ack_index, ack)
        if self.takes_socket:
            args.insert(0, socket)
        return args

    def with_answer(self, values: list[Any]) -> list[Any]:
        """The arguments to call it with when it is the callback of an acknowledgement.

        Args:
            values: the answer; parameters that need one and get none are given None.
        """
        if len(values) == self.most and self.ack_index < 0 and self.converters is None:
            return values
        needed = 0
        for default in self.defaults:
            if default is not inspect.Parameter.empty:
                break
            needed += 1
        return self.arguments(None, ["", *values, *[None] * (needed - len(values))], None)

    def _convert(self, args: list[Any]) -> None:
        converters = self.converters
        assert converters is not None
        for index in range(len(args)):
            converter = converters[index] if index < len(converters) else self.rest
            if converter is None:
                continue
            try:
                args[index] = converter(args[index])
            except (ValueError, TypeError) as error:
                name = self.names[index] if index < len(self.names) else self.names[-1]
                raise ArgumentError(self.event, name, str(error)) from error
