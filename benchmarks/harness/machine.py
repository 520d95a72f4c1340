"""The machine the figures come from: its CPUs, and whether anybody else uses them meanwhile."""

from __future__ import annotations

import os
import platform
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_KERNEL_THREADS = 2  # the parent of every kernel thread; ksoftirqd does the network's work


@dataclass(frozen=True, slots=True)
class Cpus:
    """The CPU of what is tested and the CPU of the other side; the same one if there is no second.

    The other side is the load generator where a server is tested, the reference server where a
    client is.
    """

    tested: int
    other: int

    @property
    def note(self) -> str:
        """What a reader of the figures has to know about the two."""
        if self.tested == self.other:
            return (
                "One CPU only: both sides share it, so throughput and latency say little; CPU "
                "time per message still counts."
            )
        note = f"Servers and clients under test pinned to CPU {self.tested}, the other side "
        note += f"(load generator, reference server) to CPU {self.other}."
        if self.other in _siblings(self.tested):
            note += " The two are threads of one core and slow each other down."
        return note


def choose_cpus(tested: int | None, other: int | None) -> Cpus:
    """Choose two CPUs this process may use, on different cores where there are such.

    Args:
        tested: the CPU of what is tested, None for the first.
        other: the CPU of the other side, None for the first on another core.

    Raises:
        ValueError: a CPU was asked for that this process may not use.
    """
    allowed = sorted(os.sched_getaffinity(0))
    for cpu in (tested, other):
        if cpu is not None and cpu not in allowed:
            raise ValueError(f"CPU {cpu} is not one of those this process may use: {allowed}")
    if tested is None:
        tested = next((cpu for cpu in allowed if cpu != other), allowed[0])
    if other is None:
        others = [cpu for cpu in allowed if cpu != tested] or [tested]
        siblings = _siblings(tested)
        other = next((cpu for cpu in others if cpu not in siblings), others[0])
    return Cpus(tested, other)


def _siblings(cpu: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    found = {cpu}
    try:
        text = path.read_text()
    except OSError:
        return found
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found.update(range(int(first), int(last or first) + 1))
    return found


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Children started inside run on this CPU with all their threads, from their first moment."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """Raise the limit of open files, inherited by the children, and return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_of_others(*ours: int) -> float:
    """CPU seconds taken so far by processes that have no part in the run.

    The generator's own `other_cpu` cannot tell a neighbour from network work the kernel did while
    a CPU was idle, and a fast server leaves CPUs idle. So the processes are asked one by one. Time
    of children is in the sum as well: what a short-lived process used is found with its parent.

    Args:
        ours: sessions, each by the process id of its leader, that do have a part in it.
    """
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:  # it ended meanwhile
            continue
        pid = int(path.parent.name)
        fields = text[text.rindex(")") + 2 :].split()
        parent, session = int(fields[1]), int(fields[3])
        if pid == os.getpid() or session in ours or _KERNEL_THREADS in (pid, parent):
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS_PER_SECOND


def stolen() -> float:
    """CPU seconds that the hypervisor has withheld from this machine so far."""
    fields = Path("/proc/stat").read_text().split(maxsplit=9)
    return int(fields[8]) / _TICKS_PER_SECOND


def describe() -> str:
    """The machine in one line: what matters for the figures and nothing that identifies it."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    name = model[1] if model else platform.machine()
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{name}, {os.cpu_count()} CPUs, {platform.system()} {kernel}"
