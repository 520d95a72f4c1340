"""MessagePack with the official client and socket.io-msgpack-parser, and parsers of one's own."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from nuncio import Ack, ConnectError, MsgPackParser, Packet, Parser, Server, Socket
from tests.support.aio import eventually, run_async, within
from tests.support.inbox import Inbox
from tests.support.node import JS, UNDEFINED, JSError, Node, Way

MSGPACK = JS('require("socket.io-msgpack-parser")')
AT = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
VALUES: list[Any] = [
    "text",
    "é😀" * 50,
    0,
    -1,
    127,
    128,
    -33,
    2**31,
    -(2**31) - 1,
    2**53,
    1.5,
    None,
    True,
    [],
    {},
    [[], [1, {"a": [None]}]],
    {"é": {"deep": [1, 2]}},
    b"",
    b"bytes",
    bytes(300),
    {"at": AT, "list": [AT, b"1"]},
    AT,
    "x" * 70_000,
    list(range(70_000)),
]


@run_async
async def test_values_both_ways(node: Node, way: Way) -> None:
    io = Server(parser=MsgPackParser())
    got = Inbox()
    io.on("echo", got)
    io.on("echo", lambda socket, *args: socket.emit("back", *args))
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, parser=MSGPACK)
        await client.emit("echo", *VALUES)
        assert await got.next() == VALUES
        assert await client.next("back") == VALUES


@run_async
async def test_every_release_of_the_client(node: Node, version: str) -> None:
    io = Server(parser=MsgPackParser())
    io.event(lambda socket, value: Ack(value, 1), name="echo")
    async with node.clients(io) as clients:
        client = await clients.connect(version=version, parser=MSGPACK, auth={"token": "1"})
        assert (await client.peer(io)).handshake.auth == {"token": "1"}
        assert await client.ask("echo", {"a": b"1"}) == [{"a": b"1"}, 1]
        await client.on("ask", "(value, done) => done(value + 1, undefined)")
        socket = await client.peer(io)
        assert await within(socket.emit_with_ack("ask", 41)) == [42, None]
        socket.disconnect()
        assert await client.next("disconnect") == ["io server disconnect"]


@run_async
async def test_what_only_javascript_has(node: Node) -> None:
    io = Server(parser=MsgPackParser())
    got = Inbox()
    io.on("kinds", got)
    async with node.clients(io) as clients:
        client = await clients.connect(parser=MSGPACK)
        await client.emit(
            "kinds",
            UNDEFINED,
            JS("new Uint8Array([0]).buffer"),
            JS("new Uint8Array([0, 0, 0, 0, 0, 0, 0, 9])"),
            JS("{a: undefined, f: () => 1}"),
            JS("new Date(-1)"),
            JS("Infinity"),
        )
        assert await got.next() == [
            None,
            b"\0",
            b"\0\0\0\0\0\0\0\x09",
            {"a": None},
            datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
            math.inf,
        ]
        await client.emit("kinds", JS("NaN"))
        (nan,) = await got.next()
        assert math.isnan(nan)
        await client.run("socket.on('date', (at) => report('saw', at instanceof Date, at * 1))")
        io.emit("date", AT)
        assert await client.next("saw") == [True, AT.timestamp() * 1000]
        await client.run("socket.on('nan', (value) => report('saw', Number.isNaN(value)))")
        io.emit("nan", math.nan)
        assert await client.next("saw") == [True]


@run_async
async def test_a_refusal_arrives_with_its_data(node: Node, version: str) -> None:
    io = Server(parser=MsgPackParser())

    @io.of("/data").use
    def with_data(socket: Socket) -> None:
        raise ConnectError("go away", {"code": 5, "at": AT, "raw": b"1"})

    @io.of("/plain").use
    def plain(socket: Socket) -> None:
        raise ConnectError("go away")

    async with node.clients(io) as clients:
        for nsp, message, data in (
            ("/data", "go away", {"code": 5, "at": AT, "raw": b"1"}),
            ("/plain", "go away", None),
            ("/nowhere", "Invalid namespace", None),
        ):
            client = await clients.start(nsp, version=version, parser=MSGPACK)
            (error,) = await client.next("connect_error")
            assert isinstance(error, JSError)
            assert (error.message, error.fields["data"]) == (message, data)


@run_async
async def test_namespaces_rooms_and_the_end(node: Node, way: Way) -> None:
    io = Server(parser=MsgPackParser())
    admin = io.of("/admin")
    gone = Inbox()
    admin.on("disconnect", gone)
    async with node.clients(io) as clients:
        client = await clients.connect(way=way, parser=MSGPACK)
        other = await clients.join(client, "/admin")
        socket = await other.peer(io, "/admin")
        socket.join("room")
        admin.to("room").emit("news", b"1")
        io.emit("all", 1)
        assert await other.next("news") == [b"1"]
        assert await client.next("all") == [1]
        await other.on("ask", "(done) => done(Buffer.from('yes'))")
        assert await within(admin.timeout(30).emit_with_ack("ask")) == [b"yes"]
        await other.disconnect()
        assert (await gone.next())[0] == "client namespace disconnect"


@run_async
async def test_clients_of_another_parser_end_alone(node: Node, way: Way) -> None:
    io = Server(parser=MsgPackParser(), connect_timeout=30)
    plain = Server(connect_timeout=30)
    async with node.clients(io) as clients, node.clients(plain) as others:
        witness = await clients.connect(parser=MSGPACK)
        client = await clients.start(way=way, autoConnect=False)
        other = await others.start(way=way, parser=MSGPACK, autoConnect=False)
        for one in (client, other):
            await one.run("socket.io.on('close', () => report('closed')); socket.connect()")
            await one.next("closed")
        io.emit("still here")
        await witness.next("still here")


@pytest.mark.parametrize("packed", [False, True], ids=["json", "messagepack"])
@run_async
async def test_who_sends_too_many_lists_ends_alone(node: Node, way: Way, packed: bool) -> None:
    io = Server(parser=MsgPackParser()) if packed else Server()
    io.on("count", lambda socket, value: len(value))
    gone, errors = Inbox(), Inbox()
    io.on("disconnect", gone)
    options: dict[str, Any] = {"parser": MSGPACK} if packed else {}
    async with node.clients(io) as clients:
        witness = await clients.connect(**options)
        client = await clients.connect(way=way, **options)
        (await client.peer(io)).on("error", errors.put)
        # Much of what is no list, and text that looks like lists, is as good as ever.
        code = "socket.emit('count', %s, (n) => report('counted', n))"
        await client.run(code % "Array(300_000).fill(1)")
        assert await client.next("counted") == [300_000]
        await client.run(code % "'[{'.repeat(300_000)")
        assert await client.next("counted") == [600_000]
        await client.run(code % "Array(150_000).fill([])")
        assert str((await errors.next())[0]) == "too many lists and objects"
        assert (await gone.next())[0] in ("forced close", "forced server close")
        assert await witness.ask("count", [[]] * 1000) == [1000]


@run_async
async def test_missed_events_are_recovered(node: Node) -> None:
    io = Server(parser=MsgPackParser(), connection_state_recovery=True)
    patient: dict[str, Any] = {
        "reconnection": True,
        "reconnectionDelay": 20,
        "reconnectionDelayMax": 40,
    }
    async with node.clients(io) as clients:
        client = await clients.connect(parser=MSGPACK, **patient)
        socket = await client.peer(io)
        sid = socket.id
        io.emit("before")
        await client.next("before")
        await client.run("socket.io.engine.close()")
        await eventually(lambda: not socket.connected)
        io.emit("missed", b"1", AT)
        assert (await client.next("missed"))[:2] == [b"1", AT]
        await client.next("connect")
        assert await client.value("socket.recovered") is True
        assert await client.value("socket.id") == sid


# A parser of one's own, on both sides.

LINES = JS("""(() => {
  const Emitter = require("@socket.io/component-emitter").Emitter;
  class Encoder {
    encode({ type, nsp, id, data }) {
      return [[type, nsp, id ?? "", JSON.stringify(data ?? null)].join("\\n")];
    }
  }
  class Decoder extends Emitter {
    add(text) {
      const [type, nsp, id, data] = text.split("\\n");
      const packet = { type: +type, nsp, data: JSON.parse(data) ?? undefined };
      if (id) packet.id = +id;
      this.emitReserved("decoded", packet);
    }
    destroy() {}
  }
  return { Encoder, Decoder };
})()""")


class LineDecoder:
    def add(self, data: str | bytes) -> Packet:
        assert isinstance(data, str)
        kind, nsp, id, text = data.split("\n")
        return Packet(int(kind), nsp, int(id) if id else -1, json.loads(text))


class Lines(Parser):
    def encode(self, packet: Packet) -> list[str | bytes]:
        id = "" if packet.id < 0 else packet.id
        return [f"{packet.type}\n{packet.nsp}\n{id}\n{json.dumps(packet.data)}"]

    def decoder(self) -> LineDecoder:
        return LineDecoder()


@run_async
async def test_a_parser_of_ones_own(node: Node, way: Way) -> None:
    io = Server(parser=Lines())
    io.event(lambda socket, *args: Ack(*args), name="echo")

    @io.of("/no").use
    async def refuse(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ConnectError("go away", 5)

    async with node.clients(io) as clients:
        client = await clients.connect(way=way, parser=LINES, auth={"token": "é"})
        socket = await client.peer(io)
        assert socket.handshake.auth == {"token": "é"}
        assert await client.ask("echo", 1, ["two", {"three": None}]) == [
            1,
            ["two", {"three": None}],
        ]
        await client.on("ask", "(value, done) => done(value + 1)")
        assert await within(socket.emit_with_ack("ask", 41)) == 42
        refused = await clients.start_joining(client, "/no")
        (error,) = await refused.next("connect_error")
        assert (error.message, error.fields["data"]) == ("go away", 5)
        socket.disconnect()
        assert await client.next("disconnect") == ["io server disconnect"]


@pytest.mark.parametrize("text", ["garbage", "2\n/\n\n[]", '2\n/\n\n["disconnect"]', "9\n/\n\n[]"])
@run_async
async def test_what_it_cannot_read_ends_its_sender(node: Node, text: str) -> None:
    io = Server(parser=Lines())
    gone = Inbox()
    io.on("disconnect", gone)
    async with node.clients(io) as clients:
        witness = await clients.connect(parser=LINES)
        client = await clients.connect(parser=LINES)
        await client.run("socket.io.engine.write(args[0])", text)
        assert (await gone.next())[0] == "forced close"
        assert (await client.next("disconnect"))[0] == "transport close"
        io.emit("still here")
        await witness.next("still here")
