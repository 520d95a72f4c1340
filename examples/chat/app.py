"""A chat: nicknames, rooms, typing notices, a bounded history, and images sent as binary.

    python examples/chat/app.py        # then open http://localhost:3000

The page (`index.html`, `chat.js`) uses the official JavaScript client. `rooms.py` holds what the
chat remembers, `pages.py` serves the files; this file is the Socket.IO part.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import nuncio
from pages import site
from rooms import NAME_LENGTH, ROOM_LENGTH, ROOMS_AT_MOST, Message, Names, Room, tidy

TEXT_LENGTH = 2000
IMAGE_BYTES = 2 * 1024 * 1024
IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")

CLIENT = Path(__file__).resolve().parent / "node_modules" / "socket.io-client" / "dist"
CLIENT_MISSING = (
    "The Socket.IO client is not installed. Run this, then start the chat again:\n"
    "    npm --prefix examples/chat ci\n"
)

CONSOLE = "/socket.io/console/"

io = nuncio.Server(
    max_http_buffer_size=IMAGE_BYTES + 16 * 1024,
    # The page loads /socket.io/socket.io.min.js.
    serve_client=CLIENT if CLIENT.exists() else False,
    # A page for trying it by hand, at /socket.io/console/, for browsers on this machine.
    console={"auth": False},
)
names = Names()
lasting = ("Lobby", "Ideas", "Music")
rooms = {name: Room(name) for name in lasting}

Answer = dict[str, Any]


def refusal(reason: str) -> Answer:
    """The acknowledgement of something that was not done."""
    return {"ok": False, "error": reason}


@io.use
def named(socket: nuncio.Socket) -> None:
    """Refuse a connection without a nickname of its own. The page shows the reason."""
    name = tidy(socket.handshake.auth.get("name"), NAME_LENGTH)
    key = socket.handshake.auth.get("key")
    if not name:
        raise nuncio.ConnectError(f"Choose a nickname of 1 to {NAME_LENGTH} characters.")
    if not isinstance(key, str) or not 16 <= len(key) <= 64:
        raise nuncio.ConnectError("This page is out of date. Load it again.")
    if not names.free(name, key):
        raise nuncio.ConnectError(f"Somebody here is already called {name}.")
    socket.data |= {"name": name, "key": key, "rooms": set()}


@io.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """Welcome a newcomer with the list of rooms and the limits that the page must keep."""
    if not names.take(socket.data["name"], socket.data["key"], socket.id):
        socket.disconnect(True)
        return
    limits = {"text": TEXT_LENGTH, "image": IMAGE_BYTES, "room": ROOM_LENGTH}
    socket.emit("welcome", {"name": socket.data["name"], "limits": limits, "rooms": overview()})


@io.event
def join(socket: nuncio.Socket, room: str) -> Answer:
    """Enter a room, which is made if need be; the answer holds its people and its history."""
    title = tidy(room, ROOM_LENGTH)
    if not title:
        return refusal(f"A room's name has 1 to {ROOM_LENGTH} characters.")
    title = next((known for known in rooms if known.casefold() == title.casefold()), title)
    if title not in rooms and len(rooms) >= ROOMS_AT_MOST:
        return refusal("There are enough rooms already. Join one of them.")
    place = rooms.setdefault(title, Room(title))
    name = socket.data["name"]
    socket.join(address(title))
    socket.data["rooms"].add(title)
    if place.enter(name, socket.id):
        socket.to(address(title)).emit("joined", title, name, place.people)
        io.emit("rooms", overview())
    return {"ok": True, "room": title, "people": place.people, "history": place.history}


@io.event
def leave(socket: nuncio.Socket, room: str) -> Answer:
    """Go out of a room."""
    if room in socket.data["rooms"]:
        socket.leave(address(room))
        depart(socket, room)
        io.emit("rooms", overview())
    return {"ok": True}


@io.event
async def message(socket: nuncio.Socket, room: str, key: str, text: str) -> Answer:
    """Say something. The page names each message with a key, so sending it twice is harmless."""
    if not text.strip() or len(text) > TEXT_LENGTH:
        return refusal(f"A message has 1 to {TEXT_LENGTH} characters.")
    return deliver(socket, room, key, text=text)


@io.event
async def image(socket: nuncio.Socket, room: str, key: str, picture: bytes) -> Answer:
    """Show a picture. It travels as binary, with no Base64 on the way in or out."""
    if len(picture) > IMAGE_BYTES:
        return refusal(f"An image has at most {IMAGE_BYTES // 1024} KiB.")
    if not is_image(picture):
        return refusal("Only PNG, JPEG, GIF and WebP images can be sent.")
    return deliver(socket, room, key, image=picture)


@io.event
def typing(socket: nuncio.Socket, room: str, active: bool) -> None:
    """Tell the others in the room. Volatile: nobody misses one that a slow connection drops."""
    if room in socket.data["rooms"]:
        notice = (room, socket.data["name"], active)
        socket.to(address(room)).volatile.emit("typing", *notice)


@io.event
def disconnect(socket: nuncio.Socket, reason: str) -> None:
    """The page was closed or the connection lost; a page that comes back joins its rooms again."""
    for room in list(socket.data["rooms"]):
        depart(socket, room)
    names.release(socket.data["name"], socket.id)
    io.emit("rooms", overview())


def deliver(socket: nuncio.Socket, room: str, key: str, **content: Any) -> Answer:
    """Keep a message and send it to everybody else in the room, once."""
    if room not in socket.data["rooms"]:
        return refusal("You are not in this room.")
    if not 1 <= len(key) <= 64:
        return refusal("This page is out of date. Load it again.")
    place, name = rooms[room], socket.data["name"]
    said = place.said(name, key)
    if said is None:
        said = place.say(name, key, **content)
        socket.to(address(room)).emit("message", said)
    return receipt(said)


def receipt(said: Message) -> Answer:
    """What the sender learns: the message's place in the room."""
    return {"ok": True, "id": said["id"], "at": said["at"]}


def depart(socket: nuncio.Socket, room: str) -> None:
    """Take a socket out of a room, tell those who stay, and drop a room that is empty."""
    place, name = rooms[room], socket.data["name"]
    socket.data["rooms"].discard(room)
    if place.leave(name, socket.id):
        io.to(address(room)).emit("left", room, name, place.people)
    if not place.people and room not in lasting:
        del rooms[room]


def address(room: str) -> str:
    """The Socket.IO room. Prefixed, since each socket's own id is a Socket.IO room too."""
    return f"room:{room}"


def overview() -> list[Answer]:
    """Every room with the number of people in it."""
    return [{"name": room.name, "people": len(room.people)} for room in rooms.values()]


def is_image(data: bytes) -> bool:
    """Whether the bytes begin as an image that browsers show and that holds no script."""
    return data.startswith(IMAGE_STARTS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def main() -> None:
    """Serve until Ctrl-C."""
    arguments = argparse.ArgumentParser(description="The chat example of Nuncio.")
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen on")
    arguments.add_argument("--port", type=int, default=3000, help="port to listen on")
    options = arguments.parse_args()
    if not CLIENT.exists():
        print(CLIENT_MISSING)
    print(f"Chat on http://localhost:{options.port}, its console at {CONSOLE}", flush=True)
    io.run(host=options.host, port=options.port, app=site)


if __name__ == "__main__":
    main()
