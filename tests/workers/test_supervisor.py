"""`nuncio serve --workers`: processes that are kept alive and replaced."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nuncio
from tests.support.aio import eventually, run_async, within
from tests.support.ports import free_port
from tests.support.redis import Redis

pytestmark = pytest.mark.slow

DEADLINE = 60.0

APPLICATION = """
import os
import nuncio

io = nuncio.Server()

@io.on("connection")
def connection(socket):
    socket.join("everybody")

@io.event
def who(socket):
    return os.getpid()

@io.event
def shout(socket, text):
    io.to("everybody").emit("shout", text)
"""


class Serving:
    """A running command.

    Attributes:
        lines: what it has said so far.
        port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait until it has said something so many times."""
        limit = time.monotonic() + DEADLINE
        while True:
            found = [match for line in self.lines if (match := re.search(pattern, line))]
            if len(found) >= count:
                return found
            assert time.monotonic() < limit and self.process.poll() is None, self.lines
            time.sleep(0.05)

    def workers(self) -> set[int]:
        """The processes of its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def end(self) -> int:
        """Stop it; returns its status."""
        self.process.terminate()
        status = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextmanager
def serving(folder: Path, *arguments: str, source: str = APPLICATION) -> Iterator[Serving]:
    port = free_port()
    (folder / "application.py").write_text(source)
    command = [sys.executable, "-m", "nuncio", "serve", "application:io", "--port", str(port)]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Serving(process, port)
    try:
        yield running
    finally:
        running.end()


async def connect(port: int, **options: object) -> nuncio.ClientSocket:
    return await nuncio.connect(
        f"http://127.0.0.1:{port}",
        force_new=True,
        reconnection_delay=0.05,
        reconnection_delay_max=0.2,
        **options,
    )


async def upgraded(socket: nuncio.ClientSocket) -> None:
    """Wait until a client is over WebSocket: on the way there it may find its session gone."""
    engine = socket.io.engine
    assert engine is not None
    await eventually(lambda: engine.transport.name == "websocket")


@run_async
async def test_a_worker_that_dies_is_replaced_and_its_clients_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "3") as served:
        served.wait_for("listening")
        before = served.workers()
        assert len(before) == 3
        sockets = [await connect(served.port) for _ in range(9)]
        pids = [await within(socket.emit_with_ack("who")) for socket in sockets]
        assert set(pids) <= before
        killed = pids[0]
        os.kill(killed, signal.SIGKILL)
        await asyncio.to_thread(served.wait_for, f"worker {killed} ended with status -9")
        await asyncio.to_thread(served.wait_for, r"worker \d+ is ready")
        after = served.workers()
        assert len(after) == 3 and killed not in after
        for socket in sockets:
            await within(socket.wait_connected())
            assert await within(socket.timeout(20).emit_with_ack("who")) in after
        heard: list[int] = []
        for number, socket in enumerate(sockets):
            socket.on("shout", lambda _, number=number: heard.append(number))
        sockets[0].emit("shout", "all there?")
        await eventually(lambda: len(heard) == 9)
        for socket in sockets:
            await socket.close()
        assert served.end() == 0


@run_async
async def test_workers_are_replaced_one_by_one_and_nobody_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--drain-window", "1") as served:
        served.wait_for("listening")
        before = served.workers()
        sockets = [await connect(served.port, reconnection=True) for _ in range(8)]
        failures: list[object] = []
        for socket in sockets:
            socket.io.on("reconnect_error", failures.append)
        served.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(served.wait_for, "all workers are replaced")
        after = served.workers()
        assert len(after) == 2 and not after & before
        for socket in sockets:
            await within(socket.wait_connected())
            assert await within(socket.emit_with_ack("who")) in after
        assert failures == []
        for socket in sockets:
            await socket.close()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no database')", "RuntimeError: no database"),
        ("io = 5", "give a nuncio.Server"),
        ("import nuncio\nio = nuncio.Server(workers=False)", "workers=False"),
        ("import nuncio\nio = nuncio.Server()\nio.run()", "application calls io.run() while it is"),
    ],
)
def test_what_cannot_start_is_told_and_not_tried_again(
    tmp_path: Path, source: str, said: str
) -> None:
    with serving(tmp_path, "--workers", "2", source=source) as served:
        assert served.process.wait(DEADLINE) == 1
        served._reader.join(DEADLINE)
    assert any(said in line for line in served.lines), served.lines
    assert not any("listening" in line for line in served.lines)


def test_it_ends_though_nobody_reads_any_longer_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION)
    command = [sys.executable, "-m", "nuncio", "serve", "application:io", "--port", "0"]
    options = ["--workers", "2", "--drain", "--drain-window", "0.2"]
    with subprocess.Popen([*command, *options], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"listening" in process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()


def test_a_module_that_serves_by_itself_is_told_so(tmp_path: Path) -> None:
    source = "import nuncio\nio = nuncio.Server()\nio.run(port=3000)"
    with serving(tmp_path, source=source) as served:
        assert served.process.wait(DEADLINE) == 2
        served._reader.join(DEADLINE)
    said = " ".join(served.lines)
    assert "application calls io.run() while it is imported" in said and "__main__" in said
    assert "listening" not in said


def test_where_workers_meet_is_told(tmp_path: Path, lasting_redis: Redis) -> None:
    # In a database of their own, for others meet there, too.
    meet = ("--meet", f"{lasting_redis.url}/7")
    told = f"Workers meet in Redis at 127.0.0.1:{lasting_redis.port}; "
    with serving(tmp_path, "--workers", "2", *meet) as first:
        first.wait_for(f"{told}nobody else is there yet")
        with serving(tmp_path, "--workers", "2", *meet) as second:
            second.wait_for(f"{told}2 others are there")
            with serving(tmp_path, *meet) as third:
                third.wait_for(f"{told}4 others are there")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        first.wait_for("listening")
        command = [sys.executable, "-m", "nuncio", "serve", "application:io"]
        done = subprocess.run(
            [*command, "--workers", "2", "--port", str(first.port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert "another program listens there" in done.stderr


@run_async
async def test_the_end_may_send_the_clients_away_first(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--drain", "--drain-window", "0.5") as served:
        served.wait_for("listening")
        reasons: list[str] = []
        for _ in range(4):
            socket = await connect(served.port, reconnection=False)
            socket.on("disconnect", lambda reason, *_: reasons.append(reason))
            await upgraded(socket)
        served.process.send_signal(signal.SIGTERM)
        await eventually(lambda: len(reasons) == 4)
        assert await asyncio.to_thread(served.end) == 0
        assert set(reasons) == {"transport close"}
        assert any("sending the clients to other servers" in line for line in served.lines)
