"""Moving from long-polling to WebSocket, and failing to."""

from __future__ import annotations

from nuncio import Server, Session, Socket
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Log, scenario

UPGRADES = (
    WATCHES
    + """
io.engine.on("connection", (session) => {
  session.on("upgrading", (transport) => log("upgrading", transport.name));
  session.on("upgrade", (transport) => log("upgrade", transport.name, session.transport.name));
});
"""
)


def upgrades(io: Server, log: Log) -> None:
    watches(io, log)

    @io.engine.on("connection")
    def connection(session: Session) -> None:
        session.on("upgrading", lambda transport: log("upgrading", transport.name))
        session.on(
            "upgrade",
            lambda transport: log("upgrade", transport.name, session.transport.name),
        )


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    await poll();
    b.send("5");
    await server.until("upgrade");
    b.send('42["after"]');
    await server.until("event");
    // It has left long-polling for good.
    await a.get();
    await a.post('42["x"]');
    """,
)
def test_the_dance(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await connect("/", { transports: ["polling", "websocket"] });
    await a.upgraded();
    await server.until("upgrade");
    a.emit("after");
    await server.until("event");
    a.disconnect();
    await server.until("closed");
    """,
)
def test_the_official_client(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    for (const first of ["4x", "2", "2prob", "2probe2", "3probe", "6", "0", "x", "", "1"]) {
      const b = await a.probe();
      b.send(first);
      await b.until("close");
    }
    const c = await a.probe();
    c.send(Buffer.from("2probe"));
    await c.until("close");
    // The session goes on, and may still move.
    await a.post('42["still"]');
    const d = await a.probe();
    d.send("2probe");
    await d.next();
    d.send("5");
    await server.until("upgrade");
    d.send('42["after"]');
    await server.until("event");
    await server.until("event");
    """,
)
def test_probes_that_are_none(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const b = await a.probe();
    b.send("2probe", "2probe");
    await b.next();
    await b.next();
    b.send('42["early"]');
    await b.until("close");
    const c = await a.probe();
    c.send("5ignored");
    await server.until("upgrade");
    c.send('42["after"]');
    await server.until("event");
    """,
)
def test_probes_that_are_lenient(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    const c = await a.probe();
    await c.until("close");
    b.send("5");
    await server.until("upgrade");
    const d = await a.probe();
    await d.until("close");
    b.send('42["after"]');
    await server.until("event");
    """,
)
def test_one_probe_at_a_time(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await ws();
    await a.enter();
    // The reference waits for the probe until it gives up, Nuncio closes at once.
    const b = await ws(`&sid=${a.sid}`);
    await b.until("close");
    a.send('42["after"]');
    await server.until("event");
    """,
    options={"upgrade_timeout": 0.5},
)
def test_a_websocket_has_nowhere_to_move(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const b = await polling();
    await b.enter();
    const c = await a.probe();
    const d = await b.probe();
    d.send("2probe");
    await d.next();
    await c.until("close");
    await d.until("close");
    for (const session of [a, b]) {
      await session.post('42["still"]');
      await server.until("event");
    }
    """,
    options={"upgrade_timeout": 1.0},
    native_only="it takes its time, and hosts have no part in it",
)
def test_probes_that_take_too_long(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    await a.post("1");
    await b.until("close");
    await server.until("closed");
    """,
)
def test_a_session_that_ends_while_it_moves(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    b.socket.terminate();
    await b.until("close");
    await a.post('42["still"]');
    await server.until("event");
    const c = await a.probe();
    c.send("2probe");
    await c.next();
    c.send("5");
    await server.until("upgrade");
    c.socket.terminate();
    await server.until("closed");
    await a.get();
    """,
)
def test_probes_that_are_lost(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES
    + """
    io.on("connection", (socket) => { does.send = (...args) => { socket.emit(...args) }; });
    """,
    client="""
    const a = await polling();
    await a.enter();
    const b = await a.probe();
    b.send("2probe");
    await b.next();
    // While it moves, everything still goes over long-polling.
    await server.do("send", "one");
    await a.get();
    await server.do("send", "two");
    await server.do("send", "three");
    b.send("5");
    await b.next();
    await b.next();
    await server.do("send", "four");
    await b.next();
    """,
)
def test_what_is_sent_meanwhile(io: Server, log: Log) -> None:
    upgrades(io, log)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @log.does
        def send(event: str) -> None:
            socket.emit(event)


@scenario(
    server=UPGRADES,
    client="""
    const a = await polling();
    await a.enter();
    const poll = await a.hold();
    const b = await a.probe();
    b.send("5");
    await poll();
    await server.until("upgrade");
    """,
)
def test_a_poll_that_waits_when_it_moves(io: Server, log: Log) -> None:
    upgrades(io, log)


@scenario(
    server=UPGRADES,
    client="""
    const a = await connect("/", { transports: ["polling", "websocket"] });
    note("transport", a.engine.transport.name, a.engine.upgrades);
    const b = await polling();
    await b.enter();
    const c = await b.probe();
    c.send("2probe");
    await c.next();
    c.send("5");
    await server.until("upgrade");
    """,
    options={"allow_upgrades": False},
)
def test_upgrades_that_are_not_offered(io: Server, log: Log) -> None:
    upgrades(io, log)
