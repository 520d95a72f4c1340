"""The processes of a run: each started on its CPU, and ended in any case."""

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
from typing import IO, Any

from harness.machine import cpu_of_others, pinned

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class Failed(Exception):
    """A server did not start, or a generator or client gave no result."""


def figures(
    command: Sequence[str], env: Mapping[str, str], cpu: int, seconds: float, *servers: int
) -> dict[str, Any]:
    """Run a load generator or a client, and read the one line of JSON that it prints.

    Args:
        command: how it is started.
        env: additions to the environment.
        cpu: the CPU it runs on.
        seconds: the time it has.
        servers: the process ids of those it works with.

    Returns:
        Its figures with one more, `others_cpu`: CPU seconds per second that neither it nor the
        servers used.

    Raises:
        Failed: it printed nothing, or not in time.
    """
    (found,) = all_figures([(command, cpu)], env, seconds, *servers)
    return found


def all_figures(
    commands: Sequence[tuple[Sequence[str], int]],
    env: Mapping[str, str],
    seconds: float,
    *servers: int,
) -> list[dict[str, Any]]:
    """Run several at the same time; see `figures`.

    Args:
        commands: how each is started, and the CPU it runs on.
        env: additions to the environment.
        seconds: the time they have.
        servers: the process ids of those they work with.
    """
    start, others = time.monotonic(), cpu_of_others(*servers)
    programs: list[subprocess.Popen[bytes]] = []
    try:
        for command, cpu in commands:
            with pinned(cpu):
                programs.append(_start(command, env, subprocess.PIPE, subprocess.PIPE))
        names = [os.path.basename(command[0]) for command, _ in commands]
        found = [_result(*one, seconds) for one in zip(names, programs, strict=True)]
    finally:
        for program in programs:
            stop(program)
    ours = (*servers, *(program.pid for program in programs))
    spent = max(0.0, cpu_of_others(*ours) - others) / (time.monotonic() - start)
    return [{**one, "others_cpu": round(spent, 4)} for one in found]


def _result(name: str, program: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    try:
        output, complaint = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failed(f"no result within {seconds:.0f} s") from None
    if not output:
        said = complaint.decode(errors="replace").strip() or f"status {program.returncode}"
        raise Failed(f"{name}: {said}")
    found: dict[str, Any] = json.loads(output)
    return found


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
    port = free_port()
    with tempfile.TemporaryFile() as log:
        with pinned(cpu):
            process = _start([*command, "--port", str(port)], env, log, subprocess.STDOUT)
        try:
            try:
                wait_until_listening(process, port)
                yield process, port
            except Failed as error:
                raise Failed(f"{error}{_tail(log)}") from None
        finally:
            stop(process)


def _start(
    command: Sequence[str], env: Mapping[str, str], output: int | IO[bytes], complaints: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=complaints,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None


def wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a process accepts connections.

    Raises:
        Failed: it ended, or did not listen in time.
    """
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


def free_port() -> int:
    """A port that nobody has now."""
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
