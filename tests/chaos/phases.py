"""What goes wrong, and what must hold when it does; each phase is one function of the trial."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from nuncio import ClientSocket
from tests.chaos.cluster import Node
from tests.chaos.crowd import listener
from tests.chaos.kinds import IN_VAIN
from tests.chaos.ledger import GONE, SENT
from tests.chaos.trial import BOUND, Trial
from tests.support.aio import eventually, within

# A client that goes with its server.
GHOST = "ghost"

Phase = Callable[[Trial, float], Awaitable[None]]


async def some_time(trial: Trial, least: float, most: float) -> None:
    """Let traffic flow for a while."""
    await asyncio.sleep(trial.dice.uniform(least, most))


# Servers come and go.


async def deploy(trial: Trial, _: float) -> None:
    """All servers are replaced one by one, each drained first. Nobody notices."""
    async with trial.phase("deploy"):
        nodes = list(trial.cluster.nodes)
        trial.dice.shuffle(nodes)
        for node in nodes:
            trial.say(f"{node} drains")
            await node.stop()
            await trial.cluster.start(node)
            trial.counts["servers replaced"] += 1
            await some_time(trial, 0.1, 0.4)
    must, may = trial.ledger.phase(SENT), set[int]()
    if trial.kind.keeps:
        # What a server had read and not answered before it ended, it has handed on, too.
        must |= set().union(*await trial.handed_on(()))
        records = await trial.check_all(must, may)
        for record in records:
            assert len(record.spells) == 1, f"{record.name} began afresh: {record}"
        # Whom nobody could ask when its client came back, before, is kept for somebody who has
        # begun afresh, and what is promised to all piles up there.
        ids = {record.id for record in records}
        undelivered = [one for one in trial.told_of("undelivered") if one[1][0] in ids]
        assert not undelivered, undelivered
    else:
        await trial.check_all(set(), must | trial.ledger.phase(GONE))
    await trial.check_kept()
    await trial.check_known()


async def kill(trial: Trial, _: float) -> None:
    """A server is killed while others wait for it. Only its own clients notice."""
    # The one started last has none, for nobody has come since.
    homes = {node: set(await node.ask("clients")) for node in trial.cluster.nodes}
    victim = trial.dice.choice([node for node, names in homes.items() if names])
    names = homes.pop(victim)
    ghost = listener(f"http://127.0.0.1:{victim.port}", reconnection=False)
    async with trial.phase("kill"):
        auth = {"name": GHOST, "rooms": []}
        await within(ghost.socket("/", auth=auth).wait_connected())
        await some_time(trial, 0.2, 0.6)
        asked = [node.ask("ask", event="hang", timeout=1.0) for node in homes]
        asked += [node.ask("fetch", timeout=1.0) for node in homes]
        trial.say(f"{victim} is killed, with {len(names)} clients")
        await victim.kill()
        trial.counts["servers killed"] += 1
        for question in asked:
            # However it ends, it ends.
            await within(question, BOUND)
        await some_time(trial, 0.2, 1.0)
        await trial.cluster.start(victim)
        await some_time(trial, 0.2, 0.6)
    ledger = trial.ledger
    of_victim = ledger.of({victim.name})
    sent = ledger.phase(SENT)
    records = await trial.crowd.records()
    if trial.kind.keeps:
        orders = await trial.handed_on(homes)
        must = set().union(*orders)
        assert sent - of_victim <= must, f"not handed on: {ledger.words(sent - of_victim - must)}"
    else:
        orders, must = [], sent - of_victim
    for record in records:
        if record.name not in names:
            # Its requests may have come to the victim.
            noticed = len(record.spells) - 1 if trial.kind.passes_on else record.losses
            assert not noticed, f"{record.name} was not there, and noticed"
            ledger.check(record, must, of_victim)
        elif trial.kind.keeps:
            ledger.check(record, set(), must | of_victim)
            for order in orders:
                ledger.check_gaps(record, order)
        else:
            ledger.check(record, set(), ledger.phase())
    trial.tally(records)
    await trial.check_kept()
    await trial.check_known()
    for node in homes:
        # Who has not come back is gone, which is told once.
        await eventually(partial(trial.has_told, node, "left", GHOST), f"{node} tells who left")
    await within(ghost.close())


# Clients' connections.


async def cuts(trial: Trial, _: float) -> None:
    """The connections of all clients break off, more than once; they come back to any server."""
    async with trial.phase("cuts"):
        for _ in range(3):
            await some_time(trial, 0.3, 0.8)
            trial.cluster.balancer.cut(rst=trial.dice.random() < 0.5)
        await some_time(trial, 0.3, 0.6)
    if trial.kind.keeps:
        records = await trial.check_all(trial.ledger.phase(SENT), set())
        for record in records:
            assert len(record.spells) == 1, f"{record.name} began afresh: {record}"
    else:
        await trial.check_all(set(), trial.ledger.phase())
    await trial.check_kept()
    await trial.check_known()


# The bus.


@asynccontextmanager
async def locals_of(trial: Trial) -> AsyncIterator[dict[Node, ClientSocket]]:
    """A client of each server, whose connection goes nowhere else."""
    managers = {}
    sockets = {}
    for node in trial.cluster.nodes:
        manager = managers[node] = listener(f"http://127.0.0.1:{node.port}")
        auth = {"name": f"local-{node}", "rooms": []}
        sockets[node] = manager.socket("/", auth=auth)
    try:
        for socket in sockets.values():
            await within(socket.wait_connected())
        yield sockets
    finally:
        for manager in managers.values():
            await within(manager.close())


async def served(trial: Trial, sockets: dict[Node, ClientSocket]) -> None:
    """Every server answers its own clients, though it cannot reach the others."""
    for node, socket in sockets.items():
        assert await within(socket.emit_with_ack("echo", 7)) == 7, node
        trial.counts["echoes during outages"] += 1


async def bounded(nodes: Iterable[Node], ends: str) -> None:
    """Questions end with what is known, while servers cannot answer or be asked.

    Args:
        nodes: who asks.
        ends: how the question ends who is there.
    """
    for node in nodes:
        here = set(await within(node.ask("clients"), BOUND))
        how, names = await within(node.ask("fetch", timeout=0.4), BOUND)
        assert how == ends, f"{node} says {how}"
        assert here <= set(names), f"{node} left its own clients out"
        how, _ = await within(node.ask("ask", event="who", timeout=0.4), BOUND)
        assert how == "AckTimeout", f"{node} says {how}"


async def check_bus(trial: Trial, may: set[int]) -> None:
    """After an outage: nobody has lost a connection; promised events are all there."""
    ledger = trial.ledger
    records = await trial.crowd.records()
    for record in records:
        assert record.losses == 0, f"{record.name} lost its connection"
    everything = ledger.phase()
    if trial.kind.keeps:
        # What the emitter could not send it has told.
        must = ledger.phase(SENT) - may
        await trial.check_all(must, everything - must)
    else:
        await trial.check_all(set(), everything)
    homes = {node.name: set(await node.ask("clients")) for node in trial.cluster.nodes}
    for record in records:
        for home, names in homes.items():
            if record.name in names:
                # What its own server emits it hears whatever becomes of the bus.
                ledger.check(record, ledger.of({home}), everything)
    await trial.check_kept()
    await trial.check_known()


async def freeze(trial: Trial, seconds: float) -> None:
    """The bus says nothing for a while."""
    async with locals_of(trial) as sockets, trial.phase("freeze"):
        await some_time(trial, 0.2, 0.4)
        trial.say(f"the bus is frozen for {seconds:.1f} s")
        resting = asyncio.ensure_future(asyncio.sleep(seconds))
        trial.cluster.bus.freeze()
        try:
            await served(trial, sockets)
            await bounded(sockets, trial.kind.silent)
            await resting
        finally:
            trial.cluster.bus.thaw()
        await some_time(trial, 0.2, 0.4)
    await check_bus(trial, set())


async def connections(trial: Trial, _: float) -> None:
    """The servers' connections to the bus are cut, again and again."""
    async with trial.phase("connections"):
        for _ in range(6):
            await some_time(trial, 0.1, 0.4)
            await trial.cluster.bus.cut([node.way for node in trial.cluster.nodes], trial.dice)
            trial.counts["connections to the bus cut"] += 1
    await check_bus(trial, set())


