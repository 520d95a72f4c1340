"""What makes an application's own namespaces: the second argument of `io.of`.

In JavaScript a connection listener stands there. Who brings one along is told what to write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, get_origin

from nuncio.errors import OptionError
from nuncio.server.namespace import Namespace

_LISTENER: Final = 'a connection handler is registered with @io.of(name).on("connection")'


def check_factory(factory: object) -> None:
    """Check what is to make namespaces.

    Raises:
        OptionError: when it cannot make any.
    """
    if not callable(factory):
        raise OptionError(f"factory must be a class or a function, not {factory!r}")
    if isinstance(factory, type):
        return
    if inspect.iscoroutinefunction(factory) or _takes_socket(factory):
        raise OptionError(f"factory: {factory!r} cannot make a namespace; {_LISTENER}")


def make_namespace(factory: Callable[[str], Any], name: str) -> Namespace:
    """Ask a factory for a namespace.

    Raises:
        OptionError: when it makes something else.
    """
    try:
        nsp = factory(name)
    except (AttributeError, TypeError) as error:
        if not isinstance(factory, type):
            error.add_note(f"io.of(name, factory) called the factory with {name!r}; {_LISTENER}")
        raise
    if not isinstance(nsp, Namespace):
        raise OptionError(
            "factory must return an object whose class is derived from nuncio.Namespace, "
            f"not {nsp!r}; {_LISTENER}"
        )
    return nsp


def _takes_socket(function: Callable[..., Any]) -> bool:
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None:
        return False
    annotation = get_origin(first.annotation) or first.annotation
    words = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return first.name == "socket" or re.search(r"\bSocket\b", words) is not None
