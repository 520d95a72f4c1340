#!/usr/bin/env python3
"""Show where a Nuncio client spends its time in one mode of the benchmarks.

The client runs under cProfile, which slows every Python call down: read the order and the number
of calls, not the times. The plain build shows every function; of the compiled one only what is
called through Python can be seen.
"""

from __future__ import annotations

import argparse
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import machine
from harness.clients import CLIENTS
from harness.contenders import SIOLOAD
from harness.measure import build_generator, load
from harness.modes import MODES
from harness.processes import Failed, server
from harness.runs import Settings

_CHOICES = [key for key, mode in MODES.items() if mode.client and not mode.idle]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one mode and print the profile; returns the exit status."""
    parser = argparse.ArgumentParser(description="Show where a Nuncio client spends its time.")
    parser.add_argument("mode", choices=_CHOICES)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--lines", type=int, default=40, help="functions to print")
    parser.add_argument("--sort", choices=("tottime", "cumtime", "ncalls"), default="tottime")
    parser.add_argument("--await", dest="awaiting", action="store_true")
    options = parser.parse_args(arguments)

    cpus = machine.choose_cpus(None, None)
    settings = Settings(1, options.seconds, 0.5, 1, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile")
        command = [options.python, "-m", "cProfile", "-o", str(profile)]
        command += [str(CLIENTS / "nuncio_client.py"), *load(MODES[options.mode], settings)]
        command += ["--await"] if options.awaiting else []
        try:
            build_generator()
            with (
                server((str(SIOLOAD), "serve"), {}, cpus.other) as (_, port),
                machine.pinned(cpus.tested),
            ):
                subprocess.run([*command, "--port", str(port)], check=True, timeout=120)
        except (Failed, subprocess.SubprocessError) as error:
            print(f"profile_client.py: {error}", file=sys.stderr)
            return 1
        pstats.Stats(str(profile)).strip_dirs().sort_stats(options.sort).print_stats(options.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
