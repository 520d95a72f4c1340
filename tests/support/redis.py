"""Real Redis, started by the tests that need it, each on a port of its own.

    async with Redis(path) as redis:
        io = nuncio.Server(adapter=RedisAdapter(redis.url))

It keeps nothing on disk. `freeze` and `thaw` stop and continue the process, `restart` begins anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from typing import Any, Self

import redis.asyncio

from tests.support.aio import DEADLINE, within
from tests.support.ports import free_port


class Redis:
    """One server.

    Args:
        program: the path of redis-server.
        options: more of its options, by name.
    """

    def __init__(self, program: str, **options: str) -> None:
        self._program = program
        self._options = options
        self.port = free_port()
        self._directory = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.asyncio.Redis:
        """A client of it."""
        return redis.asyncio.Redis(port=self.port)

    async def __aenter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="nuncio-redis-")
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def start(self) -> None:
        """Start it, with nothing in it, and wait until it answers."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": self._directory,
            "save": "",
            "appendonly": "no",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            self._program, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(DEADLINE / 3):
            while not await self._answers():  # noqa: ASYNC110 - another process has no Event
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        client = self.client()
        try:
            return bool(await client.ping())
        except (redis.exceptions.ConnectionError, OSError):
            return False
        finally:
            await client.aclose()

    async def stop(self) -> None:
        """End it, in order or not: nothing is kept."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await within(process.wait())

    async def restart(self) -> None:
        """End it and start it, with nothing in it."""
        await self.stop()
        await self.start()

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def command(self, *args: Any) -> Any:
        """Carry out one command."""
        client: Any = self.client()
        try:
            return await client.execute_command(*args)
        finally:
            await client.aclose()

    async def kill_connections(self, kind: str = "normal") -> None:
        """Cut the connections of everybody; `pubsub` for those that are subscribed."""
        await self.command("CLIENT", "KILL", "TYPE", kind)
