"""One transport of Nuncio's client as a load for Nuncio's server: what the server spends on it.

It opens connections, works for a while, and prints one JSON line: what was completed within the
measured time, how long each took, and the CPU time that the server used for it. The modes:

    echo       on each connection an event, and the next one when its echo is there
    push       the server sends an event to all connections, and the next one when all have it; it
               is told to by one more connection, over WebSocket
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

import nuncio

_TICKS = os.sysconf("SC_CLK_TCK")
_TEXT = "abcdefghijklmnopqrstuvwxyz" * 2 + "abcdefghijkl"
_OPENING = 8


class Load:
    """The connections, and what they have done.

    Args:
        options: the command line's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sockets: list[nuncio.ClientSocket] = []
        self.took: list[float] = []
        self.running = True
        self.errors = 0
        self.first_error: str | None = None
        self._missing = 0
        self._sent = 0.0
        self._conductor: nuncio.ClientSocket | None = None

    async def run(self) -> dict[str, Any]:
        """Work, and tell what came of it."""
        options = self.options
        for start in range(0, options.conns, _OPENING):
            count = min(_OPENING, options.conns - start)
            self.sockets += await asyncio.gather(*(self._open() for _ in range(count)))
        if options.mode == "echo":
            for socket in self.sockets:
                _Echo(self, socket).send()
        else:
            self._conductor = await self._connect("websocket")
            for socket in self.sockets:
                socket.on("bcast", self._pushed)
            self._push()
        await asyncio.sleep(options.warmup)
        self.took.clear()
        began, cpu = time.monotonic(), _cpu_of(options.server_pid)
        await asyncio.sleep(options.seconds)
        seconds, used = time.monotonic() - began, _cpu_of(options.server_pid) - cpu
        took = sorted(self.took)
        self.running = False
        await asyncio.sleep(0.2)
        for socket in [*self.sockets, *([self._conductor] if self._conductor else [])]:
            await socket.close()
        if not took:
            self.wrong("nothing was completed")
        return self._figures(took, seconds, used)

    def _figures(self, took: Sequence[float], seconds: float, used: float) -> dict[str, Any]:
        count = len(took)
        return {
            "count": count,
            "rate": count / seconds,
            "server_cpu_us": used * 1e6 / count if count else None,
            "server_cpu_util": used / seconds,
            "p50_us": took[count // 2] * 1e6 if count else None,
            "p99_us": took[count * 99 // 100] * 1e6 if count else None,
            "errors": self.errors,
            "first_error": self.first_error,
        }

    def wrong(self, what: str) -> None:
        """Something is not as it ought to be."""
        self.errors += 1
        self.first_error = self.first_error or what

    async def _open(self) -> nuncio.ClientSocket:
        socket = await self._connect(self.options.transport)
        engine = socket.io.engine
        name = engine.transport.name if engine is not None and engine.transport else None
        if name != self.options.transport:
            self.wrong(f"it went over {name}")
        return socket

    async def _connect(self, transport: str) -> nuncio.ClientSocket:
        return await nuncio.connect(
            f"http://127.0.0.1:{self.options.port}",
            transports=[transport],
            force_new=True,
            reconnection=False,
            upgrade=False,
            # The server's certificate is made for the occasion.
            reject_unauthorized=transport != "webtransport",
        )

    # Pushing.

    def _push(self) -> None:
        assert self._conductor is not None
        self._missing = len(self.sockets) + 1
        self._sent = time.monotonic()
        self._conductor.once("bcast", self._pushed)
        self._conductor.emit("bcast", _TEXT)

    def _pushed(self, x: Any) -> None:
        if x != _TEXT:
            self.wrong(f"pushed {x!r}")
        self.took.append(time.monotonic() - self._sent)
        self._missing -= 1
        if not self._missing and self.running:
            self._push()


class _Echo:
    """One connection that always has one event under way."""

    def __init__(self, load: Load, socket: nuncio.ClientSocket) -> None:
        self._load = load
        self._socket = socket
        self._sent = 0.0
        socket.on("echo", self._came)

    def send(self) -> None:
        self._sent = time.monotonic()
        self._socket.emit("echo", _TEXT)

    def _came(self, x: Any) -> None:
        if x != _TEXT:
            self._load.wrong(f"echoed {x!r}")
        self._load.took.append(time.monotonic() - self._sent)
        if self._load.running:
            self.send()


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("mode", choices=("echo", "push"))
    add("--transport", required=True)
    add("--port", type=int, required=True)
    add("--server-pid", type=int, required=True)
    add("--conns", type=int, default=16)
    add("--seconds", type=float, default=3.0)
    add("--warmup", type=float, default=1.0)
    load = Load(parser.parse_args())
    figures = uvloop.run(load.run())
    print(json.dumps(figures), flush=True)
    return 1 if figures["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
