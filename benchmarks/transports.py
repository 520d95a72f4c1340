#!/usr/bin/env python3
"""Measure Nuncio's transports side by side, and print how they compare.

Each has the same server on one CPU and the same client on another, in turn, so that what disturbs
the machine for a while disturbs all of them; the figures are medians. The client is Nuncio's own:
what counts here is the server's CPU time. README.md beside this file says more.

Exit status: 0, 1 when a run was void, 2 on misuse.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness import cells, machine
from harness.contenders import (
    BENCHMARKS,
    ROOT,
    Mislabelled,
    Unavailable,
    nuncio_version,
    usual_interpreter,
)
from harness.measure import DISTURBANCE
from harness.processes import Failed, figures, server
from harness.runs import DISTURBED

TRANSPORTS = ("websocket", "webtransport", "stream", "sse", "forever", "polling", "webrtc")
# What the client does, and over how many connections.
_MODES = {"trip": ("echo", 1), "echo": ("echo", 16), "push": ("push", 64)}
_SPARE_SECONDS = 60.0
_COLUMNS = [
    "transport",
    "round trip p50 µs",
    "p99 µs",
    "CPU µs per echo",
    "CPU µs per event pushed",
    f"{cells.TIMES} long-polling",
]
_SERVED = ROOT / "src" / "nuncio" / "browser"
_OFFICIAL = ROOT / "tests" / "interop" / "node_modules" / "socket.io-client" / "dist"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status."""
    options = _parser().parse_args(arguments)
    cpus = machine.choose_cpus(None, None)
    try:
        version = nuncio_version(options.python, not options.plain)
    except (Mislabelled, Unavailable) as error:
        print(f"transports.py: {error}", file=sys.stderr)
        return 2
    print(machine.describe(), cpus.note, sep="\n", flush=True)
    void = 0
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for turn in range(1, options.rounds + 1):
        for mode in _MODES:
            for name in options.transports:
                print(f"{mode} {turn}/{options.rounds} {name}:", end=" ", flush=True)
                try:
                    run = _measure(options, name, mode, cpus)
                except Failed as error:
                    run = {"errors": 1, "first_error": str(error)}
                if run["errors"]:
                    void += 1
                    print(f"VOID: {run['first_error']}", flush=True)
                    continue
                found.setdefault((name, mode), []).append(run)
                print(_outcome(run), flush=True)
    text = _report(options, found, cpus, version)
    print(f"\n{text}")
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    return 1 if void else 0


def _measure(
    options: argparse.Namespace,
    name: str,
    mode: str,
    cpus: machine.Cpus,
) -> dict[str, Any]:
    python = options.python
    work, conns = _MODES[mode]
    program = [python, str(BENCHMARKS / "servers" / "nuncio_server.py")]
    served = dict.fromkeys((name, "websocket"))
    command = [*program, "--transports", ",".join(served)]
    with server(command, {}, cpus.tested) as (process, port):
        load = [
            python,
            str(BENCHMARKS / "clients" / "transport_client.py"),
            work,
            *("--transport", name, "--port", str(port), "--server-pid", str(process.pid)),
            *("--conns", str(conns), "--seconds", str(options.seconds)),
        ]
        seconds = options.seconds + _SPARE_SECONDS
        return figures(load, {}, cpus.other, seconds, process.pid)


def _outcome(run: dict[str, Any]) -> str:
    return (
        f"{run['rate']:,.0f}/s, {run['server_cpu_us']:.1f} µs of CPU "
        f"({run['server_cpu_util']:.0%} used), p50 {run['p50_us']:,.0f} µs"
    )


def _report(
    options: argparse.Namespace,
    found: dict[tuple[str, str], list[dict[str, Any]]],
    cpus: machine.Cpus,
    version: str,
) -> str:
    lines: list[list[str]] = [_COLUMNS]
    polling = _median(found.get(("polling", "push")), "server_cpu_us")
    for name in options.transports:
        trip, echo, push = (found.get((name, mode)) for mode in _MODES)
        cost = _median(push, "server_cpu_us")
        share = None if not cost or not polling else polling / cost
        runs = [*(trip or ()), *(echo or ()), *(push or ())]
        disturbed = any(run["others_cpu"] > DISTURBANCE for run in runs)
        lines.append(
            [
                name + (cells.SIGNS[DISTURBED] if disturbed else ""),
                cells.number(_median(trip, "p50_us")),
                cells.number(_median(trip, "p99_us")),
                cells.number(_median(echo, "server_cpu_us")),
                cells.number(cost),
                cells.times(share),
            ]
        )
    conditions = [
        f"{machine.describe()}.",
        cpus.note,
        f"Rounds: {options.rounds}, in turn, {options.seconds:g} s each; figures are medians.",
        f"Nuncio on both sides: {version}.",
    ]
    if any(cells.SIGNS[DISTURBED] in line[0] for line in lines):
        conditions.append(cells.LEGEND[DISTURBED])
    return (
        "\n\n".join(
            [
                "<!-- Written by benchmarks/transports.py: run it again rather than edit this. -->",
                "A round trip is an event and its echo on a single connection. CPU time is the "
                "server's: of an echo, with one under way on each of 16 connections; of an event "
                "pushed to one of 64 connections, the next one as soon as all have it. The last "
                "column says how many times cheaper that is than over long-polling.",
                cells.table(lines),
                "### Sizes of the browser client",
                cells.table(_sizes()),
                "### Conditions",
                "\n".join(f"* {line}" for line in conditions),
            ]
        )
        + "\n"
    )


def _sizes() -> list[list[str]]:
    """Bytes of each served file, and of the official client's, as they are and compressed."""
    lines = [["file", "bytes", "gzip", "brotli"]]
    for title, folder in (("", _SERVED), ("official ", _OFFICIAL)):
        for path in sorted(folder.glob("*.min.js")):
            data = path.read_bytes()
            lines.append(
                [
                    f"{title}{path.name}",
                    f"{len(data):,}",
                    f"{len(gzip.compress(data, 9)):,}",
                    _brotli(data),
                ]
            )
    return lines


def _brotli(data: bytes) -> str:
    node = shutil.which("node")
    if node is None:
        return cells.NOTHING
    script = (
        "const c=[];process.stdin.on('data',d=>c.push(d)).on('end',()=>console.log("
        "require('zlib').brotliCompressSync(Buffer.concat(c)).length))"
    )
    done = subprocess.run([node, "-e", script], input=data, capture_output=True, check=True)
    return f"{int(done.stdout):,}"


def _median(runs: list[dict[str, Any]] | None, name: str) -> float | None:
    return median(run[name] for run in runs) if runs else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure Nuncio's transports side by side.")
    add = parser.add_argument
    add("--python", default=usual_interpreter(".venv"), help="which has Nuncio")
    add("--plain", action="store_true", help="that Nuncio is plain Python")
    add("--transports", metavar="NAME,…", type=_names, default=TRANSPORTS)
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=3.0)
    add("--markdown", type=Path, metavar="FILE", help="write the tables")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in TRANSPORTS:
            raise argparse.ArgumentTypeError(f"unknown: {name!r}; known: {', '.join(TRANSPORTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
