"""Clients that speak MessagePack in place of JSON: a well-behaved one, and the bytes of others.

Unlike Nuncio's parser these write what they are told, and packets piece by piece, so that any
piece can be wrong.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from tests.support.rawclient import Peer, WebSocket, websocket_target

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR = range(5)

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode


def packet_of(*fields: tuple[str, bytes]) -> bytes:
    """A packet with these fields, in this order; the values are packed already."""
    return bytes((0x80 | len(fields),)) + b"".join(pack(name) + value for name, value in fields)


def packet(type: int, data: Any = None, *, id: Any = None, nsp: Any = "/", **more: Any) -> bytes:
    """A packet as clients write it; fields that are None are left out."""
    fields = {"type": type, "nsp": nsp, "data": data, "id": id, **more}
    return pack({name: value for name, value in fields.items() if value is not None})


def event(*args: Any, id: Any = None, nsp: str = "/") -> bytes:
    """An event."""
    return packet(EVENT, list(args), id=id, nsp=nsp)


def as_polled(message: str | bytes) -> str:
    """A message as long-polling carries it."""
    return "b" + base64.b64encode(message).decode() if isinstance(message, bytes) else message


def from_poll(packets: list[str]) -> list[dict[str, Any]]:
    """The packets that one poll brought, those of Engine.IO left out."""
    return [unpack(base64.b64decode(one[1:])) for one in packets if one.startswith("b")]


class PackedPeer(Peer):
    """A `Peer` for servers with MessagePack."""

    @classmethod
    async def join(
        cls,
        port: int,
        nsp: str = "/",
        *,
        path: str = "/socket.io/",
        auth: Any = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> PackedPeer:
        """Connect to a namespace."""
        peer = cls(await WebSocket.open(port, websocket_target(path), headers))
        opening = await peer.socket.receive()
        assert isinstance(opening, str) and "sid" in json.loads(opening[1:]), opening
        await peer.socket.send(packet(CONNECT, auth, nsp=nsp))
        answer = await peer.packet()
        assert (answer["type"], answer["nsp"]) == (CONNECT, nsp), answer
        peer.sid = answer["data"]["sid"]
        return peer

    async def packet(self) -> dict[str, Any]:
        """The next packet; pings are answered."""
        while True:
            message = await self.socket.receive()
            if isinstance(message, bytes):
                found: dict[str, Any] = unpack(message)
                return found
            assert message == "2", message
            await self.socket.send("3")

    async def ask(self, name: str, *args: Any) -> Any:
        """Send an event and return its acknowledgement's values."""
        id = next(self._ids)
        await self.socket.send(event(name, *args, id=id))
        while (answer := await self.packet())["type"] != ACK or answer["id"] != id:
            pass
        return answer["data"]
