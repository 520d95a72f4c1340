"""Middlewares: of namespaces, of sockets and of HTTP, their order and their errors."""

from __future__ import annotations

import asyncio

from nuncio import ConnectError, EventError, Exchange, Request, Server, Socket
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)


@scenario(
    ways=ALL,
    server="""
    io.use((socket, next) => {
      log("one", socket.connected, socket.rooms, io.sockets.sockets.size);
      next();
    });
    io.use((socket, next) => { log("two"); setTimeout(next, 5); });
    io.use(async (socket, next) => { log("three"); socket.data.user = "ada"; next(); });
    io.on("connect", (socket) => log("connect", socket.connected, socket.rooms));
    io.on("connection", (socket) => log("connection", socket.data));
    """,
    client="""
    await connect();
    await server.until("connection");
    """,
)
def test_the_order_of_admission(io: Server, log: Log) -> None:
    @io.use
    def one(socket: Socket) -> None:
        log("one", socket.connected, socket.rooms, len(io.sockets.sockets))

    @io.use
    async def two(socket: Socket) -> None:
        log("two")
        await asyncio.sleep(0.005)

    @io.use
    async def three(socket: Socket) -> None:
        log("three")
        socket.data["user"] = "ada"

    io.on("connect", lambda socket: log("connect", socket.connected, socket.rooms))
    io.on("connection", lambda socket: log("connection", socket.data))


@scenario(
    ways=ALL,
    server="""
    io.use((socket, next) => {
      socket.emit("early", 1);
      socket.join("room");
      socket.disconnect();
      next();
    });
    io.on("connection", (socket) => {
      log("connection", socket.rooms);
      socket.emit("late", 2);
    });
    """,
    client="""
    const a = await connect();
    await a.until("late");
    """,
)
def test_sockets_that_are_not_connected_yet(io: Server, log: Log) -> None:
    @io.use
    def middleware(socket: Socket) -> None:
        socket.emit("early", 1)
        socket.join("room")
        socket.disconnect()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.rooms)
        socket.emit("late", 2)


@scenario(
    server="""
    io.use((socket, next) => { socket.join("room"); next(new Error("no")); });
    io.use((socket, next) => { log("not reached"); next(); });
    io.on("connection", () => log("connection"));
    io.of("/").adapter.on("leave-room", (room) => log("left", room));
    does.rooms = () => [...io.of("/").adapter.rooms.keys()];
    """,
    client="""
    const a = open();
    await a.until("connect_error");
    note("rooms", await server.do("rooms"));
    """,
)
def test_a_refusal_leaves_nothing(io: Server, log: Log) -> None:
    @io.use
    def refuse(socket: Socket) -> None:
        socket.join("room")
        raise ConnectError("no")

    io.use(lambda socket: log("not reached"))
    io.on("connection", lambda socket: log("connection"))
    io.sockets.adapter.on("leave_room", lambda room, id: log("left", room))

    @log.does
    def rooms() -> list[object]:
        return list(io.sockets.adapter.rooms)


@scenario(
    server="""
    io.of("/admin").use((socket, next) => next(new Error("not you")));
    io.use((socket, next) => { log("main"); next(); });
    """,
    client="""
    const a = await connect();
    const b = join(a, "/admin");
    await b.until("connect_error");
    a.emit("still");
    note("connected", a.socket.connected);
    """,
)
def test_namespaces_have_their_own(io: Server, log: Log) -> None:
    @io.of("/admin").use
    def refuse(socket: Socket) -> None:
        raise ConnectError("not you")

    io.use(lambda socket: log("main"))


@scenario(
    server="""
    io.use((socket, next) => {
      log("asked");
      does.decide = () => { log("decided"); next() };
    });
    io.on("connection", (socket) => {
      log("connection");
      socket.on("disconnect", () => log("disconnect"));
    });
    """,
    client="""
    const a = await ws();
    await a.next();
    a.send("40");
    await server.until("asked");
    a.socket.terminate();
    await server.sessions(0);
    await server.do("decide");
    // Somebody else, so that what the first one could cause has happened.
    const b = open();
    await server.until("asked");
    await server.do("decide");
    await server.until("connection");
    await b.until("connect");
    """,
)
def test_a_client_that_leaves_meanwhile(io: Server, log: Log) -> None:
    @io.use
    async def middleware(socket: Socket) -> None:
        log("asked")
        decided = asyncio.Event()

        @log.does
        def decide() -> None:
            log("decided")
            decided.set()

        await decided.wait()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection")
        socket.on("disconnect", lambda: log("disconnect"))


@scenario(
    server="""
    io.use((socket, next) => { throw new Error("secret"); });
    """,
    client="""
    const a = open();
    await Promise.race([a.until("connect_error"), server.until("uncaught")]);
    """,
    differs=[
        Differs(
            "what a middleware raises refuses, and tells the client nothing",
            "a",
            [],
            [["connect_error", {"$error": {"message": "internal error"}}]],
        ),
        Differs("and does not end the process", "server", [["uncaught", "secret"]], []),
    ],
    complains=True,
)
def test_a_middleware_that_fails(io: Server, log: Log) -> None:
    @io.use
    def middleware(socket: Socket) -> None:
        raise RuntimeError("secret")


