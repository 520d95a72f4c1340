"""What a filter matches: the operators that adapters use."""

from __future__ import annotations

from typing import Any

from bson import ObjectId


def matches(document: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a document is one of those that a filter means."""
    return all(_holds(document, name, value) for name, value in wanted.items())


def _holds(document: dict[str, Any], name: str, wanted: Any) -> bool:
    if name == "$and":
        return all(matches(document, one) for one in wanted)
    if name == "$or":
        return any(matches(document, one) for one in wanted)
    found = _values(document, name.split("."))
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return all(_operator(found, key, value) for key, value in wanted.items())
    return _equals(found, wanted)


def _values(value: Any, path: list[str]) -> list[Any]:
    """What stands at a path: nothing, or one value, or several within lists."""
    if not path:
        return [value]
    if isinstance(value, list):
        return [found for one in value for found in _values(one, path)]
    if isinstance(value, dict) and path[0] in value:
        return _values(value[path[0]], path[1:])
    return []


def _operator(found: list[Any], name: str, value: Any) -> bool:
    if name == "$ne":
        return not _equals(found, value)
    if name == "$in":
        return any(_equals(found, one) for one in value)
    if name == "$nin":
        return not any(_equals(found, one) for one in value)
    if name == "$size":
        return any(isinstance(one, list) and len(one) == value for one in found)
    if name == "$exists":
        return bool(found) == bool(value)
    if name in ("$gt", "$gte"):
        return any(_greater(one, value, name == "$gte") for one in found)
    raise NotImplementedError(f"the operator {name}")


def _greater(one: Any, other: Any, or_equal: bool) -> bool:
    if type(one) is not type(other) or not isinstance(one, (ObjectId, int, str)):
        return False
    return bool(one > other) or (or_equal and bool(one == other))


def _equals(found: list[Any], wanted: Any) -> bool:
    """A list equals each of its elements, too; nothing equals null."""
    if not found:
        return wanted is None
    return any(
        _same(one, wanted) or (isinstance(one, list) and any(_same(each, wanted) for each in one))
        for one in found
    )


def _same(one: Any, other: Any) -> bool:
    """Booleans are no numbers in BSON."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
