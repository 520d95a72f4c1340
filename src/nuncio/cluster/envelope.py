"""The messages of most official adapters as bytes: a map of `type`, `data`, `uid` and `nsp`.

The sharded adapter of Redis sends it whole, as JSON or as MessagePack. In streams it is an entry
with those four fields, and its `data` is text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nuncio.cluster.messages import Broadcast, ClusterMessage, Kind
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import (
    converted,
    from_bytes,
    from_msgpack,
    has_binary,
    may_hold_dates,
    to_json,
    to_msgpack,
    well_formed,
)
from nuncio.errors import PacketError
from nuncio.protocol.json import dumps

# The others hold nothing of the application's.
_MAY_HOLD_BINARY: Final = frozenset(
    (
        Kind.BROADCAST,
        Kind.FETCH_SOCKETS_RESPONSE,
        Kind.SERVER_SIDE_EMIT,
        Kind.SERVER_SIDE_EMIT_RESPONSE,
        Kind.BROADCAST_ACK,
    )
)

# These say whom they are for.
_FOR_ROOMS: Final = frozenset(
    (Kind.BROADCAST, Kind.SOCKETS_JOIN, Kind.SOCKETS_LEAVE, Kind.DISCONNECT_SOCKETS)
)


class _Envelope(msgspec.Struct, omit_defaults=True, kw_only=True):
    """In the order in which Node writes it."""

    type: int
    data: Any = None
    uid: str
    nsp: str


def _envelope(message: ClusterMessage) -> _Envelope:
    return _Envelope(type=int(message.type), data=message.data, uid=message.uid, nsp=message.nsp)


def _is_binary(message: ClusterMessage) -> bool:
    """Whether there is something binary in a message of a kind that may hold it."""
    data = message.data
    # Of a broadcast, recipients and flags need not be looked through.
    return has_binary(data.packet if isinstance(data, Broadcast) else data)


def encode(message: ClusterMessage) -> bytes:
    """As JSON, or as MessagePack where there is something binary."""
    if message.type not in _MAY_HOLD_BINARY:
        return to_json(_envelope(message))
    write = to_msgpack if _is_binary(message) else dumps
    return write(_envelope(message))


def encode_plain(message: ClusterMessage) -> bytes:
    """As JSON, whatever there is: binary stands as Node's Buffers."""
    return to_json(_envelope(message))


def encode_packed(message: ClusterMessage) -> bytes:
    """As MessagePack, whatever there is."""
    return to_msgpack(_envelope(message))


def decode(data: bytes) -> ClusterMessage:
    """Either of the two.

    Raises:
        PacketError: when it is no message.
    """
    return _message(from_bytes(data), data)


def decode_packed(data: bytes) -> ClusterMessage:
    """MessagePack only.

    Raises:
        PacketError: when it is no message.
    """
    return _message(from_msgpack(data), data)


def _message(value: object, data: bytes) -> ClusterMessage:
    message = converted(value, ClusterMessage)
    message.dated = may_hold_dates(data)
    return message


# Entries of streams.


def to_fields(message: ClusterMessage, plain_only: bool = False) -> list[bytes]:
    """A message as the fields of an entry, names and values in turn.

    Args:
        message: the message.
        plain_only: write no MessagePack: binary stands as Node's Buffers.
    """
    nsp = well_formed(message.nsp).encode()
    fields = [b"uid", message.uid.encode(), b"nsp", nsp, b"type", b"%d" % message.type]
    if message.data is not None:
        fields += [b"data", _text(message, plain_only)]
    return fields


def _text(message: ClusterMessage, plain_only: bool) -> bytes:
    data = message.data
    if plain_only or message.type not in _MAY_HOLD_BINARY:
        return to_json(data)
    if _is_binary(message):
        return base64.b64encode(to_msgpack(data))
    return dumps(data)


def from_fields(fields: Mapping[bytes, bytes]) -> ClusterMessage:
    """The message of an entry.

    Raises:
        PacketError: when it is none.
    """
    try:
        uid, nsp = fields[b"uid"].decode(), fields[b"nsp"].decode()
        kind = int(fields[b"type"])
        text = fields.get(b"data")
        data = None
        dated = False
        if text is not None:
            packed = text if text[:1] == b"{" else base64.b64decode(text, validate=True)
            data = from_bytes(packed)
            dated = may_hold_dates(packed)
    except (KeyError, ValueError, binascii.Error) as error:
        raise PacketError(f"an entry that is no message: {error!r}") from error
    return ClusterMessage(uid, nsp, kind, data, dated)


# Whom a message is for, at a glance.


class _Recipients(msgspec.Struct):
    rooms: list[Room] | None = None


class _Glance(msgspec.Struct, rename={"request": "requestId"}):
    """What of a message's data says whom it is for; the rest is passed over."""

    opts: _Recipients | None = None
    request: Any = None

    @property
    def rooms(self) -> list[Room]:
        """None where it may be for everybody, and where an answer is wanted in any case."""
        if self.request is not None or self.opts is None:
            return []
        return self.opts.rooms or []


class _EnvelopeGlance(msgspec.Struct):
    type: int
    data: _Glance | None = None


_of_data = (msgspec.json.Decoder(_Glance), msgspec.msgpack.Decoder(_Glance))
_of_message = (msgspec.json.Decoder(_EnvelopeGlance), msgspec.msgpack.Decoder(_EnvelopeGlance))


def _glance(data: bytes, decoders: Any) -> Any:
    try:
        return decoders[data[:1] != b"{"].decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def rooms_of_message(data: bytes) -> list[Room]:
    """The rooms that a message is for, without reading the rest of it.

    Returns:
        Nothing where it may be for everybody, and where only reading it will tell.
    """
    told: _EnvelopeGlance | None = _glance(data, _of_message)
    if told is None or told.data is None or told.type not in _FOR_ROOMS:
        return []
    return told.data.rooms


def rooms_of_entry(fields: Mapping[bytes, bytes]) -> list[Room]:
    """As `rooms_of_message`, of an entry."""
    kind, text = fields.get(b"type", b""), fields.get(b"data", b"")
    if not kind.isdigit() or int(kind[:2]) not in _FOR_ROOMS:
        return []
    try:
        packed = text if text[:1] == b"{" else base64.b64decode(text)
    except binascii.Error:
        return []
    told: _Glance | None = _glance(packed, _of_data)
    return [] if told is None else told.rooms
