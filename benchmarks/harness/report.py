"""The tables: medians over the rounds, ratios to Node.js, and what a reader has to know of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from harness.contenders import BASELINE, Contender
from harness.measure import DISTURBED, SATURATED, VOID, Run, Settings
from harness.modes import Mode

_SIGNS = {VOID: "†", SATURATED: "*", DISTURBED: "~"}
_LEGEND = {
    VOID: "† a run had errors; it is left out of the figures, which are void if no run is left.",
    SATURATED: "\\* the load generator was saturated: the throughput is a lower bound, and the CPU "
    "per message an upper one, since a server that waits for work finds less of it in each turn.",
    DISTURBED: "~ another process or the hypervisor took more than 5 % of a CPU during a run.",
}
_UNITS = {"message": "msg/s", "delivery": "deliveries/s", "connection": "conn/s"}
_NOTHING = "–"  # noqa: RUF001
_TIMES = "×"  # noqa: RUF001
_JOINED = "\N{NO-BREAK SPACE}"  # between a figure and its unit


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one mode: the median of each figure over its good runs.

    Attributes:
        runs: how many good runs there were.
        cost: the main figure. Server CPU in microseconds for one piece of work; KiB of server
            memory for one connection in the idle mode. None if every run is void.
        lowest: the lowest cost of any run.
        highest: the highest cost of any run.
        ratio: how many times cheaper than Node.js; None without either of them.
        rate: pieces of work in a second; None in the idle mode.
        p50: median latency in microseconds; None in the idle mode.
        p99: 99th percentile of the latency in microseconds; None in the idle mode.
        base: KiB of the server before its first connection.
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
    base: float | None
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known at the end.

    Attributes:
        contenders: in the order of the columns.
        modes: in the order of the rows.
        runs: every run.
        settings: durations and counts.
        machine: the machine in one line.
        notes: further lines for the reader.
    """

    contenders: Sequence[Contender]
    modes: Sequence[Mode]
    runs: Sequence[Run]
    settings: Settings
    machine: str
    notes: Sequence[str]

    def rows(self) -> dict[tuple[str, str], Row]:
        """The rows, by mode and contender."""
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((run.mode, run.contender), []).append(run)
        idle = {mode.key: mode.idle for mode in self.modes}
        return {
            (mode, contender): _row(
                runs, idle[mode], _cost(groups.get((mode, BASELINE)), idle[mode])
            )
            for (mode, contender), runs in groups.items()
        }

    def as_json(self) -> str:
        """Everything, single runs and what the generator said of each included."""
        data = {
            "machine": self.machine,
            "notes": list(self.notes),
            "settings": asdict(self.settings),
            "versions": {contender.key: contender.version for contender in self.contenders},
            "table": [asdict(row) for row in self.rows().values()],
            "runs": [run.as_json() for run in self.runs],
        }
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The overview, a table for each mode, and the conditions."""
        rows = self.rows()
        modes = [mode for mode in self.modes if any(key[0] == mode.key for key in rows)]
        blocks = [
            "<!-- Written by benchmarks/run.py: run it again rather than edit this. -->",
            "Server CPU time for one message, delivery or connection (memory for an idle one), and "
            "in brackets how many times cheaper that is than with Node.js: higher is better.",
            self._overview(modes, rows),
        ]
        for mode in modes:
            blocks += [f"### {mode.title}", self._detail(mode, rows)]
        blocks += ["### Conditions", "\n".join(f"* {line}" for line in self._conditions())]
        return "\n\n".join(blocks) + "\n"

    def _overview(self, modes: Sequence[Mode], rows: Mapping[tuple[str, str], Row]) -> str:
        lines = [["work", *(contender.title for contender in self.contenders)]]
        for mode in modes:
            cells = (_cell(rows.get((mode.key, c.key)), mode) for c in self.contenders)
            lines.append([mode.title, *cells])
        return _table(lines)

    def _detail(self, mode: Mode, rows: Mapping[tuple[str, str], Row]) -> str:
        titles = {contender.key: contender.title for contender in self.contenders}
        chosen = [rows[mode.key, key] for key in titles if (mode.key, key) in rows]
        if mode.idle:
            head = [
                "server",
                "KiB per connection",
                "lowest to highest",
                f"{_TIMES} Node.js",
                "MiB at start",
            ]
            return _table([head, *([titles[row.contender], *_idle(row)] for row in chosen)])
        unit = _UNITS[mode.unit]
        head = ["server", unit, f"CPU µs per {mode.unit}", "lowest to highest", f"{_TIMES} Node.js"]
        head += ["p50 µs", "p99 µs"]
        return _table([head, *([titles[row.contender], *_busy(row)] for row in chosen)])

    def _conditions(self) -> Iterable[str]:
        yield f"{self.machine}."
        yield from self.notes
        each = f"{self.settings.seconds:g} s after {self.settings.warmup:g} s of warm-up"
        yield f"Rounds: {self.settings.rounds}, servers in turn, a fresh one each time, {each}."
        yield f"Idle connections: {self.settings.idle_connections:,}."
        yield "Each figure is the median of its rounds; ratios are of medians."
        for contender in self.contenders:
            yield f"{contender.title}: {contender.version}."
        seen = {mark for run in self.runs for mark in run.marks}
        yield from (text for mark, text in _LEGEND.items() if mark in seen)


def costs(runs: Iterable[Run], idle: bool) -> list[float]:
    """The main figure of each good run."""
    name = "rss_kib_per_conn" if idle else "server_cpu_us_per_msg"
    return [float(run.figures[name]) for run in runs if run.error is None]


def _cost(runs: Iterable[Run] | None, idle: bool) -> float | None:
    found = costs(runs or (), idle)
    return median(found) if found else None


def _row(runs: Sequence[Run], idle: bool, baseline: float | None) -> Row:
    good = [run.figures for run in runs if run.error is None]
    cost = _cost(runs, idle)
    spread = costs(runs, idle)
    latencies = [] if idle else [figures["lat_us"] for figures in good]
    return Row(
        mode=runs[0].mode,
        contender=runs[0].contender,
        runs=len(good),
        cost=cost,
        lowest=min(spread, default=None),
        highest=max(spread, default=None),
        ratio=baseline / cost if baseline and cost else None,
        rate=None if idle else _median(good, "rate"),
        p50=_median(latencies, "p50"),
        p99=_median(latencies, "p99"),
        base=_median(good, "server_rss_kib_before"),
        marks=tuple(mark for mark in _SIGNS if any(mark in run.marks for run in runs)),
    )


def _median(items: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return median(float(item[name]) for item in items) if items else None


def _cell(row: Row | None, mode: Mode) -> str:
    if row is None:
        return _NOTHING
    signs = "".join(_SIGNS[mark] for mark in row.marks).replace("*", "\\*")
    if row.cost is None:
        return f"void{signs}"
    unit = "KiB" if mode.idle else "µs"
    ratio = f" ({_ratio(row)})" if row.ratio and row.contender != BASELINE else ""
    return f"{_number(row.cost)}{_JOINED}{unit}{ratio}{signs}"


def _busy(row: Row) -> list[str]:
    cells = [_number(row.rate), _number(row.cost), _spread(row), _ratio(row)]
    return _signed(row, [*cells, _number(row.p50), _number(row.p99)])


def _idle(row: Row) -> list[str]:
    base = None if row.base is None else row.base / 1024
    return _signed(row, [_number(row.cost), _spread(row), _ratio(row), _number(base)])


def _signed(row: Row, cells: list[str]) -> list[str]:
    signs = "".join(_SIGNS[mark] for mark in row.marks).replace("*", "\\*")
    return [cells[0] + signs, *cells[1:]]


def _spread(row: Row) -> str:
    if row.runs < 2:
        return _NOTHING
    return f"{_number(row.lowest)} to {_number(row.highest)}"


def _ratio(row: Row) -> str:
    return _NOTHING if row.ratio is None else f"{_number(row.ratio)}{_JOINED}{_TIMES}"


def _number(value: float | None) -> str:
    """Three digits or the whole number, so that no figure looks more exact than it is."""
    if value is None:
        return _NOTHING
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it stands: padded, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        for line in (lines[0], rule, *lines[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
