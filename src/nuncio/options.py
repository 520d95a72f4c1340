"""Turning keyword options into checked option objects.

A wrong option is the programmer's mistake and is told at once, with the nearest known name.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from nuncio.errors import OptionError

T = TypeVar("T")

# Thirty years: whoever writes more, or infinity, means something that timers cannot do.
MOST_SECONDS: Final = 1e9

# Longer heartbeats and hand-shakes are milliseconds by mistake.
HOUR: Final = 3600.0


_OTHER_PATHS: Final = "handshakes on other paths are for the application beside: io.run(app=…)"

# Names that people bring along.
ELSEWHERE = {
    "ws_engine": "WebSockets are Nuncio's own, or those of the ASGI server it runs under",
    "destroy_upgrade": _OTHER_PATHS,
    "destroy_upgrade_timeout": _OTHER_PATHS,
    "cors_allowed_origins": 'write cors="https://…", or a list',
    "async_mode": "Nuncio always runs in asyncio",
    "client_manager": "servers are joined by adapter=nuncio.cluster.RedisAdapter(…)",
    "logger": "configure the loggers 'nuncio' and 'nuncio.engine'",
    "engineio_logger": "configure the logger 'nuncio.engine'",
}


def unknown_option(name: str, known: Iterable[str], owner: str) -> OptionError:
    """The error for an option that does not exist."""
    ours = in_snake_case(name)
    if ours in ELSEWHERE:
        return OptionError(f"{owner} has no option {name!r}: {ELSEWHERE[ours]}")
    hint = did_you_mean(ours, known)
    return OptionError(f"{owner} has no option {name!r}" + (hint and f"; {hint}"))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the nearest known name; empty when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ""


def in_snake_case(name: str) -> str:
    """A name of JavaScript's as Python writes it: `pingInterval` is `ping_interval`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def named_options(cls: type[T]) -> type[T]:
    """Decorate an option class: what it does not have is told with the nearest known name.

    A dataclass by itself raises a TypeError that mentions `__init__` and no remedy.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    decorated: Any = cls
    init = decorated.__init__

    @functools.wraps(init)
    def checked(self: T, *args: Any, **options: Any) -> None:
        for name in options:
            if name not in known:
                raise unknown_option(name, known, cls.__name__)
        init(self, *args, **options)

    decorated.__init__ = checked
    return cls


def build(cls: type[T], options: Mapping[str, Any], owner: str) -> T:
    """Make an option object, refusing names it does not have.

    Raises:
        OptionError: for an unknown name or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            raise unknown_option(name, known, owner)
    return cls(**options)


def seconds(name: str, value: object, *, zero: bool = False, most: float = MOST_SECONDS) -> float:
    """A duration in seconds, of at most `most`.

    Raises:
        OptionError: when it is not a number, or not positive.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 < value <= most or (zero and value == 0):
            return float(value)
    limit = "" if most == MOST_SECONDS else f" and at most {most:g}"
    raise OptionError(
        f"{name} must be a number of seconds above 0{limit}, not {value!r}"
        " (the official options are in milliseconds; Nuncio's are in seconds)"
    )


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number.

    Raises:
        OptionError: when it is not, or below `least`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise OptionError(f"{name} must be a whole number of at least {least}, not {value!r}")
