"""The application that blocking clients are tested with, in a thread; or as a program: PORT."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import nuncio


class Application:
    """A server, and what it has heard.

    Attributes:
        io: the server.
        heard: the arguments of each event `note`, in order.
        gate: the event `wait` is answered when this is set.
    """

    def __init__(self) -> None:
        self.io = nuncio.Server(ping_interval=0.5, ping_timeout=20)
        self.heard: list[list[Any]] = []
        self.gate = asyncio.Event()
        self.io.use(_admit)
        self.io.on("connection", self.connection)
        for handler in (self.note, self.double, self.echo, self.burst, self.wait, self.leave):
            self.io.event(handler)
        self.io.event(never)
        self.io.event(ask)
        other = self.io.of("/other")
        other.on("connection", self.connection)
        other.event(self.double)

    def connection(self, socket: nuncio.Socket) -> None:
        """Greet, at once."""
        socket.emit("welcome", socket.handshake.auth, socket.handshake.headers.get("x-from", ""))

    def note(self, socket: nuncio.Socket, *args: Any) -> int:
        """Remember; the answer is how many are remembered."""
        self.heard.append(list(args))
        return len(self.heard)

    def double(self, socket: nuncio.Socket, number: int) -> int:
        """Answer."""
        return 2 * number

    def echo(self, socket: nuncio.Socket, *args: Any) -> nuncio.Ack:
        """Send it back, as an event and as the answer."""
        socket.emit("echo", *args)
        return nuncio.Ack(*args)

    async def burst(self, socket: nuncio.Socket, name: str, count: int) -> None:
        """Send many events."""
        for number in range(count):
            await socket.emit(name, number)

    async def wait(self, socket: nuncio.Socket) -> str:
        """Answer when the gate opens."""
        await self.gate.wait()
        return "open"

    def leave(self, socket: nuncio.Socket) -> None:
        """Send the client away."""
        socket.disconnect()


def _admit(socket: nuncio.Socket) -> None:
    if socket.handshake.auth.get("refuse"):
        raise nuncio.ConnectError("not you", {"code": 7})


def never(socket: nuncio.Socket, ack: nuncio.AckCallback) -> None:
    """Give no answer."""


async def ask(socket: nuncio.Socket, *args: Any) -> Any:
    """Ask the client the same, and answer what it answers."""
    return await socket.emit_with_ack("question", *args)


async def main(port: int) -> None:
    """Serve."""
    application = Application()
    async with await application.io.listen(port) as listening:
        await listening.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
