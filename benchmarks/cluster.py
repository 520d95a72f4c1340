#!/usr/bin/env python3
"""Measure servers that are joined: Nuncio's and Node.js's clusters, and Nuncio's workers.

A load generator has clients at both servers of a pair. In turn, so that what disturbs the machine
for a while disturbs all of them, it measures

    broadcasts   an event comes to a server, which emits it to a room whose members are at the other
    latency      the same with one under way, beside a member that is at the same server
    forwarding   requests and packets that reach the worker with their session, or the other one
    scaling      a worker with its load on one CPU, and two of them on two

and prints tables: medians of the rounds, and ratios to Node.js. README.md beside this file says
more.

Exit status: 0, 1 when a run was void (its figures are then left out), 2 on misuse.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import cluster_report, machine, pairs, servers
from harness.cluster_report import ECHO, FORWARDED, HERE, HUNDRED, ONE, THERE, Report
from harness.contenders import BASELINE, Contender, Programs, Unavailable, usual_interpreter
from harness.measure import build_generator
from harness.pairs import ADAPTERS, WORKERS, Measured, Pair
from harness.processes import Failed

PARTS = ("broadcasts", "latency", "forwarding", "scaling")


class Times(NamedTuple):
    """How long and how often, in seconds."""

    rounds: int
    seconds: float
    latency: float
    warmup: float


_USUAL = Times(3, 2.0, 1.0, 0.4)
_QUICK = Times(1, 0.5, 0.3, 0.2)


class Step(NamedTuple):
    """Servers to start, and what is measured with them, one after the other."""

    joined: str
    who: Contender
    cpus: tuple[int, ...]
    loads: tuple[tuple[str, Callable[[Pair], Measured]], ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        cpus = machine.choose_cpus(None, None)
        build_generator()
        if {"broadcasts", "latency"}.intersection(options.only):
            pairs.redis_server()
        found = _find(options)
    except (Failed, Unavailable, ValueError) as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return 2
    machine.raise_file_limit()
    times = _QUICK if options.quick else _USUAL
    if options.rounds:
        times = times._replace(rounds=options.rounds)
    print(machine.describe(), flush=True)
    steps = list(_plan(options.only, found, cpus, times))
    measured: list[Measured] = []
    total = sum(len(step.loads) for step in steps) * times.rounds
    began = time.monotonic()
    for turn in range(1, times.rounds + 1):
        for step in steps:
            _take(step, f"{turn}/{times.rounds}", total, cpus, measured)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    report = Report(
        found,
        measured,
        times.rounds,
        times.seconds,
        cpus,
        quick=options.quick,
        machine=machine.describe(),
    )
    text = report.as_markdown()
    print(f"\n{text}", flush=True)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    return 1 if any(one.error for one in measured) else 0


def _plan(
    parts: Sequence[str], found: Sequence[Contender], cpus: machine.Cpus, times: Times
) -> Iterator[Step]:
    """What one round is made of."""
    together = (cpus.tested, cpus.tested)
    loads = []
    if "broadcasts" in parts:
        # Members are at the first server, and who sends is at the second.
        loads += [_step(load, 0, 1, cpus, times.seconds, times) for load in (ONE, HUNDRED)]
    if "latency" in parts:
        loads.append(_step(THERE, 0, 1, cpus, times.latency, times))
        loads.append(_step(HERE, 1, 1, cpus, times.latency, times))
    if loads:
        for joined in (*ADAPTERS, WORKERS):
            for who in found:
                yield Step(joined, who, together, tuple(loads))
    ours = next((who for who in found if who.key != BASELINE), None)
    if ours is None:
        return
    if "forwarding" in parts:
        steps = []
        for right, wrong, alone in FORWARDED:
            seconds = times.latency if alone else times.seconds
            steps.append(_step(right, 0, 0, cpus, seconds, times))
            steps.append(_step(wrong, 0, 1, cpus, seconds, times))
        yield Step(WORKERS, ours, together, tuple(steps))
    if "scaling" in parts and cpus.tested != cpus.other:
        for places in ((cpus.tested,), (cpus.tested, cpus.other)):
            load = dataclasses.replace(ECHO, key=f"{ECHO.key}-{len(places)}")
            yield Step(WORKERS, ours, places, ((load.key, _beside(load, places, times)),))


def _step(
    load: pairs.Load, first: int, second: int, cpus: machine.Cpus, seconds: float, times: Times
) -> tuple[str, Callable[[Pair], Measured]]:
    def go(running: Pair) -> Measured:
        return pairs.run(running, load, first, second, cpus.other, seconds, times.warmup)

    return load.key, go


def _beside(load: pairs.Load, places: Sequence[int], times: Times) -> Callable[[Pair], Measured]:
    return lambda running: pairs.run_beside(running, load, places, times.seconds, times.warmup)


def _take(step: Step, turn: str, total: int, cpus: machine.Cpus, measured: list[Measured]) -> None:
    """Take one step; what it gave is added."""
    head = f"{step.joined} {step.who.key}"
    try:
        with pairs.pair(step.who, step.joined, step.cpus, cpus.other) as running:
            for key, go in step.loads:
                print(f"[{len(measured) + 1}/{total}] {turn} {head} {key}:", end=" ", flush=True)
                one = dataclasses.replace(go(running), joined=step.joined, who=step.who.key)
                measured.append(one)
                print(cluster_report.outcome(one), flush=True)
    except Failed as error:
        print(f"{head}: VOID: {error}", flush=True)
        measured.append(Measured(step.joined, step.who.key, "", error=str(error)))


def _find(options: argparse.Namespace) -> list[Contender]:
    """Nuncio, and Node.js where it is installed.

    Raises:
        Unavailable: Nuncio is not there.
    """
    programs = Programs(options.python, options.python, options.python, options.node)
    found = [servers.FINDERS["nuncio-plain" if options.plain else "nuncio"](programs)]
    try:
        found.append(servers.with_adapters(servers.FINDERS[BASELINE](programs), options.node))
    except Unavailable as error:
        print(f"{BASELINE} left out: {error}", file=sys.stderr)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure clusters of Nuncio and Node.js side by side, and Nuncio's workers.",
        epilog=f"Parts: {', '.join(PARTS)}.",
    )
    add = parser.add_argument
    add("--python", default=usual_interpreter(".venv"), metavar="PATH", help="which has Nuncio")
    add("--plain", action="store_true", help="that Nuncio is plain Python")
    add("--node", metavar="PATH", default="node")
    add("--only", metavar="PART,…", type=_parts, default=PARTS, help="these parts only")
    add("--rounds", type=int)
    add("--quick", action="store_true", help="one short round")
    add("--markdown", type=Path, metavar="FILE", help="write the tables")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"unknown: {part!r}; known: {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
