"""Rooms in the order in which Node said them; here they are sets, of which none is the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuncio.cluster.values import from_bytes, to_json, to_msgpack


def written(value: Any, like: bytes) -> bytes:
    """What was read, written as it was."""
    return (to_json if like[:1] == b"{" else to_msgpack)(value)


def arranged(
    data: bytes,
    like: bytes,
    read: Callable[[bytes], Any] = from_bytes,
    write: Callable[[Any, bytes], bytes] = written,
) -> bytes:
    """What is said, with rooms in the order in which something else has them."""
    if data == like or len(data) != len(like):
        return data
    value = read(data)
    assert write(value, data) == data
    return write(_ordered(value, read(like)), data)


def _ordered(value: Any, like: Any) -> Any:
    """A value whose lists of rooms, as far as they are the same sets, have the other's order."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _in_order(key, one, like.get(key)) for key, one in value.items()}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_ordered(one, other) for one, other in zip(value, like, strict=True)]
    return value


def _in_order(key: str, value: Any, like: Any) -> Any:
    if key in ("rooms", "except") and isinstance(value, list) and isinstance(like, list):
        return sorted(value, key=like.index) if set(value) == set(like) else value
    return _ordered(value, like)