async def restart(trial: Trial, seconds: float) -> None:
    """The bus is restarted, with all that it has taken."""
    await _restart(trial, seconds, "restart", forget=False)
    await check_bus(trial, set())


async def forget(trial: Trial, seconds: float) -> None:
    """The bus is restarted, and has nothing any longer."""
    await _restart(trial, seconds, "forget", forget=True)
    # What it had taken and a server had not read yet is gone, except for that server's clients.
    await check_bus(trial, trial.ledger.phase() if trial.cluster.bus.logs else set())


async def _restart(trial: Trial, seconds: float, name: str, *, forget: bool) -> None:
    bus = trial.cluster.bus
    async with locals_of(trial) as sockets, trial.phase(name):
        await some_time(trial, 0.2, 0.4)
        trial.say(f"the bus is away for {seconds:.1f} s")
        resting = asyncio.ensure_future(asyncio.sleep(seconds))
        await bus.stop()
        if forget:
            bus.forget()
        await served(trial, sockets)
        await bounded(sockets, trial.kind.away)
        await resting
        await bus.start()
        trial.counts["restarts of the bus"] += 1
        await some_time(trial, 0.2, 0.4)
    for node in sockets:
        told = trial.told_by(node, "unhealthy", "healthy")
        assert told[:1] == ["unhealthy"] and told[-1:] == ["healthy"], (node, told)


