"""MessagePack with the official client: values, acknowledgements, rooms, namespaces, ends."""

from __future__ import annotations

import datetime
import math
from typing import Any

from nuncio import Ack, ConnectError, EventError, Server, Socket
from tests.interop.differential.apps import ROOMS, rooms
from tests.interop.differential.harness import Differs, Log
from tests.interop.differential.packed import WATCHES, watches, with_parsers
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)
UNDEFINED = {"$js": "undefined"}


@with_parsers(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      log("connection", socket.handshake.auth, socket.conn.transport.name);
      socket.emit("hello", 1);
    });
    """,
    client="""
    const a = await connect("/", { parser: msgpack });
    await a.until("hello");
    const at = new Date(5);
    const auth = { token: [1, null, "ü"], at, raw: Buffer.from("a") };
    const b = await connect("/", { parser: msgpack, auth });
    await b.until("hello");
    """,
)
def test_the_handshake(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.handshake.auth, socket.conn.transport.name)
        socket.emit("hello", 1)


@with_parsers(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event, ...args) => { log(event, ...args); socket.emit(event, ...args); });
    });
    """,
    client=r"""
    const a = await connect("/", { parser: msgpack });
    const values = [
      [], [0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53],
      [-1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1],
      [1.5, -0.5, 1e-7, 0.1 + 0.2, 5e-324, Number.MAX_SAFE_INTEGER], [NaN, Infinity, -Infinity],
      [true, false, null], ["", "ü€😀", "\u0000\u001e\u007f", "x".repeat(31), "x".repeat(32)],
      ["x".repeat(255), "x".repeat(256), "x".repeat(70000)], [[]], [{}], [[[]], {}],
      [{ a: { b: { c: [1, [2, [3]]] } } }], [{ "": 1, "é": 2, "a b": 3, _placeholder: true }],
      [[...Array(15).keys()], [...Array(16).keys()], [...Array(70000).keys()].slice(-5)],
      [Object.fromEntries([...Array(16).keys()].map((i) => [`k${i}`, i]))], [-0],
      [{ toJSON: () => ({ x: 1 }) }, new (class X { constructor() { this.y = 1; } })()],
      [new Map([[1, 2]]), new Set([1]), /x/], [{ f: () => 1, x: 1 }], ["last"],
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


@with_parsers(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event, ...args) => { log(event, ...args); socket.emit(event, ...args); });
    });
    """,
    client="""
    const a = await connect("/", { parser: msgpack });
    const b = Buffer.from([1, 2, 3]);
    const dates = [0, 1, -1, 1709209815250, 253402300799999, -62135596800000].map((n) => new Date(n));
    const values = [[new Date(0)], dates, [{ at: [dates[3], { x: dates[1] }] }], [b],
      [Buffer.alloc(0)], [{ deep: [{ er: b }, b, "x"] }], [b, b, b], [Buffer.alloc(255, 1)],
      [Buffer.alloc(256, 2)], [Buffer.alloc(70000, 7)], [b, { _placeholder: true, num: 0 }],
      [new Uint8Array([4, 5]).buffer], [new Uint16Array([1, 2])], [new Uint8Array([0]).buffer],
      [new Uint8Array(8).buffer], [new DataView(new ArrayBuffer(2))], [new Uint8Array(300)]];
    for (const args of values) {
      a.emit("echo", ...args);
      await a.until("echo");
    }
    """,
)
def test_dates_and_bytes(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        def echo(event: str, *args: object) -> None:
            log(event, *args)
            socket.emit(event, *args)

        socket.on_any(echo)


@with_parsers(
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event, ...args) => { log(event, ...args); socket.emit(event, ...args); });
    });
    """,
    client="""
    const a = await connect("/", { parser: msgpack });
    for (const args of [[undefined], [undefined, 1], [{ a: undefined }], [[undefined]]]) {
      a.emit("echo", ...args);
      await a.until("echo");
    }
    """,
    differs=[
        Differs("Python has one word for undefined and null", "a", [theirs], [ours])
        for theirs, ours in (
            (["echo", UNDEFINED], ["echo", None]),
            (["echo", UNDEFINED, 1], ["echo", None, 1]),
            (["echo", {"a": UNDEFINED}], ["echo", {"a": None}]),
            (["echo", [UNDEFINED]], ["echo", [None]]),
        )
    ],
)
def test_undefined(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        def echo(event: str, *args: object) -> None:
            log(event, *args)
            socket.emit(event, *args)

        socket.on_any(echo)


@with_parsers(
    server=r"""
    io.on("connection", (socket) => {
      socket.emit("empty");
      socket.emit("numbers", 1, -1, 0, 1.5, 2 ** 53, 0.1 + 0.2, -0.5, -(2 ** 40));
      socket.emit("others", true, false, null, NaN, Infinity, -Infinity);
      socket.emit("words", "", "ü€😀", "\u0000\u001e", "x".repeat(300));
      socket.emit("nested", [[]], [{}], { a: { b: [1, null] } }, { "1": 3, "": 1, "é": 2 });
      socket.emit("bytes", Buffer.from("a"), { b: [Buffer.alloc(0)] }, Buffer.from([1, 2]));
      socket.emit("dates", new Date(0), [new Date(-1), { at: new Date(1709209815250) }]);
      socket.send("message", 1);
      io.emit("all", Buffer.from("all"));
    });
    """,
    client="""
    const a = await ws("", { parser: msgpack });
    await a.enter();
    for (let i = 0; i < 9; i++) await a.until("packet");
    a.close();
    await a.until("close");
    const b = await polling("", { parser: msgpack });
    await b.postPacked({ type: 0, nsp: "/" });
    await b.get();
    """,
)
def test_what_is_written(io: Server, log: Log) -> None:
    def at(ms: int) -> datetime.datetime:
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            milliseconds=ms
        )

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("empty")
        socket.emit("numbers", 1, -1, 0, 1.5, 2**53, 0.1 + 0.2, -0.5, -(2**40))
        socket.emit("others", True, False, None, math.nan, math.inf, -math.inf)
        socket.emit("words", "", "ü€😀", "\0\x1e", "x" * 300)
        socket.emit("nested", [[]], [{}], {"a": {"b": [1, None]}}, {"1": 3, "": 1, "é": 2})
        socket.emit("bytes", b"a", {"b": [b""]}, bytearray([1, 2]))
        socket.emit("dates", at(0), [at(-1), {"at": at(1709209815250)}])
        socket.send("message", 1)
        io.emit("all", b"all")


@with_parsers(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.on("echo", (...args) => args.pop()(...args));
      socket.on("late", (x, ack) => setTimeout(ack, 3, x, Buffer.from("late")));
      does.ask = async (event, ...args) => log(event, await socket.emitWithAck(event, ...args));
      does.timeout = async () => {
        try {
          await socket.timeout(20).emitWithAck("never");
        } catch (error) {
          log("never", error);
        }
      };
    });
    """,
    client="""
    const a = await connect("/", { parser: msgpack });
    await a.ask("echo");
    await a.ask("echo", 1, "two", [3], { four: Buffer.from([5]) }, new Date(6), null);
    await a.ask("late", { x: 1.5 });
    for (let i = 0; i < 300; i++) a.emit("echo", i, () => note("counted"));
    await a.ask("echo", "the id takes two bytes");
    a.on("one", (n, ack) => ack(n + 1));
    a.on("empty", (ack) => ack());
    a.on("more", (...args) => args.pop()([args, new Date(7), Buffer.from("more")]));
    await server.do("ask", "one", 41);
    await server.do("ask", "empty");
    await server.do("ask", "more", 1, "2");
    await server.do("timeout");
    """,
)
def test_acknowledgements(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("echo", lambda *args: Ack(*args))

        @socket.on("late")
        async def late(x: object) -> Ack:
            return Ack(x, b"late")

        @log.does
        async def ask(event: str, *args: object) -> None:
            log(event, await socket.emit_with_ack(event, *args))

        @log.does
        async def timeout() -> None:
            try:
                await socket.timeout(0.02).emit_with_ack("never")
            except TimeoutError as error:
                log("never", error)


@with_parsers(
    server=WATCHES
    + """
    io.on("connection", (socket) => {
      does.ask = () => { socket.emit("ask", (...args) => log("answer", ...args)); };
    });
    """,
    client="""
    const a = await ws("", { parser: msgpack });
    await a.enter();
    for (let i = 0; i < 3; i++) {
      await server.do("ask");
      await a.until("packet");
    }
    const ack = (id, ...data) => encoded({ type: 3, nsp: "/", id, data });
    // In another order, one of them twice, and answers to nothing.
    a.send(ack(2, "two"), ack(0), ack(2, "again"), ack(99, "what?"), ack(2 ** 40), ack(1, "one"));
    for (let i = 0; i < 3; i++) await server.until("answer");
    """,
)
def test_the_numbers_of_questions(io: Server, log: Log) -> None:
    watches(io, log)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        def ask() -> None:
            socket.emit("ask", lambda *args: log("answer", *args))


@with_parsers(
    ways=ALL,
    server=ROOMS
    + """
    does.send = async () => {
      const raw = { at: new Date(8), raw: Buffer.from("r") };
      io.to("x").emit("x", raw);
      sockets[0].to("x").emit("others", raw);
      io.except("x").emit("not x");
      io.local.compress(false).emit("local", [Buffer.from("1"), Buffer.from("2")]);
      log("answers", await io.to("x").timeout(5000).emitWithAck("ask", 1));
      io.emit("end");
    };
    """,
    client="""
    const clients = [];
    for (let i = 0; i < 3; i++) {
      const client = await connect("/", { parser: msgpack });
      client.on("ask", (n, ack) => ack(Buffer.from([n])));
      clients.push(client);
    }
    await clients[0].ask("join", "x");
    await clients[1].ask("join", ["x", "y"]);
    await clients[2].ask("join", "y");
    await server.do("send");
    for (const client of clients) await client.until("end");
    """,
)
def test_rooms_and_broadcasts(io: Server, log: Log) -> None:
    sockets = rooms(io)

    @log.does
    async def send() -> None:
        at = datetime.datetime(1970, 1, 1, 0, 0, 0, 8000, tzinfo=datetime.UTC)
        raw: dict[str, Any] = {"at": at, "raw": b"r"}
        io.to("x").emit("x", raw)
        sockets[0].to("x").emit("others", raw)
        io.except_("x").emit("not x")
        io.local.compress(False).emit("local", [b"1", b"2"])
        log("answers", await io.to("x").timeout(5.0).emit_with_ack("ask", 1))
        io.emit("end")


@with_parsers(
    ways=ALL,
    server="""
    for (const name of ["/", "/admin", "/é b"]) {
      io.of(name).on("connection", (socket) => {
        log("connection", socket.nsp.name, socket.handshake.auth);
        socket.on("hello", (data) => { log(name, data); io.of(name).emit("all", data); });
      });
    }
    """,
    client="""
    const options = { parser: msgpack, auth: { who: "admin", raw: Buffer.from("a") } };
    const a = await connect("/", { parser: msgpack });
    const b = join(a, "/admin", options);
    await b.until("connect");
    const c = join(a, "/é b", { auth: (done) => done({ at: new Date(9) }) });
    await c.until("connect");
    const d = join(a, "/unknown");
    await d.until("connect_error");
    for (const client of [a, b, c]) {
      client.emit("hello", { raw: Buffer.from("h") });
      await client.until("all");
    }
    """,
)
def test_namespaces_and_auth(io: Server, log: Log) -> None:
    def serve(name: str) -> None:
        nsp = io.of(name)

        @nsp.on("connection")
        def connection(socket: Socket) -> None:
            log("connection", socket.nsp.name, socket.handshake.auth)

        @nsp.on("hello")
        def hello(socket: Socket, data: object) -> None:
            log(name, data)
            nsp.emit("all", data)

    for name in ("/", "/admin", "/é b"):
        serve(name)


@with_parsers(
    ways=ALL,
    server="""
    const refuses = (name, data) => io.of(name).use((socket, next) => {
      next(Object.assign(new Error("go away ü"), data));
    });
    refuses("/", {});
    refuses("/data", { data: { code: 5, at: new Date(10), raw: Buffer.from("r"), list: [null] } });
    refuses("/text", { data: "words" });
    io.of("/fine").use((socket, next) => { log("asked", socket.handshake.auth); next(); });
    """,
    client="""
    for (const name of ["/", "/data", "/text"]) {
      const a = open(name, { parser: msgpack });
      await a.until("connect_error");
    }
    const auth = { at: new Date(11), raw: Buffer.from("auth") };
    await connect("/fine", { parser: msgpack, auth });
    """,
)
def test_refusals(io: Server, log: Log) -> None:
    def refuses(name: str, data: object = None) -> None:
        @io.of(name).use
        def refuse(socket: Socket) -> None:
            raise ConnectError("go away ü", data)

    at = datetime.datetime(1970, 1, 1, 0, 0, 0, 10_000, tzinfo=datetime.UTC)
    refuses("/")
    refuses("/data", {"code": 5, "at": at, "raw": b"r", "list": [None]})
    refuses("/text", "words")

    @io.of("/fine").use
    def fine(socket: Socket) -> None:
        log("asked", socket.handshake.auth)


@with_parsers(
    server="""
    io.on("connection", (socket) => {
      socket.use(([event], next) => next(event === "bad" ? new Error("no") : undefined));
      socket.on("error", (error) => log("error", error.message));
      socket.onAny((event, ...args) => log("any", event));
      socket.on("good", (x, ack) => ack(x));
    });
    """,
    client="""
    const a = await connect("/", { parser: msgpack });
    a.emit("bad", Buffer.from("x"));
    await server.until("error");
    await a.ask("good", Buffer.from("y"));
    """,
)
def test_middleware_of_events(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def check(event: str, *args: object) -> None:
            if event == "bad":
                raise EventError("no")

        socket.on("error", lambda error: log("error", str(error)))
        socket.on_any(lambda event, *args: log("any", event))
        socket.on("good", lambda x: x)


@with_parsers(
    ways=ALL,
    server=WATCHES
    + """
    watch(io.of("/admin"));
    io.on("connection", (socket) => {
      socket.on("leave", (close) => { socket.emit("last", Buffer.from("l")); socket.disconnect(close) });
    });
    """,
    client="""
    for (const close of [false, true]) {
      const a = await connect("/", { parser: msgpack });
      const b = join(a, "/admin");
      await b.until("connect");
      if (way.name === "polling") await server.polled(a.engine.id);
      a.emit("leave", close);
      await a.until("disconnect");
      if (close) await b.until("disconnect");
      else b.disconnect();
      await server.sessions(0);
    }
    const c = await connect("/", { parser: msgpack });
    c.disconnect();
    await server.sessions(0);
    """,
)
def test_disconnects(io: Server, log: Log) -> None:
    watches(io, log)
    log.watch(io.of("/admin"))

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("leave")
        def leave(close: bool) -> None:
            socket.emit("last", b"l")
            socket.disconnect(close)
