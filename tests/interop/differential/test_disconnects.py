"""How sockets and connections end, and what both sides are told."""

from __future__ import annotations

from nuncio import Server, Session, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

ALL = (POLLING, WEBSOCKET, UPGRADED)

# Two namespaces, and every way in which the server may end a client.
ENDS = (
    WATCHES
    + """
watch(io.of("/admin"));
does.disconnect = (close) => { [...io.sockets.sockets.values()][0].disconnect(close) };
does.closeConnection = (discard) => { [...io.sockets.sockets.values()][0].conn.close(discard) };
does.closeServer = () => { io.close() };
does.sendAndLeave = () => {
  const socket = [...io.sockets.sockets.values()][0];
  socket.emit("last", 1);
  socket.disconnect(true);
  socket.emit("too late");
  socket.disconnect();
};
"""
)


def ends(io: Server, log: Log) -> None:
    watches(io, log)
    log.watch(io.of("/admin"))

    def first() -> Socket:
        return next(iter(io.sockets.sockets.values()))

    @log.does
    def disconnect(close: bool) -> None:
        first().disconnect(close)

    @log.does
    def closeConnection(discard: bool) -> None:
        first().conn.close(discard)

    @log.does
    async def closeServer() -> None:
        await io.close()

    @log.does
    def sendAndLeave() -> None:
        socket = first()
        socket.emit("last", 1)
        socket.disconnect(True)
        socket.emit("too late")
        socket.disconnect()


JOINED = """
const a = await connect();
const b = join(a, "/admin");
await b.until("connect");
if (way.name === "polling") await server.polled(a.engine.id);
"""


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    await server.do("disconnect", false);
    await a.until("disconnect");
    note("open", a.engine.readyState, b.socket.connected, a.socket.active);
    a.socket.connect();
    await a.until("connect");
    """,
)
def test_the_server_disconnects_one_namespace(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    await server.do("disconnect", true);
    await a.until("disconnect");
    await b.until("disconnect");
    await server.sessions(0);
    note("active", a.socket.active, b.socket.active);
    """,
)
def test_the_server_disconnects_everything(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    await server.do("closeConnection", false);
    await a.until("disconnect");
    await b.until("disconnect");
    await server.sessions(0);
    note("active", a.socket.active, b.socket.active);
    """,
)
def test_the_server_closes_the_connection(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    await server.do("closeConnection", true);
    await a.until("disconnect");
    await b.until("disconnect");
    await server.sessions(0);
    """,
)
def test_the_server_closes_the_connection_at_once(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    await server.do("closeServer");
    await a.until("disconnect");
    await b.until("disconnect");
    await server.sessions(0);
    note("active", a.socket.active, b.socket.active);
    """,
)
def test_the_server_ends(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client="""
    const a = await connect();
    if (way.name === "polling") await server.polled(a.engine.id);
    await server.do("sendAndLeave");
    await a.until("disconnect");
    await server.sessions(0);
    """,
)
def test_what_was_sent_before_arrives(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    a.disconnect();
    await server.until("disconnect");
    b.disconnect();
    await server.sessions(0);
    """,
)
def test_clients_disconnect(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    ways=ALL,
    server=ENDS,
    client=JOINED
    + """
    a.engine.close();
    await a.until("disconnect");
    await b.until("disconnect");
    await server.sessions(0);
    """,
)
def test_clients_close_the_connection(io: Server, log: Log) -> None:
    ends(io, log)


