"""Acknowledgements, both ways."""

from __future__ import annotations

import asyncio

from nuncio import Ack, AckCallback, AckTimeout, Server, Socket
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

LATE = {"$error": {"message": "operation has timed out"}}


def _gone(reason: str) -> dict[str, object]:
    return {"$error": {"message": f"socket has been disconnected: {reason}"}}


ALL = (POLLING, WEBSOCKET, UPGRADED)


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("ask", (value, ack) => ack(value));
      socket.on("several", (ack) => ack(1, null, "three"));
      socket.on("nothing", (ack) => ack());
    });
    """,
    client="""
    const a = await connect();
    await a.ask("ask", 1);
    await a.ask("ask", { b: [null, "ü", { c: 1.5 }] });
    await a.ask("ask", null);
    await a.ask("ask", "");
    await a.ask("ask", []);
    await a.ask("several");
    await a.ask("nothing");
    """,
)
def test_handlers_answer(io: Server, log: Log) -> None:
    @io.on("ask")
    def ask(socket: Socket, value: object, ack: AckCallback) -> None:
        ack(value)

    @io.on("several")
    def several(socket: Socket) -> Ack:
        return Ack(1, None, "three")

    @io.on("nothing")
    def nothing(socket: Socket) -> None: ...


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("twice", (ack) => { ack("first"); ack("second"); socket.emit("end"); });
      socket.on("later", (ack) => setTimeout(ack, 5, "late"));
      socket.on("never", (ack) => {});
      socket.on("binary", (ack) => ack(Buffer.from("a"), { b: Buffer.alloc(0) }));
    });
    """,
    client="""
    const a = await connect();
    await a.ask("twice");
    await a.until("end");
    await a.ask("later");
    await a.ask("binary");
    a.socket.timeout(20).emit("never", (...args) => note("late", ...args));
    await a.socket.timeout(20).emitWithAck("never").catch((error) => note("late", error.message));
    note("answered", await a.socket.timeout(30000).emitWithAck("later"));
    """,
)
def test_callbacks_answer(io: Server, log: Log) -> None:
    @io.on("twice")
    def twice(socket: Socket, ack: AckCallback) -> None:
        ack("first")
        ack("second")
        socket.emit("end")

    @io.on("later")
    async def later(socket: Socket) -> str:
        await asyncio.sleep(0.005)
        return "late"

    @io.on("never")
    def never(socket: Socket, ack: AckCallback) -> None: ...

    @io.on("binary")
    def binary(socket: Socket) -> Ack:
        return Ack(b"a", {"b": b""})


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.on("silent", () => {});
      socket.on("sync", (ack) => ack && ack());
    });
    """,
    client="""
    const a = await ws();
    await a.enter();
    // No answer is sent to what asks for none, nor to an event that nobody handles.
    a.send('42["silent"]', '42["sync"]', '421["unknown"]', '422["sync"]');
    await a.next();
    """,
)
def test_no_answer_without_a_question(io: Server, log: Log) -> None:
    io.on("silent", lambda socket: None)
    io.on("sync", lambda socket: None)


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.on("silent", () => {});
      socket.on("loud", (ack) => ack("here"));
    });
    """,
    client="""
    const a = await connect();
    a.emit("silent", (...args) => note("answer", ...args));
    await a.ask("loud");
    """,
    differs=[
        Differs(
            "a handler that returns nothing gives the empty answer",
            "script",
            [],
            [["answer"]],
            at=0,
        )
    ],
)
def test_a_handler_that_does_not_answer(io: Server, log: Log) -> None:
    io.on("silent", lambda socket: None)
    io.on("loud", lambda socket: "here")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      does.ask = async (event) => {
        log(event, await socket.emitWithAck(event, 1));
      };
      does.callback = (event) => { socket.emit(event, 2, (...args) => log(event, ...args)); };
      does.timeout = (event, ms) => {
        socket.timeout(ms).emit(event, 3, (...args) => log(event, ...args));
      };
      does.wait = async (event, ms) => {
        try {
          log(event, await socket.timeout(ms).emitWithAck(event));
        } catch (error) {
          log(event, error);
        }
      };
    });
    """,
    client="""
    const a = await connect();
    a.on("one", (n, ack) => ack(n + 1));
    a.on("empty", (n, ack) => ack());
    a.on("binary", (n, ack) => ack(Buffer.from("a")));
    a.on("never", () => {});
    a.on("twice", (n, ack) => { ack("first"); ack("second"); });
    a.on("bare", (ack) => { ack("first"); ack("second"); });
    a.on("error", (n, ack) => ack(new Error("x")));
    for (const event of ["one", "empty", "binary", "twice", "error"]) {
      await server.do("ask", event);
      await server.do("callback", event);
      await server.until(event);
      await server.until(event);
      await server.do("timeout", event, 5000);
      await server.until(event);
    }
    await server.do("timeout", "never", 20);
    await server.until("never");
    await server.do("wait", "never", 20);
    await server.do("wait", "bare", 5000);
    """,
)
def test_clients_answer(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        async def ask(event: str) -> None:
            log(event, await socket.emit_with_ack(event, 1))

        @log.does
        def callback(event: str) -> None:
            socket.emit(event, 2, lambda *args: log(event, *args))

        @log.does
        def timeout(event: str, ms: int) -> None:
            socket.timeout(ms / 1000).emit(event, 3, lambda *args: log(event, *args))

        @log.does
        async def wait(event: str, ms: int) -> None:
            try:
                log(event, await socket.timeout(ms / 1000).emit_with_ack(event))
            except AckTimeout as error:
                log(event, error)


@scenario(
    server="""
    io.on("connection", (socket) => {
      does.ask = () => { socket.emit("ask", (...args) => log("answer", ...args)); };
      does.askElsewhere = () => {
        io.of("/b").sockets.values().next().value.emit("ask", (...args) => log("b", ...args));
      };
    });
    io.of("/b").on("connection", () => {});
    """,
    client="""
    const a = await ws();
    await a.enter();
    await a.enter("/b,");
    // Numbers are counted for each namespace.
    for (let i = 0; i < 3; i++) {
      await server.do("ask");
      await a.next();
    }
    await server.do("askElsewhere");
    await a.next();
    // In another order; one of them twice.
    a.send('432["two"]', '430["none"]', '432["two again"]', "431[]", '43/b,0["b"]');
    for (let i = 0; i < 3; i++) await server.until("answer");
    await server.until("b");
    """,
)
def test_the_numbers_of_questions(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        def ask() -> None:
            socket.emit("ask", lambda *args: log("answer", *args))

        @log.does
        def askElsewhere() -> None:
            other = next(iter(io.of("/b").sockets.values()))
            other.emit("ask", lambda *args: log("b", *args))

    io.of("/b")


@scenario(
    server="""
    io.on("connection", (socket) => {
      does.ask = () => { socket.emit("ask", () => log("answer")); };
      does.timeout = () => { socket.timeout(30).emit("ask", (error) => log("late", error)); };
      socket.on("disconnect", () => {
        socket.timeout(30).emit("ask", (error) => log("gone", error));
      });
    });
    """,
    client="""
    const a = await connect();
    await server.do("ask");
    await server.do("timeout");
    await a.until("ask");
    await a.until("ask");
    a.disconnect();
    await server.until("late");
    await server.until("gone");
    """,
    differs=[
        Differs(
            "who has gone is not waited for",
            "server",
            [["late", LATE], ["gone", LATE]],
            [["late", _gone("client namespace disconnect")], ["gone", _gone("not connected")]],
        )
    ],
)
def test_who_leaves_without_an_answer(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        def ask() -> None:
            socket.emit("ask", lambda: log("answer"))

        @log.does
        def timeout() -> None:
            socket.timeout(60.0).emit("ask", lambda error: log("late", error))

        @socket.on("disconnect")
        def disconnect() -> None:
            socket.timeout(60.0).emit("ask", lambda error: log("gone", error))
