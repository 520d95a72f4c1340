"""Broadcasts that are acknowledged, volatile, compressed, or to be sent by hand."""

from __future__ import annotations

import asyncio

from nuncio import AckTimeout, Server, Socket
from tests.interop.differential.apps import ROOMS, rooms
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

ASKS = (
    ROOMS
    + """
does.ask = async (room, ms) => {
  try {
    const answers = await (room ? io.to(room) : io).timeout(ms).emitWithAck("ask", 1);
    log("answers", new Set(answers));
  } catch (error) {
    log("late", error.message, new Set(error.responses));
  }
};
"""
)


def asks(io: Server, log: Log) -> None:
    rooms(io)

    @log.does
    async def ask(room: str, ms: int) -> None:
        operator = io.to(room) if room else io
        try:
            answers = await operator.timeout(ms / 1000).emit_with_ack("ask", 1)
            log("answers", set(map(_hashable, answers)))
        except AckTimeout as error:
            log("late", str(error), set(map(_hashable, error.responses)))


def _hashable(value: object) -> object:
    return "bytes" if isinstance(value, bytes) else value


@scenario(
    ways=ALL,
    server=ASKS,
    client="""
    const a = await connect(), b = await connect(), c = await connect();
    await a.ask("join", "x");
    await b.ask("join", "x");
    a.on("ask", (n, ack) => ack("a"));
    b.on("ask", (n, ack) => ack("b", "more"));
    c.on("ask", (n, ack) => ack());
    await server.do("ask", "x", 5000);
    await server.do("ask", "", 5000);
    await server.do("ask", "nobody", 5000);
    """,
)
def test_everybody_answers(io: Server, log: Log) -> None:
    asks(io, log)


@scenario(
    server=ASKS,
    client="""
    const a = await connect(), b = await connect();
    a.on("ask", (n, ack) => ack("a"));
    await server.do("ask", "", 50);
    // Late, and twice.
    let answer;
    b.on("ask", (n, ack) => { answer = ack; });
    await server.do("ask", "", 50);
    answer("b");
    answer("b");
    await b.ask("join", "x");
    await server.do("ask", "nobody", 50);
    """,
)
def test_somebody_does_not_answer(io: Server, log: Log) -> None:
    asks(io, log)


@scenario(
    server=ASKS,
    client="""
    const a = await connect(), b = await connect();
    a.on("ask", (n, ack) => ack("a"));
    b.on("ask", () => b.disconnect());
    await server.do("ask", "", 200);
    """,
)
def test_somebody_leaves(io: Server, log: Log) -> None:
    asks(io, log)


@scenario(
    server=ROOMS
    + """
    does.ask = () => new Promise((resolve) => {
      io.timeout(5000).emit("ask", (error, answers) => { log("answers", error, answers); resolve(); });
    });
    does.late = () => new Promise((resolve) => {
      sockets[0].broadcast.timeout(30).emit("ask", (error, answers) => {
        log("answers", error, answers);
        resolve();
      });
    });
    """,
    client="""
    const a = await connect();
    a.on("ask", (ack) => ack(Buffer.from("a")));
    await server.do("ask");
    const b = await connect();
    await server.do("late");
    """,
)
def test_callbacks_of_broadcasts(io: Server, log: Log) -> None:
    sockets = rooms(io)

    def logged() -> tuple[asyncio.Future[None], object]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def callback(error: Exception | None, answers: list[object]) -> None:
            log("answers", error, answers)
            done.set_result(None)

        return done, callback

    @log.does
    async def ask() -> None:
        done, callback = logged()
        io.timeout(5.0).emit("ask", callback)
        await done

    @log.does
    async def late() -> None:
        done, callback = logged()
        sockets[0].broadcast.timeout(0.03).emit("ask", callback)
        await done


@scenario(
    server=ROOMS
    + """
    does.ask = async () => {
      try {
        await io.local.emitWithAck("ask");
      } catch (error) {
        log("failed", error.message);
      }
    };
    does.end = () => { io.emit("end") };
    """,
    client="""
    const a = await connect();
    await server.do("ask");
    await server.do("end");
    await a.until("end");
    """,
    differs=[
        Differs(
            "without a time-out it is a mistake",
            "server",
            [["failed", "operation has timed out"]],
            [["failed", "timeout: a broadcast with acknowledgements needs .timeout(seconds)"]],
        ),
        Differs("so that nothing is sent", "a", [["ask"]], []),
    ],
)
def test_no_time_out(io: Server, log: Log) -> None:
    rooms(io)

    @log.does
    async def ask() -> None:
        try:
            await io.local.emit_with_ack("ask")
        except ValueError as error:
            log("failed", str(error))

    @log.does
    def end() -> None:
        io.emit("end")


VOLATILE = (
    ROOMS
    + """
does.send = () => {
  sockets[0].emit("r0");
  sockets[0].volatile.emit("v1");
  sockets[0].volatile.emit("v2", Buffer.from("a"));
  sockets[0].emit("r3");
};
"""
)


def volatile(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    def send() -> None:
        sockets[0].emit("r0")
        sockets[0].volatile.emit("v1")
        sockets[0].volatile.emit("v2", b"a")
        sockets[0].emit("r3")


@scenario(
    server=VOLATILE,
    client="""
    const a = await polling();
    await a.enter();
    await server.do("send");
    await a.get();
    """,
)
def test_volatile_without_a_poll(io: Server, log: Log) -> None:
    volatile(io, log)


@scenario(
    server=VOLATILE,
    client="""
    const a = await connect();
    await server.do("send");
    await a.until("r3");
    """,
    differs=[
        Differs(
            "a WebSocket that is not behind takes them",
            "a",
            [["r0"], ["r3"]],
            [["r0"], ["v1"], ["v2", {"$bytes": "YQ=="}], ["r3"]],
        )
    ],
)
def test_volatile_behind_others(io: Server, log: Log) -> None:
    volatile(io, log)


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("ask", () => {
        socket.volatile.emit("one", 1);
      });
      socket.on("all", () => io.volatile.emit("all"));
    });
    """,
    client="""
    const a = await connect();
    a.emit("ask");
    await a.until("one");
    a.emit("all");
    await a.until("all");
    """,
)
def test_volatile_alone(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("ask", lambda: socket.volatile.emit("one", 1))
        socket.on("all", lambda: io.volatile.emit("all"))


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.compress(false).emit("one");
      socket.compress(true).compress(false).emit("two");
      socket.broadcast.compress(false).emit("three");
      io.compress(false).to(socket.id).emit("four");
      socket.timeout(1000).compress(true).emit("five", () => {});
      io.local.emit("six");
      io.to([]).emit("seven");
      socket.emit("end");
    });
    """,
    client="""
    const a = await connect();
    await a.until("end");
    """,
)
def test_flags(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.compress(False).emit("one")
        socket.compress(True).compress(False).emit("two")
        socket.broadcast.compress(False).emit("three")
        io.compress(False).to(socket.id).emit("four")
        socket.timeout(1.0).compress(True).emit("five", lambda *args: None)
        io.local.emit("six")
        io.to([]).emit("seven")
        socket.emit("end")
