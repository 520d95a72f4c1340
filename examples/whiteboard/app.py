"""A whiteboard to draw on together: strokes are bytes, boards are rooms, cursors are volatile.

    python examples/whiteboard/app.py        # then open http://localhost:3004 in two windows

The part of the address behind the `#` names the board: http://localhost:3004/#plans is another one.
The page is `index.html`; this file is the server, all of it.
"""

from __future__ import annotations

import argparse
import array
import dataclasses
import struct
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec

import nuncio

PAGE = Path(__file__).parent / "index.html"

# A stroke is two bytes, colour and width, and then its points: pairs of 16-bit integers, little-
# endian, in sixteenths of a unit. The page sends it so, the server keeps it so, and nobody decodes
# it in between. What is beyond these numbers is no stroke.
WIDTH, HEIGHT = 1600 * 16, 1000 * 16
TOOLS, COLOURS = 3, 10  # the upper and the lower half of the first byte
POINTS = 1000

# What a board may grow to: its oldest strokes make room for new ones.
BOARD_STROKES = 3000
BOARD_BYTES = 512 * 1024
BOARDS = 64
PEOPLE = 40

SECONDS_AWAY = 60.0  # who is back within a minute has missed nothing

# Annotations are contracts: what does not fit never reaches the handler.
BoardName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]
Bytes = Annotated[bytes, msgspec.Meta(min_length=2, max_length=2 + 4 * POINTS)]
Key = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
X = Annotated[int, msgspec.Meta(ge=0, le=WIDTH)]
Y = Annotated[int, msgspec.Meta(ge=0, le=HEIGHT)]


@dataclasses.dataclass
class Visitor:
    """What `socket.data` is: whose page it is, and which board it shows."""

    name: str = ""
    key: str = ""
    board: str = ""


Socket = nuncio.Socket[Visitor]
Answer = dict[str, Any]

io = nuncio.Server(
    data=Visitor,
    # A page that loses its link gets what it missed, in order, as if nothing had happened.
    connection_state_recovery={"max_disconnection_duration": SECONDS_AWAY},
    max_http_buffer_size=16 * 1024,
    # Back-pressure: who sends more than this is not read for a moment. Nothing is lost by it.
    limits=nuncio.Limits(events_per_connection=nuncio.Rate(120, burst=400)),
)


class Refused(Exception):
    """Something that was not done. Its text is for the person at the page."""


@io.exception_handler(Refused, nuncio.ArgumentError, nuncio.RateLimited)
def refused(error: Exception) -> Answer:
    """The acknowledgement of what a handler refuses, or Nuncio before it: always of one form."""
    return {"ok": False, "error": str(error)}


# --- what is drawn


class Board:
    """The strokes of one board, in order, and who looks at it.

    Each change has a number, one more than the last: a page that sees a gap asks for everything.
    A stroke's id is the number of the change that brought it.
    """

    def __init__(self, name: str) -> None:
        self.room = f"board:{name}"  # with a prefix, since every socket's id is a room, too
        self.version = 0
        self.strokes: dict[int, tuple[str, bytes]] = {}
        self.size = 0
        self.seen: dict[int, None] = {}
        self.people: dict[str, Answer] = {}
        self.left = time.monotonic()

    def change(self) -> int:
        """The number of the next change."""
        self.version += 1
        return self.version

    def add(self, author: str, stroke: bytes) -> int:
        """Keep a stroke; its id."""
        number = self.change()
        self.strokes[number] = (author, stroke)
        self.size += len(stroke)
        return number

    def remove(self, number: int) -> None:
        """Forget a stroke."""
        self.size -= len(self.strokes.pop(number)[1])

    def last_of(self, author: str) -> int | None:
        """Somebody's latest stroke."""
        return next((n for n in reversed(self.strokes) if self.strokes[n][0] == author), None)

    def make_room(self) -> int | None:
        """Forget the oldest strokes if there are too many; the last one that had to go."""
        number = None
        while len(self.strokes) > BOARD_STROKES or self.size > BOARD_BYTES:
            number = next(iter(self.strokes))
            self.remove(number)
        return number

    def is_new(self, key: int) -> bool:
        """Whether a stroke comes for the first time: a page sends again what was not answered."""
        if key in self.seen:
            return False
        self.seen[key] = None
        if len(self.seen) > 2 * BOARD_STROKES:
            del self.seen[next(iter(self.seen))]
        return True

    def snapshot(self) -> bytes:
        """Everything: the version, and of each stroke its id, its length and its bytes."""
        parts = [struct.pack("<I", self.version)]
        for number, (_, stroke) in self.strokes.items():
            parts += (struct.pack("<IH", number, len(stroke)), stroke)
        return b"".join(parts)


boards: dict[str, Board] = {}


def open_board(name: str) -> Board:
    """A board that is there, or a new one."""
    if name not in boards:
        if len(boards) >= BOARDS:
            forget_a_board()
        boards[name] = Board(name)
    return boards[name]


def forget_a_board() -> None:
    """Make room: for how long has nobody been at a board? Who lost the link may still come back."""
    before = time.monotonic() - 2 * SECONDS_AWAY
    empty = [name for name in boards if not boards[name].people and boards[name].left < before]
    if not empty:
        raise Refused("There are too many boards at the moment. Join one of them, or try later.")
    del boards[min(empty, key=lambda name: boards[name].left)]


