"""Servers that speak MessagePack: socket.io-msgpack-parser on Node's, `MsgPackParser` on ours."""

from __future__ import annotations

from functools import partial

from nuncio import MsgPackParser, Server, Socket
from tests.interop.differential.apps import CLOSES, closes
from tests.interop.differential.harness import Log, scenario

with_parsers = partial(
    scenario,
    options={"parser": MsgPackParser()},
    js_options='{ parser: require("socket.io-msgpack-parser") }',
)

# As `apps.WATCHES`, without the words in which garbage is told: they are each parser's own.
WATCHES = (
    CLOSES
    + """
watch(io);
io.on("connection", (socket) => {
  socket.on("error", () => log("error"));
  socket.onAny((event, ...args) => {
    log("event", event, ...args.filter((value) => typeof value !== "function"));
  });
});
"""
)


def watches(io: Server, log: Log) -> None:
    """`WATCHES` in Python."""
    closes(io, log)
    log.watch(io)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("error", lambda error=None: log("error"))
        socket.on_any(lambda event, *args: log("event", event, *args))
