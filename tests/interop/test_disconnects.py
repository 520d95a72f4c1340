"""How connections end: who is told what, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nuncio import DisconnectReason, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import POLLING, UPGRADED, UPGRADING, WEBSOCKET, Client, Node, Way
from tests.support.ports import free_port

# What happens once a client has settled; `upgrading` has tests of its own.
SETTLED = pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)


class Farewell:
    """A server that notes how sockets end."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.disconnecting = Inbox()
        self.gone = Inbox()
        self.io.on("disconnecting", self._leaving)
        self.io.on("disconnect", self._left)

    def _leaving(self, socket: Socket, reason: str, description: str) -> None:
        assert socket.connected
        assert socket.id in self.io.sockets.sockets
        self.disconnecting.put(reason, socket.rooms)

    def _left(self, socket: Socket, reason: str, description: str) -> None:
        assert not socket.connected and socket.disconnected
        assert socket.id not in self.io.sockets.sockets
        assert socket.rooms == set()
        assert isinstance(reason, DisconnectReason)
        self.gone.put(reason, description)

    async def meet(self, client: Client) -> Socket:
        """The client's socket, in a room."""
        socket = await client.peer(self.io)
        socket.join("room")
        return socket

    async def reason(self, socket: Socket) -> str:
        """Why it ended on the server, after what must hold of every end."""
        reason, _ = await self.gone.next()
        assert self.disconnecting.seen == [[reason, {socket.id, "room"}]]
        assert self.io.sockets.adapter.rooms == {}
        # The session follows at the latest when the client has fetched its goodbye.
        await eventually(lambda: self.io.engine.clients_count == 0)
        assert len(self.gone.seen) == 1
        return str(reason)


async def _client_reason(client: Client) -> str:
    reason: str = (await client.next("disconnect"))[0]
    return reason


SERVER_ENDS: dict[str, tuple[Callable[[Server, Socket], Any], str, str]] = {
    "disconnect": (
        lambda io, socket: socket.disconnect(),
        "server namespace disconnect",
        "io server disconnect",
    ),
    "disconnect_true": (
        lambda io, socket: socket.disconnect(True),
        "server namespace disconnect",
        "io server disconnect",
    ),
    "conn_close": (lambda io, socket: socket.conn.close(), "forced close", "transport close"),
    "conn_close_at_once": (
        lambda io, socket: socket.conn.close(True),
        "forced close",
        "transport close",
    ),
    "io_close": (lambda io, socket: io.close(), "server shutting down", "transport close"),
    "engine_close": (lambda io, socket: io.engine.close(), "forced close", "transport close"),
}


@SETTLED
@pytest.mark.parametrize("end", SERVER_ENDS)
@run_async
async def test_the_server_ends_it(node: Node, way: Way, end: str) -> None:
    farewell = Farewell()
    act, server_reason, client_reason = SERVER_ENDS[end]
    async with node.clients(farewell.io) as clients:
        client = await clients.connect(way=way)
        socket = await farewell.meet(client)
        if way is POLLING:
            await eventually(lambda: socket.conn.transport.writable)
        result = act(farewell.io, socket)
        if result is not None:
            await within(result)
        assert await farewell.reason(socket) == server_reason
        assert await _client_reason(client) == client_reason


CLIENT_ENDS = {
    "disconnect": (
        "socket.disconnect()",
        "client namespace disconnect",
        "io client disconnect",
    ),
    "engine_close": ("socket.io.engine.close()", "transport close", "forced close"),
    "ping_timeout": (
        "socket.io.engine._pingInterval = socket.io.engine._pingTimeout = 20;"
        " socket.io.engine._resetPingTimeout()",
        "transport close",
        "ping timeout",
    ),
    "engine_garbage": (
        "const t = socket.io.engine.transport; t.ws ? t.ws.send('x') : t.doWrite('x', () => {})",
        "parse error",
        "transport close",
    ),
    "empty_packet": (
        "const t = socket.io.engine.transport; t.ws ? t.ws.send('') : t.doWrite('', () => {})",
        "parse error",
        "transport close",
    ),
    "wrong_heartbeat": (
        "socket.io.engine._sendPacket('ping')",
        "transport error",
        "transport close",
    ),
    "undecodable": ("socket.io.engine.write('9')", "forced close", "transport close"),
    "bad_json": ("socket.io.engine.write('2[}')", "forced close", "transport close"),
    "stray_bytes": ("socket.io.engine.write(Buffer.from('x'))", "forced close", "transport close"),
    "other_namespace": ("socket.io.engine.write('2/x,[1]')", "forced close", "transport close"),
    "second_connect": ("socket.io.engine.write('0')", "forced close", "transport close"),
    "connect_error": ("socket.io.engine.write('4{}')", "forced close", "transport close"),
}


