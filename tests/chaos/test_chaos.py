"""A cluster in the storm: servers die and are replaced, the bus goes and comes.

NUNCIO_CHAOS_SECONDS says for how long; NUNCIO_CHAOS_SEED, which dice; NUNCIO_CHAOS_KINDS, which
kinds, and NUNCIO_CHAOS_PHASES, which phases, their names with commas between them. Without the
first it is short.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.crowd import Crowd, Ours, Theirs
from tests.chaos.kinds import KINDS, STREAMS, Kind
from tests.chaos.phases import PHASES
from tests.chaos.trial import Trial
from tests.support.aio import eventually
from tests.support.node import Clients, Node

SECONDS = float(os.environ.get("NUNCIO_CHAOS_SECONDS", "0"))
SEED = int(os.environ.get("NUNCIO_CHAOS_SEED", "7"))
LONG = SECONDS > 0
LOUD = LONG or "NUNCIO_CHAOS_SEED" in os.environ

# The short run: of which kinds, which phases, and how long the bus is away.
SHORT_KINDS = STREAMS.name
SHORT = ("kill", "cuts", "restart")
SHORT_SECONDS = 0.5

TESTED = os.environ.get("NUNCIO_CHAOS_KINDS") or (",".join(KINDS) if LONG else SHORT_KINDS)
OURS, THEIRS = (24, 6) if LONG else (10, 2)

pytestmark = pytest.mark.slow


def chosen() -> list[str]:
    """The phases of a round."""
    wanted = os.environ.get("NUNCIO_CHAOS_PHASES")
    if wanted:
        return wanted.split(",")
    return list(PHASES if LONG else SHORT)


async def chaos(kind: Kind, program: str, clients: Clients, folder: Path) -> str:
    """Everything; returns the figures."""
    trial = Trial(kind, random.Random(SEED), LOUD)
    async with Cluster(kind, program, folder, trial.hear, trial.dice) as cluster:
        trial.cluster = cluster
        url = cluster.balancer.url
        theirs = Theirs(clients, url, THEIRS, kind)
        await theirs.begin()
        ours = [Ours(index, url, kind) for index in range(OURS)]
        trial.crowd = Crowd(ours, theirs, random.Random(SEED + 1))
        try:
            await weather(trial)
        finally:
            await trial.crowd.close()
        await emptied(trial)
        await trial.close()
        await asyncio.gather(*(node.stop() for node in cluster.nodes))
        for node in cluster.nodes:
            assert not node.complaints(), node.complaints()
    longest = max(record.longest for record in trial.last)
    figures = ", ".join(f"{count} {name}" for name, count in trial.counts.items() if count)
    return (
        f"{kind.name}, seed {SEED}: {figures}; of clients {len(trial.database)} kept and "
        f"{trial.database.again} again; {longest:.1f} s the longest without a connection"
    )


async def weather(trial: Trial) -> None:
    """All the phases, and what must hold after them."""
    await trial.settle()
    await trial.check_known()
    before = await trial.inspect()
    await rounds(trial)
    after = await trial.inspect()
    trial.say("before", before)
    trial.say("after", after)
    trial.last = await trial.crowd.records()
    check_leaks(before, after, len(trial.last))


async def rounds(trial: Trial) -> None:
    """One round of phases, or as many as the time allows."""
    end = time.monotonic() + SECONDS
    while True:
        names = chosen()
        if LONG:
            trial.dice.shuffle(names)
        for name in names:
            # Sometimes longer than servers take to notice.
            seconds = trial.dice.choice((0.5, 2.0, 7.0)) if LONG else SHORT_SECONDS
            await PHASES[name](trial, seconds)
            if LONG and time.monotonic() > end:
                return
        if not LONG:
            return


def check_leaks(
    before: dict[str, dict[str, int]], after: dict[str, dict[str, int]], clients: int
) -> None:
    """After the storm each server has what it had before it."""
    assert sum(one["sockets"] for one in after.values()) == clients
    assert sum(one["sessions"] for one in after.values()) == clients
    for name, now in after.items():
        then = before[name]
        for what in ("descriptors", "tasks", "running"):
            assert now[what] <= then[what] + 3, f"{name} has more {what}: {then}, {now}"
        assert now["away"] <= 1000 and now["kilobytes"] <= then["kilobytes"] * 2, (then, now)


async def emptied(trial: Trial) -> None:
    """Once all clients have left, nothing of them is there."""
    for node in trial.cluster.nodes:

        async def empty(node: Any = node) -> bool:
            numbers = await node.ask("inspect")
            return not numbers["sessions"] and not numbers["sockets"]

        await trial.until(empty, f"{node} is empty")
        await trial.until_equal(node, "present", [])


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("name", TESTED.split(","))
def test_a_cluster_in_the_storm(
    name: str,
    program: Callable[[str], str],
    node: Node,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = KINDS[name]
    path = program(kind.bus.program)
    uncaught: list[dict[str, Any]] = []

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: uncaught.append(context))
        try:
            async with node.clients(port=1) as clients:
                figures = await chaos(kind, path, clients, tmp_path)
        except BaseException as error:
            error.add_note(f"NUNCIO_CHAOS_SEED={SEED}")
            raise
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()}, "no tasks")
        return figures

    figures = asyncio.run(main())
    assert not uncaught, f"nobody caught {uncaught}"
    with capsys.disabled():
        print(f"\n{figures}")
