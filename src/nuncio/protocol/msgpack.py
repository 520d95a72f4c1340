"""Socket.IO packets as MessagePack, on msgspec. [compiled]

A packet is one binary message: a map with `type`, `nsp`, and where there are such, `id` and `data`.
Binary values stand in it as they are, so there are no attachments. That is what the npm package
socket.io-msgpack-parser writes and reads, whose MessagePack has extensions of its own, all of type
0 and told apart by their size:

    d4 00 00                undefined
    d7 00 <64-bit integer>  Date, in milliseconds since 1970
    c7, c8, c9 … 00 …       ArrayBuffer and what is a view of one

msgspec tells an extension by its type alone. So everything that arrives is looked through before it
is decoded, and those three get types of their own. The same look refuses what would cost too much:
keys that are not text, of which a peer can choose many that collide; too many lists and maps; and
too many levels.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from mypy_extensions import i64

from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.json import (
    MAX_READ_DEPTH,
    TOO_DEEP_TO_READ,
    TOO_MANY_CONTAINERS,
    unknown,
)
from nuncio.protocol.parser import Parser, Reader
from nuncio.protocol.socketio import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    MAX_DEPTH,
    TOO_DEEP,
    Packet,
    checked_payload,
    refusal,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KEPT: Final = (bytes, bytearray, memoryview, datetime)
# Floating point may hold more than an answer could be written with.
_MAX_ID: Final = 2**64 - 1
_TOO_LARGE: Final = "an integer beyond 64 bits cannot be sent with MessagePack"

# The types that extensions get while they are decoded; see the module's text.
_BYTES: Final = 0
_UNDEFINED: Final = 1
_DATE: Final = 2


class MsgPackParser(Parser):
    """Packets as MessagePack, for clients that use the npm package socket.io-msgpack-parser 3.x.

    Args:
        enc_hook: see `JSONParser`.
    """

    def __init__(self, enc_hook: Callable[[Any], Any] | None = None) -> None:
        self._hook: Callable[[Any], Any] = unknown if enc_hook is None else enc_hook
        self._pack: Any = msgspec.msgpack.Encoder(enc_hook=self._hook).encode
        self._reader: _MsgPackReader | None = None

    def prefix(self, nsp: str) -> bytes:
        """See `Parser.prefix`: the entry for the namespace."""
        return b"\xa3nsp" + msgspec.msgpack.encode(nsp)

    def encode_event(
        self, prefix: bytes, id: int, args: list[object], compress: bool = True
    ) -> Message:
        """See `Parser.encode_event`."""
        if id < 0:
            packet = b"\x83\xa4type\x02" + prefix + b"\xa4data" + self._packed(args)
        else:
            packet = b"\x84\xa4type\x02" + prefix + _id(id) + b"\xa4data" + self._packed(args)
        return Message(None, [packet], compress)

    def encode_ack(self, prefix: bytes, id: int, args: list[object]) -> Message:
        """See `Parser.encode_ack`."""
        packet = b"\x84\xa4type\x03" + prefix + _id(id) + b"\xa4data" + self._packed(args)
        return Message(None, [packet])

    def encode_connect(self, prefix: bytes, data: object) -> Message:
        """See `Parser.encode_connect`."""
        if data is None:
            return Message(None, [b"\x82\xa4type\x00" + prefix])
        return Message(
            None, [b"\x83\xa4type\x00" + prefix + b"\xa4data" + self._packed([data])[1:]]
        )

    def encode_connect_error(self, prefix: bytes, message: str, data: object) -> Message:
        """See `Parser.encode_connect_error`."""
        payload = self._packed([refusal(message, data)])[1:]
        return Message(None, [b"\x83\xa4type\x04" + prefix + b"\xa4data" + payload])

    def encode_disconnect(self, prefix: bytes) -> Message:
        """See `Parser.encode_disconnect`."""
        return Message(None, [b"\x82\xa4type\x01" + prefix])

    def reader(self, max_attachments: int, max_bytes: int, max_containers: int) -> Reader:
        """See `Parser.reader`: one for all connections."""
        reader = self._reader
        if reader is None or reader.max_containers != max_containers:
            reader = _MsgPackReader(max_containers)
            self._reader = reader
        return reader

    def _packed(self, args: list[object]) -> bytes:
        for index in range(len(args)):
            value = args[index]
            if not (
                isinstance(value, (str, int, float, bytes)) or value is None
            ):  # everything else may hold what is not sent as it is
                args = self._prepared(args, False)
                break
        try:
            packed: bytes = self._pack(args)
        except UnicodeEncodeError:
            packed = self._pack(self._prepared(args, True))
        except OverflowError:
            raise ValueError(_TOO_LARGE) from None
        return packed

    def _prepared(self, args: list[object], repair: bool) -> list[object]:
        try:
            return [self._prepare(item, 0, repair) for item in args]
        except RecursionError:
            raise ValueError(TOO_DEEP) from None

    def _prepare(self, value: object, depth: int, repair: bool) -> object:
        """The value with plain data only, with text for keys, and with dates as JavaScript's.

        Nothing is changed in place. With `repair`, surrogates that belong to no pair are replaced.
        """
        if isinstance(value, str):
            return _repaired(value) if repair else value
        if value is None or isinstance(value, (int, float, bytes)):
            return value
        if depth > MAX_DEPTH:
            raise ValueError(TOO_DEEP)
        if isinstance(value, (list, tuple)):
            # A comprehension would take a second frame of the recursion limit at each level.
            items: list[object] = []
            for item in value:
                items.append(self._prepare(item, depth + 1, repair))
            return items
        if isinstance(value, dict):
            entries: dict[str, object] = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    return self._prepare(self._simplified(value), depth + 1, repair)
                if repair:
                    key = _repaired(key)
                entries[key] = self._prepare(item, depth + 1, repair)
            return entries
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, datetime):
            return value.isoformat() if value.tzinfo is None else _extension_of(value)
        return self._prepare(self._simplified(value), depth + 1, repair)

    def _simplified(self, value: object) -> object:
        return msgspec.to_builtins(value, builtin_types=_KEPT, str_keys=True, enc_hook=self._hook)


def _id(id: int) -> bytes:
    return b"\xa2id" + (bytes((id,)) if id < 128 else msgspec.msgpack.encode(id))


def _repaired(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _extension_of(value: datetime) -> object:
    milliseconds = (value - _EPOCH) // _MILLISECOND
    return msgspec.msgpack.Ext(0, milliseconds.to_bytes(8, "big", signed=True))


def _value_of(code: int, data: memoryview) -> object:
    """What an extension means; see the module's text."""
    if code == _BYTES:
        return bytes(data)
    if code == _UNDEFINED:
        return None
    return _EPOCH + timedelta(milliseconds=int.from_bytes(data, "big", signed=True))


