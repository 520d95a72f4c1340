"""The client of the benchmarks on python-socketio: its asyncio client on uvloop.

It connects over WebSocket from the start and does not reconnect. Its loggers are off by default,
and time-stamps in the URL are left out as the other clients do it over WebSocket.
"""

from __future__ import annotations

import sys

import socketio  # type: ignore[import-untyped]
from drive import ASKED, Faults, Link, Options, main


class PsioLink(Link):
    """One connection."""

    def __init__(self, options: Options, faults: Faults) -> None:
        super().__init__(options, faults)
        self.sio = socketio.AsyncClient(
            reconnection=False, handle_sigint=False, timestamp_requests=False
        )
        self.sio.on("echo", self.echo)
        self.sio.on("push", self.push)
        self.sio.on("disconnect", self.disconnected)

    async def open(self) -> None:
        url = f"http://127.0.0.1:{self.options.port}"
        await self.sio.connect(url, transports=["websocket"], wait_timeout=20)

    async def start(self) -> None:
        if self.options.mode == "receive":
            await self.ask_for_more(2 * ASKED)
            return
        send = self.send_echo if self.options.mode == "echo" else self.send_ack
        for _ in range(self.options.pipeline):
            await send()

    async def close(self) -> None:
        await self.sio.disconnect()

    async def send_echo(self) -> None:
        self.sent += 1
        await self.sio.emit("echo", self.payload)

    async def send_ack(self) -> None:
        self.sent += 1
        await self.sio.emit("ack", self.payload, callback=self.answered)

    async def ask_for_more(self, events: int) -> None:
        self.sent += events
        await self.sio.emit("push", events)

    async def echo(self, x: str) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.running:
            await self.send_echo()

    async def push(self, x: str) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.sent - self.received == ASKED and self.running:
            await self.ask_for_more(ASKED)

    async def answered(self, x: str) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.running:
            await self.send_ack()

    async def disconnected(self, reason: str) -> None:
        self.ended(reason)


if __name__ == "__main__":
    sys.exit(main(PsioLink, __doc__))
