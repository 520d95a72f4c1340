"""Nuncio's own client in Node, against Nuncio's server and against the official one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nuncio
from nuncio.server.client_files import BUNDLED
from tests.browser.conftest import missing
from tests.support.aio import run_async, within

HERE = Path(__file__).parent
PACKAGES = HERE.parent / "interop" / "node_modules"


def server() -> nuncio.Server:
    """What `official` in client_node.js is, too."""
    io = nuncio.Server(connection_state_recovery=True, cookie=True)
    io.on("echo", lambda socket, value: value)
    io.on("end", lambda socket, number: socket.disconnect())
    io.on("told", lambda socket, number: socket.emit("news", 1))

    @io.on("ask back")
    async def ask_back(socket: nuncio.Socket) -> int:
        answer: int = await socket.emit_with_ack("question", 20)
        return answer + 1

    @io.of("/refused").use
    async def refuse(socket: nuncio.Socket) -> None:
        raise nuncio.ConnectError("no", data={"code": 7})

    return io


async def talk(node: str, *args: str) -> Any:
    """What the client has seen."""
    script = str(HERE / "client_node.js")
    client = str(BUNDLED / "socket.io.js")
    process = await asyncio.create_subprocess_exec(
        node, script, client, *args, stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await within(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return json.loads(said)


@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket", "official"])
@pytest.mark.parametrize("whose", ["nuncio", "official"])
@run_async
async def test_it_talks_to_every_server(
    program: Callable[[str], str], whose: str, transports: str
) -> None:
    node = program("node")
    if not PACKAGES.is_dir():
        missing("tests/interop/node_modules is not there: npm --prefix tests/interop ci")
    if whose == "official":
        seen = await talk(node, transports)
    else:
        async with await server().listen(0) as listening:
            seen = await talk(node, transports, f"http://127.0.0.1:{listening.port}")
    assert seen == {
        "kept": {"text": "\u00e9\u2028", "none": None, "list": [1.5, True]},
        "bytes": [1, 2, 3],
        "asked": 41,
        "transport": "polling" if transports == "polling" else "websocket",
        "large": 100_000,
        "ordered": True,
        "recovered": [True, True],
        "refused": ["no", {"code": 7}, False],
        "ended": "io server disconnect",
        "active": False,
    }
