"""JSON as JavaScript peers write and read it, on msgspec. [compiled]

What differs from plain msgspec: lone surrogates survive both ways (JavaScript strings may hold
them), values that msgspec does not know get one more chance (pydantic models), and an error names
the type and the fix. NaN and infinities become null, as `JSON.stringify` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, NoReturn

import msgspec

from nuncio.errors import PacketError


def unknown(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    raise TypeError(
        f"a value of type {type(value).__name__!r} cannot be sent: use dict, list, str, int, "
        "float, bool, None, bytes, dataclasses, msgspec.Struct or pydantic models"
    )


_decode: Final = msgspec.json.Decoder().decode
_BINARY: Final = (bytes, bytearray, memoryview)

# A string, to the end if it has none. Possessive, so that nothing is ever tried twice.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

TOO_MANY_CONTAINERS: Final = "too many lists and objects"
TOO_DEEP_TO_READ: Final = "nested too deeply"

# How deep lists and objects may be nested that arrive: a hundred levels less than what can be
# sent, so that a peer cannot send what fails when it is sent on inside something else.
MAX_READ_DEPTH: Final = 800

_OTHERS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Codec:
    """How values become JSON.

    Args:
        enc_hook: called with a value of a type that JSON does not know; returns one that it does,
            or raises TypeError.
    """

    __slots__ = ("_encode", "_hook")

    def __init__(self, enc_hook: Callable[[Any], Any]) -> None:
        self._hook = enc_hook
        self._encode: Any = msgspec.json.Encoder(enc_hook=enc_hook).encode

    def dumps(self, value: object) -> bytes:
        """Encode as compact UTF-8 JSON.

        Raises:
            TypeError: for a value that JSON cannot hold, naming its type.
        """
        try:
            encoded: bytes = self._encode(value)
            return encoded
        except UnicodeEncodeError:
            plain = _finite(self.simplify(value))
            return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()

    def simplify(self, value: object) -> Any:
        """Turn structs, dataclasses, models, sets and so on into plain data; bytes stay bytes."""
        return msgspec.to_builtins(value, builtin_types=_BINARY, str_keys=True, enc_hook=self._hook)


JSON: Final = Codec(unknown)


def dumps(value: object) -> bytes:
    """See `Codec.dumps`."""
    return JSON.dumps(value)


def _finite(value: Any) -> Any:
    """Plain data with null for what is not a number in JSON."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def simplify(value: object) -> Any:
    """See `Codec.simplify`."""
    return JSON.simplify(value)


def loads(data: bytes, max_containers: int) -> Any:
    """Decode UTF-8 JSON.

    Args:
        data: the JSON.
        max_containers: how many lists and objects it may hold. Two bytes can be one that takes a
            hundred, and many of them keep the garbage collector busy.

    Raises:
        PacketError: when it is not JSON, nested too deeply, or holds too much.
    """
    check_bounds(data, max_containers)
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        if b"\\u" in data or b"\\U" in data:
            return _loads_with_surrogates(data)
        raise PacketError("invalid payload") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise PacketError("invalid payload") from error


def check_bounds(data: bytes, max_containers: int) -> None:
    """Look whether JSON would cost too much, before any of it is made.

    Raises:
        PacketError: when it is nested too deeply, or holds too much; see `loads`.
    """
    # A comparison is all that it costs most messages.
    if len(data) > max_containers and _holds_more(data, max_containers):
        raise PacketError(TOO_MANY_CONTAINERS)
    # Each level takes two bytes.
    if len(data) > 2 * MAX_READ_DEPTH and _is_too_deep(data):
        raise PacketError(TOO_DEEP_TO_READ)


def _holds_more(data: bytes, most: int) -> bool:
    """Whether there are more lists and objects up to where the JSON ends that is valid."""
    # Each takes two bytes.
    if len(data) <= 2 * most or _brackets(data) <= most:
        return False
    # Some may be text.
    return _brackets(_STRING.sub(b"", data)) > most


def _is_too_deep(data: bytes) -> bool:
    """Whether lists and objects are nested deeper than they may be."""
    if _brackets(data) <= MAX_READ_DEPTH:
        return False
    depth = 0
    for byte in _STRING.sub(b"", data).translate(None, _OTHERS):
        if byte == 0x5B or byte == 0x7B:
            depth += 1
            if depth > MAX_READ_DEPTH:
                return True
        else:
            depth -= 1
    return False


def _brackets(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def _loads_with_surrogates(data: bytes) -> Any:
    # msgspec refuses lone surrogates, which JSON.stringify writes as escapes.
    try:
        # As text, for of bytes it would guess the encoding.
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PacketError("invalid payload") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
