"""The clients, ours and the official ones: what they send, and what they hear.

A client hears in spells. A spell goes on when its state was recovered after a lost connection, and
a new one begins when it was not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nuncio
from nuncio import ClientSocket, Manager
from tests.chaos.kinds import Kind
from tests.support.aio import within
from tests.support.node import Clients

ROOMS = ("red", "green", "blue")

# So many of a client's events wait at most for their acknowledgement.
_MOST_WAITING = 40

RETRIES: dict[str, Any] = {"retries": 1_000_000}


@dataclass
class Record:
    """What one client knows.

    Attributes:
        name: its name.
        rooms: the rooms it is in.
        spells: the numbers that it has heard since the phase began.
        begun: when each spell did, in seconds since the epoch; 0 for the first.
        emitted: how many events it has emitted, ever.
        answered: which of them were acknowledged, in this order.
        losses: how often it lost its connection since the phase began.
        recoveries: how often it recovered since then.
        longest: the longest time without a connection, in seconds, ever.
        id: its socket's, which changes when it begins afresh.
    """

    name: str
    rooms: tuple[str, ...]
    spells: list[list[int]]
    emitted: int = 0
    answered: int = 0
    losses: int = 0
    recoveries: int = 0
    longest: float = 0.0
    id: str = ""
    begun: list[float] = field(default_factory=lambda: [0.0])

    @property
    def heard(self) -> list[int]:
        """All that it has heard since the phase began."""
        return [number for spell in self.spells for number in spell]

    def forget_repetitions(self) -> int:
        """Leave each number where it was heard first; returns how many others there were."""
        before = len(self.heard)
        known: set[int] = set()
        for spell in self.spells:
            spell[:] = [one for one in dict.fromkeys(spell) if one not in known]
            known.update(spell)
        return before - len(known)

    def meant(self, rooms: Sequence[str]) -> bool:
        """Whether an event is for it that was emitted to these rooms, or to all."""
        return not rooms or any(room in self.rooms for room in rooms)


def rooms_of(index: int) -> tuple[str, ...]:
    """The rooms of a client: one or two of them."""
    return tuple(sorted({ROOMS[index % 3], ROOMS[index // 3 % 3]}))


class Ours:
    """One of our clients.

    Args:
        index: its number.
        url: where it connects.
        kind: of the servers.
    """

    def __init__(self, index: int, url: str, kind: Kind) -> None:
        self.record = Record(f"ours-{index}", rooms_of(index), [[]])
        self._lost_at = 0.0
        self.manager = Manager(
            url,
            transports=kind.way(index),
            reconnection_delay=0.05,
            reconnection_delay_max=0.5,
            timeout=10.0,
        )
        delivery = "at-least-once" if kind.keeps else "at-most-once"
        auth = {"name": self.record.name, "rooms": list(self.record.rooms)}
        self.socket: ClientSocket = self.manager.socket(
            "/", auth=auth, ack_timeout=5.0, delivery=delivery, **RETRIES
        )
        self.socket.on("news", self._news)
        self.socket.on("connect", self._connected)
        self.socket.on("disconnect", self._lost)
        self._began = False

    def _news(self, number: int) -> None:
        self.record.spells[-1].append(number)

    def _connected(self) -> None:
        record = self.record
        record.id = self.socket.id or ""
        if self._lost_at:
            away = asyncio.get_running_loop().time() - self._lost_at
            record.longest = max(record.longest, away)
        if self.socket.recovered:
            record.recoveries += 1
        elif self._began:
            record.spells.append([])
            record.begun.append(time.time())
        self._began = True

    def _lost(self) -> None:
        self.record.losses += 1
        self._lost_at = asyncio.get_running_loop().time()

    def say(self) -> None:
        """Emit the next event, unless too many wait."""
        record = self.record
        if record.emitted - record.answered < _MOST_WAITING:
            self.socket.emit("number", record.name, record.emitted, self._answered)
            record.emitted += 1

    def _answered(self, error: Exception | None, node: str = "") -> None:
        assert error is None, f"{self.record.name} was not answered: {error!r}"
        self.record.answered += 1

    async def close(self) -> None:
        """Leave."""
        await within(self.manager.close())


_BEGIN = """
const { io } = require("socket.io-client");
const [url, names] = args;
const crowd = (globalThis.crowd = { running: false, members: [] });
for (const [name, rooms, transports] of names) {
  const record = {
    name, rooms, spells: [[]], begun: [0], emitted: 0, answered: 0, losses: 0, recoveries: 0,
    longest: 0, id: "",
  };
  const socket = io(url, {
    transports, auth: { name, rooms }, forceNew: true, timeout: 10000,
    retries: 1000000, ackTimeout: 5000, reconnectionDelay: 50, reconnectionDelayMax: 500,
  });
  const seen = new Set();
  let lost = 0;
  let began = false;
  // As the guide says.
  socket.on("news", (number, ...rest) => {
    const acknowledge = typeof rest.at(-1) === "function" ? rest.pop() : () => {};
    const id = rest.pop();
    if (id === undefined || !seen.has(id)) {
      if (id !== undefined) seen.add(id);
      record.spells.at(-1).push(number);
    }
    acknowledge();
  });
  socket.on("connect", () => {
    record.id = socket.id;
    if (lost) record.longest = Math.max(record.longest, (Date.now() - lost) / 1000);
    if (socket.recovered) record.recoveries += 1;
    else if (began) {
      record.spells.push([]);
      record.begun.push((Date.now() + 1) / 1000);
    }
    began = true;
  });
  socket.on("disconnect", () => { record.losses += 1; lost = Date.now(); });
  const timer = setInterval(() => {
    if (!crowd.running || record.emitted - record.answered >= 40 || Math.random() < 0.5) return;
    socket.emit("number", name, record.emitted++, (error) => {
      if (error) throw error;
      record.answered += 1;
    });
  }, 100);
  crowd.members.push({ socket, record, timer });
}
"""

_RECORDS = """
return crowd.members.map(({ record, socket }) => ({ ...record, connected: socket.connected }));
"""

_CLEAR = """
for (const { record } of crowd.members) {
  Object.assign(record, { spells: [[]], begun: [0], losses: 0, recoveries: 0 });
}
"""

_END = """
for (const { socket, timer } of crowd.members) { clearInterval(timer); socket.disconnect(); }
"""


class Theirs:
    """The official clients, in Node.

    Args:
        clients: the process that they run in.
        url: where they connect.
        count: how many.
        kind: of the servers.
    """

    def __init__(self, clients: Clients, url: str, count: int, kind: Kind) -> None:
        self._clients = clients
        self._url = url
        self._names = [
            (f"theirs-{index}", rooms_of(index), kind.way(index)) for index in range(count)
        ]

    async def begin(self) -> None:
        """Connect."""
        await self._clients.run(_BEGIN, self._url, self._names)

    async def talk(self, running: bool) -> None:
        """Emit now and then, or no longer."""
        await self._clients.run("crowd.running = args[0]", running)

    async def records(self) -> tuple[list[Record], bool]:
        """What they know; and whether all are connected."""
        connected = True
        found = []
        for told in await self._clients.run(_RECORDS):
            connected = told.pop("connected") and connected
            found.append(Record(**{**told, "rooms": tuple(told["rooms"])}))
        return found, connected

    async def clear(self) -> None:
        """A phase begins."""
        await self._clients.run(_CLEAR)

    async def close(self) -> None:
        """Leave."""
        await self._clients.run(_END)


class Crowd:
    """All clients.

    Args:
        ours: ours.
        theirs: the official ones, if there are any.
        dice: decide when ours emit.
    """

    def __init__(self, ours: list[Ours], theirs: Theirs | None, dice: random.Random) -> None:
        self.ours = ours
        self._theirs = theirs
        self._dice = dice
        self._talking: list[asyncio.Task[None]] = []

    async def talk(self) -> None:
        """Emit now and then."""
        self._talking = [asyncio.ensure_future(self._talk(one)) for one in self.ours]
        if self._theirs is not None:
            await self._theirs.talk(True)

    async def _talk(self, one: Ours) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0.02, 0.2))
            one.say()

    async def hush(self) -> None:
        """Emit no longer."""
        talking, self._talking = self._talking, []
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        if self._theirs is not None:
            await self._theirs.talk(False)

    async def records(self) -> list[Record]:
        """What everybody knows."""
        found = [one.record for one in self.ours]
        return found if self._theirs is None else found + (await self._theirs.records())[0]

    async def clear(self) -> None:
        """A phase begins."""
        for one in self.ours:
            one.record.spells, one.record.begun = [[]], [0.0]
            one.record.losses = one.record.recoveries = 0
        if self._theirs is not None:
            await self._theirs.clear()

    async def connected(self) -> bool:
        """Whether everybody is."""
        if not all(one.socket.connected for one in self.ours):
            return False
        return self._theirs is None or (await self._theirs.records())[1]

    async def close(self) -> None:
        """Everybody leaves."""
        await asyncio.gather(*(one.close() for one in self.ours))
        if self._theirs is not None:
            await self._theirs.close()


def listener(url: str, **options: Any) -> nuncio.Manager:
    """A client of one server, whatever happens to the others."""
    return Manager(url, transports=["websocket"], **options)
