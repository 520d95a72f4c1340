"""One run of a client: the client on its CPU, the reference server in C on another.

A client reads its own CPU time, and its own memory, since it alone knows when its warm-up ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from harness.contenders import SIOLOAD, Contender
from harness.machine import Cpus, stolen
from harness.measure import DISTURBANCE, load, time_for
from harness.modes import Mode
from harness.processes import Failed, figures, server
from harness.runs import DISTURBED, VOID, WAITED, Run, Settings, fault

_BUSY = 0.93  # of a CPU


def measure_client(
    contender: Contender, mode: Mode, turn: int, settings: Settings, cpus: Cpus
) -> Run:
    """Run one mode with one client against a fresh reference server.

    Args:
        contender: the client.
        mode: the work.
        turn: the round, from 1.
        settings: durations and counts.
        cpus: where each side runs.
    """
    try:
        with server((str(SIOLOAD), "serve"), {}, cpus.other) as (process, port):
            command = [*contender.command, *load(mode, settings), "--port", str(port)]
            start, before = time.monotonic(), stolen()
            found = figures(command, contender.env, cpus.tested, time_for(settings), process.pid)
            found["steal"] = (stolen() - before) / (time.monotonic() - start)
    except Failed as error:
        return Run(mode.key, contender.key, turn, error=str(error), marks=(VOID,))
    found |= _derived(found, mode)
    return Run(mode.key, contender.key, turn, found, fault(found), tuple(_marks(found, mode)))


def _derived(found: Mapping[str, Any], mode: Mode) -> Iterator[tuple[str, float]]:
    """The main figures, under the names that the generator has for those of a server."""
    if mode.idle:
        grown = found["client_rss_kib"] - found["client_rss_kib_before"]
        yield "rss_kib_per_conn", grown / found["conns"]
        yield "open_cpu_us_per_conn", found["open_cpu_s"] * 1e6 / found["conns"]
        return
    yield "rate", found["count"] / found["seconds"]
    yield "client_cpu_util", found["cpu_s"] / found["seconds"]
    if found["count"]:
        yield "client_cpu_us_per_msg", found["cpu_s"] * 1e6 / found["count"]


def _marks(found: Mapping[str, Any], mode: Mode) -> Iterator[str]:
    if found["errors"]:
        yield VOID
    if mode.idle:  # neither changes how much memory a connection takes
        return
    if found["client_cpu_util"] < _BUSY:
        yield WAITED
    if max(found["others_cpu"], found["steal"]) > DISTURBANCE:
        yield DISTURBED
