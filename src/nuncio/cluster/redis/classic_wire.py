"""What servers say by way of the npm package @socket.io/redis-adapter, as bytes. [compiled]

This family is older than the messages that the others share, and has its own numbers and shapes.
Here they become the common ones, and back:

    <key>#<nsp>#               broadcasts: MessagePack, [uid, packet, opts]
    <key>#<nsp>#<room>#        those for one room
    <key>-request#<nsp>#       requests: JSON, or MessagePack where clients are to acknowledge
    <key>-response#<nsp>#      answers, which do not say whose they are
    <key>-response#<nsp>#<uid>#  those for one server

On the first two nothing but such lists may ever be published: anything else ends Node's process.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    Broadcast,
    ClassicBroadcast,
    ClientAck,
    ClientCount,
    DisconnectSockets,
    FetchedSockets,
    FetchSockets,
    Kind,
    Options,
    ServerAnswer,
    ServerSideEmit,
    SocketsRooms,
)
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import (
    Typed,
    from_bytes,
    may_hold_dates,
    to_json,
    to_msgpack,
    well_formed,
)
from nuncio.errors import PacketError

# The numbers of requests and answers.
SOCKETS: Final = 0
ALL_ROOMS: Final = 1
REMOTE_JOIN: Final = 2
REMOTE_LEAVE: Final = 3
REMOTE_DISCONNECT: Final = 4
REMOTE_FETCH: Final = 5
SERVER_SIDE_EMIT: Final = 6
BROADCAST: Final = 7
BROADCAST_CLIENT_COUNT: Final = 8
BROADCAST_ACK: Final = 9

# Kinds of messages that only this family has.
LIST_SOCKETS: Final = 100
LIST_ROOMS: Final = 101
LISTED_ROOMS: Final = 102
OF_ONE_SOCKET: Final = 103

_broadcasts: Final = Typed(ClassicBroadcast)

EMITTER: Final = "emitter"
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def new_uid() -> str:
    """An id as this family has them."""
    return "".join(_ALPHABET[byte % 64] for byte in secrets.token_bytes(6))


class Channels:
    """The channels of one namespace.

    Args:
        key: the prefix that all servers of the cluster share.
        nsp: the namespace.
    """

    def __init__(self, key: str, nsp: str) -> None:
        nsp = well_formed(nsp)
        self.broadcast = f"{key}#{nsp}#"
        self.request = f"{key}-request#{nsp}#"
        self.response = f"{key}-response#{nsp}#"

    @property
    def pattern(self) -> str:
        """What matches all broadcasts of the namespace, and perhaps those of others."""
        special = str.maketrans({mark: f"\\{mark}" for mark in "\\*?[]"})
        return self.broadcast.translate(special) + "*"

    def for_rooms(self, rooms: Iterable[Room]) -> str:
        """Where a broadcast is published."""
        listed = list(rooms)
        if len(listed) != 1:
            return self.broadcast
        return well_formed(f"{self.broadcast}{listed[0]}#")

    def room_of(self, channel: str) -> str | None:
        """The one room that a broadcast on a channel is for; None when it may be for others.

        Raises:
            PacketError: when the channel is another namespace's.
        """
        if not channel.startswith(self.broadcast):
            raise PacketError("a channel of another namespace")
        room = channel[len(self.broadcast) :]
        return room[:-1] if room else None


# What this server says.


def encode_broadcast(uid: str, nsp: str, told: Broadcast) -> bytes:
    """A broadcast that nobody acknowledges."""
    return to_msgpack([uid, {**told.packet, "nsp": nsp}, told.opts])


def encode_request(message: ClusterMessage) -> bytes:
    """A request to all other servers.

    Raises:
        TypeError: for a message that this family does not have.
    """
    told = message.data
    if isinstance(told, Broadcast):
        request = {"uid": message.uid, "requestId": told.request, "type": BROADCAST}
        packet = {**told.packet, "nsp": message.nsp}
        return to_msgpack({**request, "packet": packet, "opts": told.opts})
    said: dict[str, Any] = {"uid": message.uid}
    if message.uid == EMITTER and message.type != Kind.SERVER_SIDE_EMIT:
        del said["uid"]
    if isinstance(told, FetchSockets):
        said |= {"requestId": told.request, "type": REMOTE_FETCH, "opts": _recipients(told.opts)}
    elif isinstance(told, SocketsRooms):
        joins = message.type == Kind.SOCKETS_JOIN
        said |= {"type": REMOTE_JOIN if joins else REMOTE_LEAVE, "opts": _recipients(told.opts)}
        said["rooms"] = told.rooms
    elif isinstance(told, DisconnectSockets):
        said |= {"type": REMOTE_DISCONNECT, "opts": _recipients(told.opts), "close": told.close}
    elif isinstance(told, ServerSideEmit):
        if told.request is not None:
            said["requestId"] = told.request
        said |= {"type": SERVER_SIDE_EMIT, "data": told.packet}
    elif message.type == LIST_ROOMS:
        said |= {"requestId": told, "type": ALL_ROOMS}
    else:
        raise TypeError(f"no request: {message!r}")
    return to_json(said)


def _recipients(options: Options) -> dict[str, Any]:
    """Without flags, which this family has for broadcasts alone; but reasons are worth telling."""
    told: dict[str, Any] = {"rooms": options.rooms, "except": options.excepted}
    if options.flags is not None and options.flags.reason is not None:
        told["flags"] = options.flags
    return told


def encode_response(message: ClusterMessage) -> bytes:
    """An answer.

    Raises:
        TypeError: for a message that this family does not have.
    """
    told = message.data
    if isinstance(told, ClientAck):
        return to_msgpack({"type": BROADCAST_ACK, "requestId": told.request, "packet": told.packet})
    if isinstance(told, ClientCount):
        said = {"type": BROADCAST_CLIENT_COUNT, "requestId": told.request}
        return to_json({**said, "clientCount": told.count})
    if isinstance(told, ServerAnswer):
        return to_json({"type": SERVER_SIDE_EMIT, "requestId": told.request, "data": told.packet})
    if isinstance(told, FetchedSockets):
        return to_json({"requestId": told.request, "sockets": told.sockets})
    if message.type in (LIST_SOCKETS, LIST_ROOMS, LISTED_ROOMS):
        return to_json(told)
    raise TypeError(f"no answer: {message!r}")


# What others say.


def decode_broadcast(data: bytes) -> ClusterMessage:
    """A broadcast that arrived.

    Raises:
        PacketError: when it is none.
    """
    told = _broadcasts.unpack(data)
    if told is None:
        raise PacketError("no broadcast")
    packet = told.packet
    nsp = packet.get("nsp") or "/"
    shared = Broadcast(packet=packet, opts=told.opts or Options())
    return ClusterMessage(told.uid, nsp, Kind.BROADCAST, shared, may_hold_dates(data))


def beginning_of(uid: str) -> bytes:
    """What broadcasts of one server begin with."""
    return b"\x93" + to_msgpack(uid)


def decode_request(data: bytes, nsp: str) -> ClusterMessage:
    """A request that arrived.

    Args:
        data: the message.
        nsp: the namespace of its channel.

    Raises:
        PacketError: when it is none.
    """
    said = _mapping(data)
    uid = said.get("uid", EMITTER)
    if not isinstance(uid, str):
        raise PacketError("a request of nobody")
    kind, shared = _asked(said)
    return ClusterMessage(uid, nsp, kind, shared, may_hold_dates(data))


def _asked(said: dict[str, Any]) -> tuple[int, Any]:
    """What a request means."""
    number = said.get("type")
    opts = said.get("opts") or {}
    request = said.get("requestId")
    if number in (REMOTE_JOIN, REMOTE_LEAVE, REMOTE_DISCONNECT) and "sid" in said:
        return OF_ONE_SOCKET, said
    if number == REMOTE_JOIN or number == REMOTE_LEAVE:
        kind = Kind.SOCKETS_JOIN if number == REMOTE_JOIN else Kind.SOCKETS_LEAVE
        return kind, {"opts": opts, "rooms": said.get("rooms")}
    if number == REMOTE_DISCONNECT:
        return Kind.DISCONNECT_SOCKETS, {"opts": opts, "close": bool(said.get("close"))}
    if number == REMOTE_FETCH:
        return Kind.FETCH_SOCKETS, {"opts": opts, "requestId": request}
    if number == SERVER_SIDE_EMIT:
        return Kind.SERVER_SIDE_EMIT, {"packet": said.get("data"), "requestId": request}
    if number == BROADCAST:
        shared = {"packet": said.get("packet"), "requestId": request, "opts": opts}
        return Kind.BROADCAST, shared
    if number in (SOCKETS, ALL_ROOMS) and isinstance(request, str):
        return LIST_SOCKETS if number == SOCKETS else LIST_ROOMS, said
    raise PacketError("an unknown request")


def decode_response(data: bytes, nsp: str) -> ClusterMessage:
    """An answer that arrived; it does not say whose it is.

    Args:
        data: the message.
        nsp: the namespace of its channel.

    Raises:
        PacketError: when it is none.
    """
    said = _mapping(data)
    request = said.get("requestId")
    number = said.get("type")
    kind: int
    shared: dict[str, Any]
    if number == BROADCAST_CLIENT_COUNT:
        kind = Kind.BROADCAST_CLIENT_COUNT
        shared = {"requestId": request, "clientCount": said.get("clientCount")}
    elif number == BROADCAST_ACK:
        kind, shared = Kind.BROADCAST_ACK, {"requestId": request, "packet": said.get("packet")}
    elif number == SERVER_SIDE_EMIT:
        kind = Kind.SERVER_SIDE_EMIT_RESPONSE
        shared = {"requestId": request, "packet": said.get("data")}
    elif "sockets" in said:
        kind = Kind.FETCH_SOCKETS_RESPONSE
        shared = {"requestId": request, "sockets": said["sockets"]}
    elif "rooms" in said:
        kind, shared = LISTED_ROOMS, said
    else:
        raise PacketError("an unknown answer")
    return ClusterMessage("", nsp, kind, shared)


def _mapping(data: bytes) -> dict[str, Any]:
    said = from_bytes(data)
    if not isinstance(said, dict):
        raise PacketError("no mapping")
    return said
