#!/usr/bin/env python3
"""What permessage-deflate costs: memory for each connection, CPU time for each delivery.

    python benchmarks/deflate_memory.py [--connections 1000] [--node]

A server in a process of its own, once for each way to compress. That many clients connect, each
offers the extension as browsers do, and sends some text of the size of `--size`, which is sent back
to it alone; then every one of them receives some broadcasts. Memory is the growth of the server's
resident set, divided by the connections: when all are connected, and when all messages have been
exchanged and nobody says anything any more. CPU time is that of the server during the broadcasts,
for each message delivered. Both are read from /proc, so it takes Linux.

`--node` measures the official server beside it (`make bench` installs it), with its own settings.

The last line is JSON, for programs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import resource
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TAIL = b"\x00\x00\xff\xff"
TICKS = os.sysconf("SC_CLK_TCK")

CONTEXT = {"server_no_context_takeover": False, "client_no_context_takeover": False}
MODES: dict[str, Any] = {
    "off": False,
    "on, the default": True,
    "context, 12 bits": {
        **CONTEXT,
        "server_max_window_bits": 12,
        "client_max_window_bits": 12,
        "mem_level": 5,
    },
    "context, 15 bits": {**CONTEXT, "mem_level": 8},
}

NODE = """
const { Server } = require("socket.io");
const { createServer } = require("http");
const server = createServer();
const perMessageDeflate = JSON.parse(process.argv[1]);
const io = new Server(server, { serveClient: false, perMessageDeflate });
io.on("connection", (socket) => {
  socket.on("echo", (x) => socket.emit("echo", x));
  socket.on("bcast", (x) => io.emit("bcast", x));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
"""


def serve(option: Any) -> None:
    """The server's process: until its input ends."""
    import nuncio

    io = nuncio.Server(per_message_deflate=option)
    io.on("echo", lambda socket, x: (socket.emit("echo", x), None)[1])
    io.on("bcast", lambda socket, x: (io.emit("bcast", x), None)[1])

    async def main() -> None:
        async with await io.listen(0) as listening:
            print(listening.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)

    import uvloop

    uvloop.run(main())


class Client:
    """A connection that offers permessage-deflate and does what was agreed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._agreed = ""
        self._deflater: Any = None
        self._inflater: Any = None

    @classmethod
    async def join(cls, port: int) -> Client:
        """Connect, and join the default namespace."""
        self = cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            (
                "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
            ).encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        if not head.startswith("http/1.1 101"):
            raise RuntimeError(head)
        lines = head.split("\r\n")
        found = [line for line in lines if line.startswith("sec-websocket-extensions:")]
        self._agreed = found[0] if found else ""
        await self.receive()
        self.send(b"40")
        await self.receive()
        return self

    def _window(self) -> int:
        _, found, bits = self._agreed.partition("client_max_window_bits=")
        return int(bits.partition(";")[0]) if found else 15

    def send(self, text: bytes) -> None:
        """Send a text, compressed where that was agreed and it is long."""
        first = 0x81
        if self._agreed and len(text) >= 1024:
            if self._deflater is None or "client_no_context" in self._agreed:
                self._deflater = zlib.compressobj(1, zlib.DEFLATED, -self._window(), 5)
            text = self._deflater.compress(text) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
            text = text[:-4]
            first = 0xC1
        if len(text) < 126:
            size = bytes((0x80 | len(text),))
        else:
            size = b"\xfe" + len(text).to_bytes(2, "big")
        # A mask of zeros leaves the text as it is.
        self._writer.write(bytes((first,)) + size + bytes(4) + text)

    async def receive(self) -> bytes:
        """The next message."""
        first, size = await self._reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._reader.readexactly(8), "big")
        data = await self._reader.readexactly(size)
        if not first & 0x40:
            return data
        if self._inflater is None or "server_no_context" in self._agreed:
            self._inflater = zlib.decompressobj(-15)
        text: bytes = self._inflater.decompress(data + TAIL)
        return text

    async def expect(self, event: bytes) -> None:
        """Skip pings up to the next event of a name."""
        while not (await self.receive()).startswith(b'42["' + event):
            pass

    def close(self) -> None:
        """End it."""
        self._writer.close()


@dataclass
class Figures:
    """What one way to compress costs.

    Attributes:
        connected: KiB for each connection when it has joined.
        after: KiB for each connection when all messages have been exchanged.
        delivery: microseconds of the server's CPU for each message of a broadcast.
    """

    connected: float
    after: float
    delivery: float


def resident(pid: int) -> float:
    """A process's resident set, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        [line] = [line for line in status if line.startswith("VmRSS:")]
    return float(line.split()[1])


def cpu(pid: int) -> float:
    """A process's CPU time, in seconds."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def sample(size: int) -> bytes:
    """A JSON text of about that many bytes, as compressible as records of an application are."""
    source = random.Random(7)
    words = ["".join(source.choices("etaoinshrdlu", k=source.randint(3, 9))) for _ in range(500)]
    records: list[Any] = []
    while len(json.dumps(records)) < size:
        text = " ".join(source.choices(words, k=8))
        records.append({"id": source.randrange(10**6), "name": source.choice(words), "text": text})
    return json.dumps(records).encode()


async def settled(pid: int) -> float:
    """The resident set, once it does not change any more."""
    before = resident(pid)
    while True:
        await asyncio.sleep(0.3)
        now = resident(pid)
        if abs(now - before) < 64:
            return now
        before = now


async def measure(pid: int, port: int, options: argparse.Namespace) -> Figures:
    """Drive one server."""
    count = options.connections
    text = sample(options.size)
    # What the first connection makes the server load is not the connections'.
    first = await Client.join(port)
    first.send(b'42["echo",%b]' % text)
    await first.expect(b"echo")
    empty = await settled(pid)
    clients = []
    for start in range(0, count, 50):
        batch = [Client.join(port) for _ in range(min(50, count - start))]
        clients += await asyncio.gather(*batch)
    connected = await settled(pid)
    for _ in range(options.rounds):
        for client in clients:
            client.send(b'42["echo",%b]' % text)
        await asyncio.gather(*[client.expect(b"echo") for client in clients])
    spent = cpu(pid)
    for _ in range(options.broadcasts):
        first.send(b'42["bcast",%b]' % text)
        await asyncio.gather(*[client.expect(b"bcast") for client in [first, *clients]])
    spent = cpu(pid) - spent
    after = await settled(pid)
    for client in [first, *clients]:
        client.close()
    deliveries = options.broadcasts * (count + 1)
    return Figures((connected - empty) / count, (after - empty) / count, spent / deliveries * 1e6)


def run(name: str, command: list[str], options: argparse.Namespace) -> Figures:
    """Start a server, drive it, and end it."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = int(process.stdout.readline())
        figures = asyncio.run(measure(process.pid, port, options))
    finally:
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    row = f"| {name:<24} | {figures.connected:7.1f} | {figures.after:7.1f} "
    print(row + f"| {figures.delivery:7.1f} |", flush=True)
    return figures


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of one message")
    parser.add_argument("--rounds", type=int, default=3, help="messages both ways")
    parser.add_argument("--broadcasts", type=int, default=20)
    parser.add_argument("--node", action="store_true", help="also measure the official server")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.serve is not None:
        serve(json.loads(options.serve))
        return
    print(f"{options.connections} connections, messages of {options.size} bytes")
    print("| per_message_deflate      | KiB each, joined | KiB each, after | µs a delivery |")
    print("| --- | --- | --- | --- |")
    results = {}
    for name, option in MODES.items():
        command = [sys.executable, str(HERE / "deflate_memory.py"), "--serve", json.dumps(option)]
        results[name] = run(name, command, options)
    if options.node:
        for name, value in (("Node.js, off", "false"), ("Node.js, on", "true")):
            results[name] = run(name, ["node", "-e", NODE, value], options)
    print(json.dumps({name: vars(figures) for name, figures in results.items()}))


if __name__ == "__main__":
    main()
