"""Values between servers: as JSON or MessagePack, and what each of them can hold. [compiled]

JavaScript servers choose between the two by whether there is something binary, so this does, too.
Where a format of theirs knows JSON only, binary stands as Node writes a Buffer there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from math import inf
from typing import Any, Final, Generic, TypeVar

import msgspec

from nuncio.errors import PacketError
from nuncio.protocol.json import check_bounds, dumps, unknown
from nuncio.protocol.json import loads as loads_bounded
from nuncio.protocol.msgpack import decoder_of
from nuncio.protocol.msgpack import unpack as unpack_bounded

T = TypeVar("T")

BINARY: Final = (bytes, bytearray, memoryview)
_KEPT: Final = (*BINARY, datetime)

# Who asks for all sockets of a large server gets many; yet it must not be endless.
MAX_CONTAINERS: Final = 1_000_000

# How MessagePack writes timestamps of 32, 64 and 96 bits, and JavaScript's dates.
_MAY_BE_TIMESTAMP: Final = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff|\xd7\x00").search

# Under which key of a socket's data servers tell each other what admin pages show besides.
ADMIN_MARK: Final = "_admin"

# What most values are.
_SIMPLE: Final = frozenset((str, int, float, bool, type(None)))


def plain(value: object) -> Any:
    """Structs, dataclasses, models and so on as plain data; binary and dates stay what they are.

    Raises:
        TypeError: for what cannot be sent, naming its type.
    """
    if isinstance(value, list):
        for item in value:
            if type(item) not in _SIMPLE:
                break
        else:
            return value
    return msgspec.to_builtins(value, builtin_types=_KEPT, str_keys=True, enc_hook=unknown)


def has_binary(value: object) -> bool:
    """Whether there is something binary in it, however deep."""
    items: Iterable[object]
    if isinstance(value, BINARY):
        return True
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, (list, tuple)):
        items = value
    elif isinstance(value, msgspec.Struct):
        items = [getattr(value, name) for name in value.__struct_fields__]
    else:
        return False
    for item in items:
        if type(item) not in _SIMPLE and has_binary(item):
            return True
    return False


def with_buffers(value: Any) -> Any:
    """Plain data whose binary parts are what `JSON.stringify` makes of Node's Buffers."""
    if isinstance(value, BINARY):
        return {"type": "Buffer", "data": list(bytes(value))}
    return _mapped(value, with_buffers)


def with_text_dates(value: Any) -> Any:
    """Plain data whose dates are text, as `JSON.stringify` writes them."""
    if isinstance(value, datetime):
        told = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return told.replace("+00:00", "Z")
    return _mapped(value, with_text_dates)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: change(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [change(item) for item in value]
    return value


def well_formed(text: str) -> str:
    """Text that UTF-8 can hold: surrogates that belong to no pair are replaced, as in Node."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def to_json(value: object) -> bytes:
    """As JSON; binary as Node's Buffers."""
    if has_binary(value):
        value = with_buffers(plain(value))
    return dumps(value)


def to_msgpack(value: object) -> bytes:
    """As MessagePack.

    Clients say what MessagePack cannot hold, and other clients are told it. Surrogates that belong
    to no pair are replaced, and integers beyond 64 bits become floats, as they are in JavaScript.
    """
    try:
        return msgspec.msgpack.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return msgspec.msgpack.encode(_representable(plain(value)))


def _representable(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return as_float(value)
    if isinstance(value, list):
        return [_representable(item) for item in value]
    if isinstance(value, dict):
        return {_representable(key): _representable(item) for key, item in value.items()}
    return value


def as_float(value: int) -> float:
    """An integer that is too large for a format, as JavaScript has it."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def from_bytes(data: bytes) -> Any:
    """What JSON or MessagePack says, which are told apart as JavaScript servers do.

    Raises:
        PacketError: when it is neither, or holds too much.
    """
    if data[:1] == b"{":
        return loads_bounded(data, MAX_CONTAINERS)
    return from_msgpack(data)


def from_msgpack(data: bytes) -> Any:
    """What MessagePack says.

    Raises:
        PacketError: see `from_bytes`.
    """
    return unpack_bounded(data, MAX_CONTAINERS)


class Typed(Generic[T]):
    """Reads values of a type that most are of, in one go.

    Args:
        kind: the type.
    """

    def __init__(self, kind: type[T]) -> None:
        self._json: Any = msgspec.json.Decoder(kind).decode
        self._msgpack: Any = decoder_of(kind)

    def read(self, data: bytes) -> T | None:
        """A value in JSON or MessagePack, which are told apart as in `from_bytes`.

        Returns:
            None when it is another value or none at all, as `from_bytes` will tell.
        """
        try:
            if data[:1] != b"{":
                return self.unpack(data)
            check_bounds(data, MAX_CONTAINERS)
            found: T = self._json(data)
        except (PacketError, msgspec.DecodeError, ValueError, RecursionError):
            return None
        return found

    def unpack(self, data: bytes) -> T | None:
        """As `read`, of MessagePack only."""
        try:
            found: T = unpack_bounded(data, MAX_CONTAINERS, self._msgpack)
        except PacketError:
            return None
        return found


def may_hold_dates(data: bytes) -> bool:
    """Whether something encoded may hold dates, as far as a glance tells."""
    # Two looks for one byte are much cheaper than the one for all of them.
    if 0xFF not in data and 0xD7 not in data:
        return False
    return data[:1] != b"{" and _MAY_BE_TIMESTAMP(data) is not None


def unmarked(data: Any) -> tuple[Any, Any]:
    """A socket's data without what its server has added for admin pages, and that by itself."""
    if not isinstance(data, dict) or ADMIN_MARK not in data:
        return data, None
    return {key: value for key, value in data.items() if key != ADMIN_MARK}, data[ADMIN_MARK]


def converted(value: object, kind: type[T]) -> T:
    """A value that came from elsewhere, checked.

    Raises:
        PacketError: when it is of another kind.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise PacketError(str(error)) from error