async def partition(trial: Trial, seconds: float) -> None:
    """One server cannot reach the bus, and nobody tells it so."""
    lonely = trial.dice.choice(trial.cluster.nodes)
    others = [node for node in trial.cluster.nodes if node is not lonely]
    async with locals_of(trial) as sockets, trial.phase("partition"):
        await some_time(trial, 0.2, 0.4)
        trial.say(f"{lonely} is cut off for {seconds:.1f} s")
        resting = asyncio.ensure_future(asyncio.sleep(seconds))
        lonely.way.stall()
        await served(trial, sockets)
        await bounded([lonely], trial.kind.silent)
        await bounded(others, IN_VAIN)
        await resting
        trial.counts["partitions"] += 1
        lonely.way.resume()
        await some_time(trial, 0.2, 0.4)
    await check_bus(trial, set())


# Everything at once.


class _Storm:
    """What may happen at any time; nothing twice at once to the same."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._cluster = trial.cluster
        self._busy: set[object] = set()
        self._under_way: set[asyncio.Task[None]] = set()

    async def rage(self, seconds: float) -> None:
        """Have things happen for so long."""
        loop, dice = asyncio.get_running_loop(), self._trial.dice
        end = loop.time() + seconds
        while loop.time() < end:
            self._happen(dice.choice(("die", "replace", "rest", "again", "alone", "cut", "wonder")))
            await some_time(self._trial, 0.1, 0.6)
        await within(asyncio.gather(*self._under_way), BOUND)

    def _happen(self, what: str) -> None:
        node = self._trial.dice.choice(self._cluster.nodes)
        of_node: dict[str, Callable[[Node], Awaitable[None]]] = {
            "die": self._die,
            "replace": self._replace,
            "alone": self._alone,
            "wonder": self._wonder,
        }
        if what == "cut":
            self._cluster.balancer.cut(rst=True)
        elif what in of_node:
            self._begin(what, node, of_node[what](node))
        else:
            self._begin(what, None, self._rest() if what == "rest" else self._cluster.bus.restart())

    def _begin(self, what: str, whom: Node | None, doing: Any) -> None:
        if whom in self._busy:
            doing.close()
            return
        self._busy.add(whom)
        self._trial.say(f"    {what} ({whom or 'the bus'})")
        self._trial.counts["blows of the storm"] += 1
        task = asyncio.ensure_future(doing)
        self._under_way.add(task)
        task.add_done_callback(lambda _: self._busy.discard(whom))

    async def _die(self, node: Node) -> None:
        await node.kill()
        await some_time(self._trial, 0.0, 1.0)
        await self._cluster.start(node)

    async def _replace(self, node: Node) -> None:
        await node.stop()
        await self._cluster.start(node)

    async def _alone(self, node: Node) -> None:
        node.way.stall()
        await some_time(self._trial, 0.1, 3.0)
        node.way.resume()

    async def _wonder(self, node: Node) -> None:
        await within(node.ask("fetch", timeout=1.0), BOUND)
        await within(node.ask("ask", event="who", timeout=1.0), BOUND)

    async def _rest(self) -> None:
        self._cluster.bus.freeze()
        await some_time(self._trial, 0.1, 3.0)
        self._cluster.bus.thaw()


async def storm(trial: Trial, seconds: float) -> None:
    """Anything may happen at any time, also at once; in the end all is well again."""
    async with trial.phase("storm"):
        await _Storm(trial).rage(max(2.0, seconds))
    # Who was given what the bus had not taken, and moved on before it did, may be given it again.
    await trial.check_all(set(), trial.ledger.phase(), twice=True)
    await trial.check_kept()
    await trial.check_known()


BUS: dict[str, Phase] = {
    "freeze": freeze,
    "connections": connections,
    "restart": restart,
    "forget": forget,
    "partition": partition,
}
PHASES: dict[str, Phase] = {"deploy": deploy, "kill": kill, "cuts": cuts, **BUS, "storm": storm}
