"""The client of the benchmarks on Nuncio, with default options, on uvloop.

It connects over WebSocket from the start, a connection each, and does not reconnect. `--await`
awaits acknowledgements with `emit_with_ack` instead of taking a callback.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from drive import ASKED, Faults, Link, Options, main

import nuncio


class NuncioLink(Link):
    """One connection."""

    socket: nuncio.ClientSocket

    def __init__(self, options: Options, faults: Faults) -> None:
        super().__init__(options, faults)
        self.askers: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self.socket = await nuncio.connect(
            f"http://127.0.0.1:{self.options.port}",
            transports=["websocket"],
            force_new=True,
            reconnection=False,
        )
        self.socket.on("echo", self.echo)
        self.socket.on("push", self.push)
        self.socket.on("disconnect", self.ended)

    async def start(self) -> None:
        if self.options.mode == "receive":
            self.ask_for_more(2 * ASKED)
            return
        for _ in range(self.options.pipeline):
            if self.options.mode == "echo":
                self.send_echo()
            elif self.options.awaiting:
                self.askers.append(asyncio.create_task(self.exchange()))
            else:
                self.send_ack()

    async def close(self) -> None:
        await self.socket.close()

    def send_echo(self) -> None:
        self.sent += 1
        self.socket.emit("echo", self.payload)

    def send_ack(self) -> None:
        self.sent += 1
        self.socket.emit("ack", self.payload, self.answered)

    def ask_for_more(self, events: int) -> None:
        self.sent += events
        self.socket.emit("push", events)

    def echo(self, x: Any) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.running:
            self.send_echo()

    def push(self, x: Any) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.sent - self.received == ASKED and self.running:
            self.ask_for_more(ASKED)

    def answered(self, x: Any) -> None:
        if x != self.payload:
            self.wrong(x)
        self.received += 1
        if self.running:
            self.send_ack()

    async def exchange(self) -> None:
        while self.running:
            self.sent += 1
            x = await self.socket.emit_with_ack("ack", self.payload)
            if x != self.payload:
                self.wrong(x)
            self.received += 1


if __name__ == "__main__":
    sys.exit(main(NuncioLink, __doc__))