@scenario(
    server=WATCHES
    + """
    io.on("connection", (socket) => {
      log("before", socket.connected);
      socket.disconnect();
      log("after", socket.connected, socket.disconnected, socket.rooms);
      socket.on("x", () => log("x"));
    });
    """,
    client="""
    const a = open();
    a.emit("x");
    await a.until("disconnect");
    await server.until("closed");
    """,
)
def test_at_once_in_the_connection_handler(io: Server, log: Log) -> None:
    watches(io, log)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("before", socket.connected)
        socket.disconnect()
        log("after", socket.connected, socket.disconnected, socket.rooms)
        socket.on("x", lambda: log("x"))


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.onAnyOutgoing((event) => log("outgoing", event));
      socket.on("disconnect", () => {
        socket.emit("gone");
        io.to(socket.id).emit("gone, too");
        socket.join("room");
        log("state", socket.connected, socket.rooms, io.sockets.sockets.size);
        socket.disconnect();
        socket.disconnect(true);
      });
    });
    """,
    client="""
    const a = await connect();
    a.disconnect();
    await server.until("state");
    """,
)
def test_what_is_done_after_the_end(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any_outgoing(lambda event: log("outgoing", event))

        @socket.on("disconnect")
        def disconnect() -> None:
            socket.emit("gone")
            io.to(socket.id).emit("gone, too")
            socket.join("room")
            log("state", socket.connected, socket.rooms, len(io.sockets.sockets))
            socket.disconnect()
            socket.disconnect(True)


@scenario(
    server="""
    io.on("connection", (socket) => {
      socket.on("bye", () => socket.disconnect());
      socket.on("after", () => log("after"));
      socket.on("disconnect", (reason) => log("disconnect", reason));
    });
    """,
    client="""
    const a = await ws();
    await a.enter();
    // In one piece, as a client sends what is emitted at once.
    a.socket._socket.cork();
    a.send('42["bye"]', '42["after"]', '451-["after",{"_placeholder":true,"num":0}]');
    a.send(Buffer.from([1]), "430[]");
    a.socket._socket.uncork();
    await a.next();
    await server.until("disconnect");
    a.send("40");
    await a.next();
    // The client's own end is no different.
    a.socket._socket.cork();
    a.send("41", '42["after"]');
    a.socket._socket.uncork();
    await server.until("disconnect");
    a.send("40");
    await a.next();
    const b = await polling();
    await b.enter();
    await b.post('42["bye"]\x1e42["after"]');
    await b.get();
    await server.until("disconnect");
    await b.enter();
    // Who speaks later is out.
    await b.post("41");
    await server.until("disconnect");
    await b.post('42["late"]');
    await b.get();
    await b.get();
    """,
)
def test_events_behind_the_end(io: Server, log: Log) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("bye", lambda: socket.disconnect())
        socket.on("after", lambda: log("after"))
        socket.on("disconnect", lambda reason: log("disconnect", reason))


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.enter();
    const t = await tcp();
    t.write(`GET /socket.io/?EIO=4&transport=polling&sid=${a.sid} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n`);
    await server.polled(a.sid);
    t.socket.destroy();
    await server.until("closed");
    """,
)
def test_a_connection_that_breaks(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server="""
    io.engine.on("connection", (session) => {
      log("open", session.transport.name, session.readyState, session.upgraded);
      session.on("close", (reason) => log("closed", reason, session.readyState));
    });
    io.on("connection", (socket) => {
      log("connection", socket.conn.transport.name, io.engine.clientsCount);
      does.count = () => { log("count", io.engine.clientsCount, io.sockets.sockets.size) };
    });
    """,
    client="""
    const a = await connect();
    const b = await connect("/", { transports: ["polling"] });
    await server.do("count");
    a.disconnect();
    await server.sessions(1);
    await server.do("count");
    b.disconnect();
    await server.sessions(0);
    await server.do("count");
    """,
)
def test_what_the_engine_tells(io: Server, log: Log) -> None:
    @io.engine.on("connection")
    def opened(session: Session) -> None:
        log("open", session.transport.name, session.ready_state, session.upgraded)
        session.on(
            "close",
            lambda reason, description: log("closed", str(reason), session.ready_state),
        )

    @io.on("connection")
    def connection(socket: Socket) -> None:
        log("connection", socket.conn.transport.name, io.engine.clients_count)

        @log.does
        def count() -> None:
            log("count", io.engine.clients_count, len(io.sockets.sockets))
