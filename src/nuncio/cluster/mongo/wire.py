"""Messages as documents, as @socket.io/mongo-adapter 0.4 writes them.

A document has the message's `type`, `data`, `uid` and `nsp`, perhaps `createdAt`, and an `_id` that
is made here: who writes it a second time, not knowing whether the first time succeeded, changes
nothing. Binary stays binary and dates stay dates, for BSON has both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import bson
from bson import DBRef, Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from nuncio.cluster.envelope import opened
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import EMITTER, Envelope, Kind
from nuncio.cluster.values import as_float, converted, plain, well_formed
from nuncio.errors import OptionError, PacketError

# What MongoDB takes, whatever it is told.
MOST_BYTES: Final = 16 * 1024 * 1024
DEEPEST: Final = 100

# A client that lost its connection, or came back: what the others call 13 is not said here.
SESSION: Final = 13

# How a server of ours says that it leaves. Node's servers make nothing of a heartbeat, and nothing
# of who is called `emitter`: they do not count the one that left for longer than they would.
_GONE: Final = "gone"

# The official emitter leaves out the flags of what has none.
_WITHOUT_FLAGS: Final = (Kind.SOCKETS_JOIN, Kind.SOCKETS_LEAVE, Kind.DISCONNECT_SOCKETS)

_DECODED: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    tzinfo=UTC,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

# What pymongo gives: parts that are only looked into when they are asked for.
RAW: Final[CodecOptions[RawBSONDocument]] = _DECODED.with_options(document_class=RawBSONDocument)


class Refused(PacketError):
    """What MongoDB would refuse, and nobody here can change."""


# Writing.


def encode(message: ClusterMessage, id: ObjectId, created: bool) -> RawBSONDocument:
    """A message as a document.

    Args:
        message: the message.
        id: the document's.
        created: whether it says when it was made.

    Raises:
        Refused: for what is nested deeper than MongoDB takes.
        OptionError: for what is larger.
        TypeError: for what cannot be sent.
    """
    document: dict[str, Any] = {"type": message.type}
    if message.data is not None:
        data = plain(message.data)
        if message.uid == EMITTER and message.type in _WITHOUT_FLAGS and not data["opts"]["flags"]:
            del data["opts"]["flags"]
        document["data"] = _representable(data, 1)
    document["uid"] = message.uid
    document["nsp"] = well_formed(message.nsp)
    if created:
        document["createdAt"] = datetime.now(UTC)
    document["_id"] = id
    raw = bson.encode(document, codec_options=_DECODED)
    if len(raw) > MOST_BYTES:
        raise OptionError(
            f"what is sent to other servers makes a document of {len(raw)} bytes, and MongoDB takes"
            f" at most {MOST_BYTES}: send less at once"
        )
    return RawBSONDocument(raw, RAW)


def _representable(value: Any, depth: int) -> Any:
    """Plain data as BSON can hold it.

    Clients say what it cannot hold, and other clients are told it: surrogates that belong to no
    pair are replaced, as is NUL in the names of fields, and integers beyond 64 bits become floats.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else as_float(value)
    if isinstance(value, (dict, list, tuple)):
        if depth >= DEEPEST:
            raise Refused("a message that is nested too deep for MongoDB")
        if isinstance(value, dict):
            return {_field(key): _representable(one, depth + 1) for key, one in value.items()}
        return [_representable(one, depth + 1) for one in value]
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        # It is no moment before somebody says where.
        return value.isoformat()
    return value


def _field(name: str) -> str:
    return well_formed(name).replace("\0", "\N{REPLACEMENT CHARACTER}")


def farewell(uid: str, nsp: str) -> ClusterMessage:
    """What a server of ours says when it leaves."""
    return ClusterMessage(EMITTER, nsp, Kind.HEARTBEAT, {_GONE: uid})


# Reading.


def decode(document: RawBSONDocument) -> ClusterMessage:
    """The message of a document.

    Raises:
        PacketError: when it is none.
    """
    found = _fields(document)
    data = found.get("data")
    told = {"uid": found.get("uid"), "nsp": found.get("nsp"), "type": found.get("type")}
    message = opened(converted(told, Envelope))
    dates: list[datetime] = []
    message.data = _native(data, dates)
    message.dated = bool(dates)
    return message


def native(document: RawBSONDocument) -> dict[str, Any]:
    """A document as plain data.

    Raises:
        PacketError: for what is none.
    """
    fields = _fields(document)
    del fields["_id"]
    found: dict[str, Any] = _native(fields, [])
    return found


def _fields(document: RawBSONDocument) -> dict[str, Any]:
    try:
        return bson.decode(bytes(document.raw), _DECODED)
    except (BSONError, ValueError, TypeError, OverflowError) as error:
        raise PacketError(f"a document that is none: {error!r}") from error


def gone(message: ClusterMessage) -> str:
    """Who left, if a message says that; else nothing."""
    data = message.data
    uid = data.get(_GONE) if isinstance(data, dict) else None
    return uid if isinstance(uid, str) else ""


def _native(value: Any, dates: list[datetime]) -> Any:
    """What BSON says as plain data; what it has beyond that as JavaScript writes it in JSON.

    Args:
        value: what was decoded.
        dates: receives the dates among it.

    Raises:
        PacketError: for what is nothing that is sent to clients.
    """
    kind = type(value)
    if kind is dict:
        return {key: _native(one, dates) for key, one in value.items()}
    if kind is list:
        return [_native(one, dates) for one in value]
    if kind in (str, int, float, bool, bytes) or value is None:
        return value
    if isinstance(value, datetime):
        dates.append(value)
        return value
    return _foreign(value, dates)


def _foreign(value: Any, dates: list[datetime]) -> Any:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, Decimal128):
        return {"$numberDecimal": str(value)}
    if isinstance(value, DBRef):
        # Any object that has a `$ref` looks like one.
        return _native(dict(value.as_doc()), dates)
    if isinstance(value, DatetimeMS):
        raise PacketError("a date that is none")
    raise PacketError(f"a {type(value).__name__}, which cannot be sent")
