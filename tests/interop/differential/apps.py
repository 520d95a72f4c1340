"""Parts of applications that several scenarios share, in both languages."""

from __future__ import annotations

from nuncio import Ack, Server, Session, Socket
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


# Sockets by the order in which they came, which join rooms when they are told to.
ROOMS = """
const sockets = [];
io.on("connection", (socket) => {
  sockets.push(socket);
  const joined = () => [...socket.rooms].filter((room) => room !== socket.id).sort();
  socket.on("join", (rooms, ack) => {
    socket.join(rooms);
    ack(joined(), socket.rooms.has(socket.id));
  });
  socket.on("leave", (room, ack) => {
    socket.leave(room);
    ack(joined(), socket.rooms.has(socket.id));
  });
});
"""


def rooms(io: Server) -> list[Socket]:
    """`ROOMS` in Python; returns the sockets."""
    sockets: list[Socket] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        sockets.append(socket)

    def joined(socket: Socket) -> Ack:
        names = [str(room) for room in socket.rooms if room != socket.id]
        return Ack(sorted(names), socket.id in socket.rooms)

    @io.on("join")
    def join(socket: Socket, rooms: str | list[str]) -> Ack:
        socket.join(rooms)
        return joined(socket)

    @io.on("leave")
    def leave(socket: Socket, room: str) -> Ack:
        socket.leave(room)
        return joined(socket)

    return sockets
