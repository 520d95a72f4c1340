"""A table over which people hand files to each other, from browser to browser.

    python examples/peers/app.py        # then open http://localhost:3006 in two windows

The server says who is at the table and introduces two browsers when one hands a file to the other.
The file does not pass through it, unless they cannot reach each other; then it relays. The part of
the address behind the `#` names the table: http://localhost:3006/#office is another one.

The page is `index.html`; this file is the server, all of it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import msgspec

import nuncio

PAGE = Path(__file__).parent / "index.html"
PEOPLE = 24


class Hello(msgspec.Struct):
    """What a page says of whoever is in front of it, when it connects."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
    table: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]


@dataclasses.dataclass
class Guest:
    """What `socket.data` is: whose page it is, and at which table."""

    name: str = ""
    table: str = ""
    hue: int = 0


Socket = nuncio.Socket[Guest]

io: nuncio.Server[Guest] = nuncio.Server(
    data=Guest,
    # Whoever relays a large file sends many pieces: they wait in the browser, and nothing is lost.
    limits=nuncio.Limits(event_bytes_per_connection=nuncio.Rate(20_000_000)),
)
tables: dict[str, dict[str, Guest]] = {}

# The rule: who is at the same table may be connected. All that they are told of each other by the
# server is a name and a colour; everything else they say themselves.
io.peers(
    nuncio.peers.share_a_room,
    identify=lambda socket: {"name": socket.data.name, "hue": socket.data.hue},
)


@io.use
def greet(socket: Socket) -> None:
    """Nobody comes without a name."""
    try:
        hello = msgspec.convert(socket.handshake.auth, Hello)
    except msgspec.ValidationError as error:
        raise nuncio.ConnectError(str(error)) from error
    if len(tables.get(hello.table, {})) >= PEOPLE:
        raise nuncio.ConnectError(f"There are {PEOPLE} people at this table already.")
    socket.data.name, socket.data.table = hello.name.strip() or "Somebody", hello.table


@io.on("connection")
def sit_down(socket: Socket) -> None:
    """Somebody has come: a colour that few others have, and everybody sees it."""
    table = tables.setdefault(socket.data.table, {})
    taken = [guest.hue for guest in table.values()]
    socket.data.hue = min(range(0, 360, 30), key=lambda hue: (taken.count(hue), hue * 7 % 360))
    table[socket.id] = socket.data
    socket.join(socket.data.table)
    tell(socket.data.table)


@io.on("disconnect")
def get_up(socket: Socket) -> None:
    """Somebody has gone."""
    table = tables[socket.data.table]
    table.pop(socket.id, None)
    if not table:
        del tables[socket.data.table]
    tell(socket.data.table)


def tell(name: str) -> None:
    """Who is at a table; on a slow link only the latest list counts."""
    people = [
        {"id": id, "name": guest.name, "hue": guest.hue}
        for id, guest in tables.get(name, {}).items()
    ]
    io.to(name).when_slow(nuncio.conflate("people")).emit("people", people)


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE.read_bytes()})


def main() -> None:
    """Serve until Ctrl-C."""
    arguments = argparse.ArgumentParser(description="The example of peers of Nuncio.")
    arguments.add_argument("--host", default="127.0.0.1", help="address; 0.0.0.0 for the network")
    arguments.add_argument("--port", type=int, default=3006, help="port to listen on")
    options = arguments.parse_args()
    print(f"The table is at http://localhost:{options.port}; Ctrl-C stops", flush=True)
    io.run(host=options.host, port=options.port, app=page)


if __name__ == "__main__":
    main()
