"""What a parameter is annotated with, also where the annotation is text."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from nuncio.errors import OptionError

UNRESOLVED: Final = object()


def annotation_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation of a parameter; `Any`, with a warning, when its text cannot be evaluated.

    Raises:
        OptionError: when it would have been a dependency.
    """
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    try:
        return _evaluate(annotation, function)
    except Exception as error:
        if "Depends(" in annotation:
            # Taken for an argument of the event, it would be the client's to choose.
            raise OptionError(
                f"the annotation {annotation!r} of parameter {parameter.name!r} cannot be resolved "
                f"({error}); define what it names at module level and outside `if TYPE_CHECKING`"
            ) from error
        warnings.warn(
            f"the annotation {annotation!r} of parameter {parameter.name!r} cannot be resolved "
            f"({error}), so what arrives is not checked; define the type at module level and "
            "outside `if TYPE_CHECKING`",
            stacklevel=6,
        )
        return Any


def quiet_annotation_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The same, but `UNRESOLVED` and no warning, where nothing depends on it."""
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    try:
        return _evaluate(annotation, function)
    except Exception:
        return UNRESOLVED


def _evaluate(annotation: str, function: Callable[..., Any]) -> Any:
    plain: Any = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = getattr(plain, "__func__", plain)
    if isinstance(plain, type):
        return eval(annotation, dict(vars(sys.modules[plain.__module__])))
    if not hasattr(plain, "__code__"):
        plain = getattr(type(plain), "__call__", plain)  # noqa: B004
    scope = dict(getattr(plain, "__globals__", None) or vars(sys.modules[plain.__module__]))
    try:
        closure = inspect.getclosurevars(plain).nonlocals
    except (TypeError, ValueError):
        closure = {}
    return eval(annotation, scope, dict(closure))
