"""The servers, each a process of its own, their bus, and the way from each of them to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.chaos.balancer import Balancer
from tests.chaos.buses import Bus
from tests.chaos.kinds import Kind
from tests.support.aio import eventually, within
from tests.support.faults import FaultProxy
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]

# Called with a server, what it tells and the arguments.
Told = Callable[["Node", str, list[Any]], None]

# Words that are in no log of a server that is well.
_BAD = ("Traceback", "never retrieved", "never awaited", "unhandled")


class Gone(Exception):
    """The server ended before it had answered."""


def url(bus: Bus, port: int) -> str:
    """A bus's address, by a port that leads to it."""
    return f"{bus.scheme}://127.0.0.1:{port}"


class Node:
    """One server.

    Args:
        name: its name.
        kind: how it is joined with the others.
        bus: the bus, which it reaches by a way of its own.
        log: where its log goes.
        told: called with what it tells.

    Attributes:
        port: where it listens, each time that it is started.
        way: its way to the bus.
        running: whether it is to be asked.
        lives: how often it was started.
    """

    def __init__(self, name: str, kind: Kind, bus: Bus, log: Path, told: Told) -> None:
        self.name = name
        self.port = free_port()
        self.way = FaultProxy(bus.port)
        self.running = False
        self.lives = 0
        self._kind = kind
        self._url = url(bus, self.way.port)
        self._log = log
        self._told = told
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return self.name

    async def start(self, drain: float) -> None:
        """Start it, and wait until it serves.

        Args:
            drain: seconds over which it sends its clients away when it is told to end; 0 for all
                at once.

        Raises:
            Gone: when it cannot begin, as the bus is not there.
        """
        given = {
            "name": self.name,
            "kind": self._kind.name,
            "url": self._url,
            "port": self.port,
            "drain": drain,
        }
        self.lives += 1
        pipe = asyncio.subprocess.PIPE
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.node", json.dumps(given)),
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                cwd=ROOT,
                limit=1 << 22,
            )
        self._ready = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read(self._process))
        try:
            await within(self._ready)
        except Gone:
            await self._ended()
            raise
        self.running = True

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._take(json.loads(line))
        self.running = False
        answers, self._answers = self._answers, {}
        gone = Gone(f"{self.name} has ended")
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(gone)
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(gone)

    def _take(self, line: dict[str, Any]) -> None:
        told = line.get("told")
        if told == "ready":
            assert self._ready is not None
            self._ready.set_result(None)
        elif told is not None:
            self._told(self, told, line["args"])
        else:
            answer = self._answers.pop(line["id"])
            if answer.done():
                return
            if "error" in line:
                answer.set_exception(AssertionError(f"{self.name}: {line['error']}"))
            else:
                answer.set_result(line["ok"])

    def ask(self, do: str, **given: Any) -> asyncio.Future[Any]:
        """Tell it to do something; see `Commands`.

        Returns:
            Its answer, or `Gone`.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Nobody need wait for it.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        process = self._process
        if process is None or not self.running:
            answer.set_exception(Gone(f"{self.name} is not there"))
            return answer
        id = next(self._ids)
        self._answers[id] = answer
        assert process.stdin is not None
        process.stdin.write(json.dumps({"id": id, "do": do, "with": given}).encode() + b"\n")
        return answer

    async def kill(self) -> None:
        """End it at once, whatever it is doing."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._ended()

    async def stop(self) -> None:
        """Have it drain, and wait for its end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert await self._ended() == 0, f"{self.name} failed:\n{self._log.read_text()}"

    async def _ended(self) -> int:
        assert self._process is not None and self._reading is not None
        status = await within(self._process.wait())
        # What it has told is still read.
        await within(self._reading)
        self.running = False
        self._process = None
        return status

    async def __aenter__(self) -> Self:
        await self.way.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await self.kill()
        await self.way.__aexit__()

    def complaints(self) -> list[str]:
        """What of its log should not be there."""
        if not self._log.exists():
            return []
        lines = self._log.read_text().splitlines()
        return [line for line in lines if any(word in line for word in _BAD)]


class Cluster:
    """All of it.

    Args:
        kind: how the servers are joined.
        program: the path of the bus's program.
        folder: for logs.
        told: see `Node`.
        dice: decide how a server ends that is told to.

    Attributes:
        bus: theirs.
        nodes: the servers.
        balancer: where clients connect.
    """

    def __init__(
        self, kind: Kind, program: str, folder: Path, told: Told, dice: random.Random
    ) -> None:
        self.bus = kind.bus(program)
        self.nodes = [
            Node(f"node-{index}", kind, self.bus, folder / f"node-{index}.log", told)
            for index in range(kind.size)
        ]
        self.balancer = Balancer([node.port for node in self.nodes])
        self._dice = dice

    @property
    def url(self) -> str:
        """The bus's address."""
        return url(self.bus, self.bus.port)

    @property
    def running(self) -> list[Node]:
        """Those that are there."""
        return [node for node in self.nodes if node.running]

    async def __aenter__(self) -> Self:
        await self.bus.__aenter__()
        await self.balancer.__aenter__()
        for node in self.nodes:
            await node.__aenter__()
        await asyncio.gather(*(self.start(node) for node in self.nodes))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.balancer.__aexit__()
        for node in self.nodes:
            await node.__aexit__()
        await self.bus.__aexit__()

    async def start(self, node: Node) -> None:
        """Start a server; again and again, as long as the bus is not there."""
        while True:
            try:
                await node.start(self._dice.choice((0.0, 0.5, 1.0)))
                return
            except Gone:
                await asyncio.sleep(0.1)

    async def whole(self) -> None:
        """Wait until all servers are there and know of each other."""
        await eventually(lambda: len(self.running) == len(self.nodes), "all servers run")
        for node in self.nodes:
            await self._until(node, "healthy", True)
            await self._until(node, "count", len(self.nodes))

    async def _until(self, node: Node, what: str, wanted: Any) -> None:
        async def asking() -> None:
            while await node.ask(what) != wanted:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

        try:
            await within(asking(), 60)
        except TimeoutError:
            found = await node.ask(what)
            raise AssertionError(f"{node}: {what} is {found!r}, not {wanted!r}") from None
