"""The tables of `cluster.py`, and the loads that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness import cells
from harness.contenders import BASELINE, Contender
from harness.machine import Cpus
from harness.pairs import ADAPTERS, WORKERS, Load, Measured
from harness.runs import DISTURBED, VOID

_HEAD = "<!-- Written by benchmarks/cluster.py: run it again rather than edit this. -->"


def _load(key: str, text: str, deliveries: int = 1) -> Load:
    return Load(key, tuple(text.split()), deliveries)


# Rooms whose senders are at the other server. With one under way in each room, 64 or 10 are.
ONE = _load("to-1", "room --conns 64 --room-size 1")
HUNDRED = _load("to-100", "room --conns 1000 --room-size 100", 100)
THERE = _load("there", "room --conns 1 --room-size 1")
HERE = _load("here", "room --conns 1 --room-size 1")
# At the session's worker, at the other one, and whether one message alone is under way.
FORWARDED = tuple(
    (
        _load(f"{mode}-{conns}-right", f"{mode} --conns {conns}"),
        _load(f"{mode}-{conns}-wrong", f"{mode} --conns {conns}"),
        conns == 1,
    )
    for mode in ("poll", "echo")
    for conns in (64, 1)
)
ECHO = _load("worker", "echo --conns 64")

_POLLING, _UPGRADED, _DIRECT = "long-polling", "upgraded to WebSocket", "WebSocket from the start"
_FLEETS = (1, 2, 4, 8)
_BROADCASTS = (
    "An event of 64 bytes comes to one server, which emits it to a room; the room's members are at "
    "the other server. CPU time for one such broadcast, of the server that emits (reading the "
    "event included), of the one that has the recipients, and of what is between them: Redis, or "
    "for Node.js's workers the process that has started them. The ratio is of both servers' time "
    "together to that of Node.js with the official adapter of the same name."
)
_LATENCIES = (
    "From a client's event to its arrival at the other client, with one under way: where the other "
    "client is at the same server, and where it is at the other one. What is between is the way "
    "over Redis, or from worker to worker."
)
_FORWARDING = (
    "An event and its echo, where each request comes to the worker that has the session, and where "
    "each comes to the other worker, which passes it on. CPU time of both workers together, "
    "with 64 clients; the time of a round trip with a single one."
)
_SCALING = (
    "Echoes over WebSocket, 64 clients for each worker. A worker and its load generator share one "
    "CPU; two workers and their generators have two. So nothing has to be subtracted, and what "
    "workers cost each other is in the ratio."
)
_MODEL = (
    "More CPUs than that were not at hand. What several workers do together, as a multiple of what "
    "one does, is reckoned from the figures above: `N * e * c / (c + (N - 1) / N * (w - c))`, "
    "where N workers have a CPU each, c is the CPU time for an echo at the right worker, w "
    "at the wrong one, and e what two workers did on two CPUs in comparison to twice "
    "what one did. A balancer that knows nothing of sessions meets the wrong worker "
    "(N - 1) times out of N. Over a WebSocket that was opened from the start nothing is passed on."
)


def outcome(one: Measured) -> str:
    """A run in one line."""
    if one.error is not None:
        return f"VOID: {one.error}"
    figures = one.figures
    cpu = " + ".join(f"{each:.1f}" for each in figures["cpu"])
    said = f"{figures['rate']:,.0f}/s, {cpu} µs of CPU, p50 {figures['p50']:,.0f} µs"
    return f"{said}, {DISTURBED.upper()}" if one.disturbed else said


@dataclass(frozen=True, slots=True)
class _Row:
    """The medians of one load on one pair."""

    rate: float
    cpu: tuple[float, ...]
    lowest: float
    highest: float
    p50: float
    p99: float
    generator: float
    sign: str

    @property
    def both(self) -> float:
        """CPU time of the two servers together."""
        return sum(self.cpu[:2])


class Report:
    """All that is known at the end.

    Args:
        contenders: who was measured.
        measured: every run.
        rounds: how often.
        seconds: how long each run was.
        cpus: where everything ran.
        quick: whether that was too short to count.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        measured: Sequence[Measured],
        rounds: int,
        seconds: float,
        cpus: Cpus,
        *,
        quick: bool,
        machine: str,
    ) -> None:
        self._contenders = contenders
        self._measured = measured
        self._rounds = rounds
        self._seconds = seconds
        self._cpus = cpus
        self._quick = quick
        self._machine = machine

    def as_markdown(self) -> str:
        """The tables and the conditions, as far as they were measured."""
        blocks = [_HEAD, *self._broadcasts(), *self._latencies(), *self._forwarding()]
        blocks += [*self._scaling(), "### Conditions"]
        return "\n\n".join([*blocks, "\n".join(f"* {one}" for one in self._conditions())]) + "\n"

    def _row(self, joined: str, who: str, load: str) -> _Row | None:
        place = (joined, who, load)
        runs = [one for one in self._measured if (one.joined, one.who, one.load) == place]
        good = [one.figures for one in runs if one.error is None]
        if not good:
            return None
        both = [sum(figures["cpu"][:2]) for figures in good]
        marks = [
            *([DISTURBED] if any(one.disturbed for one in runs) else []),
            *([VOID] if len(good) < len(runs) else []),
        ]
        return _Row(
            rate=median(figures["rate"] for figures in good),
            cpu=tuple(map(median, zip(*(figures["cpu"] for figures in good), strict=True))),
            lowest=min(both),
            highest=max(both),
            p50=median(figures["p50"] for figures in good),
            p99=median(figures["p99"] for figures in good),
            generator=median(figures["generator"] for figures in good),
            sign="".join(cells.SIGNS[mark] for mark in marks),
        )

    def _pairs(self) -> Iterator[tuple[str, Contender, str]]:
        """Every pair of servers and its title."""
        for joined in (*ADAPTERS, WORKERS):
            for who in self._contenders:
                title = joined if joined == WORKERS else f"Redis, {joined}"
                yield joined, who, f"{title}: {who.title}"

    def _broadcasts(self) -> Iterator[str]:
        said = False
        for load, title in ((ONE, "one recipient"), (HUNDRED, "100 recipients")):
            lines = [["servers", "emitting µs", "receiving µs", "together µs"]]
            lines[0] += ["lowest to highest", f"{cells.TIMES} Node.js", "between µs"]
            for joined, who, name in self._pairs():
                row = self._row(joined, who.key, load.key)
                if row is not None:
                    lines.append([name + row.sign, *self._broadcast(row, joined, load)])
            if len(lines) > 1:
                yield f"### Broadcast to {title} at another server"
                if not said:
                    yield _BROADCASTS
                said = True
                yield cells.table(lines)

    def _broadcast(self, row: _Row, joined: str, load: Load) -> list[str]:
        receiving, emitting = row.cpu[:2]
        node = self._row(joined, BASELINE, load.key)
        ratio = cells.NOTHING if node is None else cells.times(node.both / row.both)
        spread = cells.NOTHING
        if self._rounds > 1:
            spread = f"{cells.number(row.lowest)} to {cells.number(row.highest)}"
        bus = cells.number(row.cpu[2] if len(row.cpu) > 2 else None)
        return [*map(cells.number, (emitting, receiving, row.both)), spread, ratio, bus]

    def _latencies(self) -> Iterator[str]:
        lines = [["servers", "same server p50 µs", "p99 µs", "other server p50 µs", "p99 µs"]]
        lines[0].append("between, p50 µs")
        for joined, who, name in self._pairs():
            here = self._row(joined, who.key, HERE.key)
            there = self._row(joined, who.key, THERE.key)
            if here is not None and there is not None:
                found = (here.p50, here.p99, there.p50, there.p99, there.p50 - here.p50)
                lines.append([name + here.sign, *map(cells.number, found)])
        if len(lines) > 1:
            yield from ("### From one server to another", _LATENCIES, cells.table(lines))

    def _forwarding(self) -> Iterator[str]:
        lines = [["client", "CPU µs", "at the wrong worker", "p50 µs", "at the wrong worker"]]
        lines[0] += ["p99 µs", "at the wrong worker"]
        for mode, title in (("poll", _POLLING), ("echo", _UPGRADED)):
            many = self._costs(mode)
            right, wrong = (self._ours(f"{mode}-1-{where}") for where in ("right", "wrong"))
            if many is None or right is None or wrong is None:
                continue
            found = (*many, right.p50, wrong.p50, right.p99, wrong.p99)
            lines.append([title + right.sign, *map(cells.number, found)])
        if len(lines) > 1:
            yield from ("### Requests at the wrong worker", _FORWARDING, cells.table(lines))

    def _costs(self, mode: str) -> tuple[float, float] | None:
        """CPU time for an echo at the right worker, and at the wrong one."""
        right, wrong = (self._ours(f"{mode}-64-{where}") for where in ("right", "wrong"))
        return None if right is None or wrong is None else (right.both, wrong.both)

    def _ours(self, load: str) -> _Row | None:
        who = next((one.key for one in self._contenders if one.key != BASELINE), "")
        return self._row(WORKERS, who, load)

    def _scaling(self) -> Iterator[str]:
        one, two = (self._ours(f"{ECHO.key}-{count}") for count in (1, 2))
        if one is None or two is None:
            return
        lines = [["", "echoes/s", "together", "CPU µs per echo", "generators' share of the CPUs"]]
        for count, row in ((1, one), (2, two)):
            each = sum(row.cpu)
            share = f"{row.generator / count * 100:.0f}\N{NO-BREAK SPACE}%"
            ratio = cells.times(row.rate / one.rate)
            name = "1 worker, 1 CPU" if count == 1 else f"{count} workers, {count} CPUs"
            figures = [cells.number(row.rate), ratio, cells.number(each), share]
            lines.append([name + row.sign, *figures])
        yield from ("### Several workers", _SCALING, cells.table(lines))
        efficiency = min(1.0, two.rate / one.rate / 2)
        table = [["clients", *(f"{count} workers" for count in _FLEETS[1:])]]
        for title, mode in ((_DIRECT, None), (_UPGRADED, "echo"), (_POLLING, "poll")):
            costs = (1.0, 1.0) if mode is None else self._costs(mode)
            if costs is not None:
                found = [_together(count, efficiency, *costs) for count in _FLEETS[1:]]
                table.append([title, *map(cells.times, found)])
        yield from (_MODEL, cells.table(table))

    def _conditions(self) -> Iterator[str]:
        yield f"{self._machine}."
        if self._quick:
            yield "A quick run: short and unrepeated, so only large differences count."
        tested, other = self._cpus.tested, self._cpus.other
        yield (
            f"Both servers pinned to CPU {tested}, load generator and Redis to CPU {other}. CPU "
            "time is each process's own."
        )
        yield f"Rounds: {self._rounds}, in turn, fresh servers each time, {self._seconds:g} s each."
        yield "Each figure is the median of its rounds; ratios are of medians."
        for who in self._contenders:
            yield f"{who.title}: {who.version}."
        if any(one.disturbed for one in self._measured):
            yield cells.LEGEND[DISTURBED]
        if any(one.error for one in self._measured):
            yield cells.LEGEND[VOID]


def _together(count: int, efficiency: float, right: float, wrong: float) -> float:
    """What so many workers do, as a multiple of what one does."""
    astray = (count - 1) / count
    return count * efficiency * right / (right + astray * (wrong - right))
