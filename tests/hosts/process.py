"""Programs that a test starts and ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 40.0


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until somebody accepts connections."""
    limit = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, f"it ended: {process.communicate()[0]}"
            assert time.monotonic() < limit, "nobody listens"
            time.sleep(0.02)


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a server until the block ends.

    Args:
        command: the program and its arguments.
        port: where it will listen.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def python(*arguments: str) -> list[str]:
    """A command for the Python that runs the tests; modules of the tests can be imported."""
    return [sys.executable, *arguments]
