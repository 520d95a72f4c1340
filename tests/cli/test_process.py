"""The tool as a process: pipes, signals, and a standard output that nobody reads any more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from nuncio.cli import problems
from tests.support.aio import run_async, within
from tests.support.live import Home


async def start(home: Home, *arguments: str, **options: Any) -> Process:
    command = [sys.executable, "-m", "nuncio", "connect", f"http://127.0.0.1:{home.port}"]
    return await asyncio.create_subprocess_exec(
        *command, *arguments, stdout=PIPE, stderr=PIPE, **options
    )


@run_async
async def test_a_pipe(home: Home) -> None:
    tool = await start(home, "--json", stdin=PIPE)
    out, err = await within(tool.communicate("say grüße\nwait said=grüße\n".encode()))
    assert tool.returncode == problems.DONE, err
    happened = [json.loads(line) for line in out.splitlines()]
    assert [one["args"] for one in happened if one.get("name") == "said"] == [["grüße"]]
    assert err == b""


@run_async
async def test_options_read_nothing(home: Home) -> None:
    # Standard input stays open, and nobody writes to it.
    reading, writing = os.pipe()
    tool = await start(home, "--ask", "echo 1", stdin=reading)
    out, err = await within(tool.communicate())
    os.close(reading)
    os.close(writing)
    assert tool.returncode == problems.DONE, err
    assert out.count(b"echo 1") == 2
    assert b"\x1b" not in out + err


@run_async
async def test_an_interrupted_tool_says_goodbye(home: Home) -> None:
    # While it waits for a line.
    tool = await start(home, "--json", stdin=PIPE)
    assert tool.stdout is not None
    while b'"event"' not in await within(tool.stdout.readline()):
        pass
    tool.send_signal(signal.SIGINT)
    out, err = await within(tool.communicate())
    assert tool.returncode == problems.INTERRUPTED
    assert json.loads(out.splitlines()[-1])["reason"] == "io client disconnect"
    assert err == b""


@run_async
async def test_when_nobody_reads_any_more_it_ends(home: Home) -> None:
    tool = await start(home, "--emit", "flood 100000", "--listen", stdin=asyncio.subprocess.DEVNULL)
    assert tool.stdout is not None and tool.stderr is not None
    await within(tool.stdout.readline())
    # There is no other way to close this end of the pipe.
    tool._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    err = await within(tool.stderr.read())
    assert await within(tool.wait()) == problems.BROKEN_PIPE
    assert b"Traceback" not in err and b"Exception" not in err
