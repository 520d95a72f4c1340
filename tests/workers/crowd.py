"""A crowd of official clients at a balancer, behind which are workers that are processes."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.process import python, running
from tests.support.aio import within
from tests.support.node import Node, Way
from tests.support.ports import free_port
from tests.support.redis import Redis

# 1,000 for the record; fewer show the same.
SESSIONS = int(os.environ.get("NUNCIO_SESSIONS", "40"))

# How the workers are spread.
ONE_MACHINE = "one machine"
TWO_MACHINES = "two machines"

_AT_ONCE = 20


@contextmanager
def workers(spread: str, redis: Redis) -> Iterator[list[int]]:
    """Four workers: four servers that meet in a folder, or two of two each that share nothing but
    Redis.

    Yields:
        their ports.
    """
    with ExitStack() as stack:
        if spread == ONE_MACHINE:
            ports = [free_port() for _ in range(4)]
            more = ["--meet", f"/tmp/nn-{os.getpid()}-{secrets.token_hex(2)}"]
        else:
            ports = [free_port() for _ in range(2)]
            more = ["--workers", "2", "--meet", redis.url]
        for port in ports:
            stack.enter_context(running(_serve(port, more), port))
        yield ports


def _serve(port: int, more: list[str]) -> list[str]:
    target = "tests.workers.application:io"
    return python("-m", "nuncio", "serve", target, "--port", str(port), *more)


def lines(ports: list[int], pattern: str) -> str:
    """Lines of a configuration, one for each port."""
    return "\n".join(pattern.format(port) for port in ports)


async def gather(node: Node, port: int, way: Way) -> None:
    """Many clients at once: each is answered, each hears of each, and nobody is cut off."""
    async with node.clients(port=port) as clients:
        crowd: list[Any] = []
        for start in range(0, SESSIONS, _AT_ONCE):
            count = min(_AT_ONCE, SESSIONS - start)
            # Of one page, official clients would share a connection.
            crowd += await asyncio.gather(
                *(clients.connect(way=way, forceNew=True) for _ in range(count))
            )
        for start in range(0, SESSIONS, _AT_ONCE):
            await asyncio.gather(*(_exchange(one, way) for one in crowd[start:][:_AT_ONCE]))
        await crowd[0].emit("shout", "hello")
        for client in crowd:
            assert await within(client.next("shout")) == ["hello"]
            assert "disconnect" not in client.names()


async def _exchange(client: Any, way: Way) -> None:
    data = b"\x00\xff" * 20_000
    for number in range(3):
        assert await within(client.ask("echo", number, data)) == [number, data]
    assert await client.transport() == way.transport


def written(folder: Path, name: str, text: str) -> str:
    """The path of a file with a text."""
    file = folder / name
    file.write_text(text)
    return str(file)
