"""Alarms that nobody misses: what a lost client was promised is delivered when it comes back.

    python examples/recovery/app.py

An alarm rings every two seconds on http://localhost:3001. The page can cut its own link; what rang
meanwhile is there when it comes back, once and in order. Close the page instead, and the server
says which alarms were not delivered.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import nuncio

HERE = Path(__file__).parent
CLIENT = HERE.parent / "chat" / "node_modules" / "socket.io-client" / "dist"

SECONDS_AWAY = 20.0
SECONDS_BETWEEN = 2.0

io = nuncio.Server(
    connection_state_recovery={"max_disconnection_duration": SECONDS_AWAY},
    serve_client=CLIENT if CLIENT.is_dir() else "auto",
)
numbers = itertools.count(1)


@io.on("connection")
def connection(socket: nuncio.Socket) -> None:
    """A client came, or came back."""
    if not socket.recovered:
        socket.join("staff")
    print(socket.id, "came back" if socket.recovered else "is new")


@io.on("undelivered")
def undelivered(report: nuncio.Undelivered) -> None:
    """Somebody will never see these."""
    missed = [event.args[0] for event in report.events]
    print(report.socket_id, "did not get the alarms", missed, "because:", report.reason)


def ring() -> int:
    """Ring one alarm."""
    number = next(numbers)
    io.to("staff").delivery("at-least-once").emit("alarm", number)
    return number


async def ring_again_and_again() -> None:
    """Ring until the server ends."""
    while True:
        ring()
        await asyncio.sleep(SECONDS_BETWEEN)


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page, for every path that is not Socket.IO's."""
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": (HERE / "index.html").read_bytes()})


async def main() -> None:
    """Serve, and ring."""
    async with await io.listen(3001, app=page) as listening:
        print("open http://localhost:3001; Ctrl-C stops")
        await asyncio.gather(listening.wait(), ring_again_and_again())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
