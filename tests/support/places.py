"""Servers that a client may be at, for tests of clients that come back to another one."""

from __future__ import annotations

import asyncio
from typing import Any

from nuncio import Server
from tests.support.nodeserver import NodeServer
from tests.support.wanderer import Wanderer


class Place:
    """A server that a client may be at."""

    port: int

    async def emit(self, event: str, *args: Any, to: str = "") -> None:
        """Emit to everybody, or to a room."""
        raise NotImplementedError

    async def join(self, sid: str, room: str) -> None:
        """Put a client into a room."""
        raise NotImplementedError

    async def set_data(self, sid: str, data: Any) -> None:
        """Set a client's data."""
        raise NotImplementedError

    async def socket(self, sid: str) -> dict[str, Any] | None:
        """What the server knows of a client; None when it is not here."""
        raise NotImplementedError

    async def gone(self, sid: str) -> None:
        """Wait until a client is not here."""
        while await self.socket(sid) is not None:  # noqa: ASYNC110 - it may be Node's
            await asyncio.sleep(0.005)

    async def loses(self, client: Wanderer) -> None:
        """The client's connection breaks, and this server has noticed."""
        client.lose()
        await self.gone(client.sid)


class OurPlace(Place):
    """One of ours."""

    def __init__(self, io: Server, port: int) -> None:
        self.io, self.port = io, port

    async def emit(self, event: str, *args: Any, to: str = "") -> None:
        """See `Place`."""
        await (self.io.to(to) if to else self.io).emit(event, *args)

    async def join(self, sid: str, room: str) -> None:
        """See `Place`."""
        self.io.sockets.sockets[sid].join(room)

    async def set_data(self, sid: str, data: Any) -> None:
        """See `Place`."""
        self.io.sockets.sockets[sid].data = data

    async def socket(self, sid: str) -> dict[str, Any] | None:
        """See `Place`."""
        found = self.io.sockets.sockets.get(sid)
        if found is None:
            return None
        return {"recovered": found.recovered, "rooms": set(found.rooms), "data": found.data}


class NodePlace(Place):
    """One of Node's."""

    def __init__(self, server: NodeServer) -> None:
        self.server, self.port = server, server.port

    async def emit(self, event: str, *args: Any, to: str = "") -> None:
        """See `Place`."""
        code = "const [to, ...event] = args; (to ? io.to(to) : io).emit(...event)"
        await self.server.run(code, to, event, *args)

    async def join(self, sid: str, room: str) -> None:
        """See `Place`."""
        await self.server.run('io.of("/").sockets.get(args[0]).join(args[1])', sid, room)

    async def set_data(self, sid: str, data: Any) -> None:
        """See `Place`."""
        await self.server.run('io.of("/").sockets.get(args[0]).data = args[1]', sid, data)

    async def socket(self, sid: str) -> dict[str, Any] | None:
        """See `Place`."""
        found: dict[str, Any] | None = await self.server.run(
            'const one = io.of("/").sockets.get(args[0]);'
            "return one ? { recovered: one.recovered, rooms: [...one.rooms], data: one.data }"
            " : null",
            sid,
        )
        if found is not None:
            found["rooms"] = set(found["rooms"])
        return found
