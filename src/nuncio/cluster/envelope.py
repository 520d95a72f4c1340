"""The messages of most official adapters as bytes: a map of four things. [compiled]

They are `type`, `data`, `uid` and `nsp`. The sharded adapter of Redis sends the map whole, as JSON
or as MessagePack. In streams it is an entry with those four fields, and its `data` is text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast, BroadcastEnvelope, Envelope, Kind
from nuncio.cluster.values import (
    Typed,
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


_broadcasts: Final = Typed(BroadcastEnvelope)
_broadcast_data: Final = Typed(Broadcast)


def _envelope(message: ClusterMessage) -> Envelope:
    return Envelope(type=message.type, data=message.data, uid=message.uid, nsp=message.nsp)


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
    return _broadcast(_broadcasts.read(data), data) or _message(from_bytes(data), data)


def decode_packed(data: bytes) -> ClusterMessage:
    """MessagePack only.

    Raises:
        PacketError: when it is no message.
    """
    return _broadcast(_broadcasts.unpack(data), data) or _message(from_msgpack(data), data)


def _broadcast(told: BroadcastEnvelope | None, data: bytes) -> ClusterMessage | None:
    if told is None:
        return None
    return ClusterMessage(told.uid, told.nsp, told.type, told.data, may_hold_dates(data))


def _message(value: object, data: bytes) -> ClusterMessage:
    return opened(converted(value, Envelope), may_hold_dates(data))


def opened(told: Envelope, dated: bool = False) -> ClusterMessage:
    """The message that was in an envelope."""
    return ClusterMessage(told.uid, told.nsp, told.type, told.data, dated)


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
        data: Any = None
        dated = False
        if text is not None:
            packed = text if text[:1] == b"{" else base64.b64decode(text, validate=True)
            data = _broadcast_data.read(packed) if kind == Kind.BROADCAST else None
            if data is None:
                data = from_bytes(packed)
            dated = may_hold_dates(packed)
    except (KeyError, ValueError, binascii.Error) as error:
        raise PacketError(f"an entry that is no message: {error!r}") from error
    return ClusterMessage(uid, nsp, kind, data, dated)
