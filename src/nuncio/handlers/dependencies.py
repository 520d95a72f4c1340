"""Dependencies: how they are declared, and the plan by which they are made.

What has to be made for a handler, and in which order, is worked out once, when it is registered.
`nuncio.handlers.injection` does it for each call.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

from nuncio.errors import OptionError
from nuncio.handlers.annotations import UNRESOLVED, quiet_annotation_of

Factory = Callable[..., Any]
Overrides = Mapping[Factory, Factory]

# Where the values that need not be made stand, before those of the steps.
SOCKET: Final = 0
NAMESPACE: Final = 1
SERVER: Final = 2
GIVEN: Final = 3


@dataclass(frozen=True, slots=True)
class Dependency:
    """What `Depends` returns.

    Attributes:
        dependency: makes the value; None for the class that the parameter is annotated with.
        use_cache: whether the value is shared within one call of a handler.
    """

    dependency: Factory | None
    use_cache: bool


def Depends(dependency: Factory | None = None, *, use_cache: bool = True) -> Any:
    """Have a handler's parameter filled by a function: `db: Database = nuncio.Depends(database)`.

    Or, without a default, `db: Annotated[Database, nuncio.Depends(database)]`. FastAPI's own
    `Depends` is taken, too.

    Args:
        dependency: a `def` or `async def` function, a class or anything callable. If it is a
            generator, what it yields is the value, and it goes on when the handler has ended. It
            may have dependencies of its own, and gets the socket as `socket: nuncio.Socket`.
            Without it, the class that the parameter is annotated with is called.
        use_cache: whether all who need the same within one call of a handler share one value.

    Raises:
        OptionError: for what cannot be called.
    """
    if dependency is not None and not callable(dependency):
        raise OptionError(
            f"dependency must be callable, not {dependency!r}: write Depends(function), "
            "without calling it"
        )
    return Dependency(dependency, use_cache)


def dependency_of(annotation: Any, parameter: inspect.Parameter) -> Dependency | None:
    """What a parameter depends on, or None.

    Raises:
        OptionError: when what is declared cannot be made.
    """
    marker: Any = None
    if typing.get_origin(annotation) is Annotated:
        marks = [one for one in annotation.__metadata__ if is_marker(one)]
        marker = marks[-1] if marks else None
        annotation = annotation.__origin__
    if is_marker(parameter.default):
        marker = parameter.default
    if marker is None:
        return None
    if getattr(marker, "scopes", None):
        raise OptionError(f"parameter {parameter.name!r} has security scopes; use Depends instead")
    factory = annotation if marker.dependency is None else marker.dependency
    if factory in (inspect.Parameter.empty, UNRESOLVED, Any) or not callable(factory):
        raise OptionError(f"parameter {parameter.name!r} depends on nothing that can be called")
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise OptionError(
            f"parameter {parameter.name!r} is positional-only, so nothing is injected"
        )
    return Dependency(factory, bool(marker.use_cache))


def given_slot(annotation: Any) -> int | None:
    """Where the value of a parameter stands that is annotated with one of Nuncio's own classes."""
    if typing.get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    # `Socket[Data, User]`, too.
    annotation = typing.get_origin(annotation) or annotation
    if not isinstance(annotation, type) or annotation.__module__ == "builtins":
        return None
    from nuncio.server.namespace import Namespace
    from nuncio.server.server import Server
    from nuncio.server.socket import Socket

    for slot, kind in ((SOCKET, Socket), (NAMESPACE, Namespace), (SERVER, Server)):
        if issubclass(annotation, kind):
            return slot
    return None


def is_marker(value: Any) -> bool:
    """Whether it is ours or FastAPI's, which need not be installed."""
    return hasattr(value, "dependency") and hasattr(value, "use_cache")


def described(function: Any) -> str:
    """The name of a function or class for messages."""
    return getattr(function, "__qualname__", None) or repr(function)


