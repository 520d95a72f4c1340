#!/usr/bin/env python3
"""Show where a Nuncio server spends its time in one mode of the benchmarks.

The server runs under cProfile, which slows every Python call down: read the order and the number
of calls, not the times. The plain build shows every function; of the compiled one only what is
called through Python can be seen.
"""

from __future__ import annotations

import argparse
import os
import pstats
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import contenders, machine
from harness.measure import build_generator, load
from harness.modes import MODES
from harness.processes import Failed, server, stop
from harness.runs import Settings
from harness.servers import SERVERS

_CHOICES = [key for key, mode in MODES.items() if not mode.idle and not mode.client]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one mode and print the profile; returns the exit status."""
    parser = argparse.ArgumentParser(description="Show where a Nuncio server spends its time.")
    parser.add_argument("mode", choices=_CHOICES)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--lines", type=int, default=40, help="functions to print")
    parser.add_argument("--sort", choices=("tottime", "cumtime", "ncalls"), default="tottime")
    parser.add_argument("--async", dest="asynchronous", action="store_true")
    options = parser.parse_args(arguments)

    cpus = machine.choose_cpus(None, None)
    machine.raise_file_limit()
    settings = Settings(1, options.seconds, 0.5, 1, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile")
        command = [options.python, "-m", "cProfile", "-o", str(profile)]
        command += [str(SERVERS / "nuncio_server.py")]
        command += MODES[options.mode].server
        command += ["--async"] if options.asynchronous else []
        try:
            build_generator()
            with (
                server(command, {}, cpus.tested) as (process, port),
                machine.pinned(cpus.other),
            ):
                _drive(load(MODES[options.mode], settings), port, options.seconds + 60)
                # cProfile writes its file when the program ends, and SIGTERM would not let it.
                stop(process, signal.SIGINT)
        except (Failed, subprocess.SubprocessError) as error:
            print(f"profile_server.py: {error}", file=sys.stderr)
            return 1
        pstats.Stats(str(profile)).strip_dirs().sort_stats(options.sort).print_stats(options.lines)
    return 0


def _drive(options: Sequence[str], port: int, seconds: float) -> None:
    command = [os.fspath(contenders.SIOLOAD), *options, "--port", str(port)]
    subprocess.run(command, check=True, timeout=seconds)


if __name__ == "__main__":
    sys.exit(main())
