"""What the servers of a cluster say to each other.

The shape is that of the official cluster adapters: a map with the sender's `uid`, the namespace's
`nsp`, a `type` and `data`. What arrives is checked before it is used, for a bus may carry
anything.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import Any

import msgspec

from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.rooms import Room
from nuncio.protocol.json import simplify
from nuncio.slow import POLICIES, conflate


class Kind(IntEnum):
    """The types of messages."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


class Flags(msgspec.Struct, omit_defaults=True):
    """Flags of an operation.

    The time-out is in milliseconds, `slow` a slow-consumer policy's name; `reason` and `data` are
    for clients that are disconnected.
    """

    volatile: bool = False
    compress: bool = True
    timeout: float = 0
    promised: bool = False
    slow: str = ""
    key: str | int = ""
    reason: str | None = None
    data: Any = None


class Options(msgspec.Struct, rename={"excepted": "except"}):
    """Recipients and flags of an operation."""

    rooms: list[Room] = []
    excepted: list[Room] = []
    flags: Flags = msgspec.field(default_factory=Flags)


class Broadcast(msgspec.Struct, omit_defaults=True, rename={"request": "requestId"}):
    """An event; with a request its acknowledgements are wanted."""

    packet: dict[str, Any]
    opts: Options
    request: str | None = None


class SocketsRooms(msgspec.Struct):
    """Sockets join or leave rooms."""

    opts: Options
    rooms: list[Room]


class DisconnectSockets(msgspec.Struct):
    """Sockets are disconnected."""

    opts: Options
    close: bool = False


class FetchSockets(msgspec.Struct, rename={"request": "requestId"}):
    """Who is there."""

    opts: Options
    request: str


class ServerSideEmit(msgspec.Struct, omit_defaults=True, rename={"request": "requestId"}):
    """An event for the other servers; with a request their answers are wanted."""

    packet: list[Any]
    request: str | None = None


class RemoteDetails(msgspec.Struct):
    """A socket of another server."""

    id: str
    handshake: dict[str, Any] = {}
    rooms: list[Room] = []
    data: Any = None


class FetchedSockets(msgspec.Struct, rename={"request": "requestId"}):
    """The answer to `FetchSockets`."""

    request: str
    sockets: list[RemoteDetails]


class ServerAnswer(msgspec.Struct, rename={"request": "requestId"}):
    """The answer to `ServerSideEmit`."""

    request: str
    packet: Any = None


class ClientCount(msgspec.Struct, rename={"request": "requestId", "count": "clientCount"}):
    """How many clients of a server will acknowledge a broadcast."""

    request: str
    count: int


class ClientAck(msgspec.Struct, rename={"request": "requestId"}):
    """One client's acknowledgement of a broadcast: its first value."""

    request: str
    packet: Any = None


class ClusterMessage(msgspec.Struct, omit_defaults=True):
    """A message: who, about which namespace, what."""

    uid: str
    nsp: str
    type: int
    data: Any = None


def encode(message: ClusterMessage) -> bytes:
    """The message as MessagePack.

    Clients say what MessagePack cannot hold, and other clients are told it. Surrogates that belong
    to no pair are replaced, and integers beyond 64 bits become floats, as they are in JavaScript.
    """
    try:
        return msgspec.msgpack.encode(message)
    except (UnicodeEncodeError, OverflowError):
        told = _representable(msgspec.to_builtins(message, builtin_types=(bytes,)))
        return msgspec.msgpack.encode(told)


def _representable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    if isinstance(value, list):
        return [_representable(item) for item in value]
    if isinstance(value, dict):
        return {_representable(key): _representable(item) for key, item in value.items()}
    return value


def to_wire(options: BroadcastOptions) -> Options:
    """Recipients and flags, as other servers are told them."""
    flags = Flags(
        options.volatile, options.compress, round(options.timeout * 1000), options.promised
    )
    slow = options.slow
    if slow is not None:
        flags.slow = slow.word
        key = slow.key
        # Any other key is as good in words: it is compared with its likes only.
        flags.key = key if isinstance(key, (str, int)) else repr(key)
    if options.reason is not None:
        flags.reason = options.reason
        flags.data = simplify(options.data)
    return Options(list(options.rooms), list(options.excepted), flags)


def from_wire(options: Options) -> BroadcastOptions:
    """Recipients and flags that another server meant."""
    found = BroadcastOptions(frozenset(options.rooms), frozenset(options.excepted))
    found.volatile = options.flags.volatile
    found.compress = options.flags.compress
    found.timeout = options.flags.timeout / 1000
    found.reason = options.flags.reason
    found.data = options.flags.data
    found.promised = options.flags.promised
    if options.flags.slow == "conflate":
        found.slow = conflate(options.flags.key)
    elif options.flags.slow in POLICIES:
        found.slow = POLICIES[options.flags.slow]
    return found
