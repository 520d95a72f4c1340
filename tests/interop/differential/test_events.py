"""Events: what JSON makes of their arguments, who hears them, and names that are reserved."""

from __future__ import annotations

import datetime
from typing import Any

from nuncio import AckCallback, Server, Socket
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event, ...args) => { log(event, ...args); socket.emit(event, ...args); });
    });
    """,
    client=r"""
    const a = await connect();
    const values = [
      [], [1, -1, 0, 1.5, 1e21, 1e-7, 2 ** 53, Number.MAX_VALUE, 5e-324], [true, false, null],
      ["", "ü€😀", "\u0000\u001e\u007f", "\u2028\u2029", "\"\\/\b\f\n\r\t", "\ud800"],
      [[]], [{}], [[[]], {}], [{ a: { b: { c: [1, [2, [3]]] } } }], [{ "": 1, "é": 2, "a b": 3 }],
      [undefined, null, NaN, Infinity, -Infinity], [new Date(0)], [{ a: undefined, b: [undefined] }],
      [new Map([[1, 2]]), new Set([1]), /x/, new Error("x")], [Object.create(null)], [-0],
      [{ toJSON: () => ({ x: 1 }) }], [new (class X { constructor() { this.y = 1; } })()],
      [{ __proto__: null, length: 3 }], [{ _placeholder: false, num: 0 }], ["x".repeat(70000)],
    ];
    for (const args of values) {
      a.emit("echo", ...args);
      await a.until("echo");
    }
    """,
)
def test_every_kind_of_value(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        def echo(event: str, *args: object) -> None:
            log(event, *args)
            socket.emit(event, *args)

        socket.on_any(echo)


@scenario(
    server=r"""
    io.on("connection", (socket) => {
      socket.emit("empty");
      socket.emit("numbers", 1, -1, 0, 1.5, 1e21, 1e-7, 2 ** 53, 0.1 + 0.2, -0.5, 1e300);
      socket.emit("words", "", "ü€😀", "\u0000\u001e\u007f", "\u2028\u2029", "\"\\/\b\f\n\r\t");
      socket.emit("others", true, false, null, NaN, Infinity, -Infinity);
      socket.emit("nested", [[]], [{}], { a: { b: [1, null] } }, { "": 1, "é": 2, "1": 3 });
      socket.emit("bytes", Buffer.from("a"), { b: [Buffer.alloc(0)] }, new Uint8Array([1, 2]));
      socket.send("message", 1);
    });
    """,
    client="""
    const a = await ws();
    await a.enter();
    while (!String(await a.next()).startsWith('42["message"'));
    """,
    differs=[
        Differs(
            "text of the same numbers",
            "a",
            [
                [
                    "frame",
                    '42["numbers",1,-1,0,1.5,1e+21,1e-7,9007199254740992,'
                    "0.30000000000000004,-0.5,1e+300]",
                ]
            ],
            [
                [
                    "frame",
                    '42["numbers",1,-1,0,1.5,1e21,1e-7,9007199254740992,'
                    "0.30000000000000004,-0.5,1e300]",
                ]
            ],
        )
    ],
)
def test_what_is_written(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        nan, inf = float("nan"), float("inf")
        socket.emit("empty")
        socket.emit("numbers", 1, -1, 0, 1.5, 1e21, 1e-7, 2**53, 0.1 + 0.2, -0.5, 1e300)
        socket.emit("words", "", "ü€😀", "\0\x1e\x7f", "\u2028\u2029", '"\\/\b\f\n\r\t')
        socket.emit("others", True, False, None, nan, inf, -inf)
        # In JavaScript keys that are numbers come first.
        socket.emit("nested", [[]], [{}], {"a": {"b": [1, None]}}, {"1": 3, "": 1, "é": 2})
        socket.emit("bytes", b"a", {"b": [b""]}, bytearray([1, 2]))
        socket.send("message", 1)


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.emit("date", new Date(0));
      socket.emit("end");
    });
    """,
    client="""
    const a = await connect();
    await a.until("end");
    """,
    differs=[
        Differs(
            "a date is written as RFC 3339 says",
            "a",
            [["date", "1970-01-01T00:00:00.000Z"]],
            [["date", "1970-01-01T00:00:00Z"]],
        )
    ],
)
def test_dates(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("date", datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
        socket.emit("end")


@scenario(
    server="""
    const names = ["connect", "connect_error", "disconnect", "disconnecting", "newListener",
      "removeListener"];
    io.on("connection", (socket) => {
      for (const target of [socket, socket.broadcast, io, io.to("x"), io.of("/")]) {
        for (const name of names) {
          try {
            target.emit(name);
          } catch (error) {
            log("thrown", error.message);
          }
        }
      }
      for (const name of ["connection", "error", "message", "ping", "toString", ""]) {
        socket.emit(name, 1);
      }
      socket.emit("end");
    });
    """,
    client="""
    const a = await connect();
    await a.until("end");
    """,
    differs=[
        Differs(
            "the error names the argument",
            "server",
            [["thrown", f'"{name}" is a reserved event name']],
            [["thrown", f'event: "{name}" is a reserved event name']],
        )
        for name in [
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        ]
        * 5
    ],
)
def test_reserved_names(io: Server, log: Log) -> None:
    names = [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ]

    @io.on("connection")
    def connection(socket: Socket) -> None:
        targets: list[Any] = [socket, socket.broadcast, io, io.to("x"), io.of("/")]
        for target in targets:
            for name in names:
                try:
                    target.emit(name)
                except ValueError as error:
                    log("thrown", str(error))
        for name in ["connection", "error", "message", "ping", "toString", ""]:
            socket.emit(name, 1)
        socket.emit("end")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event) => log("any", event));
      socket.on("x", (n) => log("x", n));
      socket.once("x", (n) => log("once", n));
      const gone = () => log("gone");
      socket.on("x", gone);
      socket.off("x", gone);
      socket.on("y", () => log("y"));
      socket.on("sync", (ack) => ack());
      socket.on("all", () => { socket.removeAllListeners("x"); log("all"); });
      log("listeners", socket.listeners("x").length, socket.listeners("unknown").length);
      socket.emit("ready");
    });
    """,
    client="""
    const a = await connect();
    await a.until("ready");
    for (const [event, n] of [["x", 1], ["x", 2], ["y"], ["unknown"], ["all"], ["x", 3], ["y"]]) {
      a.emit(event, n);
      await server.until("any");
    }
    await a.ask("sync");
    """,
)
def test_listeners_come_and_go(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(lambda event: log("any", event))
        socket.on("x", lambda n: log("x", n))
        socket.once("x", lambda n: log("once", n))

        def gone() -> None:
            log("gone")

        socket.on("x", gone)
        socket.off("x", gone)
        socket.on("y", lambda: log("y"))
        socket.on("sync", lambda: None)

        @socket.on("all")
        def all() -> None:
            socket.off("x")
            log("all")

        log("listeners", len(socket.listeners("x")), len(socket.listeners("unknown")))
        socket.emit("ready")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      const one = (event, ...args) => log("one", event, ...args);
      const two = (event) => log("two", event);
      socket.onAny(one);
      socket.prependAny(two);
      socket.on("x", (...args) => log("x", ...args));
      socket.on("off", () => { socket.offAny(one); log("off", socket.listenersAny().length); });
      socket.on("none", () => { socket.offAny(); log("none", socket.listenersAny().length); });
    });
    """,
    client="""
    const a = await connect();
    for (const event of ["x", "off", "x", "none", "x"]) {
      a.emit(event, 1, "b");
      await server.until(event);
    }
    """,
)
def test_catch_alls(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        def one(event: str, *args: object) -> None:
            log("one", event, *args)

        socket.on_any(one)
        socket.prepend_any(lambda event: log("two", event))
        socket.on("x", lambda *args: log("x", *args))

        @socket.on("off")
        def off() -> None:
            socket.off_any(one)
            log("off", len(socket.listeners_any()))

        @socket.on("none")
        def none() -> None:
            socket.off_any()
            log("none", len(socket.listeners_any()))


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      const one = (event, ...args) => log("one", event, ...args);
      socket.onAnyOutgoing(one);
      socket.prependAnyOutgoing((event) => log("two", event));
      socket.join("room");
      socket.emit("plain", 1, Buffer.from("a"));
      io.emit("all");
      io.to("room").emit("room", 2);
      socket.broadcast.emit("others");
      socket.on("ask", (ack) => { ack(1); socket.offAnyOutgoing(one); socket.emit("last"); });
    });
    """,
    client="""
    const a = await connect();
    await a.ask("ask");
    await a.until("last");
    """,
)
def test_outgoing_catch_alls(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        def one(event: str, *args: object) -> None:
            log("one", event, *args)

        socket.on_any_outgoing(one)
        socket.prepend_any_outgoing(lambda event: log("two", event))
        socket.join("room")
        socket.emit("plain", 1, b"a")
        io.emit("all")
        io.to("room").emit("room", 2)
        socket.broadcast.emit("others")

        @socket.on("ask")
        def ask(ack: AckCallback) -> None:
            ack(1)
            socket.off_any_outgoing(one)
            socket.emit("last")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("x", (n) => { log("x", n); socket.emit("back", n); });
    });
    """,
    client="""
    const a = await connect();
    for (let n = 0; n < 100; n++) a.emit("x", n);
    for (let n = 0; n < 100; n++) await a.until("back");
    """,
)
def test_events_keep_their_order(io: Server, log: Log) -> None:
    @io.on("x")
    def x(socket: Socket, n: int) -> None:
        log("x", n)
        socket.emit("back", n)


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.on("fails", () => { throw new Error("ouch"); });
      socket.on("after", (ack) => ack("fine"));
    });
    """,
    client="""
    const a = await connect();
    a.emit("fails");
    await a.ask("after");
    """,
    differs=[Differs("an error of a handler is logged", "server", [["uncaught", "ouch"]], [])],
    complains=True,
)
def test_a_handler_that_fails(io: Server, log: Log) -> None:
    @io.on("fails")
    def fails(socket: Socket) -> None:
        raise RuntimeError("ouch")

    io.on("after", lambda socket: "fine")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("echo", (...args) => socket.emit("echo", ...args));
      socket.on("ask", (value, ack) => ack(value));
      does.ask = async () => log("answer", await socket.emitWithAck("question", Buffer.from("q")));
    });
    """,
    client="""
    const a = await connect();
    const b = Buffer.from([1, 2, 3]);
    const values = [[b], [Buffer.alloc(0)], [{ deep: [{ er: b }, b, "x"] }], [b, b, b],
      [new Uint8Array([4, 5]).buffer], [new Uint16Array([1, 2])], [new DataView(new ArrayBuffer(2))],
      [Buffer.alloc(70000, 7)], [b, { _placeholder: false, num: 9 }]];
    for (const args of values) {
      a.emit("echo", ...args);
      await a.until("echo");
    }
    await a.ask("ask", b);
    await a.ask("ask", { x: [b, Buffer.alloc(0)] });
    a.on("question", (data, ack) => ack({ got: data, more: [Buffer.from([9])] }));
    await server.do("ask");
    """,
)
def test_binary(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("ask", lambda value: value)

        @log.does
        async def ask() -> None:
            log("answer", await socket.emit_with_ack("question", b"q"))
