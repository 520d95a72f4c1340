"""Two servers that are joined, and the load generator between them.

Both servers share a CPU, and the load generator and the bus have another: how much CPU time a
server takes for a piece of work is read from the kernel, for each process by itself, so that it
makes no difference where it runs. What waits for a CPU are the latencies, and these are taken with
one message under way, when all but one of the processes wait anyway.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contenders import BASELINE, SIOLOAD, Contender, Unavailable
from harness.measure import DISTURBANCE, SPARE_SECONDS
from harness.processes import (
    Failed,
    all_figures,
    free_port,
    server,
    wait_until_listening,
)
from harness.runs import fault

WORKERS = "workers"
ADAPTERS = ("classic", "sharded", "streams")
_REDIS = ("redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator does.

    Attributes:
        key: its name in the figures.
        command: the mode and options of the generator, all but times and places.
        deliveries: how many of them are one piece of work.
    """

    key: str
    command: tuple[str, ...]
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers that run.

    Attributes:
        ports: where they listen.
        pids: their processes, and that of what is between them if there is one.
    """

    ports: tuple[int, ...]
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave.

    Attributes:
        joined: by what the servers are joined.
        who: the key of the server.
        load: the key of the load.
        figures: `rate` per second; `cpu`, microseconds of each process of the pair for one piece of
            work; `p50` and `p99` in microseconds; `generator`, the share of a CPU that it took.
        error: why it is void, None if it is not.
        disturbed: whether somebody else took CPU time meanwhile.
    """

    joined: str
    who: str
    load: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    disturbed: bool = False


def redis_server() -> str:
    """The path of Redis' program.

    Raises:
        Unavailable: it is not installed.
    """
    found = shutil.which(_REDIS[0])
    if found is None:
        raise Unavailable(f"there is no {_REDIS[0]}")
    return found


@contextmanager
def pair(who: Contender, joined: str, cpus: Sequence[int], bus_cpu: int) -> Iterator[Pair]:
    """Start servers that are joined.

    Args:
        who: the server.
        joined: an adapter of Redis, or `WORKERS`.
        cpus: the CPU of each server; as many are started.
        bus_cpu: the CPU of Redis.

    Raises:
        Failed: one of them did not start.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nuncio-"))
        pids: list[int] = []
        if joined == WORKERS and who.key == BASELINE:
            yield stack.enter_context(_node_workers(who, cpus[0]))
            return
        if joined == WORKERS:
            options = ["--workers", folder]
        else:
            command = (redis_server(), *_REDIS[1:], "--dir", folder)
            bus, port = stack.enter_context(server(command, {}, bus_cpu))
            pids.append(bus.pid)
            options = ["--adapter", joined, "--redis", f"redis://127.0.0.1:{port}"]
        ports: list[int] = []
        for place, cpu in enumerate(cpus):
            process, port = stack.enter_context(server((*who.command, *options), who.env, cpu))
            pids.insert(place, process.pid)
            ports.append(port)
        yield Pair(tuple(ports), tuple(pids))


@contextmanager
def _node_workers(who: Contender, cpu: int) -> Iterator[Pair]:
    """Two workers of Node's, which are joined by way of the process that has started them."""
    second = free_port()
    command = (*who.command, "--second-port", str(second))
    with server(command, who.env, cpu) as (primary, first):
        wait_until_listening(primary, second)
        children = Path(f"/proc/{primary.pid}/task/{primary.pid}/children").read_text().split()
        pids = sorted(map(int, children))
        if len(pids) != 2:
            raise Failed(f"{who.key} has {len(pids)} workers")
        yield Pair((first, second), (*pids, primary.pid))


def run(
    running: Pair, load: Load, first: int, second: int, cpu: int, seconds: float, warmup: float
) -> Measured:
    """Put a load on a pair.

    Args:
        running: the pair.
        load: the load.
        first: which of the servers the generator takes for the first one.
        second: which it takes for the second.
        cpu: the generator's.
        seconds: of measurement.
        warmup: seconds before.
    """
    command = [
        *(str(SIOLOAD), *load.command, "--json", "--settle", "0.3"),
        *("--port", str(running.ports[first]), "--second-port", str(running.ports[second])),
        *("--seconds", str(seconds), "--warmup", str(warmup)),
        *_watched(running.pids),
    ]
    return _measured([(command, cpu)], running, load, seconds + warmup)


def run_beside(
    running: Pair, load: Load, cpus: Sequence[int], seconds: float, warmup: float
) -> Measured:
    """Put a load on each server of a pair at the same time, from its own CPU; see `run`."""
    commands = [
        (
            [
                *(str(SIOLOAD), *load.command, "--json", "--port", str(port)),
                *("--seconds", str(seconds), "--warmup", str(warmup)),
                *_watched((pid,)),
            ],
            cpu,
        )
        for port, pid, cpu in zip(running.ports, running.pids, cpus, strict=True)
    ]
    return _measured(commands, running, load, seconds + warmup)


def _watched(pids: Sequence[int]) -> list[str]:
    return [part for pid in pids for part in ("--also-pid", str(pid))]


def _measured(
    commands: Sequence[tuple[list[str], int]], running: Pair, load: Load, seconds: float
) -> Measured:
    try:
        found = all_figures(commands, {}, seconds + SPARE_SECONDS, *running.pids)
    except Failed as error:
        return Measured("", "", load.key, error=str(error))
    errors = [told for one in found if (told := fault(one)) is not None]
    others = max(max(one["others_cpu"], one["steal"]) for one in found)
    rate = sum(one["rate"] for one in found)
    # Of all generators together: each sees its own server only.
    used = [share for one in found for share in one["also_cpu_util"]]
    figures = {
        "rate": rate / load.deliveries,
        "cpu": [share * 1e6 / rate * load.deliveries for share in used] if rate else [],
        "p50": max(one["lat_us"]["p50"] for one in found),
        "p99": max(one["lat_us"]["p99"] for one in found),
        "generator": sum(one["gen_cpu_util"] for one in found),
    }
    why = errors[0] if errors else None
    return Measured("", "", load.key, figures, why, others > DISTURBANCE)
