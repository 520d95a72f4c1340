"""What the Python clients of the benchmarks share: the command line, the run, the line they print.

A client program opens connections to `sioload serve`, works for a while and prints one JSON line:
what was completed within the measured time, the CPU time this process took for it, its memory
before the first connection and at the end, and what went wrong. The modes:

    echo       an event, and the next one when its echo is there; on each connection `--pipeline`
               are under way
    receive    the server pushes events as fast as they are taken: the client asks for some hundreds
               and asks again before the last of them is there
    ack        an event, and the next one when its acknowledgement is there, as for `echo`
    idle       connections that do nothing

A program gives a `Link`, one connection of its library.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import uvloop

_OPENING = 64  # connections opened at a time
_DRAIN_SECONDS = 30.0
ASKED = 256  # pushed events asked for at a time; twice as many are under way


@dataclass(frozen=True, slots=True)
class Options:
    """The command line; `payload` is the text itself."""

    mode: str
    port: int
    conns: int
    pipeline: int
    payload: str
    seconds: float
    warmup: float
    settle: float
    awaiting: bool


class Faults:
    """What went wrong in this process."""

    def __init__(self) -> None:
        self.count = 0
        self.first: str | None = None

    def add(self, text: str) -> None:
        """Count one; the first is kept in words."""
        self.count += 1
        if self.first is None:
            self.first = text


class Link(ABC):
    """One connection at work.

    Attributes:
        sent: messages an answer is expected to, or pushed events asked for.
        received: those that came.
        running: whether the next message follows an answer; False once the measured time is over.
        leaving: whether the end of the connection is no fault any more.
    """

    def __init__(self, options: Options, faults: Faults) -> None:
        self.options = options
        self.payload = options.payload
        self.faults = faults
        self.sent = 0
        self.received = 0
        self.running = True
        self.leaving = False

    @abstractmethod
    async def open(self) -> None:
        """Connect, with the handlers of every mode registered."""

    @abstractmethod
    async def start(self) -> None:
        """Send what is under way at first."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    def wrong(self, x: Any) -> None:
        """What came is not what was sent."""
        self.faults.add(f"received {x!r}")

    def ended(self, reason: object) -> None:
        """The connection ended."""
        if not self.leaving:
            self.faults.add(f"disconnected: {reason}")


L = TypeVar("L", bound=Link)


class Drive(Generic[L]):
    """One run of one client program."""

    def __init__(self, options: Options, link: Callable[[Options, Faults], L]) -> None:
        self._options = options
        self._link = link
        self._faults = Faults()

    async def run(self) -> dict[str, Any]:
        """Open, work, drain and close; returns what is printed."""
        options = self._options
        before, began, cpu = _rss_kib(), time.monotonic(), _cpu()
        links = await self._open_all()
        figures: dict[str, Any] = {
            "mode": options.mode,
            "conns": options.conns,
            "pipeline": options.pipeline,
            "open_s": time.monotonic() - began,
            "open_cpu_s": _cpu() - cpu,
        }
        if options.mode == "idle":
            await asyncio.sleep(options.settle)
        else:
            figures |= await self._work(links)
        figures |= {"client_rss_kib_before": before, "client_rss_kib": _rss_kib()}
        await _close_all(links)
        figures["errors"] = self._faults.count
        if self._faults.first is not None:
            figures["first_error"] = self._faults.first
        return figures

    async def _open_all(self) -> list[L]:
        links: list[L] = []
        numbers = iter(range(self._options.conns))

        async def opener() -> None:
            for _ in numbers:
                link = self._link(self._options, self._faults)
                links.append(link)
                await link.open()

        await asyncio.gather(*(opener() for _ in range(_OPENING)))
        return links

    async def _work(self, links: Sequence[L]) -> dict[str, Any]:
        for link in links:
            await link.start()
        await asyncio.sleep(self._options.warmup)
        began, cpu, count = time.monotonic(), _cpu(), _total(links)
        await asyncio.sleep(self._options.seconds)
        figures = {
            "seconds": time.monotonic() - began,
            "count": _total(links) - count,
            "cpu_s": _cpu() - cpu,
        }
        if not figures["count"]:
            self._faults.add("nothing was completed")
        await self._drain(links)
        return {**figures, "sent": sum(link.sent for link in links), "received": _total(links)}

    async def _drain(self, links: Sequence[L]) -> None:
        for link in links:
            link.running = False
        deadline = time.monotonic() + _DRAIN_SECONDS
        # Asked now and then, so that the handlers stay as small as those of an application.
        while any(link.received < link.sent for link in links) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for link in links:
            if link.sent != link.received:
                self._faults.add(
                    f"a connection expected {link.sent} messages and received {link.received}"
                )


async def _close_all(links: Sequence[Link]) -> None:
    for link in links:
        link.leaving = True
    for start in range(0, len(links), _OPENING):
        await asyncio.gather(*(link.close() for link in links[start : start + _OPENING]))


def _total(links: Sequence[Link]) -> int:
    return sum(link.received for link in links)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _rss_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main(link: Callable[[Options, Faults], Link], description: str | None) -> int:
    """Run a client program; returns its exit status, 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("mode", choices=("echo", "receive", "ack", "idle"))
    add("--port", type=int, default=3000)
    add("--conns", type=int, default=64)
    add("--pipeline", type=int, default=16, help="messages under way on each connection")
    add("--payload", type=int, default=64, help="bytes in each message")
    add("--seconds", type=float, default=3.0)
    add("--warmup", type=float, default=1.0)
    add("--settle", type=float, default=1.5, help="idle: seconds before the memory is read")
    add("--await", dest="awaiting", action="store_true", help="ack: wait instead of a callback")
    given = vars(parser.parse_args())
    given["payload"] = "".join(chr(97 + i % 26) for i in range(given["payload"]))
    figures = uvloop.run(Drive(Options(**given), link).run())
    print(json.dumps(figures), flush=True)
    return 1 if figures["errors"] else 0
