"""The prompt, in a terminal: what is typed, and what is seen."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nuncio.cli import problems
from tests.cli.server import io
from tests.support.aio import eventually, run_async, within
from tests.support.live import Home

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[39][0-7][;m]")
_WHERE = b"\x1b[6n"
CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


class Seat:
    """Somebody at a terminal.

    Args:
        master: the terminal's other end.
        process: the tool.
        port: the server's.
    """

    def __init__(self, master: int, process: asyncio.subprocess.Process, port: int) -> None:
        self._toolbar = f"127.0.0.1:{port} ·"
        self._master = master
        self._process = process
        self.raw = b""
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.raw += data
        # As a terminal does that is asked where the cursor is.
        for _ in range(data.count(_WHERE)):
            os.write(self._master, b"\x1b[1;1R")

    @property
    def text(self) -> str:
        """All that was written, without colours."""
        return _ESCAPES.sub("", self.raw.decode(errors="replace"))

    async def shows(self, words: str) -> None:
        """Wait until something is written."""
        await eventually(lambda: words in self.text, f"{words!r} is written")

    async def sees(self, words: str) -> None:
        """Wait until something is written, behind what was seen before."""
        await self.shows(words)
        self.raw = self.text.partition(words)[2].encode()

    async def ready(self) -> None:
        """Wait until the prompt is there, behind what was seen; before that, keys may be lost."""
        await self.sees(self._toolbar)

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    async def ends(self) -> int:
        """Wait for the end; the exit status."""
        return await within(self._process.wait())


@asynccontextmanager
async def seat(home: Home, folder: Path, *arguments: str) -> AsyncIterator[Seat]:
    """Start the tool in a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "XDG_CONFIG_HOME": str(folder), "LC_ALL": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuncio", "connect", f"http://127.0.0.1:{home.port}"),
        *arguments,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    somebody = Seat(master, process, home.port)
    try:
        yield somebody
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)


@run_async
async def test_a_conversation(home: Home, tmp_path: Path) -> None:
    async with seat(home, tmp_path) as user:
        await user.sees("connected to /")
        await user.sees("hello")
        await user.sees("help; Ctrl-D ends")
        await user.ready()
        user.types("echo {a: [1, 2]} ?\r")
        await user.sees('→ echo {"a": [1, 2]} ?')
        await user.sees('↩ echo {"a": [1, 2]}')
        # What comes is written above the prompt, and the prompt is still there.
        user.types("say half a li")
        await user.sees("half a li")
        io.emit("news", "from elsewhere")
        await user.sees('← news "from elsewhere"')
        await user.sees("say half a li")
        user.types("ne\r")
        await user.sees('← said "half" "a" "line"')
        user.types("status\r")
        await user.sees("> status")
        await user.sees("connected, id")
        user.types("{\r")
        await user.sees("✖ expected an event's name")
        user.types("quit\r")
        assert await user.ends() == problems.DONE


@run_async
async def test_keys(home: Home, tmp_path: Path) -> None:
    async with seat(home, tmp_path) as user:
        await user.shows("help; Ctrl-D ends")
        # It may come before this line or behind it.
        await user.shows("hello")
        assert _COLOUR.search(user.raw)
        await user.ready()
        # Tab completes names of events that came.
        user.types("emit hel" + TAB)
        await user.sees("emit hello")
        # Ctrl-C takes away what was typed.
        user.types(CTRL_C)
        user.types("say one\r")
        await user.sees('← said "one"')
        # What was typed before can be had again.
        user.types(UP + "\r")
        await user.sees('← said "one"')
        await user.ready()
        user.types(CTRL_D)
        assert await user.ends() == problems.DONE
    assert '"say one"' in (tmp_path / "nuncio" / "history").read_text()
    async with seat(home, tmp_path, "--no-color") as user:
        await user.shows("help; Ctrl-D ends")
        assert not _COLOUR.search(user.raw)
        await user.ready()
        user.types(UP + "\r")
        await user.sees('→ say "one"')
        await user.sees('← said "one"')
        await user.ready()
        # Then Ctrl-C ends the tool.
        user.types(CTRL_C)
        assert await user.ends() == problems.INTERRUPTED


@run_async
async def test_a_server_that_is_not_there(home: Home, tmp_path: Path) -> None:
    async with seat(home, tmp_path, "--path", "/elsewhere") as user:
        await user.sees("no Socket.IO under /elsewhere")
        assert await user.ends() == problems.NOT_CONNECTED


@run_async
async def test_a_lost_connection(home: Home, tmp_path: Path) -> None:
    async with seat(home, tmp_path) as user:
        await user.sees("help; Ctrl-D ends")
        await user.ready()
        user.types("drop\r")
        await user.sees("disconnected from /: transport close")
        await user.sees("connected to /")
        user.types("kick\r")
        await user.sees("io server disconnect")
        user.types("say lost\r")
        await user.sees("/ is not connected")
        user.types("connect\r")
        await user.sees("connected to /")
        user.types("say found\r")
        await user.sees('← said "found"')
        user.types("/admin auth token=secret\r/admin\r")
        await user.sees("connected to /admin")
        user.types("stats ?\r")
        await user.sees("↩ /admin stats")
        await user.ready()
        user.types(CTRL_D)
        assert await user.ends() == problems.DONE