@SETTLED
@pytest.mark.parametrize("end", CLIENT_ENDS)
@run_async
async def test_the_client_ends_it(node: Node, way: Way, end: str) -> None:
    farewell = Farewell()
    code, server_reason, client_reason = CLIENT_ENDS[end]
    async with node.clients(farewell.io) as clients:
        client = await clients.connect(way=way)
        socket = await farewell.meet(client)
        if way is POLLING:
            await eventually(lambda: socket.conn.transport.writable)
        await client.run(code)
        assert await farewell.reason(socket) == server_reason
        assert await _client_reason(client) == client_reason


@SETTLED
@run_async
async def test_the_client_does_not_answer_pings(node: Node, way: Way) -> None:
    farewell = Farewell(ping_interval=0.1, ping_timeout=1)
    async with node.clients(farewell.io) as clients:
        client = await clients.connect(way=way)
        socket = await farewell.meet(client)
        await client.run(
            """
            const engine = socket.io.engine;
            const send = engine._sendPacket;
            engine._sendPacket = (type, ...rest) => {
              if (type !== "pong") send.call(engine, type, ...rest);
            };
            // It would give up by itself, at about the same time.
            engine._resetPingTimeout = () => {};
            engine.clearTimeoutFn(engine._pingTimeoutTimer);
            """
        )
        assert await farewell.reason(socket) == "ping timeout"
        assert await _client_reason(client) == "transport close"


@SETTLED
@run_async
async def test_pings_are_answered(node: Node, way: Way) -> None:
    farewell = Farewell(ping_interval=0.02, ping_timeout=20)
    async with node.clients(farewell.io) as clients:
        client = await clients.connect(way=way)
        socket = await farewell.meet(client)
        beats = Inbox()
        socket.conn.on("heartbeat", beats.put)
        for _ in range(3):
            await beats.next()
        assert client.names() == ["connect"]
        assert socket.connected


PROCESS = """
const { io } = require("socket.io-client");
const [url, transports, upgraded] = JSON.parse(process.argv[1]);
const socket = io(url, { transports });
socket.on("connect", () => {
  const engine = socket.io.engine;
  if (!upgraded || engine.transport.name === "websocket") socket.emit("ready");
  else engine.on("upgrade", () => socket.emit("ready"));
});
"""


@SETTLED
@run_async
async def test_the_client_is_killed(node: Node, way: Way) -> None:
    farewell = Farewell()
    ready = Inbox()
    farewell.io.on("ready", lambda socket: ready.put(socket))
    async with node.clients(farewell.io) as clients:
        process = await node.process(PROCESS, clients.url, way.transports, way.upgraded)
        [socket] = await ready.next()
        socket.join("room")
        if way is POLLING:
            # With no poll under way, nobody would know before the next ping.
            await eventually(lambda: socket.conn.transport.writable)
        process.kill()
        await within(process.wait())
        expected = "transport error" if way is POLLING else "transport close"
        assert await farewell.reason(socket) == expected


@SETTLED
@run_async
async def test_the_server_sends_nonsense(node: Node, way: Way) -> None:
    farewell = Farewell()
    async with node.clients(farewell.io) as clients:
        client = await clients.connect(way=way)
        socket = await farewell.meet(client)
        socket.conn.send("nonsense")
        assert await _client_reason(client) == "parse error"
        assert await farewell.reason(socket) == "transport close"


@run_async
async def test_undecodable_packets_reach_error_listeners(node: Node) -> None:
    farewell = Farewell()
    errors = Inbox()
    async with node.clients(farewell.io) as clients:
        client = await clients.connect()
        socket = await farewell.meet(client)
        socket.on("error", errors.put)
        await client.run("socket.io.engine.write('2[}')")
        [error] = await errors.next()
        assert str(error) == "invalid payload"
        assert await farewell.reason(socket) == "forced close"