def check(stroke: bytes) -> None:
    """Refuse what the page would never send: everybody else's page has to draw it."""
    points = array.array("h")
    if len(stroke) % 4 != 2 or stroke[0] >> 4 >= TOOLS or stroke[0] & 15 >= COLOURS:
        raise Refused("That is no stroke.")
    points.frombytes(stroke[2:])
    if sys.byteorder == "big":
        points.byteswap()
    xs, ys = points[0::2], points[1::2]
    if points and (min(points) < 0 or max(xs) > WIDTH or max(ys) > HEIGHT):
        raise Refused("That stroke leaves the board.")


# --- who is there


@io.use
def named(socket: Socket) -> None:
    """Nobody comes in without a name. The page shows the reason."""
    name, key = socket.handshake.auth.get("name"), socket.handshake.auth.get("key")
    name = " ".join(name.split()) if isinstance(name, str) else ""
    if not 1 <= len(name) <= 24 or not name.isprintable():
        raise nuncio.ConnectError("A name has 1 to 24 characters.")
    if not isinstance(key, str) or not 16 <= len(key) <= 64:
        raise nuncio.ConnectError("This page is out of date. Load it again.")
    socket.data.name, socket.data.key = name, key


@io.on("connection")
def connection(socket: Socket) -> None:
    """A page is new, and will join a board; or it lost its link and is back where it was."""
    if socket.recovered and socket.data.board:
        arrive(socket, boards[socket.data.board])


@io.on("disconnect")
def leave(socket: Socket) -> None:
    """A page was closed, lost its link, or goes to another board."""
    if board := boards.get(socket.data.board):
        board.people.pop(socket.id, None)
        board.left = time.monotonic()
        tell_people(board)


def arrive(socket: Socket, board: Board) -> None:
    """Give somebody a colour that few others have, and tell everybody."""
    taken = [person["hue"] for person in board.people.values()]
    hue = min(range(0, 360, 30), key=lambda hue: (taken.count(hue), hue * 7 % 360))
    board.people[socket.id] = {"id": socket.id, "name": socket.data.name, "hue": hue}
    tell_people(board)


def tell_people(board: Board) -> None:
    """Only the latest list counts: on a slow link it takes the place of one that waits."""
    people = list(board.people.values())
    io.to(board.room).when_slow(nuncio.conflate("people")).emit("people", people)


def at_board(socket: Socket) -> Board:
    """The board that somebody is at: handlers say that they need it."""
    if not socket.data.board:
        raise Refused("Join a board first.")
    return boards[socket.data.board]


Here = Annotated[Board, nuncio.Depends(at_board)]


# --- what pages ask for


@io.event
def join(socket: Socket, name: BoardName) -> Answer:
    """Come to a board. The answer holds all of it, and what is drawn later comes later."""
    board = open_board(name)
    if len(board.people) >= PEOPLE and socket.id not in board.people:
        raise Refused(f"There are {PEOPLE} people at this board already. Try another one.")
    if old := boards.get(socket.data.board):
        socket.leave(old.room)
        leave(socket)
    socket.data.board = name
    socket.join(board.room)
    arrive(socket, board)
    return {"ok": True, "board": board.snapshot()}


@io.event
def draw(socket: Socket, key: Key, stroke: Bytes, board: Here) -> Answer:
    """Draw a stroke. Everybody gets it in the same order, who drew it among them."""
    check(stroke)
    if board.is_new(key):
        number = board.add(socket.data.key, stroke)
        io.to(board.room).emit("drawn", number, socket.id, key, stroke)
        if (upto := board.make_room()) is not None:
            io.to(board.room).emit("faded", board.change(), upto)
    return {"ok": True}


@io.event
def undo(socket: Socket, board: Here) -> Answer:
    """Take back one's own last stroke."""
    number = board.last_of(socket.data.key)
    if number is None:
        raise Refused("There is nothing of yours to undo.")
    board.remove(number)
    io.to(board.room).emit("undone", board.change(), number)
    return {"ok": True}


@io.event(rate=nuncio.Rate(5, per=10))
def clear(socket: Socket, board: Here) -> Answer:
    """Wipe the board."""
    board.strokes.clear()
    board.size = 0
    io.to(board.room).emit("cleared", board.change(), socket.id, socket.data.name)
    return {"ok": True}


# Two things that nobody misses when a slow link drops them: the next one is as good, and in the end
# comes `drawn`. So they are volatile.


@io.event
def cursor(socket: Socket, x: X, y: Y, board: Here) -> None:
    """Where somebody points."""
    socket.to(board.room).volatile.emit("cursor", socket.id, x, y)


@io.event
def sketch(socket: Socket, key: Key, points: Bytes, board: Here) -> None:
    """More points of a stroke that is not done yet."""
    check(points)
    socket.to(board.room).volatile.emit("sketch", socket.id, key, points)


# --- serving


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE.read_bytes()})


def main() -> None:
    """Serve until Ctrl-C."""
    arguments = argparse.ArgumentParser(description="The whiteboard example of Nuncio.")
    arguments.add_argument("--host", default="127.0.0.1", help="address; 0.0.0.0 for the network")
    arguments.add_argument("--port", type=int, default=3004, help="port to listen on")
    options = arguments.parse_args()
    print(f"Whiteboard on http://localhost:{options.port}; Ctrl-C stops", flush=True)
    io.run(host=options.host, port=options.port, app=page)


if __name__ == "__main__":
    main()
