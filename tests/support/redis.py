"""Real Redis, started by the tests that need it, each on a port of its own.

    async with Redis(path) as redis:
        io = nuncio.Server(adapter=RedisAdapter(redis.url))

It keeps nothing on disk, unless `appendonly` says so. `freeze` and `thaw` stop and continue the
process, `restart` begins anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from typing import Any, Self

import hiredis
import redis.asyncio

from nuncio.cluster.redis.connection import packed
from tests.support.aio import DEADLINE, within
from tests.support.ports import free_port


def read_command(command: tuple[Any, ...]) -> list[bytes]:
    """The parts of a command as Redis reads them."""
    return read_packed(packed(command))


def read_packed(data: bytes) -> list[bytes]:
    """As `read_command`, of one as it is sent."""
    reader = hiredis.Reader()
    reader.feed(data)
    found: Any = reader.gets()
    return list(found)


class Redis:
    """One server.

    Args:
        program: the path of redis-server.
        options: more of its options, by name.
    """

    def __init__(self, program: str, **options: str) -> None:
        self._program = program
        self.options = options
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
            **self.options,
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

    def forget(self) -> None:
        """While it does not run: lose what `appendonly` has kept."""
        for name in os.listdir(self._directory):
            shutil.rmtree(os.path.join(self._directory, name), ignore_errors=True)

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

    async def subscribed(self, channel: str) -> int:
        """How many are subscribed to a sharded channel."""
        return int((await self.command("PUBSUB", "SHARDNUMSUB", channel))[1])

    async def kill_connections(self, kind: str = "normal") -> None:
        """Cut the connections of everybody; `pubsub` for those that are subscribed."""
        await self.command("CLIENT", "KILL", "TYPE", kind)


class RedisCluster:
    """Redis Cluster: several servers, each with a part of the slots and no replica.

    Args:
        program: the path of redis-server.
        size: how many.
    """

    def __init__(self, program: str, size: int = 3) -> None:
        self.nodes = [
            Redis(
                program,
                **{
                    "cluster-enabled": "yes",
                    "cluster-port": str(free_port()),
                    "cluster-node-timeout": "2000",
                    "cluster-config-file": "nodes.conf",
                },
            )
            for _ in range(size)
        ]

    @property
    def url(self) -> str:
        """The address of one of them."""
        return self.nodes[0].url

    async def __aenter__(self) -> Self:
        for node in self.nodes:
            await node.__aenter__()
        size = len(self.nodes)
        for index, node in enumerate(self.nodes):
            first, last = 16384 * index // size, 16384 * (index + 1) // size - 1
            await node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            await node.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        first_node = self.nodes[0]
        for node in self.nodes[1:]:
            bus = node.options["cluster-port"]
            await first_node.command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        async with asyncio.timeout(DEADLINE / 3):
            while not await self._whole():  # noqa: ASYNC110 - other processes have no Event
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.__aexit__()

    async def _whole(self) -> bool:
        """Whether all of them know all of the others."""
        size = str(len(self.nodes)).encode()
        told = [await node.command("CLUSTER", "INFO") for node in self.nodes]
        return all(
            b"cluster_state:ok" in one and b"cluster_known_nodes:" + size in one for one in told
        )

    async def move_slot(self, slot: int, to: int) -> None:
        """Give a slot without keys to another server."""
        target = self.nodes[to]
        id = (await target.command("CLUSTER", "MYID")).decode()
        for node in self.nodes:
            await node.command("CLUSTER", "SETSLOT", slot, "NODE", id)
