"""Scripts that a test runs in a process of their own, as users write them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.aio import DEADLINE

BEGIN = """
import nuncio, os, signal, sys, threading, time
URL = sys.argv[1]

def say(*words):
    print(*words, flush=True)

"""


@contextmanager
def running(code: str, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a script; it may use `URL` and `say`.

    Args:
        code: the script.
        url: the server's address.
        options: for Python.
    """
    program = BEGIN + textwrap.dedent(code)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *options, "-c", program, url], stdout=pipe, stderr=pipe, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(code: str, url: str, *options: str) -> list[str]:
    """Run a script to its end: what it has printed. It must end well, and complain of nothing."""
    with running(code, url, *options) as process:
        return end(process)


def end(process: subprocess.Popen[str], code: int = 0) -> list[str]:
    """Wait for the end of a script."""
    out, err = process.communicate(timeout=DEADLINE / 2)
    assert (process.returncode, err) == (code, ""), f"{process.returncode}: {out}{err}"
    return out.splitlines()


def hear(process: subprocess.Popen[str], word: str) -> None:
    """Wait until a script says something."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != f"{word}\n":
        rest, err = process.communicate(timeout=DEADLINE / 2)
        raise AssertionError(f"{line!r} instead of {word!r}: {rest} {err}")


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)
