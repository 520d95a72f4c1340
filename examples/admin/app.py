"""A server to look at with the official admin page, and some visitors who come, talk and go.

    python examples/admin/app.py

The page is at https://admin.socket.io; README.md beside this file says what to type there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random

import nuncio

ROOMS = ("lobby", "garden", "library")
WORDS = ("Good morning!", "Is anybody here?", "I am looking for a book.", "See you later.")
VISITORS = 8

# Of the password "changeit". A server of your own takes one from its environment, as this does.
USUAL = "$2b$10$AFPLwNwIuVMxsJJ8052hIe7Q7nZTJ2hJ8HPKAuJLmAxLZWSdsePCG"
HASH = os.environ.get("ADMIN_HASH", USUAL)

io = nuncio.Server(cors={"origin": "https://admin.socket.io", "credentials": True})
nuncio.instrument(io, auth={"username": "ops", "password": HASH})


@io.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """Somebody comes, and is known by a name."""
    socket.data["name"] = socket.handshake.auth.get("name", "somebody")


@io.event
def enter(socket: nuncio.Socket, room: str) -> None:
    """Somebody goes into a room."""
    socket.data["room"] = room
    socket.join(room)


@io.event
def say(socket: nuncio.Socket, room: str, text: str) -> None:
    """Somebody says something to the others there."""
    socket.to(room).emit("said", socket.data["name"], text)


async def visit(url: str, number: int) -> None:
    """Come, talk and go, again and again."""
    while True:
        room = random.choice(ROOMS)
        async with nuncio.connect(url, auth={"name": f"visitor {number}"}) as client:
            await client.emit("enter", room)
            # Whom the admin page disconnects comes back after a while.
            for _ in range(random.randint(3, 12)):
                await asyncio.sleep(random.uniform(0.5, 3))
                if not client.connected:
                    break
                await client.emit("say", room, random.choice(WORDS))
        await asyncio.sleep(random.uniform(0.5, 5))


async def main() -> None:
    """Serve until Ctrl-C."""
    arguments = argparse.ArgumentParser(description="The admin page's example of Nuncio.")
    arguments.add_argument("--port", type=int, default=3007, help="port to listen on")
    port = arguments.parse_args().port
    async with await io.listen(port):
        url = f"http://localhost:{port}"
        who = "ops, changeit" if HASH == USUAL else "ops, and your password"
        print(
            f"Open https://admin.socket.io and connect to {url} as {who}; Ctrl-C stops", flush=True
        )
        await asyncio.gather(*(visit(url, number) for number in range(1, VISITORS + 1)))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
