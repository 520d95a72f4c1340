"""Real NATS, started by the tests that need it, each on a port of its own.

    async with Nats(path) as nats:
        io = nuncio.Server(adapter=NatsAdapter(nats.url))

JetStream keeps its store in a directory of the server's own, which outlives `restart`. `freeze` and
`thaw` stop and continue the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.support.aio import DEADLINE, within
from tests.support.ports import free_port


class Nats:
    """One server.

    Args:
        program: the path of nats-server.
        jetstream: whether it has JetStream.
        more: more lines of its configuration.
    """

    def __init__(self, program: str, *, jetstream: bool = True, more: str = "") -> None:
        self._program = program
        self._jetstream = jetstream
        self._more = more
        self.port = free_port()
        self._monitor = free_port()
        self._directory = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="nuncio-nats-")
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _configured(self) -> str:
        """The path of its configuration, which is written."""
        lines = [f"listen: 127.0.0.1:{self.port}", f"http: 127.0.0.1:{self._monitor}", self._more]
        if self._jetstream:
            store = json.dumps(str(Path(self._directory, "store")))
            lines.append(f"jetstream {{ store_dir: {store}, max_file: 4G, max_mem: 64M }}")
        path = Path(self._directory, "nats.conf")
        path.write_text("\n".join(lines))
        return str(path)

    async def start(self) -> None:
        """Start it and wait until it answers."""
        path = self._configured()
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-c", path, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(DEADLINE / 3):
            while not await self._answers():  # noqa: ASYNC110 - another process has no Event
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            async with self.raw():
                return True
        except OSError:
            return False

    async def stop(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await within(process.wait())

    async def restart(self) -> None:
        """End it and start it; what JetStream has kept is there."""
        await self.stop()
        await self.start()

    def forget(self) -> None:
        """Lose what JetStream has kept, while it is stopped."""
        shutil.rmtree(Path(self._directory, "store"), ignore_errors=True)

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        self._signal(signal.SIGSTOP)
        # Its threads stop one after the other.
        while not self._is_stopped():
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _is_stopped(self) -> bool:
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        return all(one.read_text().rpartition(")")[2].split()[0] == "T" for one in threads)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    # Speaking to it without a library.

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[RawClient]:
        """A client that says what it is told to."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            client = RawClient(reader, writer)
            await client.begin()
            yield client
        finally:
            writer.close()

    async def publish(self, subject: str, *messages: bytes) -> None:
        """Publish anything, and wait until NATS has it."""
        async with self.raw() as client:
            for data in messages:
                client.publish(subject, data)
            await client.flush()

    async def told(self, path: str) -> Any:
        """What it tells of itself."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._monitor)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return json.loads((await within(reader.read())).partition(b"\r\n\r\n")[2])
        finally:
            writer.close()

    async def subscribed(self, subject: str) -> int:
        """How many are subscribed to a subject."""
        found = await self.told(f"/subsz?subs=1&test={quote(subject)}")
        return int(found.get("total", 0))

    async def connections(self) -> int:
        """How many clients there are."""
        return int((await self.told("/connz"))["num_connections"])


class RawClient:
    """One connection, in the protocol's own words."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def begin(self) -> None:
        """Introduce itself."""
        assert (await within(self._reader.readline())).startswith(b"INFO")
        self._writer.write(b'CONNECT {"verbose":false}\r\n')
        await self.flush()

    def subscribe(self, subject: str) -> None:
        """Receive what is published on a subject."""
        self._writer.write(f"SUB {subject} 1\r\n".encode())

    def publish(self, subject: str, data: bytes) -> None:
        """Publish anything."""
        self._writer.write(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(data), data))

    async def flush(self) -> list[tuple[str, bytes]]:
        """Wait until the server has seen to all; what has come meanwhile."""
        self._writer.write(b"PING\r\n")
        await self._writer.drain()
        found: list[tuple[str, bytes]] = []
        while (line := await within(self._reader.readline())) != b"PONG\r\n":
            words = line.split()
            if not words:
                raise ConnectionResetError("NATS ended the connection")
            if words[0] == b"MSG":
                data = await within(self._reader.readexactly(int(words[-1]) + 2))
                found.append((words[1].decode(), data[:-2]))
        return found
