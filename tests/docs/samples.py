"""The code blocks of README.md and the documentation, and how they are run.

A comment before a block names a program that a test runs as a reader would:

    <!-- sample: chat -->

Every other Python block is a fragment. The fragments of a page are run one after the other, as if
they were one program, with a server `io` and a connected `socket` at hand; the server is the one at
`http://localhost:3000`.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nuncio
from tests.support.aio import eventually, within
from tests.support.rawclient import Closed, WebSocket, websocket_target

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_BLOCK = re.compile(
    r"(?:<!-- sample: (?P<mark>[a-z]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n`]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
# What is shown of python-socketio is compiled, not run. What is shown of Django is that of an
# example, and needs a project around it.
_ELSEWHERE = re.compile(r"\b(sio|socketio|django)\b")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: the file, relative to the project.
        line: where its code begins.
        language: as written behind the fence.
        mark: the name of the program it is, or empty.
        text: the code.
    """

    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def filename(self) -> str:
        """For tracebacks."""
        return str(ROOT / self.page)

    @property
    def runs(self) -> bool:
        """Whether it is a fragment that can be run."""
        return self.language == "python" and not self.mark and not _ELSEWHERE.search(self.text)


def blocks(language: str) -> list[Block]:
    """All blocks of a language."""
    return [block for page in PAGES for block in blocks_of(page) if block.language == language]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page."""
    source = page.read_text()
    return [
        Block(
            str(page.relative_to(ROOT)),
            source.count("\n", 0, match.start("text")) + 1,
            match["language"],
            match["mark"] or "",
            textwrap.dedent(match["text"]),
        )
        for match in _BLOCK.finditer(source)
    ]


def marked(name: str) -> Block:
    """A program by its name; where two pages show it, they show the same."""
    found = [block for page in PAGES for block in blocks_of(page) if block.mark == name]
    assert found, f"no page has a sample {name!r}"
    assert len({block.text for block in found}) == 1, f"the samples {name!r} differ"
    return found[0]


def compiled(block: Block) -> Any:
    """Its code object; `await` may stand outside of functions, as in a shell."""
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(source, block.filename, "exec", flags, dont_inherit=True)


async def run_fragments(fragments: list[Block]) -> None:
    """Run the fragments of a page."""
    io = nuncio.Server()
    async with connected(io) as (socket, port):
        names: dict[str, Any] = {
            "__name__": "sample",
            "asyncio": asyncio,
            "nuncio": nuncio,
            "io": io,
            "socket": socket,
            "data": {},
            "x": 1.0,
            "y": 2.0,
        }
        for block in fragments:
            text = block.text.replace("localhost:3000", f"localhost:{port}")
            try:
                await within(_run(compiled(replace(block, text=text)), names))
            except Exception as error:
                raise AssertionError(f"{block}: {error!r}") from error


async def run_blocking_fragments(fragments: list[Block]) -> None:
    """Run the fragments of the page on the blocking client, in a thread.

    The server does what they ask for.
    """
    io = nuncio.Server()
    io.of("/news")
    io.of("/admin")
    io.on("double", lambda socket, number: number * 2)
    io.on("translate", lambda socket, word: {"ja": "yes"}[word])
    io.on("ask me", lambda socket, word: socket.emit_with_ack("question", word))

    @io.event
    def subscribe(socket: nuncio.Socket, topic: str) -> None:
        socket.emit(topic, "first")
        socket.emit(topic, "second")
        socket.emit("question", "what is it?", lambda answer: None)

    def run(port: int) -> None:
        names: dict[str, Any] = {"__name__": "sample", "nuncio": nuncio}
        for block in fragments:
            text = block.text.replace("localhost:3000", f"localhost:{port}")
            try:
                exec(compiled(replace(block, text=text)), names)
            except Exception as error:
                raise AssertionError(f"{block}: {error!r}") from error
        # What the page has defined and not called.
        assert names["task"](4) == 8
        for socket in (names["socket"], names["server"]()):
            socket.close()

    async with await io.listen(0) as listening:
        await within(asyncio.to_thread(run, listening.port))


async def _run(code: Any, names: dict[str, Any]) -> None:
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result


@asynccontextmanager
async def connected(io: nuncio.Server) -> AsyncIterator[tuple[nuncio.Socket, int]]:
    """A socket of a client that answers whatever it is asked, and where the server listens."""
    async with (
        await io.listen(0) as server,
        await WebSocket.open(server.port, websocket_target()) as client,
    ):
        await client.send("40")
        await eventually(lambda: io.sockets.sockets, "a client is connected")
        answering = asyncio.ensure_future(_answer(client))
        yield next(iter(io.sockets.sockets.values())), server.port
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering


async def _answer(client: WebSocket) -> None:
    with contextlib.suppress(Closed):
        while True:
            message = await client.receive()
            asked = re.match(r"42(\d+)\[", message) if isinstance(message, str) else None
            if asked:
                await client.send(f'43{asked[1]}["Ada"]')
