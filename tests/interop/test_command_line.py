"""The command `nuncio` beside the official client, and against the official server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nuncio import Server, Socket
from nuncio.cli import problems
from tests.cli.tool import Done, Tool
from tests.support.aio import run_async, within
from tests.support.node import DRIVER, Node

# Prints its port, and serves until its standard input ends.
SERVER = """
const { Server } = require("socket.io");
const io = new Server(0);
io.on("connection", (socket) => {
  socket.emit("hello", Buffer.from([1, 2, 3]));
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("ask me", () => {
    socket.emit("question", 6, 7, (answer) => socket.emit("thanks", answer));
  });
  socket.on("kick", () => socket.disconnect());
});
io.of("/admin").use((socket, next) => {
  if (socket.handshake.auth.token === "secret") return next();
  const error = new Error("who are you?");
  error.data = { code: 401 };
  next(error);
});
console.log(io.httpServer.address().port);
process.stdin.on("end", () => process.exit()).resume();
"""


@run_async
async def test_the_tool_and_the_official_client_hear_each_other(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    io = Server()

    @io.event
    def say(socket: Socket, *args: Any) -> None:
        socket.broadcast.emit("said", *args)

    async with node.clients(io) as clients:
        client = await clients.connect()
        tool = Tool(capsys, clients.url)
        lines = "say {from: tool} @tests/cli/tool.py\nwait said='from JavaScript'\n"
        running = asyncio.ensure_future(tool("--json", lines=lines))
        words, data = await client.next("said")
        assert words == {"from": "tool"}
        assert data.startswith(b'"""')
        await client.emit("say", "from JavaScript", b"\x00\xff")
        done = await running
    assert done.status == problems.DONE, done.err
    assert done.of("event")[0]["args"] == ["from JavaScript", {"$bytes": "AP8="}]


@run_async
async def test_the_official_server(
    node: Node, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server = await asyncio.create_subprocess_exec(
        *(program("node"), "-e", SERVER),
        cwd=DRIVER.parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        port = int(await within(server.stdout.readline()))
        await talk(Tool(capsys, f"http://127.0.0.1:{port}"))
    finally:
        server.stdin.close()
        await within(server.wait())


async def talk(tool: Tool) -> None:
    """Try everything that depends on the other side."""
    done = await tool(
        "--json",
        lines="echo {a: 1} @tests/cli/tool.py ?\n'ask me'\nwait question=6\nanswer 42\n"
        "wait thanks=42\nwait hello\n",
    )
    assert done.status == problems.DONE, done.err
    assert first(done, "answer")["args"][0] == {"a": 1}
    assert first(done, "event")["args"] == [{"$bytes": "AQID"}]
    assert first(done, "upgrade")["transport"] == "websocket"
    done = await tool("--json", path="/admin")
    assert done.status == problems.NOT_CONNECTED
    assert first(done, "connect_error")["data"] == {"code": 401}
    done = await tool("--auth", "token=secret", "--listen", "--timeout", "1", path="/nowhere")
    assert "no namespace /nowhere" in done.err
    done = await tool("--emit", "kick", "--wait-for", "nothing", "--transport", "polling")
    assert "io server disconnect" in done.err
    assert done.status == problems.NOT_CONNECTED


def first(done: Done, kind: str) -> dict[str, Any]:
    return done.of(kind)[0]
