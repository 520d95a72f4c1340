"""Connection state recovery. Offsets are each server's own, so what matters is where they are."""

from __future__ import annotations

from nuncio import Server, Socket
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

OPTIONS = {"connection_state_recovery": {"max_disconnection_duration": 60.0}}

SERVER = """
const sockets = [];
io.use((socket, next) => { log("middleware"); next(); });
io.on("connection", (socket) => {
  log("connection", socket.id, socket.recovered, socket.rooms, socket.data);
  sockets.push(socket);
  socket.on("enter", (ack) => { socket.join("room"); socket.data.user = "ada"; ack(); });
  socket.on("disconnect", (reason) => log("disconnect", reason));
});
does.emit = (...args) => { io.emit(...args) };
does.room = (...args) => { io.to("room").emit(...args) };
does.missed = () => {
  io.emit("all", 1);
  io.to("room").emit("room", Buffer.from("a"), { b: 2 });
  io.to("other").emit("other");
  io.except("room").emit("not room");
  io.volatile.emit("volatile");
  io.to(sockets[0].id).emit("mine");
  io.emit("last");
};
does.leave = (close) => { sockets[0].disconnect(close) };
"""


def application(io: Server, log: Log) -> None:
    sockets: list[Socket] = []
    io.use(lambda socket: log("middleware"))

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.id, socket.recovered, socket.rooms, socket.data)
        sockets.append(socket)

        @socket.on("enter")
        def enter() -> None:
            socket.join("room")
            socket.data["user"] = "ada"

        socket.on("disconnect", lambda reason: log("disconnect", reason))

    @log.does
    def emit(event: str, *args: object) -> None:
        io.emit(event, *args)

    @log.does
    def room(event: str, *args: object) -> None:
        io.to("room").emit(event, *args)

    @log.does
    def missed() -> None:
        io.emit("all", 1)
        io.to("room").emit("room", b"a", {"b": 2})
        io.to("other").emit("other")
        io.except_("room").emit("not room")
        io.volatile.emit("volatile")
        io.to(sockets[0].id).emit("mine")
        io.emit("last")

    @log.does
    def leave(close: bool) -> None:
        sockets[0].disconnect(close)


# The offset is the last argument, and a string; what remains is what was sent.
MEET = """
const a = open();
a.socket.offAny();
a.socket.onAny((event, ...args) => {
  const offset = args.pop();
  a.actor.record(event, ...args, typeof offset);
});
await a.until("connect");
if (way.upgraded) await a.upgraded();
await a.ask("enter");
"""

LOSE = """
a.engine.close();
await server.until("disconnect");
await a.until("disconnect");
"""

RETURN = """
a.socket.connect();
await a.until("connect");
note("recovered", a.socket.recovered);
"""


@scenario(
    ways=ALL,
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first", 1);
    await a.until("first");
    """
    + LOSE
    + """
    await server.do("missed");
    """
    + RETURN
    + """
    await a.until("last");
    await server.do("emit", "after", { a: 1 });
    await a.until("after");
    await server.do("room", "still");
    await a.until("still");
    """,
    options=OPTIONS,
)
def test_what_was_missed(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first");
    await a.until("first");
    """
    + LOSE
    + RETURN
    + LOSE
    + """
    await server.do("missed");
    """
    + RETURN
    + """
    await a.until("last");
    """,
    options=OPTIONS,
)
def test_recovering_again(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first");
    await a.until("first");
    a.disconnect();
    await server.until("disconnect");
    """
    + RETURN,
    options=OPTIONS,
)
def test_who_left_does_not_recover(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first");
    await a.until("first");
    await server.do("leave", true);
    await server.until("disconnect");
    await a.until("disconnect");
    """
    + RETURN,
    options=OPTIONS,
)
def test_who_was_sent_away_does_not_recover(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first");
    await a.until("first");
    """
    + LOSE
    + RETURN,
    options={
        "connection_state_recovery": {
            "max_disconnection_duration": 60.0,
            "skip_middlewares": False,
        }
    },
)
def test_middlewares_are_asked_again(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client=MEET
    + """
    await server.do("emit", "first");
    await a.until("first");
    """
    + LOSE
    + """
    await new Promise((resolve) => setTimeout(resolve, 40));
    """
    + RETURN,
    options={"connection_state_recovery": {"max_disconnection_duration": 0.01}},
)
def test_too_late(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER,
    client="""
    const secrets = [{}, { pid: "unknown", offset: "x" }, { pid: "unknown" }, { offset: "x" },
      { pid: 1, offset: 2 }, { pid: "__proto__", offset: "__proto__" }, { pid: null, offset: null }];
    for (const auth of secrets) {
      const a = await ws();
      await a.enter("", JSON.stringify(auth));
    }
    """,
    options=OPTIONS,
)
def test_secrets_that_are_none(io: Server, log: Log) -> None:
    application(io, log)


@scenario(
    server=SERVER
    + """
    does.ask = async () => {
      sockets[0].emit("ask", 1, () => {});
      sockets[0].emit("plain", 3);
      io.timeout(100).emit("broadcast", () => {});
      sockets[0].emit("end", 4);
    };
    does.drop = () => { sockets[0].volatile.emit("volatile", 2) };
    """,
    client="""
    const a = open();
    a.socket.offAny();
    a.socket.onAny((event, ...args) => a.actor.record(event, ...args.map((arg) => typeof arg)));
    await a.until("connect");
    await server.do("ask");
    await a.until("end");
    await server.do("drop");
    await a.until("volatile");
    """,
    options=OPTIONS,
)
def test_which_packets_have_offsets(io: Server, log: Log) -> None:
    sockets: list[Socket] = []
    io.use(lambda socket: log("middleware"))

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.id, socket.recovered, socket.rooms, socket.data)
        sockets.append(socket)

    @log.does
    def ask() -> None:
        sockets[0].emit("ask", 1, lambda: None)
        sockets[0].emit("plain", 3)
        io.timeout(0.1).emit("broadcast", lambda *args: None)
        sockets[0].emit("end", 4)

    @log.does
    def drop() -> None:
        sockets[0].volatile.emit("volatile", 2)


@scenario(
    server=SERVER,
    client=MEET + LOSE + RETURN,
    options=OPTIONS,
    differs=[
        Differs(
            "who has received no event recovers, too",
            "script",
            [["recovered", False]],
            [["recovered", True]],
        ),
        Differs(
            "with the same id",
            "a",
            [["connect", "<2>"]],
            [["connect", "<1>"]],
        ),
        Differs(
            "and everything",
            "server",
            [["middleware"], ["connection", "<2>", False, {"$set": ["<2>"]}, {}]],
            [["connection", "<1>", True, {"$set": ["<1>", "room"]}, {"user": "ada"}]],
        ),
    ],
)
def test_before_the_first_event(io: Server, log: Log) -> None:
    application(io, log)
