"""Whether a value is what somebody waits for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any


def begins_with(args: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether arguments begin with what is expected; more may follow."""
    return len(args) >= len(expected) and all(
        holds(got, wanted) for got, wanted in zip(args, expected, strict=False)
    )


def holds(got: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one; objects may have further keys, at any depth."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(
            key in got and holds(got[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(wanted)
            and all(map(holds, got, wanted))
        )
    # In Python 1 == True.
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)


def without(value: Any, keys: Collection[str]) -> Any:
    """A value, with keys left out of its objects, at any depth."""
    if isinstance(value, dict):
        return {key: without(item, keys) for key, item in value.items() if key not in keys}
    if isinstance(value, (list, tuple)):
        return [without(item, keys) for item in value]
    return value


def admits(patterns: Sequence[str], name: str) -> bool:
    """Whether a filter shows an event.

    Args:
        patterns: with `*` and `?`; those behind a `!` hide. None of them: everything is shown.
        name: the event's.
    """
    hiding = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    showing = [pattern for pattern in patterns if not pattern.startswith("!")]
    if any(fnmatchcase(name, pattern) for pattern in hiding):
        return False
    return not showing or any(fnmatchcase(name, pattern) for pattern in showing)
