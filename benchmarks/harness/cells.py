"""How figures are written into a table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.contenders import BASELINE
from harness.modes import Mode
from harness.rows import Row
from harness.runs import DISTURBED, SATURATED, VOID, WAITED

NOTHING = "–"  # noqa: RUF001
TIMES = "×"  # noqa: RUF001
LEGEND = {
    VOID: "† a run had errors; it is left out of the figures, which are void if no run is left.",
    SATURATED: "\\* the load generator was saturated: the throughput is a lower bound, and the CPU "
    "per message an upper one, since a server that waits for work finds less of it in each turn.",
    WAITED: "‡ the client used less than 93 % of its CPU: it waited for the server or for its CPU, "
    "so its throughput is a lower bound.",
    DISTURBED: "~ another process or the hypervisor took more than 5 % of a CPU during a run.",
}

SIGNS = {VOID: "†", SATURATED: "\\*", WAITED: "‡", DISTURBED: "~"}
_JOINED = "\N{NO-BREAK SPACE}"  # between a figure and its unit


def overview(row: Row | None, mode: Mode) -> str:
    """A contender's cell in an overview: its cost and its ratio to Node.js."""
    if row is None:
        return NOTHING
    if row.cost is None:
        return f"void{_signs(row)}"
    unit = "KiB" if mode.idle else "µs"
    ratio = f" ({times(row.ratio)})" if row.ratio and row.contender != BASELINE else ""
    return f"{number(row.cost)}{_JOINED}{unit}{ratio}{_signs(row)}"


def server(row: Row) -> list[str]:
    """A server's cells in the table of a mode."""
    cells = [number(row.rate), number(row.cost), _spread(row), times(row.ratio)]
    return _signed(row, [*cells, number(row.p50), number(row.p99)])


def client(row: Row) -> list[str]:
    """A client's cells in the table of a mode."""
    of_cpu_second = 1e6 / row.cost if row.cost else None
    used = NOTHING if row.cpu is None else f"{row.cpu * 100:.0f}{_JOINED}%"
    cells = [number(of_cpu_second), number(row.cost), _spread(row), times(row.ratio)]
    return _signed(row, [*cells, number(row.rate), used])


def idle(row: Row) -> list[str]:
    """The cells of a server or client in the table of an idle mode."""
    cells = [number(row.cost), _spread(row), times(row.ratio), _mib(row.base), _mib(row.whole)]
    return _signed(row, cells if row.opening is None else [*cells, number(row.opening)])


def table(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as it stands: padded, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        for line in (lines[0], rule, *lines[1:])
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _signed(row: Row, cells: list[str]) -> list[str]:
    return [cells[0] + _signs(row), *cells[1:]]


def _signs(row: Row) -> str:
    return "".join(SIGNS[mark] for mark in row.marks)


def _spread(row: Row) -> str:
    if row.runs < 2:
        return NOTHING
    return f"{number(row.lowest)} to {number(row.highest)}"


def times(value: float | None) -> str:
    """How many times as much."""
    return NOTHING if value is None else f"{number(value)}{_JOINED}{TIMES}"


def _mib(kib: float | None) -> str:
    return NOTHING if kib is None else number(kib / 1024)


def number(value: float | None) -> str:
    """Three digits or the whole number, so that no figure looks more exact than it is."""
    if value is None:
        return NOTHING
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
