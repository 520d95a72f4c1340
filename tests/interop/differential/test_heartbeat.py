"""Heartbeats. Nothing depends on exact times: where a client must be in time, it has a second."""

from __future__ import annotations

from nuncio import Server
from tests.interop.differential.apps import WATCHES, watches
from tests.interop.differential.harness import Log, scenario

# Pings come often, and whoever answers them has time for it.
OFTEN = {"ping_interval": 0.05, "ping_timeout": 20.0}

LONG = "it takes its time, and hosts have no part in it"


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.next();
    for (let i = 0; i < 3; i++) {
      await a.next();
      a.send("3");
    }
    // The last one stays without an answer, so no other follows.
    await a.next();
    """,
    options=OFTEN,
)
def test_pings_are_answered(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await ws();
    await a.enter();
    await a.until("close");
    await server.until("closed");
    """,
    options={"ping_interval": 1.0, "ping_timeout": 0.05},
)
def test_a_websocket_that_does_not_answer(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.get();
    await a.get();
    await server.until("closed");
    await a.get();
    """,
    options={"ping_interval": 0.05, "ping_timeout": 1.0},
    native_only=LONG,
)
def test_a_poll_that_does_not_answer(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    await a.post("40");
    await server.until("closed");
    await a.get();
    """,
    options={"ping_interval": 0.05, "ping_timeout": 1.0},
    native_only=LONG,
)
def test_nobody_polls(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await polling();
    for (let i = 0; i < 2; i++) {
      await a.get();
      await a.post("3");
    }
    await a.get();
    """,
    options=OFTEN,
)
def test_pings_over_polling(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    const a = await connect("/", { transports: ["polling", "websocket"] });
    await a.upgraded();
    let pings = 0;
    await new Promise((resolve) => a.engine.on("ping", () => ++pings === 3 && resolve()));
    a.emit("after");
    await server.until("event");
    """,
    options=OFTEN,
)
def test_the_official_client_lives_on(io: Server, log: Log) -> None:
    watches(io, log)


@scenario(
    server=WATCHES,
    client="""
    // The server's pings never come: the client gives up, and the server sees it go.
    const a = await connect();
    a.engine._pingInterval = 20;
    a.engine._pingTimeout = 20;
    a.engine._resetPingTimeout();
    await a.until("disconnect");
    await server.until("closed");
    """,
)
def test_a_client_that_misses_pings(io: Server, log: Log) -> None:
    watches(io, log)
