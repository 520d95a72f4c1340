"""The sensor of the examples loses no reading, and its server keeps none twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import nuncio
from tests.examples.test_examples import EXAMPLES, load
from tests.hosts.process import python, running
from tests.support.aio import eventually, run_async, within
from tests.support.faults import DOWN, FaultProxy
from tests.support.ports import free_port


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The sensor, which measures 1, 2, 3 …"""
    example = load(EXAMPLES / "sensor" / "sensor.py", "sensor_example")
    values = itertools.count(1)
    monkeypatch.setattr(example, "measure", lambda: float(next(values)))
    monkeypatch.setattr(example, "ACKNOWLEDGED_WITHIN", 30.0)
    monkeypatch.setattr(example, "LONGEST_PAUSE", 0.05)
    return example


def kept(path: Path) -> list[float]:
    """The readings in the file."""
    return [json.loads(line)[2] for line in path.read_text().splitlines()]


async def grown(path: Path, count: int) -> int:
    """Wait until more than so many readings are in the file; how many there are."""
    await eventually(lambda: path.exists() and len(kept(path)) > count, "readings arrive")
    return len(kept(path))


@run_async
async def test_nothing_is_lost_and_nothing_is_there_twice(
    sensor: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load(EXAMPLES / "sensor" / "server.py", "sensor_server_example")
    path = tmp_path / "readings.jsonl"
    port = free_port()
    async with FaultProxy(port) as proxy:
        # It begins before there is a server.
        running = asyncio.ensure_future(sensor.run("test", proxy.url, 0.01))
        count = 0
        for _ in range(3):
            readings = example.Readings(path)
            async with await example.server(readings).listen(port):
                count = await grown(path, count + 10)
                # The next one is received, and its acknowledgement is lost with the link.
                proxy.stall(DOWN)
                count = await grown(path, len(kept(path)))
                proxy.cut()
                proxy.resume(DOWN)
                await grown(path, count + 10)
            count = len(kept(path))
            readings.close()
        readings = example.Readings(path)
        async with await example.server(readings).listen(port):
            await grown(path, count)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await within(running)
            values = kept(path)
        readings.close()
    assert values == [float(number) for number in range(1, len(values) + 1)]
    # The last one measured is there: it was waited for.
    assert sensor.measure() == values[-1] + 1
    printed = capsys.readouterr().out
    assert "again" in printed
    assert "the server is lost: transport" in printed


@run_async
async def test_a_server_that_is_killed(sensor: ModuleType, tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "readings.jsonl"
    source = (EXAMPLES / "sensor" / "server.py").read_text()
    script = tmp_path / "server.py"
    script.write_text(
        source.replace("3003", str(port)).replace('"readings.jsonl"', repr(str(path)))
    )
    task = asyncio.ensure_future(sensor.run("test", f"http://127.0.0.1:{port}", 0.01))
    count = 0
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            command = running(python(str(script)), port)
            server = await asyncio.to_thread(stack.enter_context, command)
            await grown(path, count + 10)
            server.kill()
            await asyncio.to_thread(server.communicate)
        count = len(kept(path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert kept(path) == [float(number) for number in range(1, count + 1)]


@run_async
async def test_what_does_not_fit_is_not_kept(tmp_path: Path) -> None:
    example = load(EXAMPLES / "sensor" / "server.py", "sensor_server_example")
    readings = example.Readings(tmp_path / "readings.jsonl")
    async with (
        await example.server(readings).listen(0) as listening,
        nuncio.connect(f"http://127.0.0.1:{listening.port}") as socket,
    ):
        for wrong in (("Bad Name", 1, 1.0), ("a", "1", 1.0), ("a", 1, None), ("a",)):
            answer = await socket.emit_with_ack("reading", *wrong, timeout=30)
            assert "error" in answer
        assert await socket.emit_with_ack("reading", "a", 5, 1.5, timeout=30) is None
    readings.close()
    assert kept(tmp_path / "readings.jsonl") == [1.5]


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "sensor" / "sensor.py"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "usage: sensor.py NAME\n")
