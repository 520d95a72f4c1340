"""JSON as JavaScript peers write and read it, on msgspec. [compiled]

What differs from plain msgspec: lone surrogates survive both ways (JavaScript strings may hold
them), values that msgspec does not know get one more chance (pydantic models), and an error names
the type and the fix. NaN and infinities become null, as `JSON.stringify` does.
"""

from __future__ import annotations

import json
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


def loads(data: bytes) -> Any:
    """Decode UTF-8 JSON.

    Raises:
        PacketError: when it is not JSON, or nested too deeply.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        if b"\\u" in data or b"\\U" in data:
            return _loads_with_surrogates(data)
        raise PacketError("invalid payload") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise PacketError("invalid payload") from error


def _loads_with_surrogates(data: bytes) -> Any:
    # msgspec refuses lone surrogates, which JSON.stringify writes as escapes.
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PacketError("invalid payload") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
