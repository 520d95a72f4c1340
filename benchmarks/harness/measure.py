"""One run: a server on its CPU, the load generator on another, and an end to both in any case."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from harness.contenders import SIOLOAD, Contender
from harness.machine import Cpus, cpu_of_others, pinned
from harness.modes import Mode

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_SPARE_SECONDS = 60.0  # opening connections and the final drain; the generator itself gives up
_DISTURBED = 0.05  # CPU seconds per second

VOID, SATURATED, DISTURBED = "void", "saturated", "disturbed"


class Failed(Exception):
    """A server did not start or the generator gave no result."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how much, the same for every contender."""

    rounds: int
    seconds: float
    warmup: float
    idle_connections: int
    idle_seconds: float
    idle_settle: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave.

    Attributes:
        figures: the generator's JSON as it is; empty if there was none.
        error: why the run is void, None if it is not.
        marks: what a reader has to know: void, saturated, disturbed.
    """

    mode: str
    contender: str
    round: int
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    marks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The run as plain data."""
        return asdict(self)


def build_generator() -> None:
    """Compile the load generator where the binary is missing or older than its source.

    Raises:
        Failed: there is no C compiler, or it found fault.
    """
    source = SIOLOAD.with_suffix(".c")
    if SIOLOAD.exists() and SIOLOAD.stat().st_mtime >= source.stat().st_mtime:
        return
    command = [os.environ.get("CC", "cc"), "-O2", "-o", str(SIOLOAD), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failed(f"no C compiler: {command[0]} is missing") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"{' '.join(command)}:\n{error.stderr}") from None


def measure(contender: Contender, mode: Mode, turn: int, settings: Settings, cpus: Cpus) -> Run:
    """Run one mode against a fresh server of one contender.

    Args:
        contender: the server.
        mode: the work.
        turn: the round, from 1.
        settings: durations and counts.
        cpus: where each side runs.
    """
    try:
        with server((*contender.command, *mode.server), contender.env, cpus.server) as (
            process,
            port,
        ):
            target = ["--port", str(port), "--server-pid", str(process.pid)]
            figures = _generate([*load(mode, settings), *target], process, cpus, settings)
    except Failed as error:
        return Run(mode.key, contender.key, turn, error=str(error), marks=(VOID,))
    fault = None
    if figures["errors"]:
        fault = f"{figures['errors']} errors, the first: {figures.get('first_error', 'unknown')}"
    return Run(mode.key, contender.key, turn, figures, fault, tuple(_marks(figures, mode)))


def load(mode: Mode, settings: Settings) -> list[str]:
    """The generator's mode and options, all but where the server is."""
    if mode.idle:
        return [
            *mode.load,
            *("--conns", str(settings.idle_connections)),
            *("--seconds", str(settings.idle_seconds)),
            *("--settle", str(settings.idle_settle)),
        ]
    return [*mode.load, "--seconds", str(settings.seconds), "--warmup", str(settings.warmup)]


def _generate(
    options: Sequence[str], process: subprocess.Popen[bytes], cpus: Cpus, settings: Settings
) -> dict[str, Any]:
    busy = max(settings.seconds + settings.warmup, settings.idle_seconds + settings.idle_settle)
    start, others = time.monotonic(), cpu_of_others(process.pid)
    with pinned(cpus.generator):
        generator = subprocess.Popen(
            [str(SIOLOAD), *options, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        output, complaint = generator.communicate(timeout=busy + _SPARE_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"no result within {busy + _SPARE_SECONDS:.0f} s") from None
    finally:
        stop(generator)
    if not output:
        raise Failed(f"the generator: {complaint.strip() or generator.returncode}")
    figures: dict[str, Any] = json.loads(output)
    spent = cpu_of_others(process.pid, generator.pid) - others
    figures["others_cpu"] = round(max(0.0, spent) / (time.monotonic() - start), 4)
    return figures


def _marks(figures: Mapping[str, Any], mode: Mode) -> Iterator[str]:
    if figures["errors"]:
        yield VOID
    if mode.idle:  # neither changes how much memory a connection takes
        return
    if figures["gen_saturated"]:
        yield SATURATED
    # What the generator calls other may be network work of the kernel, but no more than `softirq`.
    certain = figures["other_cpu"] - figures["softirq_cpu"]
    if max(figures["others_cpu"], figures["steal"], certain) > _DISTURBED:
        yield DISTURBED


@contextmanager
def server(
    command: Sequence[str], env: Mapping[str, str], cpu: int
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server on a free port; yields its process and port once it accepts connections.

    Args:
        command: how it is started; `--port N` is added.
        env: additions to the environment.
        cpu: the CPU it runs on.

    Raises:
        Failed: it ended or did not listen in time. The message has the end of its output.
    """
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        with pinned(cpu):
            process = _start([*command, "--port", str(port)], env, log)
        try:
            try:
                _wait_until_listening(process, port)
                yield process, port
            except Failed as error:
                raise Failed(f"{error}{_tail(log)}") from None
        finally:
            stop(process)


def _start(command: list[str], env: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise Failed(f"the server did not listen within {_START_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()[-10:]
    return "".join(f"\n    {line}" for line in lines)


def stop(process: subprocess.Popen[Any], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process by its id: asked first, then made to."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
