"""The report: an overview of servers and one of clients, a table for each mode, the conditions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from harness import cells
from harness.contenders import Contender
from harness.modes import Mode
from harness.rows import Row, rows
from harness.runs import Run, Settings

_HEAD = "<!-- Written by benchmarks/run.py: run it again rather than edit this. -->"
_SERVERS = (
    "Server CPU time for one message, delivery or connection (memory for an idle one), and in "
    "brackets how many times cheaper that is than with Node.js: higher is better."
)
_CLIENTS = (
    "CPU time of a client process for one message, which is an event and its answer, or for one "
    "event received (memory for an idle connection), and in brackets how many times cheaper that "
    "is than with Node.js: higher is better."
)
_UNITS = {
    "message": "msg/s",
    "event": "events/s",
    "delivery": "deliveries/s",
    "connection": "conn/s",
}


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known at the end.

    Attributes:
        contenders: in the order of the columns, servers and clients.
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

    def as_json(self) -> str:
        """Everything, single runs and what was said of each included."""
        data = {
            "machine": self.machine,
            "notes": list(self.notes),
            "settings": asdict(self.settings),
            "versions": {one.key: one.version for one in self._side(client=False)},
            "client_versions": {one.key: one.version for one in self._side(client=True)},
            "table": [asdict(row) for row in self._rows().values()],
            "runs": [run.as_json() for run in self.runs],
        }
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The overviews, a table for each mode, and the conditions."""
        found = self._rows()
        modes = [mode for mode in self.modes if any(key[0] == mode.key for key in found)]
        servers = [mode for mode in modes if not mode.client]
        clients = [mode for mode in modes if mode.client]
        blocks = [_HEAD]
        if servers:
            blocks += [_SERVERS, self._overview(servers, found)]
        if clients:
            blocks += ["### Clients", _CLIENTS, self._overview(clients, found)]
        for mode in modes:
            side = "Clients: " if mode.client else ""
            blocks += [f"### {side}{mode.title}", self._detail(mode, found)]
        blocks += ["### Conditions", "\n".join(f"* {line}" for line in self._conditions())]
        return "\n\n".join(blocks) + "\n"

    def _rows(self) -> dict[tuple[str, str], Row]:
        return rows(self.runs, {mode.key: mode for mode in self.modes})

    def _side(self, *, client: bool) -> list[Contender]:
        return [contender for contender in self.contenders if contender.client is client]

    def _overview(self, modes: Sequence[Mode], found: Mapping[tuple[str, str], Row]) -> str:
        """The modes of one side, and who was measured in any of them."""
        keys = {(mode.key, one.key): one for mode in modes for one in self.contenders}
        seen = {one.key for place, one in keys.items() if place in found}
        contenders = [one for one in self._side(client=modes[0].client) if one.key in seen]
        lines = [["work", *(contender.title for contender in contenders)]]
        for mode in modes:
            row = [cells.overview(found.get((mode.key, one.key)), mode) for one in contenders]
            lines.append([mode.title, *row])
        return cells.table(lines)

    def _detail(self, mode: Mode, found: Mapping[tuple[str, str], Row]) -> str:
        titles = {one.key: one.title for one in self._side(client=mode.client)}
        chosen = [found[mode.key, key] for key in titles if (mode.key, key) in found]
        write = cells.idle if mode.idle else cells.client if mode.client else cells.server
        return cells.table(
            [_columns(mode), *([titles[row.contender], *write(row)] for row in chosen)]
        )

    def _conditions(self) -> Iterable[str]:
        yield f"{self.machine}."
        yield from self.notes
        each = f"{self.settings.seconds:g} s after {self.settings.warmup:g} s of warm-up"
        yield f"Rounds: {self.settings.rounds}, contenders in turn, a fresh one each time, {each}."
        yield f"Idle connections: {self.settings.idle_connections:,}."
        yield "Each figure is the median of its rounds; ratios are of medians."
        for contender in self.contenders:
            side = "client " if contender.client else ""
            yield f"{contender.title}: {side}{contender.version}."
        seen = {mark for run in self.runs for mark in run.marks}
        yield from (text for mark, text in cells.LEGEND.items() if mark in seen)


def _columns(mode: Mode) -> list[str]:
    who, ratio = "client" if mode.client else "server", f"{cells.TIMES} Node.js"
    if mode.idle:
        memory = ["KiB per connection", "lowest to highest", ratio, "MiB at start", "MiB in all"]
        return [who, *memory, *(["CPU µs to connect"] if mode.client else [])]
    cost = [f"CPU µs per {mode.unit}", "lowest to highest", ratio]
    if mode.client:
        return [who, f"{mode.unit}s per CPU second", *cost, _UNITS[mode.unit], "CPU used"]
    return [who, _UNITS[mode.unit], *cost, "p50 µs", "p99 µs"]
