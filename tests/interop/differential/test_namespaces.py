"""Namespaces: joining, being refused, leaving and coming back."""

from __future__ import annotations

from nuncio import ConnectError, Namespace, Server, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Differs, Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

TWO = WATCHES + 'watch(io.of("/admin"));'


def two(io: Server, log: Log) -> None:
    watches(io, log)
    log.watch(io.of("/admin"))


@scenario(
    ways=ALL,
    server="""
    for (const name of ["/", "/admin"]) {
      io.of(name).on("connection", (socket) => {
        socket.emit("hello", socket.nsp.name, socket.handshake.auth);
        socket.on("ask", (ack) => ack(socket.nsp.name));
      });
    }
    """,
    client="""
    const a = await connect("/", { auth: { user: "ada" } });
    await a.until("hello");
    const b = join(a, "/admin", { auth: { user: "bob" } });
    await b.until("hello");
    await a.ask("ask");
    await b.ask("ask");
    note("ids", a.id === b.id, a.engine.id === a.id);
    """,
)
def test_two_on_one_connection(io: Server, log: Log) -> None:
    for name in ("/", "/admin"):

        @io.of(name).on("connection")
        def connection(socket: Socket) -> None:
            socket.emit("hello", socket.nsp.name, socket.handshake.auth)
            socket.on("ask", lambda: socket.nsp.name)


@scenario(
    ways=ALL,
    server=TWO,
    client="""
    const a = open("/unknown");
    await a.until("connect_error");
    const b = await connect();
    const c = join(b, "/other");
    await c.until("connect_error");
    const d = join(b, "/admin/");
    await d.until("connect_error");
    note("active", c.socket.active, b.socket.active);
    """,
)
def test_unknown_namespaces(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server=TWO,
    client="""
    const a = await ws();
    await a.next();
    // As they come: with a query, without a comma, with auth, and with what is no name.
    for (const packet of ["40/admin?x=1,", "40/x", '40/y,{"a":1}', "40/ü,", "40x"]) {
      a.send(packet);
      if (packet === "40x") await a.until("close");
      else await a.next();
    }
    await server.until("closed");
    """,
)
def test_names_on_the_wire(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    ways=ALL,
    server=TWO,
    client="""
    const a = await connect();
    const b = join(a, "/admin");
    await b.until("connect");
    b.disconnect();
    await server.until("disconnect");
    b.socket.connect();
    await b.until("connect");
    a.disconnect();
    await server.until("disconnect");
    note("open", a.engine.readyState);
    b.disconnect();
    await server.until("closed");
    """,
)
def test_leaving_and_coming_back(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server=TWO,
    client="""
    const a = await ws();
    await a.enter();
    a.send("41");
    await server.until("disconnect");
    // The connection stays, and what is sent to whom has left ends it.
    await a.enter();
    a.send("41");
    await server.until("disconnect");
    a.send('42["x"]');
    await a.until("close");
    await server.until("closed");
    """,
)
def test_leaving_on_the_wire(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server="""
    io.use((socket, next) => {
      const error = new Error(socket.handshake.auth.why);
      if ("data" in socket.handshake.auth) error.data = socket.handshake.auth.data;
      next(error);
    });
    io.on("connection", () => log("connection"));
    """,
    client="""
    const auths = [{ why: "no" }, { why: "no", data: { code: 1, more: [null, "ü"] } },
      { why: "", data: "text" }, { why: "no", data: 0 }, { why: "no", data: [] }];
    for (const auth of auths) {
      const a = open("/", { auth });
      await a.until("connect_error");
      note("active", a.socket.active);
    }
    """,
)
def test_refusals(io: Server, log: Log) -> None:
    @io.use
    def refuse(socket: Socket) -> None:
        auth = socket.handshake.auth
        raise ConnectError(auth["why"], auth.get("data"))

    io.on("connection", lambda socket: log("connection"))


@scenario(
    server=WATCHES,
    client="""
    // It leaves, but it had joined once.
    const a = await ws();
    await a.enter();
    a.send("41");
    await server.until("disconnect");
    const b = await ws();
    await b.next();
    b.send("40/unknown,");
    await b.next();
    const c = await ws();
    await c.next();
    await b.until("close");
    await c.until("close");
    await server.until("closed");
    await server.until("closed");
    await a.enter();
    """,
    options={"connect_timeout": 2.0},
    native_only="it takes its time, and hosts have no part in it",
)
def test_who_never_joins(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server="""
    io.on("new_namespace", (nsp) => log("new_namespace", nsp.name));
    for (const name of ["/a", "b", "/a", "/", ""]) io.of(name);
    log("same", io.of("a") === io.of("/a"), io.of("") === io.sockets);
    """,
    client="""
    const a = await connect("/a");
    const b = await connect("/b");
    """,
    js_options="{}",
)
def test_making_them(io: Server, log: Log) -> None:
    @io.on("new_namespace")
    def new_namespace(nsp: Namespace) -> None:
        log("new_namespace", nsp.name)

    for name in ("/a", "b", "/a", "/", ""):
        io.of(name)
    log("same", io.of("a") is io.of("/a"), io.of("") is io.sockets)


@scenario(
    server=TWO,
    client="""
    const a = await ws();
    await a.next();
    a.send("40", "40");
    await a.next();
    await a.until("frame", "close");
    """,
    differs=[
        Differs(
            "the second is a violation even in the same tick",
            "a",
            [["frame", '40{"sid":"<3>"}']],
            [["close", 1005, ""]],
        ),
        Differs(
            "which ends the connection",
            "server",
            [["connection"], ["connection"]],
            [
                ["connection"],
                ["disconnecting", "forced close", {"$set": ["<2>"]}],
                ["disconnect", "forced close", {"$set": []}],
                ["closed", "forced close"],
            ],
        ),
    ],
)
def test_joining_twice_at_once(io: Server, log: Log) -> None:
    two(io, log)


@scenario(
    server=TWO,
    client="""
    const a = await ws();
    await a.next();
    a.send("40", "40/admin,");
    await a.next();
    await a.next();
    const b = await ws();
    await b.next();
    b.send("40", '42["early"]');
    await Promise.race([b.until("close"), server.until("event")]);
    """,
    differs=[
        Differs(
            "who is let in at once may send at once",
            "b",
            [["close", 1005, ""]],
            [["frame", '40{"sid":"<5>"}']],
        ),
        Differs(
            "so the event arrives",
            "server",
            [["closed", "forced close"]],
            [["connection"], ["event", "early"]],
        ),
    ],
)
def test_speaking_before_the_answer(io: Server, log: Log) -> None:
    two(io, log)
