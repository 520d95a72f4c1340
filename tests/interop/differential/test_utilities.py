"""Fetching, moving and ending many sockets at once, and events between servers."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.apps import ROOMS, rooms
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

THREE = """
const a = await connect(), b = await connect(), c = await connect();
await a.ask("join", ["x"]);
await b.ask("join", ["x", "y"]);
"""


@scenario(
    server=ROOMS
    + """
    does.fetch = async () => {
      sockets[0].data.user = "ada";
      const ids = (list) => new Set(list.map((socket) => socket.id));
      log("all", ids(await io.fetchSockets()));
      log("x", ids(await io.in("x").fetchSockets()));
      log("xy", ids(await io.to(["x", "y"]).fetchSockets()));
      log("not y", ids(await io.except("y").fetchSockets()));
      log("nobody", ids(await io.in("nobody").fetchSockets()));
      log("one", ids(await io.in(sockets[2].id).fetchSockets()));
      log("local", ids(await io.local.fetchSockets()));
      log("others", ids(await sockets[0].broadcast.fetchSockets()));
      log("nsp", ids(await io.of("/").in("y").fetchSockets()));
      const [first] = await io.in(sockets[0].id).fetchSockets();
      log("first", first.id, first.rooms, first.data, first.handshake.query.EIO);
      first.emit("hello", 1);
      first.join("z");
      first.leave("x");
      log("rooms", first.rooms);
      first.disconnect();
    };
    """,
    client=THREE
    + """
    await server.do("fetch");
    await a.until("disconnect");
    """,
)
def test_fetching(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    async def fetch() -> None:
        sockets[0].data["user"] = "ada"

        def ids(found: list[Socket]) -> set[str]:
            return {socket.id for socket in found}

        log("all", ids(await io.fetch_sockets()))
        log("x", ids(await io.in_("x").fetch_sockets()))
        log("xy", ids(await io.to(["x", "y"]).fetch_sockets()))
        log("not y", ids(await io.except_("y").fetch_sockets()))
        log("nobody", ids(await io.in_("nobody").fetch_sockets()))
        log("one", ids(await io.in_(sockets[2].id).fetch_sockets()))
        log("local", ids(await io.local.fetch_sockets()))
        log("others", ids(await sockets[0].broadcast.fetch_sockets()))
        log("nsp", ids(await io.of("/").in_("y").fetch_sockets()))
        [first] = await io.in_(sockets[0].id).fetch_sockets()
        log("first", first.id, first.rooms, first.data, first.handshake.query["EIO"])
        first.emit("hello", 1)
        first.join("z")
        first.leave("x")
        log("rooms", first.rooms)
        first.disconnect()


@scenario(
    server=ROOMS
    + """
    const show = () => { for (const socket of sockets) log("rooms", socket.rooms) };
    does.move = () => {
      io.in("x").socketsJoin("p");
      io.socketsJoin(["q", "r"]);
      io.except("x").socketsJoin("s");
      show();
      io.in("y").socketsLeave("q");
      io.socketsLeave(["r", "unknown"]);
      sockets[0].broadcast.socketsLeave("p");
      io.in(sockets[2].id).socketsLeave(sockets[2].id);
      show();
    };
    """,
    client=THREE
    + """
    await server.do("move");
    """,
)
def test_moving(io: Server, log: Log) -> None:
    sockets = rooms(io)

    def show() -> None:
        for socket in sockets:
            log("rooms", socket.rooms)

    @log.does
    def move() -> None:
        io.in_("x").sockets_join("p")
        io.sockets_join(["q", "r"])
        io.except_("x").sockets_join("s")
        show()
        io.in_("y").sockets_leave("q")
        io.sockets_leave(["r", "unknown"])
        sockets[0].broadcast.sockets_leave("p")
        io.in_(sockets[2].id).sockets_leave(sockets[2].id)
        show()


@scenario(
    ways=ALL,
    server=ROOMS
    + """
    io.on("connection", (socket) => {
      socket.on("disconnect", (reason) => log("disconnect", socket.id, reason));
    });
    does.end = (room, close) => {
      (room ? io.in(room) : io).disconnectSockets(close);
      io.emit("still");
    };
    """,
    client=THREE
    + """
    await server.do("end", "y", false);
    await b.until("disconnect");
    note("open", b.engine.readyState);
    await a.until("still");
    await c.until("still");
    await server.do("end", "x", true);
    await a.until("disconnect");
    await c.until("still");
    await server.do("end", "", true);
    await c.until("disconnect");
    """,
)
def test_ending(io: Server, log: Log) -> None:
    rooms(io)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", lambda reason: log("disconnect", socket.id, reason))

    @log.does
    def end(room: str, close: bool) -> None:
        (io.in_(room) if room else io).disconnect_sockets(close)
        io.emit("still")


@scenario(
    server=ROOMS
    + """
    does.send = async () => {
      for (const name of ["connect", "connection", "new_namespace"]) {
        try {
          io.serverSideEmit(name);
        } catch (error) {
          log("thrown", error.message);
        }
      }
      io.serverSideEmit("hello", 1);
      io.emit("end");
    };
    """,
    client="""
    const a = await connect();
    await server.do("send");
    await a.until("end");
    """,
    differs=[
        Differs(
            "the error names the argument",
            "server",
            [["thrown", f'"{name}" is a reserved event name']],
            [["thrown", f'event: "{name}" is a reserved event name']],
        )
        for name in ("connect", "connection", "new_namespace")
    ],
)
def test_events_between_servers(io: Server, log: Log) -> None:
    rooms(io)

    @log.does
    def send() -> None:
        for name in ("connect", "connection", "new_namespace"):
            try:
                io.server_side_emit(name)
            except ValueError as error:
                log("thrown", str(error))
        io.server_side_emit("hello", 1)
        io.emit("end")
