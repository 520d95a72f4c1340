"""One run of a server: the server on its CPU, the load generator on another."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from harness.contenders import SIOLOAD, Contender
from harness.machine import Cpus
from harness.modes import Mode
from harness.processes import Failed, figures, server
from harness.runs import DISTURBED, SATURATED, VOID, Run, Settings, fault

SPARE_SECONDS = 60.0  # opening connections and the final drain; the generator itself gives up
DISTURBANCE = 0.05  # CPU seconds per second


def build_generator() -> None:
    """Compile the load generator where the binary is missing or older than its source.

    Raises:
        Failed: there is no C compiler, or it found fault.
    """
    source = SIOLOAD.with_suffix(".c")
    if SIOLOAD.exists() and SIOLOAD.stat().st_mtime >= source.stat().st_mtime:
        return
    command = [os.environ.get("CC", "cc"), "-O2", "-o", str(SIOLOAD), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failed(f"no C compiler: {command[0]} is missing") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"{' '.join(command)}:\n{error.stderr}") from None


def measure(contender: Contender, mode: Mode, turn: int, settings: Settings, cpus: Cpus) -> Run:
    """Run one mode against a fresh server of one contender.

    Args:
        contender: the server.
        mode: the work.
        turn: the round, from 1.
        settings: durations and counts.
        cpus: where each side runs.
    """
    try:
        with server((*contender.command, *mode.server), contender.env, cpus.tested) as (
            process,
            port,
        ):
            target = ["--port", str(port), "--server-pid", str(process.pid), "--json"]
            command = [str(SIOLOAD), *load(mode, settings), *target]
            found = figures(command, {}, cpus.other, time_for(settings), process.pid)
    except Failed as error:
        return Run(mode.key, contender.key, turn, error=str(error), marks=(VOID,))
    return Run(mode.key, contender.key, turn, found, fault(found), tuple(_marks(found, mode)))


def load(mode: Mode, settings: Settings) -> list[str]:
    """The mode and options of the generator or the client, all but where the server is."""
    if mode.idle:
        return [
            *mode.load,
            *("--conns", str(settings.idle_connections)),
            *("--seconds", str(settings.idle_seconds)),
            *("--settle", str(settings.idle_settle)),
        ]
    return [*mode.load, "--seconds", str(settings.seconds), "--warmup", str(settings.warmup)]


def time_for(settings: Settings) -> float:
    """How many seconds a generator or a client has."""
    busy = settings.seconds + settings.warmup
    return max(busy, settings.idle_seconds + settings.idle_settle) + SPARE_SECONDS


def _marks(found: Mapping[str, Any], mode: Mode) -> Iterator[str]:
    if found["errors"]:
        yield VOID
    if mode.idle:  # neither changes how much memory a connection takes
        return
    if found["gen_saturated"]:
        yield SATURATED
    # What the generator calls other may be network work of the kernel, but no more than `softirq`.
    certain = found["other_cpu"] - found["softirq_cpu"]
    if max(found["others_cpu"], found["steal"], certain) > DISTURBANCE:
        yield DISTURBED
