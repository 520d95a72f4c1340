"""What the servers of a cluster say to each other.

The shape is that of the official cluster adapters: a map with the sender's `uid`, the namespace's
`nsp`, a `type` and `data`. What arrives is checked before it is used, for a bus may carry
anything.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from nuncio.cluster.rooms import Room

# The one name under which messages may come from somebody who is no server.
EMITTER: Final = "emitter"


class Kind:
    """The types of messages."""

    INITIAL_HEARTBEAT: Final = 1
    HEARTBEAT: Final = 2
    BROADCAST: Final = 3
    SOCKETS_JOIN: Final = 4
    SOCKETS_LEAVE: Final = 5
    DISCONNECT_SOCKETS: Final = 6
    FETCH_SOCKETS: Final = 7
    FETCH_SOCKETS_RESPONSE: Final = 8
    SERVER_SIDE_EMIT: Final = 9
    SERVER_SIDE_EMIT_RESPONSE: Final = 10
    BROADCAST_CLIENT_COUNT: Final = 11
    BROADCAST_ACK: Final = 12
    ADAPTER_CLOSE: Final = 13


class Flags(msgspec.Struct, omit_defaults=True):
    """Flags of an operation.

    JavaScript servers tell the first four as their applications wrote them: `single` is said of a
    `RemoteSocket`'s operations, and the time-out is in milliseconds. The rest is Nuncio's own:
    `slow` is a slow-consumer policy's name; `reason` and `data` are for clients that are
    disconnected.
    """

    volatile: Any = False
    compress: Any = True
    single: Any = msgspec.field(default=False, name="expectSingleResponse")
    timeout: Any = 0
    promised: bool = False
    slow: str = ""
    key: str | int = ""
    reason: str | None = None
    data: Any = None


# Of most operations nothing else is said. Nobody changes it.
USUAL: Final = Flags()


class Options(msgspec.Struct, rename={"excepted": "except"}):
    """Recipients and flags of an operation. Some servers write null for nothing."""

    rooms: list[Room] | None = []
    excepted: list[Room] | None = []
    flags: Flags | None = msgspec.field(default_factory=Flags)


class EmittedOptions(msgspec.Struct, rename={"excepted": "except"}):
    """The same in the order in which official emitters write it."""

    rooms: list[Room] | None
    flags: Flags | None
    excepted: list[Room] | None


class Broadcast(msgspec.Struct, kw_only=True, omit_defaults=True, rename={"request": "requestId"}):
    """An event; with a request its acknowledgements are wanted.

    `number` is Nuncio's own: the event's number in its server's log, by which clients recover.
    """

    packet: dict[str, Any]
    request: str | None = None
    opts: Options
    number: int = 0


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


class ServerSideEmit(
    msgspec.Struct, kw_only=True, omit_defaults=True, rename={"request": "requestId"}
):
    """An event for the other servers; with a request their answers are wanted."""

    request: str | None = None
    packet: list[Any]


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


class Envelope(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message in the order in which Node writes it."""

    type: int
    data: Any = None
    uid: str
    nsp: str


class BroadcastEnvelope(msgspec.Struct):
    """An event as it arrives, read in one go."""

    # Of `Kind.BROADCAST`.
    type: Literal[3]
    data: Broadcast
    uid: str
    nsp: str


class ClassicBroadcast(msgspec.Struct, array_like=True):
    """The same in the classic family of Redis."""

    uid: str
    packet: dict[str, Any]
    opts: Options | None


# What the data of each kind of message is.
SHAPES: Final[dict[int, type[msgspec.Struct]]] = {
    Kind.BROADCAST: Broadcast,
    Kind.SOCKETS_JOIN: SocketsRooms,
    Kind.SOCKETS_LEAVE: SocketsRooms,
    Kind.DISCONNECT_SOCKETS: DisconnectSockets,
    Kind.FETCH_SOCKETS: FetchSockets,
    Kind.FETCH_SOCKETS_RESPONSE: FetchedSockets,
    Kind.SERVER_SIDE_EMIT: ServerSideEmit,
    Kind.SERVER_SIDE_EMIT_RESPONSE: ServerAnswer,
    Kind.BROADCAST_CLIENT_COUNT: ClientCount,
    Kind.BROADCAST_ACK: ClientAck,
}