def unwrapped(function: Any) -> Any:
    """What decides whether a callable is a coroutine function or a generator."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return getattr(function, "__call__", function)  # noqa: B004


class Step:
    """One value that is made.

    Attributes:
        make: gives the value, an awaitable of it, or a context manager around it.
        is_async: whether it has to be awaited.
        cleans_up: whether it is a context manager.
        sources: its parameters, and where their values stand.
    """

    __slots__ = ("cleans_up", "is_async", "make", "sources")

    def __init__(self, factory: Factory, sources: list[tuple[str, int]]) -> None:
        plain = unwrapped(factory)
        self.make: Factory = factory
        self.sources = sources
        self.cleans_up = True
        self.is_async = False
        if inspect.isasyncgenfunction(plain):
            self.make = asynccontextmanager(factory)
            self.is_async = True
        elif inspect.isgeneratorfunction(plain):
            self.make = contextmanager(factory)
        else:
            self.cleans_up = False
            self.is_async = inspect.iscoroutinefunction(plain)

    def begin(self, values: list[Any]) -> Any:
        """Call it with the values that are there already."""
        return self.make(**{name: values[slot] for name, slot in self.sources})

    def enter(self, values: list[Any], opened: list[Any]) -> Any:
        """The value, of one that is not async."""
        value = self.begin(values)
        if self.cleans_up:
            manager = value
            value = manager.__enter__()
            opened.append(manager)
        return value

    async def enter_async(self, values: list[Any], opened: list[Any]) -> Any:
        """The value, of one that is."""
        if not self.cleans_up:
            return await self.begin(values)
        manager = self.begin(values)
        value = await manager.__aenter__()
        opened.append(manager)
        return value


class Plan:
    """What is made for one call, each after what it needs.

    Args:
        overrides: what stands in for what, in tests.

    Attributes:
        steps: in the order of making.
        is_async: whether one of them is.
    """

    def __init__(self, overrides: Overrides) -> None:
        self.steps: list[Step] = []
        self.is_async = False
        self._overrides = overrides
        self._slots: dict[Any, int] = {}
        self._path: list[Factory] = []

    def add(self, wanted: Dependency) -> int:
        """Plan a value and what it needs; returns where it will stand.

        Raises:
            OptionError: when a factory needs what nobody gives it, or itself.
        """
        assert wanted.dependency is not None
        factory: Factory = wanted.dependency
        key: Any = _key(factory)
        if wanted.use_cache and key in self._slots:
            return self._slots[key]
        if key is factory:
            factory = self._overrides.get(factory, factory)
        if any(factory is one for one in self._path):
            names = " → ".join(described(one) for one in (*self._path, factory))
            raise OptionError(f"dependencies need each other: {names}")
        self._path.append(factory)
        step = Step(factory, self._sources(factory))
        self._path.pop()
        slot = GIVEN + len(self.steps)
        self.steps.append(step)
        self.is_async = self.is_async or step.is_async
        if wanted.use_cache:
            self._slots[key] = slot
        return slot

    def _sources(self, factory: Factory) -> list[tuple[str, int]]:
        try:
            parameters = list(inspect.signature(factory).parameters.values())
        except (TypeError, ValueError):
            # Built-in functions may hide their signature: they get nothing.
            return []
        sources: list[tuple[str, int]] = []
        for parameter in parameters:
            try:
                slot = self._source(factory, parameter)
            except OptionError as error:
                raise OptionError(f"dependency {described(factory)}: {error}") from error
            if slot is not None:
                sources.append((parameter.name, slot))
        return sources

    def _source(self, factory: Factory, parameter: inspect.Parameter) -> int | None:
        annotation = quiet_annotation_of(factory, parameter)
        wanted = dependency_of(annotation, parameter)
        if wanted is not None:
            return self.add(wanted)
        slot = SOCKET if parameter.name == "socket" else given_slot(annotation)
        if slot is not None:
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise OptionError(f"parameter {parameter.name!r} is positional-only")
            return slot
        if parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            why = " (its annotation cannot be resolved)" if annotation is UNRESOLVED else ""
            raise OptionError(
                f"parameter {parameter.name!r} is no dependency, not annotated with nuncio.Socket, "
                f"Namespace or Server, and has no default{why}"
            )
        return None


def _key(factory: Factory) -> Any:
    """By what values are shared: the factory, or its identity where it cannot be hashed."""
    try:
        hash(factory)
    except TypeError:
        return id(factory)
    return factory
