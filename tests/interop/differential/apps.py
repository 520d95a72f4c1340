"""Parts of applications that several scenarios share, in both languages."""

from __future__ import annotations

from nuncio import Server, Session, Socket
from tests.interop.differential.harness import Log

# How sessions end.
CLOSES = """
io.engine.on("connection", (session) => {
  session.on("close", (reason) => log("closed", reason));
});
"""


def closes(io: Server, log: Log) -> None:
    """`CLOSES` in Python."""

    @io.engine.on("connection")
    def connection(session: Session) -> None:
        session.on("close", lambda reason, description: log("closed", str(reason)))


# How sessions and their sockets end, what their sockets are told of garbage, and every event; but
# not the function that answers, which catch-alls see in JavaScript only.
WATCHES = (
    CLOSES
    + """
watch(io);
io.on("connection", (socket) => {
  socket.on("error", (error) => log("error", error && error.message));
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
        socket.on("error", lambda error=None: log("error", error and str(error)))
        socket.on_any(lambda event, *args: log("event", event, *args))
