"""Rooms: who is in, who is told, and what the adapter tells."""

from __future__ import annotations

import asyncio

from nuncio import Server, Socket
from tests.interop.differential.apps import ROOMS, rooms
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

# Four clients in overlapping rooms; what everybody has got when the end has come is recorded.
FOUR = """
const clients = [];
for (const rooms of [["x"], ["x", "y"], ["y", "z"], []]) {
  const client = await connect();
  await client.ask("join", rooms);
  clients.push(client);
}
await server.do("send");
for (const client of clients) await client.until("end");
"""


@scenario(
    ways=ALL,
    server=ROOMS
    + """
    does.send = () => {
      io.to("x").emit("1 x");
      io.in("y").emit("2 y");
      io.to("x").to("y").emit("3 x y");
      io.to(["x", "z"]).emit("4 x z");
      io.except("x").emit("5 not x");
      io.to("x").except("y").emit("6 x not y");
      io.to(["x", "y", "z"]).except(["x", "z"]).emit("7 nobody or y");
      io.to("nobody").emit("8 nobody");
      io.except("nobody").emit("9 all");
      io.to(sockets[3].id).emit("10 own room");
      io.to("x").to(sockets[0].id).emit("11 once");
      io.except(sockets[0].id).except(sockets[1].id).emit("12 two");
      io.sockets.to("x").emit("13", 1, { a: Buffer.from("b") });
      io.send("14");
      io.emit("end");
    };
    """,
    client=FOUR,
)
def test_who_is_told_by_the_server(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    def send() -> None:
        io.to("x").emit("1 x")
        io.in_("y").emit("2 y")
        io.to("x").to("y").emit("3 x y")
        io.to(["x", "z"]).emit("4 x z")
        io.except_("x").emit("5 not x")
        io.to("x").except_("y").emit("6 x not y")
        io.to(["x", "y", "z"]).except_(["x", "z"]).emit("7 nobody or y")
        io.to("nobody").emit("8 nobody")
        io.except_("nobody").emit("9 all")
        io.to(sockets[3].id).emit("10 own room")
        io.to("x").to(sockets[0].id).emit("11 once")
        io.except_(sockets[0].id).except_(sockets[1].id).emit("12 two")
        io.sockets.to("x").emit("13", 1, {"a": b"b"})
        io.send("14")
        io.emit("end")


@scenario(
    server=ROOMS
    + """
    does.send = () => {
      const socket = sockets[1];
      socket.to("x").emit("1 x but me");
      socket.in("y").emit("2 y but me");
      socket.broadcast.emit("3 all but me");
      socket.except("y").emit("4 not y nor me");
      socket.broadcast.to("x").except("y").emit("5 x not y nor me");
      socket.to(socket.id).emit("6 nobody");
      socket.to(sockets[0].id).emit("7 one");
      socket.to(["x", "y", "z"]).emit("8 once");
      socket.local.emit("9 all but me");
      socket.broadcast.except("x").except("z").emit("10");
      socket.emit("11 me", socket.rooms.size);
      io.emit("end");
    };
    """,
    client=FOUR,
)
def test_who_is_told_by_a_socket(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    def send() -> None:
        socket = sockets[1]
        socket.to("x").emit("1 x but me")
        socket.in_("y").emit("2 y but me")
        socket.broadcast.emit("3 all but me")
        socket.except_("y").emit("4 not y nor me")
        socket.broadcast.to("x").except_("y").emit("5 x not y nor me")
        socket.to(socket.id).emit("6 nobody")
        socket.to(sockets[0].id).emit("7 one")
        socket.to(["x", "y", "z"]).emit("8 once")
        socket.local.emit("9 all but me")
        socket.broadcast.except_("x").except_("z").emit("10")
        socket.emit("11 me", len(socket.rooms))
        io.emit("end")


@scenario(
    server=ROOMS
    + """
    does.send = () => {
      const x = io.to("x");
      const xy = x.to("y");
      const notY = x.except("y");
      x.emit("1 x");
      xy.emit("2 x y");
      notY.emit("3 x not y");
      x.emit("4 x");
      const mine = sockets[0].to("x");
      mine.to("z").emit("5");
      mine.emit("6");
      x.volatile.compress(false);
      x.emit("7");
      io.emit("end");
    };
    """,
    client=FOUR,
)
def test_operators_do_not_change(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    def send() -> None:
        x = io.to("x")
        xy = x.to("y")
        not_y = x.except_("y")
        x.emit("1 x")
        xy.emit("2 x y")
        not_y.emit("3 x not y")
        x.emit("4 x")
        mine = sockets[0].to("x")
        mine.to("z").emit("5")
        mine.emit("6")
        x.volatile.compress(False)
        x.emit("7")
        io.emit("end")


@scenario(
    ways=ALL,
    server=ROOMS,
    client="""
    const a = await connect();
    await a.ask("join", "one");
    await a.ask("join", ["two", "three", "two"]);
    await a.ask("join", []);
    await a.ask("join", "");
    await a.ask("leave", "one");
    await a.ask("leave", "unknown");
    await a.ask("leave", a.id);
    await a.ask("join", a.id);
    """,
)
def test_joining_and_leaving(io: Server, log: Log) -> None:
    rooms(io)


ADAPTER = """
for (const event of ["create-room", "join-room", "leave-room", "delete-room"]) {
  io.of("/").adapter.on(event, (...args) => log(event, ...args));
}
"""


def adapter(io: Server, log: Log) -> None:
    def listen(event: str) -> None:
        official = event.replace("_", "-")
        io.sockets.adapter.on(event, lambda *args: log(official, *args))

    for event in ("create_room", "join_room", "leave_room", "delete_room"):
        listen(event)


@scenario(
    server=ROOMS + ADAPTER,
    client="""
    const a = await connect();
    await a.ask("join", "x");
    const b = await connect();
    await b.ask("join", ["x", "y"]);
    await a.ask("join", "x");
    await a.ask("leave", "x");
    await a.ask("leave", "x");
    await b.ask("leave", b.id);
    await b.ask("join", "z");
    b.disconnect();
    await server.sessions(1);
    a.disconnect();
    await server.sessions(0);
    """,
)
def test_what_the_adapter_tells(io: Server, log: Log) -> None:
    rooms(io)
    adapter(io, log)


def _emptied(room: str) -> list[list[str]]:
    return [["leave-room", room, "<1>"], ["delete-room", room]]


@scenario(
    server=ADAPTER
    + """
    io.use((socket, next) => { socket.join("early"); setTimeout(next, 3); });
    io.on("connection", (socket) => {
      log("connection", socket.rooms);
      socket.join("late");
      socket.on("disconnecting", () => { log("disconnecting", socket.rooms); socket.join("end"); });
      socket.on("disconnect", () => {
        log("disconnect", socket.rooms);
        socket.join("too late");
        log("joined", socket.rooms, io.of("/").adapter.rooms.size);
      });
    });
    """,
    client="""
    const a = await connect();
    a.disconnect();
    await server.until("joined");
    """,
    differs=[
        Differs(
            "the room of its own is always the first",
            "server",
            [*_emptied("early"), *_emptied("<1>")],
            [*_emptied("<1>"), *_emptied("early")],
        )
    ],
)
def test_rooms_before_and_after(io: Server, log: Log) -> None:
    adapter(io, log)

    @io.use
    async def middleware(socket: Socket) -> None:
        socket.join("early")
        await asyncio.sleep(0.003)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.rooms)
        socket.join("late")

        @socket.on("disconnecting")
        def disconnecting() -> None:
            log("disconnecting", socket.rooms)
            socket.join("end")

        @socket.on("disconnect")
        def disconnect() -> None:
            log("disconnect", socket.rooms)
            socket.join("too late")
            log("joined", socket.rooms, len(io.sockets.adapter.rooms))


@scenario(
    server=ROOMS
    + """
    io.on("connection", (socket) => {
      socket.on("disconnecting", (reason) => {
        for (const room of socket.rooms) if (room !== socket.id) io.to(room).emit("left", room);
      });
      socket.on("disconnect", () => io.emit("end"));
    });
    """,
    client="""
    const a = await connect();
    const b = await connect();
    await a.ask("join", ["x", "y"]);
    await b.ask("join", ["y", "z"]);
    a.disconnect();
    await b.until("end");
    """,
)
def test_goodbyes_to_rooms(io: Server, log: Log) -> None:
    rooms(io)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("disconnecting")
        def disconnecting(reason: str) -> None:
            for room in sorted(map(str, socket.rooms)):
                if room != socket.id:
                    io.to(room).emit("left", room)

        socket.on("disconnect", lambda: io.emit("end"))


@scenario(
    server="""
    for (const name of ["/a", "/b"]) {
      io.of(name).on("connection", (socket) => socket.join("room"));
    }
    does.send = () => {
      io.of("/a").to("room").emit("a");
      io.of("/b").to("room").emit("b");
      io.emit("main");
      io.of("/a").emit("end");
      io.of("/b").emit("end");
    };
    """,
    client="""
    const a = await connect("/a");
    const b = join(a, "/b");
    await b.until("connect");
    await server.do("send");
    await a.until("end");
    await b.until("end");
    """,
)
def test_rooms_belong_to_their_namespace(io: Server, log: Log) -> None:
    for name in ("/a", "/b"):
        io.of(name).on("connection", lambda socket: socket.join("room"))

    @log.does
    def send() -> None:
        io.of("/a").to("room").emit("a")
        io.of("/b").to("room").emit("b")
        io.emit("main")
        io.of("/a").emit("end")
        io.of("/b").emit("end")
