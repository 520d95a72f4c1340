#!/usr/bin/env python3
"""What a broadcast costs the workers that have nobody it is for.

Eight workers meet in a folder. One emits to a room, another has its only member, six have clients
who are not in it. Once as it is, and once with everything sent to all (`flooded`), which is what
workers did before they saw each other's rooms. What counts is the CPU time of the six.

    python benchmarks/routing.py --broadcasts 20000

Exit status: 0, 2 on misuse.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from harness import machine

_BATCH = 20
_PAYLOADS = {"small": "x" * 30, "1 KiB": "x" * 1024}
_MODES = ("flooded", "routed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.node is not None:
        asyncio.run(_node(options))
        return 0
    print(machine.describe(), f"{options.workers} workers", sep="\n", flush=True)
    print("| payload | | CPU µs a broadcast: sender | member's | each other | messages |")
    print("| --- | --- | --- | --- | --- | --- |")
    for payload in _PAYLOADS:
        for mode in _MODES:
            found = _measure(options, payload, mode)
            sender, member, *others = found
            cells = [sender["cpu"], member["cpu"], mean([one["cpu"] for one in others])]
            costs = " | ".join(f"{1e6 * cpu / options.broadcasts:.1f}" for cpu in cells)
            received = sum([one["received"] for one in found]) / options.broadcasts
            print(f"| {payload} | {mode} | {costs} | {received:.2f} |", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--broadcasts", type=int, default=20_000)
    parser.add_argument("--node", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--payload", choices=list(_PAYLOADS), help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=_MODES, help=argparse.SUPPRESS)
    return parser


def _measure(options: argparse.Namespace, payload: str, mode: str) -> list[dict[str, Any]]:
    """What each worker used and received, from the first broadcast to the last."""
    with tempfile.TemporaryDirectory() as folder:
        given = ["--folder", str(Path(folder) / "w"), "--payload", payload, "--mode", mode]
        given += ["--workers", str(options.workers), "--broadcasts", str(options.broadcasts)]
        nodes = []
        try:
            for number in range(options.workers):
                nodes.append(_start(number, given))
            for node in nodes:
                _told(node)
            for node in nodes:
                _tell(node)
            for node in nodes:
                _told(node)
            for node in nodes[:2]:
                _tell(node)
            for node in nodes[:2]:
                # All is said, and the room's member has heard it.
                _told(node)
            for node in nodes:
                _tell(node)
            return [_told(node) for node in nodes]
        finally:
            for node in nodes:
                node.kill()
                node.wait()


def _start(number: int, given: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--node", str(number), *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ)


def _tell(node: subprocess.Popen[bytes]) -> None:
    assert node.stdin is not None
    node.stdin.write(b"\n")
    node.stdin.flush()


def _told(node: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert node.stdout is not None
    line = node.stdout.readline()
    if not line:
        raise SystemExit("a worker ended")
    found: dict[str, Any] = json.loads(line)
    return found


# In a worker's process.


async def _node(options: argparse.Namespace) -> None:
    import nuncio
    from nuncio.workers.adapter import WorkersAdapter

    if options.mode == "flooded":
        everybody: Any = WorkersAdapter
        everybody._chosen = lambda adapter, options: None
    io = nuncio.Server(workers=options.folder)
    listening = await io.listen(0)
    client = await nuncio.connect(f"http://127.0.0.1:{listening.port}", transports=["websocket"])
    heard = asyncio.Event()
    count = 0

    def event(text: str) -> None:
        nonlocal count
        count += 1
        if count == options.broadcasts:
            heard.set()

    client.on("e", event)
    adapter: Any = io.of("/").adapter
    if options.node == 1:
        io.of("/").sockets[str(client.id)].join("room")
    _say()
    await _asked()
    while len(adapter._mesh.with_namespace("/")) < options.workers - 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    _say()
    cpu, received = time.process_time(), adapter.stats()["received"]
    if options.node < 2:
        await _asked()
    if options.node == 0:
        text = _PAYLOADS[options.payload]
        for number in range(options.broadcasts):
            io.to("room").emit("e", text)
            if number % _BATCH == _BATCH - 1:
                await asyncio.sleep(0.001)
        _say()
    elif options.node == 1:
        await heard.wait()
        _say()
    await _asked()
    _say(cpu=time.process_time() - cpu, received=adapter.stats()["received"] - received)
    await _asked()


async def _asked() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _say(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    sys.exit(main())