# Made by a call, since a compiled class cannot be one of msgspec's.
_Envelope: Final[Any] = msgspec.defstruct(
    "_Envelope",
    [("type", int), ("nsp", str), ("data", Any, None), ("id", Any, None)],
    gc=False,
)
_decode: Final[Any] = msgspec.msgpack.Decoder(_Envelope, ext_hook=_value_of).decode
_decode_any: Final[Any] = msgspec.msgpack.Decoder(ext_hook=_value_of).decode


class _MsgPackReader(Reader):
    """Reads packets of one binary message each."""

    __slots__ = ("max_containers",)

    def __init__(self, max_containers: int) -> None:
        self.max_containers = max_containers

    def text(self, data: bytes) -> Packet | None:
        """See `Reader.text`."""
        raise PacketError("got plaintext data, and MessagePack is binary")

    def binary(self, data: bytes) -> Packet | None:
        """See `Reader.binary`."""
        return decode(data, self.max_containers)


def decode(data: bytes, max_containers: int) -> Packet:
    """Read one packet.

    Args:
        data: the message.
        max_containers: how many lists and maps it may hold, its own map among them.

    Raises:
        PacketError: with the reference's words.
    """
    envelope = _decoded(data, max_containers, _decode)
    kind: int = envelope.type
    if kind < CONNECT or kind > CONNECT_ERROR:
        raise PacketError("invalid packet type")
    id = envelope.id
    number = -1
    if id is not None:
        if isinstance(id, float) and id.is_integer():
            number = int(id)
        elif isinstance(id, int) and not isinstance(id, bool):
            number = id
        if number < 0 or number > _MAX_ID:
            raise PacketError("invalid packet id")
    elif kind == ACK:
        raise PacketError("invalid packet id")
    nsp: str = envelope.nsp
    return Packet(kind, nsp, number, checked_payload(kind, envelope.data), 0)


def unpack(data: bytes, max_containers: int, decode: Any = None) -> Any:
    """Read one value, which need not be a packet; extensions are those of packets.

    Args:
        data: the value.
        max_containers: how many lists and maps it may hold.
        decode: made by `decoder_of`; None for a value of any type.

    Raises:
        PacketError: when it is none, or would cost too much.
    """
    return _decoded(data, max_containers, _decode_any if decode is None else decode)