@run_async
async def test_what_is_sent_while_leaving_still_reaches_the_room(node: Node) -> None:
    io = Server()
    io.on("connection", lambda socket: socket.join("room"))
    io.on("disconnecting", lambda socket: socket.to("room").emit("bye", sorted(socket.rooms)))
    async with node.clients(io) as clients:
        leaving = await clients.connect()
        staying = await clients.connect()
        id = await leaving.value("socket.id")
        await leaving.disconnect()
        assert await staying.next("bye") == [sorted([id, "room"])]


@run_async
async def test_what_was_sent_before_the_end_arrives(node: Node, way: Way) -> None:
    io = Server()

    @io.event
    def finish(socket: Socket, how: str) -> None:
        for n in range(20):
            socket.emit("last", n, bytes([n]))
        if how == "close":
            socket.conn.close()
        else:
            socket.disconnect(how == "all")

    async with node.clients(io) as clients:
        for how in ("own", "all", "close"):
            client = await clients.connect(way=way)
            await client.emit("finish", how)
            for n in range(20):
                assert await client.next("last") == [n, bytes([n])]
            await client.next("disconnect")


@run_async
async def test_what_was_sent_before_the_server_closes_arrives(node: Node, way: Way) -> None:
    io = Server()
    async with node.clients(io) as clients:
        client = await clients.connect(way=way)
        socket = await client.peer(io)
        if way is POLLING:
            await eventually(lambda: socket.conn.transport.writable)
        elif way is UPGRADING:
            await client.upgraded()
            await eventually(lambda: socket.conn.upgraded)
        io.emit("last", b"words")
        socket.emit("really", b"last")
        await within(io.close())
        assert await client.next("last") == [b"words"]
        assert await client.next("really") == [b"last"]
        await client.next("disconnect")


@run_async
async def test_events_of_a_socket_that_has_ended_are_dropped(node: Node) -> None:
    io = Server()
    seen = Inbox()

    @io.event
    def first(socket: Socket) -> None:
        seen.put("first")
        socket.disconnect()

    io.on("second", lambda socket: seen.put("second"))
    io.on("disconnect", lambda socket: seen.put("disconnect"))
    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.run("socket.emit('first'); socket.emit('second')")
        await client.next("disconnect")
        assert seen.seen == [["first"], ["disconnect"]]


@run_async
async def test_lifecycle_handlers_take_what_they_declare(node: Node) -> None:
    io = Server()
    seen: list[Any] = []
    done = asyncio.Event()
    io.on("disconnect", lambda: seen.append("nothing"))

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnecting", lambda: seen.append("own disconnecting"))
        socket.on("disconnect", lambda reason: seen.append(("own", reason)))

    @io.on("disconnect")
    async def last(socket: Socket, reason: str) -> None:
        await asyncio.sleep(0)
        seen.append(("shared", reason))
        done.set()

    async with node.clients(io) as clients:
        client = await clients.connect()
        await client.disconnect()
        await within(done.wait())
        reason = "client namespace disconnect"
        assert seen == ["own disconnecting", "nothing", ("own", reason), ("shared", reason)]


@run_async
async def test_clients_come_back_to_a_server_that_was_restarted(node: Node, way: Way) -> None:
    first, second = Server(), Server()
    gone = Inbox()
    first.on("disconnect", gone)
    async with node.clients(port=0) as clients:
        # Not one of those that its own attempts to connect are made from.
        clients.port = free_port()
        await first.listen(clients.port)
        client = await clients.start(
            way=way, reconnection=True, reconnectionDelay=10, reconnectionDelayMax=50
        )
        await client.next("connect")
        await within(first.close())
        assert (await gone.next())[0] == "server shutting down"
        assert (await client.next("disconnect"))[0] in ("transport close", "transport error")
        await client.emit("early", "kept until then")
        early = Inbox()
        second.on("early", early)
        async with await second.listen(clients.port):
            await client.next("connect")
            assert await early.next() == ["kept until then"]
            await clients.close()


@run_async
async def test_disconnecting_in_the_connection_handler(node: Node, way: Way) -> None:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("first")
        socket.disconnect(True)
        socket.disconnect()

    async with node.clients(io) as clients:
        client = await clients.start(way=way)
        await client.next("disconnect")
        assert [entry for entry in client.seen.log if entry[0] != "connect_error"] == [
            ("connect", []),
            ("first", []),
            ("disconnect", ["io server disconnect"]),
        ]
        await eventually(lambda: io.engine.clients_count == 0)
