"""Acknowledgements, both ways."""

from __future__ import annotations

from nuncio import Ack, AckCallback, Server, Socket
from tests.interop.differential.harness import Log, scenario
from tests.support.node import POLLING, UPGRADED, WEBSOCKET

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
