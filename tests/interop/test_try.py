from __future__ import annotations

from typing import Any

from nuncio import Ack, Server, Socket
from tests.support.aio import run_uvloop
from tests.support.node import Node, Way


@run_uvloop
async def test_echo(node: Node, way: Way, version: str) -> None:
    io = Server()

    @io.event
    def echo(socket: Socket, *args: Any) -> Ack:
        socket.emit("back", *args)
        return Ack(*args)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, version=version)
        assert await client.ask("echo", 1, "a", {"b": b"xyz"}) == [1, "a", {"b": b"xyz"}]
        assert await client.next("back") == [1, "a", {"b": b"xyz"}]
