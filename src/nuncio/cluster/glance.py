"""Whom a message of a cluster is for, at a glance: most of it is passed over.

Where many servers share a bus, most of what a server reads there concerns nobody at it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nuncio.cluster.messages import Kind
from nuncio.cluster.rooms import Room

# These say whom they are for.
_FOR_ROOMS: Final = frozenset(
    (Kind.BROADCAST, Kind.SOCKETS_JOIN, Kind.SOCKETS_LEAVE, Kind.DISCONNECT_SOCKETS)
)


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