@scenario(
    ways=ALL,
    server="""
    io.on("connection", (socket) => {
      socket.onAny((event) => log("any", event));
      socket.use(([event, ...args], next) => {
        log("one", event, ...args);
        next(event === "refused" ? Object.assign(new Error("no"), { data: 7 }) : undefined);
      });
      socket.use(([event], next) => { log("two", event); setTimeout(next, 3); });
      for (const event of ["fine", "refused", "last"]) {
        socket.on(event, (...args) => log("handler", event, ...args));
      }
      socket.on("error", (error) => log("error", error));
    });
    """,
    client="""
    const a = await connect();
    a.emit("fine", 1, { b: 2 });
    await server.until("handler");
    a.emit("refused", 2);
    await server.until("error");
    a.emit("last");
    await server.until("handler");
    """,
)
def test_socket_middlewares(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(lambda event, *args: log("any", event))

        @socket.use
        def one(event: str, *args: object) -> None:
            log("one", event, *args)
            if event == "refused":
                raise EventError("no", 7)

        @socket.use
        async def two(event: str) -> None:
            log("two", event)
            await asyncio.sleep(0.003)

        def handle(event: str) -> None:
            socket.on(event, lambda *args: log("handler", event, *args))

        for event in ("fine", "refused", "last"):
            handle(event)
        socket.on("error", lambda error: log("error", error))


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.use((packet, next) => next(new Error("no")));
      socket.on("ask", (ack) => ack("yes"));
      socket.conn.on("close", (reason) => log("closed", reason));
    });
    """,
    client="""
    // Without a listener for the error, nothing else happens.
    const a = await connect();
    await new Promise((resolve) => {
      a.socket.timeout(50).emit("ask", (error, answer) => resolve(note("answer", error, answer)));
    });
    note("connected", a.socket.connected);
    """,
)
def test_a_socket_middleware_that_refuses_everything(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def refuse(event: str) -> None:
            raise EventError("no")

        socket.on("ask", lambda: "yes")
        socket.conn.on("close", lambda reason, description: log("closed", str(reason)))


@scenario(
    server="""
    io.engine.use((req, res, next) => {
      log("one", req.method, req.url.includes("sid="), "upgrade" in req.headers);
      res.setHeader("x-one", "1");
      next();
    });
    io.engine.use((req, res, next) => { log("two"); setTimeout(next, 2); });
    """,
    client="""
    const a = await polling();
    await a.post("40");
    await a.get();
    const b = await a.probe();
    await http("?EIO=4&transport=tobi");
    await http("?EIO=4&transport=polling", { method: "OPTIONS" });
    const c = await ws();
    await c.next();
    """,
)
def test_http_middlewares(io: Server, log: Log) -> None:
    @io.engine.use
    def one(request: Request, response: Exchange) -> None:
        log("one", request.method, "sid=" in request.url, "upgrade" in request.headers)
        response.set_header("x-one", "1")

    @io.engine.use
    async def two(request: Request, response: Exchange) -> None:
        log("two")
        await asyncio.sleep(0.002)


@scenario(
    server="""
    io.engine.use((req, res, next) => {
      if (req.url.includes("refuse")) next(new Error("no"));
      else if (req.url.includes("answer")) {
        res.writeHead(503, { "Content-Type": "text/plain" });
        res.end("busy");
      } else next();
    });
    io.engine.use((req, res, next) => { log("next"); next(); });
    io.engine.on("connection_error", (error) => log("connection_error", error.code, error.message));
    """,
    client="""
    await http("?EIO=4&transport=polling&refuse=1");
    const a = await ws("&refuse=1");
    await a.until("close");
    await http("?EIO=4&transport=polling&answer=1");
    await http("?EIO=4&transport=polling");
    """,
)
def test_http_middlewares_that_answer(io: Server, log: Log) -> None:
    @io.engine.use
    def one(request: Request, response: Exchange) -> None:
        if "refuse" in request.query:
            raise ConnectError("no")
        if "answer" in request.query:
            response.end(503, "busy")

    io.engine.use(lambda request, response: log("next"))
    io.engine.on(
        "connection_error",
        lambda failure: log("connection_error", failure.code, failure.message),
    )


@scenario(
    server="""
    io.engine.on("initial_headers", (headers, req) => {
      log("initial", "set-cookie" in headers || "Set-Cookie" in headers, req.url.includes("sid="));
      headers["x-initial"] = "1";
      headers["set-cookie"] = "a=b";
    });
    io.engine.on("headers", (headers, req) => {
      log("headers", req.method, req.url.includes("sid="));
      headers["x-every"] = "2";
    });
    """,
    client="""
    const a = await polling();
    await a.post("40");
    await a.get();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    const c = await ws();
    await c.next();
    await http("?EIO=4&transport=tobi");
    """,
)
def test_events_of_headers(io: Server, log: Log) -> None:
    @io.engine.on("initial_headers")
    def initial(headers: dict[str, str], request: Request) -> None:
        log("initial", "Set-Cookie" in headers, "sid" in request.query)
        headers["x-initial"] = "1"
        headers["set-cookie"] = "a=b"

    @io.engine.on("headers")
    def every(headers: dict[str, str], request: Request) -> None:
        log("headers", request.method, "sid" in request.query)
        headers["x-every"] = "2"