def decoder_of(kind: Any) -> Any:
    """What makes a value of a type of bytes, by `unpack`."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_value_of).decode


def _decoded(data: bytes, max_containers: int, decode: Any) -> Any:
    patches: list[int] = []
    if look_through(data, patches, max_containers) != len(data):
        raise PacketError("trailing bytes")
    message: bytes | bytearray = data
    if patches:
        message = bytearray(data)
        for position in patches:
            message[position] = _UNDEFINED if data[position - 1] == 0xD4 else _DATE
    try:
        return decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise PacketError("invalid packet") from error


def look_through(data: bytes, patches: list[int], max_containers: i64) -> i64:
    """Look at one value and all it holds, without making any of it.

    Args:
        data: the value, and perhaps more.
        patches: receives where the type of an extension stands that is `undefined` or a date.
        max_containers: how many lists and maps may be found.

    Returns:
        Where the value ends.

    Raises:
        PacketError: for what is truncated, nested too deeply, holds too many lists and maps, has
            keys that are no text, or extensions that nobody knows.
    """
    size: i64 = len(data)
    position: i64 = 0
    # How many values are still to come, and whether they are a map's: first keys, then values.
    left: i64 = 1
    is_map = False
    containers: i64 = 0
    outer: list[int] = []
    while True:
        while left == 0:
            if not outer:
                if position > size:
                    raise PacketError("truncated")
                return position
            code: i64 = outer.pop()
            left = code >> 1
            is_map = (code & 1) == 1
        if position >= size:
            raise PacketError("truncated")
        byte: i64 = data[position]
        position += 1
        if is_map and (left & 1) == 0 and not (0xA0 <= byte < 0xC0 or 0xD9 <= byte < 0xDC):
            raise PacketError("a key that is no text")
        left -= 1
        if byte < 0x80 or byte >= 0xE0:  # small integers
            continue
        count: i64 = -1
        if byte < 0xC0:
            if byte >= 0xA0:
                position += byte & 0x1F
                continue
            count = byte & 0x0F
            opens_map = byte < 0x90
        elif byte >= 0xDC:
            width: i64 = 4 if byte & 1 else 2
            count = _number(data, position, width)
            position += width
            opens_map = byte >= 0xDE
        else:
            position = _skip(data, byte, position, patches)
            continue
        if count > size - position:
            raise PacketError("truncated")
        if len(outer) >= MAX_READ_DEPTH:
            raise PacketError(TOO_DEEP_TO_READ)
        # A byte can be one that takes a hundred, and many keep the garbage collector busy.
        containers += 1
        if containers > max_containers:
            raise PacketError(TOO_MANY_CONTAINERS)
        outer.append((left << 1) | (1 if is_map else 0))
        left = count << 1 if opens_map else count
        is_map = opens_map


def _number(data: bytes, position: i64, width: i64) -> i64:
    """A big-endian number."""
    end = position + width
    if end > len(data):
        raise PacketError("truncated")
    value: i64 = 0
    while position < end:
        byte: i64 = data[position]
        value = (value << 8) | byte
        position += 1
    return value


def _skip(data: bytes, byte: i64, position: i64, patches: list[int]) -> i64:
    """The end of a value that holds no others, and begins with c0 … db."""
    if byte >= 0xD9:  # text
        width: i64 = 1 << (byte - 0xD9)
        return position + width + _number(data, position, width)
    if byte >= 0xD4:  # extensions of fixed size
        return _extension(data, position, 1 << (byte - 0xD4), byte, patches)
    if byte >= 0xD0:
        return position + (1 << (byte - 0xD0))
    if byte >= 0xCC:
        return position + (1 << (byte - 0xCC))
    if byte >= 0xCA:  # floating point
        return position + (4 if byte == 0xCA else 8)
    if byte >= 0xC7:
        width = 1 << (byte - 0xC7)
        length = _number(data, position, width)
        return _extension(data, position + width, length, byte, patches)
    if byte >= 0xC4:  # bytes
        width = 1 << (byte - 0xC4)
        return position + width + _number(data, position, width)
    if byte == 0xC1:
        raise PacketError("invalid byte")
    return position


def _extension(data: bytes, position: i64, length: i64, byte: i64, patches: list[int]) -> i64:
    kind = _number(data, position, 1)
    if kind == 0:
        if byte == 0xD4 or byte == 0xD7:
            patches.append(position)
        elif byte >= 0xD4:
            raise PacketError("unknown extension")
    elif kind != 0xFF:  # a timestamp, as MessagePack itself defines it
        raise PacketError("unknown extension")
    return position + 1 + length
