"""A cluster under traffic, in phases: something goes wrong, all settles, and all is checked."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import nuncio
from tests.chaos.cluster import Cluster, Gone, Node
from tests.chaos.crowd import ROOMS, Crowd, Record
from tests.chaos.kinds import Kind
from tests.chaos.ledger import EMITTER, GONE, SENT, Database, Ledger
from tests.support.aio import eventually, within

# Everything that is to end by itself has ended after so many seconds.
BOUND = 60.0


class Trial:
    """The traffic, and the words for what becomes of it.

    Args:
        kind: the cluster's kind.
        dice: decide.
        loud: whether to tell what goes on.

    Attributes:
        cluster: the servers; given before the first phase, as `crowd` is.
        ledger: what was emitted to clients.
        database: what clients have emitted, as the application keeps it.
        told: what servers have told in this phase: their names, the words and the arguments.
        counts: for the summary.
        last: what clients knew in the end.
    """

    cluster: Cluster
    crowd: Crowd

    def __init__(self, kind: Kind, dice: random.Random, loud: bool) -> None:
        self.kind = kind
        self.dice = dice
        self.ledger = Ledger()
        self.database = Database()
        self.told: list[tuple[str, str, list[Any]]] = []
        self.counts: Counter[str] = Counter()
        self.last: list[Record] = []
        self._loud = loud
        self._began = time.monotonic()
        self._since = ""
        self._emitting: set[asyncio.Task[None]] = set()
        self._emitter: nuncio.Emitter | None = None

    def say(self, *words: object) -> None:
        """Tell what goes on, if anybody wants to know."""
        if self._loud:
            passed = time.monotonic() - self._began
            print(f"{passed:7.1f} s ", *words, file=sys.__stderr__, flush=True)

    def hear(self, node: Node, told: str, args: list[Any]) -> None:
        """A server tells something."""
        if told == "number":
            self.database.keep(*args)
        else:
            self.told.append((node.name, told, args))

    def told_by(self, node: Node, *words: str) -> list[str]:
        """Which of these words a server has told in this phase, in order."""
        return [told for name, told, _ in self.told if name == node.name and told in words]

    def told_of(self, word: str) -> list[tuple[str, list[Any]]]:
        """What servers have told of something in this phase: their names and the arguments."""
        return [(name, args) for name, told, args in self.told if told == word]

    def has_told(self, node: Node, told: str, *args: Any) -> bool:
        """Whether a server has told something in this phase; it may do so once."""
        times = self.told.count((node.name, told, list(args)))
        assert times <= 1, f"{node} has told {told} {args} more than once"
        return times == 1

    # Traffic.

    @property
    def emitter(self) -> nuncio.Emitter:
        """It emits from outside, by a way of its own to the bus."""
        if self._emitter is None:
            assert self.kind.adapter is not None
            self._emitter = nuncio.Emitter(self.kind.adapter(self.cluster.url))
        return self._emitter

    @property
    def _outside(self) -> list[None]:
        """The emitter as a source, where there is one."""
        return [] if self.kind.adapter is None else [None]

    def emit(self, source: Node | None, *rooms: str) -> int:
        """Have a server emit the next number, or the emitter.

        Args:
            source: the server; None for the emitter.
            rooms: to whom; none for everybody.
        """
        if source is None:
            number = self.ledger.add(EMITTER, rooms)
            sending: Awaitable[Any] = self._emit_from_outside(number, rooms)
        else:
            number = self.ledger.add(source.name, rooms, source.lives)
            sending = source.ask("emit", number=number, rooms=list(rooms))
        task = asyncio.ensure_future(self._see(number, sending))
        self._emitting.add(task)
        task.add_done_callback(self._emitting.discard)
        self.counts["emitted"] += 1
        return number

    async def _emit_from_outside(self, number: int, rooms: tuple[str, ...]) -> str:
        emitter: Any = self.emitter
        try:
            await (emitter.to(list(rooms)) if rooms else emitter).emit("news", number)
        except ConnectionError:
            return GONE
        return SENT

    async def _see(self, number: int, sending: Awaitable[Any]) -> None:
        entry = self.ledger.all[number]
        try:
            entry.came = await sending
        except Gone:
            entry.came = GONE

    async def _talk(self) -> None:
        """Emit from anywhere to anybody, all the time."""
        while True:
            outside = self.dice.random() < 0.15
            sources = (outside and self._outside) or self.cluster.running or self._outside
            count = self.dice.choice((0, 0, 1, 1, 2))
            if sources:
                source = self.dice.choice(sources)
                for _ in range(self.dice.choice((1, 1, 1, 5))):
                    self.emit(source, *self.dice.sample(ROOMS, count))
            await asyncio.sleep(self.dice.uniform(0.01, 0.08))

    # Phases.

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Traffic while the block runs, and afterwards until all has come to rest."""
        self.say(f"{name} …")
        await self.crowd.clear()
        self.ledger.begin()
        self.told.clear()
        self._since = await self.cluster.bus.end()
        talking = asyncio.ensure_future(self._talk())
        await self.crowd.talk()
        try:
            yield
            assert not talking.done(), talking.exception()
        finally:
            talking.cancel()
            await asyncio.wait((talking,))
            await self.crowd.hush()
        await self.settle()
        self.counts[name.split()[0]] += 1

    async def settle(self) -> None:
        """Wait until everybody is there, and has heard what was emitted last."""
        await self.cluster.whole()
        await self.until(self.crowd.connected, "all clients are connected")
        await self.until(self._answered, "all that clients have emitted is acknowledged")
        emitting = set(self._emitting)
        if emitting:
            _, late = await asyncio.wait(emitting, timeout=BOUND)
            assert not late, "an emit does not end"
        marks = {self.emit(node) for node in (*self.cluster.nodes, *self._outside)}

        async def heard() -> bool:
            return all(marks <= set(one.heard) for one in await self.crowd.records())

        await self.until(heard, f"all have heard the marks {marks}")

    async def _answered(self) -> bool:
        return all(one.answered == one.emitted for one in await self.crowd.records())

    async def until(self, ask: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until something holds."""
        limit = time.monotonic() + BOUND
        while not await ask():
            assert time.monotonic() < limit, (
                f"this never became true: {what}; {await self.crowd.records()}"
            )
            await asyncio.sleep(0.05)

    # What has been handed on.

    async def handed_on(self, living: Iterable[Node]) -> list[list[int]]:
        """The numbers of this phase that were handed on, each list in the order that all see.

        Args:
            living: the servers that have lived on, which have handed on all that they sent. Where
                the bus has no log, nothing is known of the others, and each has its own order.
        """
        if self.cluster.bus.logs:
            return [await self.cluster.bus.logged(self._since)]
        sent = self.ledger.phase(SENT)
        return [sorted(sent & self.ledger.of({node.name})) for node in living]

    # What must hold.

    async def check_kept(self) -> None:
        """The application has all that clients have emitted."""
        for record in await self.crowd.records():
            self.database.check(record)

    async def check_all(
        self, must: set[int], may: set[int], *, twice: bool = False
    ) -> list[Record]:
        """Everybody has heard what it must, whatever happened to its connection."""
        records = await self.crowd.records()
        for record in records:
            if twice:
                self.counts["heard twice"] += record.forget_repetitions()
            self.ledger.check(record, must, may)
        self.tally(records)
        return records

    def tally(self, records: list[Record]) -> None:
        """Count what clients have heard."""
        for record in records:
            self.counts["heard"] += len(record.heard)
            self.counts["lost connections"] += record.losses
            self.counts["recovered"] += record.recoveries
            self.counts["began afresh"] += len(record.spells) - 1

    async def check_known(self) -> None:
        """Every server knows everybody, once, and who is present."""
        names = sorted(one.name for one in await self.crowd.records())
        for node in self.cluster.nodes:
            await self.until_equal(node, "fetch", ["complete", names], timeout=5)
            await self.until_equal(node, "present", names)
            others = sorted(one.name for one in self.cluster.nodes if one is not node)
            how, who = await within(node.ask("ask", event="who", timeout=20.0), BOUND)
            assert (how, sorted(who)) == ("complete", others)

    async def until_equal(self, node: Node, do: str, wanted: Any, **given: Any) -> None:
        """Ask a server until its answer is the wanted one."""
        limit = time.monotonic() + BOUND
        while (found := await within(node.ask(do, **given), BOUND)) != wanted:
            assert time.monotonic() < limit, f"{node}: {do} is {found!r} and not {wanted!r}"
            await asyncio.sleep(0.1)

    async def inspect(self) -> dict[str, dict[str, int]]:
        """What there is at each server, once nothing is under way."""
        found: dict[str, dict[str, int]] = {}
        for node in self.cluster.nodes:

            async def at_rest(node: Node = node) -> bool:
                numbers = found[node.name] = await node.ask("inspect")
                busy = ("handshakes", "requests", "promised", "pending", "looking", "moving")
                return not any(numbers[name] for name in busy)

            await self.until(at_rest, f"{node} is at rest")
        return found

    async def close(self) -> None:
        """End what the trial itself has begun."""
        if self._emitter is not None:
            await within(self._emitter.close())
        await eventually(lambda: not self._emitting, "nothing is being emitted")
