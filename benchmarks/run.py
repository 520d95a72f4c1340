#!/usr/bin/env python3
"""Measure Nuncio, Node.js and python-socketio side by side, and print how they compare.

Each server runs the same small application on one CPU while a load generator drives it from
another; each client does the same work on one CPU with the same fast server on another. They take
turns (A, B, C, A, B, C, …), so that what disturbs the machine for a while disturbs all of them; the
figures are medians. README.md beside this file says what is measured and what the figures do not
tell.

Exit status: 0, 1 when a run was void (its figures are then left out), 2 on misuse.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from harness import clients, contenders, machine, servers
from harness.contenders import Contender, Mislabelled, Programs, Unavailable
from harness.measure import build_generator, measure
from harness.measure_client import measure_client
from harness.modes import MODES, Mode
from harness.processes import Failed
from harness.report import Report
from harness.runs import Run, Settings

_USUAL = Settings(
    rounds=3, seconds=3.0, warmup=1.0, idle_connections=5000, idle_seconds=1.0, idle_settle=1.5
)
_QUICK = Settings(
    rounds=1, seconds=1.0, warmup=0.5, idle_connections=5000, idle_seconds=0.5, idle_settle=0.5
)
_SPARE_FILES = 200  # what a server or client opens besides its connections
_NAMES = tuple(dict.fromkeys((*servers.FINDERS, *clients.FINDERS)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cpus = machine.choose_cpus(options.tested_cpu, options.other_cpu)
        build_generator()
        found, notes = _find(options)
    except (Failed, Mislabelled, Unavailable, ValueError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    settings, limited = _settings(options)
    notes = [cpus.note, *notes, *limited]
    modes = [MODES[key] for key in options.only]
    print("\n".join([machine.describe(), *notes]), flush=True)

    runs: list[Run] = []
    interrupted = False
    try:
        _measure_all(found, modes, settings, cpus, runs)
    except KeyboardInterrupt:
        interrupted = True
        notes.append("Interrupted: not every run was made.")
    report = Report(found, modes, runs, settings, machine.describe(), notes)
    print(f"\n{report.as_markdown()}", flush=True)
    if interrupted:
        return 130
    _write(options.markdown, report.as_markdown())
    _write(options.json, report.as_json())
    return 1 if any(run.error for run in runs) else 0


def _measure_all(
    found: Sequence[Contender],
    modes: Sequence[Mode],
    settings: Settings,
    cpus: machine.Cpus,
    runs: list[Run],
) -> None:
    """Make every run in turn; those made before an interruption are in `runs` as well."""
    plan = [
        (turn, mode, contender)
        for mode in modes
        for turn in range(1, settings.rounds + 1)
        for contender in found
        if contender.takes_part(mode)
    ]
    for number, (turn, mode, contender) in enumerate(plan, 1):
        head = f"[{number}/{len(plan)}] {mode.key} {turn}/{settings.rounds} {contender.key}:"
        print(head, end=" ", flush=True)
        once = measure_client if mode.client else measure
        run = once(contender, mode, turn, settings, cpus)
        print(_outcome(run, mode), flush=True)
        runs.append(run)


def _outcome(run: Run, mode: Mode) -> str:
    if run.error is not None:
        return f"VOID: {run.error}"
    figures, marks = run.figures, "".join(f", {mark.upper()}" for mark in run.marks)
    if mode.idle:
        return f"{figures['rss_kib_per_conn']:.2f} KiB per connection{marks}"
    said = f"{figures['rate']:,.0f} {mode.unit}s/s, {figures[mode.cost]:.2f} µs of CPU"
    if mode.client:
        return f"{said}, {figures['client_cpu_util']:.0%} of the CPU{marks}"
    latency = figures["lat_us"]
    return f"{said}, p50 {latency['p50']:,.0f} µs, p99 {latency['p99']:,.0f} µs{marks}"


def _find(options: argparse.Namespace) -> tuple[list[Contender], list[str]]:
    """The contenders; those nobody asked for by name may be missing, with a note."""
    programs = Programs(
        compiled=_program(options.compiled),
        plain=_program(options.plain),
        python_socketio=_program(options.python_socketio),
        node=_program(options.node),
    )
    found: list[Contender] = []
    notes: list[str] = []
    for finders, usual, client in (
        (servers.FINDERS, servers.USUAL, False),
        (clients.FINDERS, clients.USUAL, True),
    ):
        if not any(MODES[key].client is client for key in options.only):
            continue
        for key in options.contenders or usual:
            try:
                if key in finders:
                    found.append(finders[key](programs))
            except Unavailable as error:
                if options.contenders:
                    raise Unavailable(f"{key}: {error}") from None
                name = f"{key} (client)" if client else key
                notes.append(f"Left out: {name}.")
                print(f"{name} left out: {error}", file=sys.stderr)
    if not found:
        raise Unavailable("there is nobody to measure")
    return found, notes


def _program(name: str) -> str:
    # Not resolved: the interpreter of a virtual environment is a link, and has to be run as one.
    return os.path.abspath(name) if os.sep in name else name


def _settings(options: argparse.Namespace) -> tuple[Settings, list[str]]:
    usual = _QUICK if options.quick else _USUAL
    notes = []
    if options.quick:
        notes.append("A quick run: short and unrepeated, so only large differences count.")
    wanted: int = options.idle_connections or usual.idle_connections
    allowed = machine.raise_file_limit() - _SPARE_FILES
    if allowed < wanted:
        notes.append(f"Fewer idle connections than {wanted:,}: the limit of open files is too low.")
    settings = Settings(
        rounds=options.rounds or usual.rounds,
        seconds=options.seconds or usual.seconds,
        warmup=usual.warmup if options.warmup is None else options.warmup,
        idle_connections=min(wanted, allowed),
        idle_seconds=usual.idle_seconds,
        idle_settle=usual.idle_settle,
    )
    return settings, notes


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure Nuncio, Node.js and python-socketio side by side.",
        epilog=f"Modes: {', '.join(MODES)}. Contenders: {', '.join(_NAMES)}.",
    )
    add = parser.add_argument
    interpreter = contenders.usual_interpreter
    add(
        "--compiled",
        metavar="PATH",
        default=interpreter(".venv"),
        help="Python with the compiled build",
    )
    add(
        "--plain",
        metavar="PATH",
        default=interpreter(".venv-pure"),
        help="Python with the plain build",
    )
    add(
        "--python-socketio",
        metavar="PATH",
        default=contenders.own_interpreter(),
        help="Python with it",
    )
    add("--node", metavar="PATH", default="node")
    add("--only", metavar="MODE,…", type=_modes, default=tuple(MODES), help="these modes only")
    add("--contenders", metavar="NAME,…", type=_names, help="these contenders, in this order")
    add("--rounds", type=_positive)
    add("--seconds", type=_duration, help="of measurement in each run")
    add("--warmup", type=_duration, metavar="SECONDS", help="before each measurement")
    add("--idle-connections", type=_positive, metavar="N")
    add("--quick", action="store_true", help="one short round")
    add("--tested-cpu", type=int, metavar="N", help="of servers and clients under test")
    add("--other-cpu", type=int, metavar="N", help="of load generator and reference server")
    add("--markdown", type=Path, metavar="FILE", help="write the tables")
    add("--json", type=Path, metavar="FILE", help="write the tables and all single runs")
    return parser


def _modes(text: str) -> tuple[str, ...]:
    return _chosen(text, tuple(MODES))


def _names(text: str) -> tuple[str, ...]:
    return _chosen(text, _NAMES)


def _chosen(text: str, known: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(text.split(",")))
    for key in chosen:
        if key not in known:
            raise argparse.ArgumentTypeError(f"unknown: {key!r}; known: {', '.join(known)}")
    return chosen


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return number


def _duration(text: str) -> float:
    if not 0 < (seconds := float(text)) < 3600:
        raise argparse.ArgumentTypeError("has to be more than 0 and less than an hour")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
