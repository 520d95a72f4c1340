"""What the user sits at: a terminal or a pipe, with colours or without, and what comes from it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TextIO

_CHUNK: Final = 65_536
# Lines that were read and not yet carried out; then reading waits.
_AHEAD: Final = 100


@dataclass(frozen=True)
class Terminal:
    """What standard input and output are.

    Attributes:
        interactive: whether there is somebody who types and reads.
        on_screen: whether standard output is a terminal.
        coloured: whether colours can and may be shown.
        unicode: whether signs other than ASCII can be shown.
        lines: gives the lines of standard input.
    """

    interactive: bool
    on_screen: bool
    coloured: bool
    unicode: bool
    lines: Callable[[], AsyncIterator[str]]

    @classmethod
    def of_process(cls, colour: bool) -> Terminal:
        """That of this process.

        Args:
            colour: whether colours are wanted.
        """
        for stream in (sys.stdout, sys.stderr):
            # What the terminal has no character for shall not be an error.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        on_screen = _is_terminal(sys.stdout)
        smart = os.environ.get("TERM") != "dumb"
        return cls(
            interactive=on_screen and _is_terminal(sys.stdin) and smart,
            on_screen=on_screen,
            coloured=colour
            and smart
            and not os.environ.get("NO_COLOR")
            and (on_screen or _is_terminal(sys.stderr)),
            unicode=(sys.stdout.encoding or "").lower().replace("-", "") == "utf8",
            lines=stdin_lines,
        )

    def columns(self) -> int | None:
        """How wide the terminal is now; None when output goes elsewhere."""
        return shutil.get_terminal_size().columns if self.on_screen else None


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


async def stdin_lines(descriptor: int = 0) -> AsyncIterator[str]:
    """The lines of standard input, as they come.

    A thread reads them: what may be a file, a pipe or a terminal cannot be waited for in another
    way everywhere. It takes the descriptor itself, since Python would wait at its end for a thread
    that holds `sys.stdin`.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def give(line: bytes | None) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, line)
        except RuntimeError:
            # The loop is closed: nobody wants to know any more.
            pass

    def read() -> None:
        rest = b""
        while chunk := _read(descriptor):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                room.acquire()
                give(line)
        if rest:
            give(rest)
        give(None)

    threading.Thread(target=read, name="nuncio stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        room.release()
        yield line.decode(errors="replace").rstrip("\r")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""
