"""Connections that are recovered, against the official server.

What the official client's own test of this name says, and how the rest of the protocol holds.
"""

from __future__ import annotations

from typing import Any

from tests.support.aio import run_async
from tests.support.nodeserver import NodeHome, NodeServer
from tests.support.ours import Client, ours

SERVER: dict[str, Any] = {"connectionStateRecovery": {}}


async def lose(server: NodeServer, client: Client) -> None:
    """The connection is lost, which the server does not hold against the client."""
    await server.run(
        "Object.values(engine.clients).forEach((conn) => conn.transport.socket.terminate())"
    )
    await client.next("disconnect")


@run_async
async def test_id_and_rooms_are_kept_and_what_was_missed_is_delivered(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        assert client.socket.recovered is False
        await client.socket.emit_with_ack("join", "lobby")
        # Any event brings the offset from which on something is missed.
        client.socket.emit("hi")
        await client.next("hi")
        first = client.socket.id
        client.manager.reconnection = False
        await lose(server, client)
        await server.emit("missed", 1)
        await server.emit("missed", b"\x02", room="lobby")
        client.manager.reconnection = True
        client.socket.connect()
        await client.next("connect")
        assert client.socket.recovered is True
        assert client.socket.id == first
        # They came before `connect`, each with its offset.
        names = client.names()
        assert names[names.index("disconnect") :] == ["disconnect", "missed", "missed", "connect"]
        assert (await client.next("missed"))[0] == 1
        assert (await client.next("missed"))[0] == b"\x02"
        await server.emit("still", room="lobby")
        await client.next("still")


@run_async
async def test_an_offset_is_no_argument_that_the_server_left_out(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        seen: list[Any] = []
        client.socket.on("news", lambda value, extra=None: seen.append((value, extra)))
        # In one millisecond, so that some offsets are longer than others.
        await server.run(
            'for (const n of [1, 2, 3]) io.emit("news", n); io.emit("news", 4, "said")'
        )
        await server.run('io.volatile.emit("news", 5, "message")')
        await server.emit("end")
        await client.next("end")
        assert seen == [(1, None), (2, None), (3, None), (4, "said"), (5, "message")]


@run_async
async def test_nothing_is_recovered_when_the_server_does_not_know_the_session(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.emit("hi")
        await client.next("hi")
        first = client.socket.id
        await server.run("io.sockets.adapter.sessions.clear()")
        client.manager.reconnection = False
        await lose(server, client)
        await server.run("io.sockets.adapter.sessions.clear()")
        client.manager.reconnection = True
        client.socket.connect()
        await client.next("connect")
        assert client.socket.recovered is False
        assert client.socket.id != first


@run_async
async def test_who_disconnected_on_purpose_begins_anew(home: NodeHome, server: NodeServer) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect()
        client.socket.emit("hi")
        await client.next("hi")
        first = client.socket.id
        client.socket.disconnect()
        await server.next("disconnect")
        client.socket.connect()
        await client.next("connect")
        assert client.socket.recovered is False
        assert client.socket.id != first


@run_async
async def test_credentials_are_sent_with_the_request_to_recover(
    home: NodeHome, server: NodeServer
) -> None:
    async with ours(server.url) as clients:
        client = await clients.connect(auth={"token": "mine"})
        client.socket.emit("hi")
        await client.next("hi")
        await lose(server, client)
        await client.next("connect")
        assert client.socket.recovered is True
        [first, second] = [data for data in await server.messages() if str(data).startswith("0")]
        assert first == '0{"token":"mine"}'
        assert '"pid":"' in str(second) and '"offset":"' in str(second)
        assert '"token":"mine"' in str(second)
