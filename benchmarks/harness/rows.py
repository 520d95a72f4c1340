"""The figures of the tables: medians over the rounds, and ratios to Node.js."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.contenders import BASELINE
from harness.modes import Mode
from harness.runs import DISTURBED, SATURATED, VOID, WAITED, Run

_MARKS = (VOID, SATURATED, WAITED, DISTURBED)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one mode: the median of each figure over its good runs.

    Attributes:
        runs: how many good runs there were.
        cost: the main figure. CPU of the server or client in microseconds for one piece of work;
            KiB of its memory for one connection in the idle modes. None if every run is void.
        lowest: the lowest cost of any run.
        highest: the highest cost of any run.
        ratio: how many times cheaper than Node.js; None without either of them.
        rate: pieces of work in a second; None in the idle modes.
        p50: median latency in microseconds; None in the idle modes and for clients.
        p99: 99th percentile of the latency in microseconds; None as `p50`.
        cpu: how much of its CPU a client used, 1.0 for all of it; None in other modes.
        base: KiB of the server or client before its first connection.
        whole: KiB of the server or client with its connections.
        opening: CPU of a client in microseconds for each idle connection it opened, else None.
        marks: every mark on any of its runs.
    """

    mode: str
    contender: str
    runs: int
    cost: float | None
    lowest: float | None
    highest: float | None
    ratio: float | None
    rate: float | None
    p50: float | None
    p99: float | None
    cpu: float | None
    base: float | None
    whole: float | None
    opening: float | None
    marks: tuple[str, ...]


def rows(runs: Iterable[Run], modes: Mapping[str, Mode]) -> dict[tuple[str, str], Row]:
    """The rows, by mode and contender."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.mode, run.contender), []).append(run)
    return {
        (key, contender): _row(group, modes[key], groups.get((key, BASELINE), []))
        for (key, contender), group in groups.items()
    }


def _row(runs: Sequence[Run], mode: Mode, baseline: Sequence[Run]) -> Row:
    good = [run.figures for run in runs if run.error is None]
    spread, cost, reference = _costs(runs, mode), _cost(runs, mode), _cost(baseline, mode)
    latencies = [figures["lat_us"] for figures in good if "lat_us" in figures]
    memory = "client_rss_kib" if mode.client else "server_rss_kib"
    return Row(
        mode=runs[0].mode,
        contender=runs[0].contender,
        runs=len(good),
        cost=cost,
        lowest=min(spread, default=None),
        highest=max(spread, default=None),
        ratio=reference / cost if reference and cost else None,
        rate=None if mode.idle else _median(good, "rate"),
        p50=_median(latencies, "p50"),
        p99=_median(latencies, "p99"),
        cpu=_median(good, "client_cpu_util") if mode.client and not mode.idle else None,
        base=_median(good, f"{memory}_before"),
        whole=_median(good, memory),
        opening=_median(good, "open_cpu_us_per_conn") if mode.client and mode.idle else None,
        marks=tuple(mark for mark in _MARKS if any(mark in run.marks for run in runs)),
    )


def _costs(runs: Iterable[Run], mode: Mode) -> list[float]:
    """The main figure of each good run."""
    return [float(run.figures[mode.cost]) for run in runs if run.error is None]


def _cost(runs: Iterable[Run], mode: Mode) -> float | None:
    found = _costs(runs, mode)
    return median(found) if found else None


def _median(items: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return median(float(item[name]) for item in items) if items else None
